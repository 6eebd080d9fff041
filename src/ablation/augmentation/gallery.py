"""The gallery: the effect of each augmentation on real images and their labels."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ablation.augmentation.pipeline import Augmentation, centre
from ablation.augmentation.pipelines import format_pipeline
from ablation.augmentation.registry import StepCall
from ablation.data.prepared import Prepared, load
from ablation.lazy import tf
from ablation.storage import atomically

SHOWN = 8  # images per row
DRAWS = 20  # seeds tried; the one with most mixed labels is shown
MIXED = 0.2  # minimum share of the second class of a mixed label


def draw_gallery(request: list[dict[str, Any]], file: Path) -> None:
    """Write samples of each data set, and each augmentation applied to them.

    Images have the input size of the network: the centre of the stored image, or the part that the
    pipeline cuts out.

    Args:
        request: blocks with augmentation (label), steps (resolved), dataset (label) and data
            (folder of the prepared data).
        file: the ``.npz`` to write: ``index``, a JSON list of {key, kind, dataset, augmentation,
            pipeline, captions}, and for each key uint8 images [n, height, width, channels].
    """
    index: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}

    def add(images: np.ndarray, **entry: Any) -> None:
        key = f"images_{len(index)}"
        index.append({"key": key, **entry})
        arrays[key] = images

    for folder in dict.fromkeys(wanted["data"] for wanted in request):
        data = load(Path(folder), verify=False)
        chosen = _one_of_each_class(data)
        wanted_here = [wanted for wanted in request if wanted["data"] == folder]
        dataset = wanted_here[0]["dataset"]
        names = [data.class_names[label] for label in data.labels[chosen]]
        seen = data.images[chosen, *centre(data.images.shape[1:3], data.input_shape[:2])]
        add(seen, kind="samples", dataset=dataset, captions=names)
        for wanted in wanted_here:
            images, targets = _augmented(data, chosen, wanted["steps"])
            add(
                images,
                kind="augmented",
                dataset=dataset,
                augmentation=wanted["augmentation"],
                pipeline=format_pipeline(wanted["steps"]),
                captions=[caption(target, data.class_names) for target in targets],
            )
    arrays["index"] = np.array(json.dumps(index))
    atomically(file, lambda part: np.savez_compressed(part, allow_pickle=False, **arrays))


def caption(target: np.ndarray, class_names: list[str]) -> str:
    """Return a target as text: ``7``, or its two largest shares as ``62 % ‘7’ + 38 % ‘3’``.

    A smoothed target includes the other classes: ``91 % ‘7’, others 1 % each``.

    Args:
        target: shares of the classes, float [classes], summing to one.
        class_names: name of each class.
    """
    largest = np.argsort(-target, kind="stable")[:2]
    rest = float(target.min()) if len(target) > len(largest) else 0.0
    shown = [i for i in largest if target[i] - rest >= 0.005]
    if len(shown) == 1 and target[shown[0]] > 0.995:
        return class_names[shown[0]]
    text = " + ".join(f"{_percent(target[i])} ‘{class_names[i]}’" for i in shown)
    return f"{text}, others {_percent(rest)} each" if rest else text


def _percent(share: float) -> str:
    digits = 0 if share >= 0.01 else 1
    return f"{100 * share:.{digits}f} %"


def _one_of_each_class(data: Prepared) -> np.ndarray:
    """Return the first training example of classes that are spread evenly over all."""
    training = data.indices("train")
    labels = np.unique(data.labels[training])
    spread = labels[np.linspace(0, len(labels) - 1, min(SHOWN, len(labels))).astype(int)]
    firsts = [training[data.labels[training] == label][0] for label in spread]
    if len(firsts) < SHOWN:  # few classes: add further examples
        rest = np.setdiff1d(training, firsts)[: SHOWN - len(firsts)]
        firsts += list(rest)
    return np.array(firsts)


def _augmented(
    data: Prepared, chosen: np.ndarray, steps: list[StepCall]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the augmented images, uint8, and their targets."""
    size, stored = data.input_shape[:2], data.images.shape[1:3]
    augmentation = Augmentation(steps, size)
    images = data.images[chosen, *centre(stored, stored if augmentation.crops else size)]
    labels = tf.one_hot(data.labels[chosen], len(data.class_names))
    drawn = [
        augmentation(images, labels, tf.constant(augmentation.draws(seed, 1, len(chosen))))
        for seed in range(DRAWS)
    ]
    shown, targets = max(drawn, key=lambda draw: _mixed(draw[1].numpy()))
    return np.rint(np.clip(shown.numpy(), 0, 1) * 255).astype(np.uint8), targets.numpy()


def _mixed(targets: np.ndarray) -> int:
    """Count the targets with two large shares."""
    return int((np.sort(targets, axis=1)[:, -2] >= MIXED).sum())
