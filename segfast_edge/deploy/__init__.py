"""Bundles to devices over ssh: copied, and installed there by the installer's own code, which needs only Python."""
