"""The data exchanged between processes and with the browser: states, commands, events, records, messages.

``python -m detjupyter.protocol.typescript`` generates the TypeScript version, ``labextension/protocol/index.ts``.
"""
