"""What the exporters of all formats share: the deployable graph, its lowerings, and parity with torch."""
