"""Bundles: built, signed, and installed on devices over ssh."""
