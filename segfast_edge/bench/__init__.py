"""Benchmarks that are part of the product, each pairing what it compares in one run."""
