"""Labels for pictures from a checkpoint or an artifact, and how good they are."""
