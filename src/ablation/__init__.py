"""Reproducible ablation studies for image classification.

The packages are layers: ``data`` < ``augmentation``, ``models`` < ``training`` < ``study`` <
``analysis`` < ``report`` < ``progress`` < ``archive`` < ``cli``. A layer imports only layers before
it. Nothing in ``study``, ``analysis``, ``report`` or ``archive`` imports TensorFlow.
"""
