"""Reproducible ablation studies for image classification.

The way of the data is the order of the packages, and imports run one way along it:
``study`` → ``data`` → ``augmentation`` → ``models`` → ``training`` → ``analysis`` → ``report``.
Nothing in ``study``, ``analysis`` or ``report`` imports TensorFlow.
"""
