"""Importing a definition without touching what the kernel imports, and running its code where it expects to be."""
