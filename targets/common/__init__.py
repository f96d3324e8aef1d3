"""Code shared by every target: sessions, the run loop, the profiler and the probes of a board."""
