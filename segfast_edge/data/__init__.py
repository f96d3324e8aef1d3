"""Datasets, protocols and augmentation."""
