"""Data sets: sources of images, and their preparation for training."""
