"""The device side's command line."""
