"""Reproducible ablation studies for image classification.

The packages are layers: ``data`` < ``augmentation``, ``models`` < ``training`` < ``study`` <
``analysis`` < ``report`` < ``progress``, ``cli``. A layer imports only layers before it. Nothing in
``study``, ``analysis`` or ``report`` imports TensorFlow.
"""
