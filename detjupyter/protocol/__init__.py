"""The words that Python and the browser both speak: states, commands, events, records, messages.

The TypeScript twin, ``labextension/protocol/index.ts``, is written by ``python -m detjupyter.protocol.typescript``.
"""
