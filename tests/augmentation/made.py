"""Images, draws and calls of every registered step, which the tests share."""

import numpy as np
import tensorflow as tf

from ablation.augmentation.parsing import parse_pipeline
from ablation.augmentation.pipeline import Augmentation
from ablation.augmentation.registry import STEPS, StepCall

ALMOST_ONE = np.float32(1 - 2**-24)


def random_images(*shape, low=0.0, high=1.0):
    return np.random.default_rng(0).uniform(low, high, shape).astype(np.float32)


def data(examples, height=9, width=8, channels=3, classes=5):
    rng = np.random.default_rng(1)
    images = rng.random((examples, height, width, channels), np.float32)
    return images, np.eye(classes, dtype=np.float32)[rng.integers(classes, size=examples)]


def drawn(text, examples, seed=3):
    return Augmentation(parse_pipeline(text), (1, 1)).draws(seed, 0, examples)


def mix(text, images, targets, draws, size=None):
    """Images and targets after a pipeline, given its draws."""
    augmentation = Augmentation(parse_pipeline(text), size)
    if len(images) > 100:
        augmentation = tf.function(augmentation)  # faster
    result = augmentation(np.asarray(images, np.float32), targets, np.asarray(draws, np.float32))
    return tuple(each.numpy() for each in result)


def run(text, images, draws, size=None):
    """Images after a pipeline that leaves the targets as they are."""
    targets = np.ones((len(images), 1), np.float32)
    images, same = mix(text, images, targets, draws, size)
    np.testing.assert_array_equal(same, targets)
    return images


def examples(step):
    """Calls of a step that change small images: one for each choice of each parameter."""
    values, calls = {}, []
    for name, field in step.parameters.model_fields.items():
        if field.is_required():
            schema = step.schema(name)
            quarter = schema["minimum"] + (schema["maximum"] - schema["minimum"]) / 4
            values[name] = 2 if schema["type"] == "integer" else quarter
        calls += [{name: choice} for choice in step.schema(name).get("enum", [])]
    return [StepCall(step=step.name, parameters=values | choice) for choice in calls or [{}]]


EVERY_CALL = [call for step in STEPS.values() for call in examples(step)]
PER_IMAGE = [call for call in EVERY_CALL if not call.definition.mixes_labels]
WHOLE = [examples(step)[0] for step in STEPS.values() if not step.crops]
