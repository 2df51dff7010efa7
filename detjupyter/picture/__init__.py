"""What stays in a saved notebook: runs as PNG, SVG, text and reference, and the HTML and the numbers of all outputs.

Importing this package is cheap; matplotlib is imported by the one module that needs it.
"""
