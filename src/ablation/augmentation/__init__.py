"""Augmentation: the steps of a pipeline as pure functions of images, labels and draws."""
