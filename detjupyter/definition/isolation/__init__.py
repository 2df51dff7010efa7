"""Import a definition isolated from the kernel's own imports, and run its code in its own working directory."""
