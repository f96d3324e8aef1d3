"""From a checkpoint to an artifact folder; one public module per format."""
