"""The notebooks' studies against a direct writing of what each notebook did, image by image."""

import numpy as np
import pytest
import tensorflow as tf

from ablation.augmentation.pipeline import Augmentation
from ablation.study.plan import load_plan
from ablation.study.schema import Config

BATCH, SIZE, CLASSES = 16, 40, 6


def batch():
    rng = np.random.default_rng(1994)
    images = rng.random((BATCH, SIZE, SIZE, 3), np.float32)
    return images, np.eye(CLASSES, dtype=np.float32)[rng.integers(CLASSES, size=BATCH)]


def uniform(u, low, high):
    return low + (high - low) * float(u)


def pick(u, count):
    return int(u * np.float32(count))


def flipped(image, u):
    return image[:, ::-1] if u < 0.5 else image


def brightened(image, u):
    return tf.image.adjust_brightness(image, uniform(u, -0.2, 0.2)).numpy()


def turned(image, u):
    return tf.image.adjust_hue(image, uniform(u, -0.2, 0.2)).numpy()


def flattened(image, u):
    return tf.image.adjust_contrast(image, uniform(u, 0.2, 0.5)).numpy()


def in_turn(*functions):
    """Apply functions of an image and a draw, one after the other."""

    def apply(images, targets, draws):
        results = []
        for image, row in zip(images, draws, strict=True):
            result = image
            for function, u in zip(functions, row, strict=True):
                result = function(result, u)
            results.append(result)
        return np.stack(results), targets

    return apply


def cut_and_paste(independent):
    """CutMix by slices, as the notebooks wrote it, for a square image."""

    def apply(images, targets, draws):
        mixed, labels = [], []
        for i, (_, u, other, down, across, partner) in enumerate(draws):
            j = pick(partner, BATCH)
            one = np.float32(1)
            tall = int(np.float32(SIZE) * np.sqrt(one - u))
            wide = int(np.float32(SIZE) * np.sqrt(one - other)) if independent else tall
            y, x = pick(down, SIZE), pick(across, SIZE)
            y0, y1 = max(y - tall // 2, 0), min(y + tall // 2, SIZE)
            x0, x1 = max(x - wide // 2, 0), min(x + wide // 2, SIZE)
            own, pasted = images[i], images[j]
            middle = np.concatenate(
                [own[y0:y1, :x0], pasted[y0:y1, x0:x1], own[y0:y1, x1:]], axis=1
            )
            mixed.append(np.concatenate([own[:y0], middle, own[y1:]], axis=0))
            share = (y1 - y0) * (x1 - x0) / SIZE**2
            labels.append((1 - share) * targets[i] + share * targets[j])
        return np.stack(mixed), np.stack(labels)

    return apply


def mix_up(images, targets, draws):
    mixed, labels = [], []
    for i, (_, weight, partner) in enumerate(draws):
        j = pick(partner, BATCH)
        mixed.append(weight * images[i] + (1 - weight) * images[j])
        labels.append(weight * targets[i] + (1 - weight) * targets[j])
    return np.stack(mixed), np.stack(labels)


def mix_one_pair(images, targets, draws):
    weight = draws[0, 1]
    image = weight * images[0] + (1 - weight) * images[1]
    label = weight * targets[0] + (1 - weight) * targets[1]
    return np.stack([image] * BATCH), np.stack([label] * BATCH)


def augmented_then_cut(images, targets, draws):
    images, targets = BASIC(images, targets, draws[:, :4])
    return cut_and_paste(independent=False)(images, targets, draws[:, 4:])


def untouched(images, targets, draws):
    return images, targets


BASIC = in_turn(flipped, brightened, turned, flattened)
NOTEBOOKS = {  # study: arm: what its notebook did, and the draws that it takes
    "residual": {"none": (untouched, 0)},
    "cutmix": {
        "none": (untouched, 0),
        "augmentation": (BASIC, 4),
        "cutmix": (cut_and_paste(independent=False), 6),
        "augmentation+cutmix": (augmented_then_cut, 10),
    },
    "mixup": {
        "cutmix": (cut_and_paste(independent=True), 6),
        "mixup": (mix_up, 3),
        "geometric": (in_turn(flipped), 1),
        "colour": (in_turn(flattened, turned, brightened), 3),
        "flip+brightness": (in_turn(flipped, brightened), 2),
        "mixup-one-pair": (mix_one_pair, 3),
    },
}


@pytest.mark.parametrize("study", NOTEBOOKS)
def test_arms_do_what_their_notebook_did(study):
    arms = NOTEBOOKS[study]
    plan = load_plan(Config(study=study))
    assert set(arms) == set().union(*(experiment.pipelines for experiment in plan.experiments))
    images, targets = batch()
    for experiment in plan.experiments:
        for arm, steps in experiment.pipelines.items():
            notebook, columns = arms[arm]
            augmentation = Augmentation(steps)
            assert augmentation.columns == columns
            for epoch in range(3):
                draws = augmentation.draws(1994, epoch, BATCH)
                wanted_images, wanted_targets = notebook(images, targets, draws)
                result_images, result_targets = augmentation(images, targets, draws)
                np.testing.assert_allclose(result_images, wanted_images, atol=5e-6)
                np.testing.assert_allclose(result_targets, wanted_targets, atol=1e-6)
