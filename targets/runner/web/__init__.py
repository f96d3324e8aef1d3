"""The live page, Prometheus metrics and the health check: standard library only."""
