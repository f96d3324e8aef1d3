"""Code that both sides carry and that is no part of what they agree on: files, pictures, processes."""
