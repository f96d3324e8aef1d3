"""The parts of ``benchmarks/converters.py``."""
