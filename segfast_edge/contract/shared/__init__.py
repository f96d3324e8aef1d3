"""Code that both sides carry and that is not part of what they agree on: files, pictures, processes."""
