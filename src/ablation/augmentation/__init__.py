"""Augmentation: steps, pipelines of steps, and their random numbers.

Importing any module of this package registers all steps.
"""

import ablation.augmentation.steps  # noqa: F401
