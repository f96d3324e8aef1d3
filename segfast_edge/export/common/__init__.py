"""Code shared by the exporters of all formats: the deployable graph, its lowerings, and parity with torch."""
