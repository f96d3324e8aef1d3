"""The device side: runs and profiles an artifact with numpy, pillow and one runtime; never torch, never the toolkit."""
