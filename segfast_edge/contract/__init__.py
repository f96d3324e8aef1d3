"""The contract between training and device: preprocessing, labels to masks, manifest and report."""
