"""What every target shares: sessions, the run loop, the profiler and the probes of a board."""
