"""The studies that ship, shrunk to seconds a run, and small stores in the form of their data."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import h5py
import keras
import numpy as np
import tensorflow as tf
import tensorflow_datasets as tfds
from ruamel.yaml import YAML

from ablation.models.build import build
from ablation.models.families import resolve_network

from ..conftest import ROOT, copy_tracked, tracked

CHECKOUT = ("Snakefile", "workflow", "src", "profiles", "envs", "config")
# Each study's budgets stay distinct and in their order; a course of the loss needs three epochs.
EPOCHS = {5: 3, 10: 3, 20: 4, 30: 4, 50: 1, 60: 5, 120: 6, 164: 2, 200: 2, 1200: 3}
AT_EPOCH = {5: 1, 9: 2, 10: 3}
NARROW_WEIGHTS = "results/weights/narrow.weights.h5"
GRID_ARMS = ("none", "geometric", "cutmix")


def read_study(name):
    """A study's file as plain data, nothing shared between its parts."""
    file = ROOT / f"config/studies/{name}.yaml"
    return json.loads(json.dumps(YAML(typ="safe").load(file.read_text())))


def shrink(study):
    """The same study with small images, narrow networks, few epochs and one seed."""
    for name, experiment in study.get("experiments", {}).items():
        for dataset in experiment["datasets"]:
            if dataset.get("image_size", 0) > 32:
                dataset["image_size"] = 32
            if "stored_size" in dataset:
                dataset["stored_size"] = 40
        if name != "cutmix":  # the one that starts from weights of the real size
            experiment["models"] = [_narrow(model) for model in experiment["models"]]
        experiment["seeds"] = experiment["seeds"][:1]
        experiment.pop("final_seeds", None)
        blocks = [experiment["training"], *(o["training"] for o in experiment.get("overrides", []))]
        for training in blocks:
            if "epochs" in training:
                training["epochs"] = EPOCHS[training["epochs"]]
            if "warmup_epochs" in training:
                training["warmup_epochs"] = 0.5
        experiment["training"]["batch_size"] = 24
        for comparison in experiment.get("comparisons", []):
            if "epoch" in comparison:
                comparison["epoch"] = AT_EPOCH[comparison["epoch"]]
        if name == "grid":
            experiment["datasets"] = experiment["datasets"][:2]
            arms = experiment["augmentations"]
            experiment["augmentations"] = {arm: arms[arm] for arm in GRID_ARMS}
    return study


def _narrow(model):
    model = {"name": model} if isinstance(model, str) else model
    narrow = {**model, "width": 4}
    pretrained = "pretrained" in model.get("architecture", model["name"])
    return {**narrow, "weights": NARROW_WEIGHTS} if pretrained else narrow


def write_shrunken(folder):
    """Write all studies but the default one, shrunken."""
    for file in tracked("config/studies/*.yaml"):
        if file.stem != "quickstart":
            # JSON is YAML, and keeps the order of the keys.
            (folder / file.name).write_text(json.dumps(shrink(read_study(file.stem))))


def draw(label, classes, size, random):
    """A picture whose colour and stripes tell its class, with noise; uint8 [*size, 3]."""
    turn = 2 * np.pi * label / classes
    colour = 127 + 90 * np.cos(turn + np.array([0, 2, 4]))
    stripes = 30 * np.sin(np.arange(size[1]) * (1 + label % 5) / 3)[None, :, None]
    noise = random.normal(0, 12, (*size, 3))
    return np.clip(colour + stripes + noise, 0, 255).astype(np.uint8)


def rows_of(classes, of_each, size, random, extra):
    """Examples as a store takes them; ``size`` None means JPEGs of varying size."""
    rows = []
    for i in range(classes * of_each):
        sides = size or (40 + int(random.randint(20)), 40 + int(random.randint(20)))
        rows.append({"image": draw(i % classes, classes, sides, random), "label": i % classes})
        rows[-1] |= {key: make(i) for key, make in extra.items()}
    return rows


def store(source, splits, size, extra, folder):
    """Write a small data set under a real one's name, version and features.

    Args:
        source: ``name[/config]:version``.
        splits: name and number of examples of each class.
        size: height and width, or None for varying ones.
        extra: for each further feature what makes its value from the example's number.
        folder: the data folder.
    """
    builder = tfds.builder(source, data_dir=str(folder))
    features = builder.info.features
    classes = features["label"].num_classes
    random = np.random.RandomState(0)
    signature = tf.nest.map_structure(
        lambda spec: tf.TensorSpec(spec.shape, spec.dtype), features.get_tensor_spec()
    )
    data = {}
    for split, of_each in splits.items():
        rows = rows_of(classes, of_each, size, random, extra)
        data[split] = tf.data.Dataset.from_generator(
            lambda rows=rows: iter(rows), output_signature=signature
        )
    config = builder.builder_config
    tfds.dataset_builders.store_as_tfds_dataset(
        name=builder.name,
        version=str(builder.version),
        features=features,
        split_datasets=data,
        config=config.name if config else None,
        data_dir=str(folder),
    )


def text(form):
    """A maker of text features."""
    return form.format


STORES = (
    ("cifar10:3.0.2", {"train": 12, "test": 4}, (32, 32), {"id": text("train_{:05}")}),
    (
        "cifar100:3.0.2",
        {"train": 3, "test": 1},
        (32, 32),
        {"id": text("train_{:05}"), "coarse_label": lambda i: i % 20},
    ),
    ("eurosat/rgb:2.0.0", {"train": 15}, (64, 64), {"filename": text("{}.jpg")}),
    ("cats_vs_dogs:4.0.1", {"train": 40}, None, {"image/filename": text("PetImages/{}.jpg")}),
    (
        "stanford_dogs:0.2.0",
        {"train": 4, "test": 1},
        None,
        {
            "image/filename": text("n02085620_{}.jpg"),
            "objects": lambda i: {"bbox": np.array([[0, 0, 1, 1]], np.float32)},
        },
    ),
)


def write_imagenet_weights(file):
    """Write a file of the form that keras.applications fetches: Keras 2's layout, without top."""
    keras.utils.set_random_seed(0)
    model = keras.applications.ResNet50(weights=None, include_top=False, input_shape=(64, 64, 3))
    file.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(file, "w") as out:
        out.attrs["layer_names"] = [layer.name.encode() for layer in model.layers]
        out.attrs["backend"] = b"tensorflow"
        for layer in model.layers:
            group = out.create_group(layer.name)
            names = [f"{layer.name}/{weight.name}:0" for weight in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.weights, strict=True):
                group[name] = np.asarray(weight)


def write_narrow_weights(file):
    """Write weights for a narrow network of the pretrained one's form, with a head of its own."""
    architecture = resolve_network("resnet50-pretrained", {"width": 4, "weights": "none"})
    build(architecture, (64, 64, 3), 10, seed=0).save_weights(file)


class Checkout:
    """A copy of the checkout."""

    def __init__(self, folder, tfds_folder):
        self.folder = folder
        self.environment = {**os.environ, "TFDS_DATA_DIR": str(tfds_folder)}
        folder.mkdir()
        copy_tracked(folder, *CHECKOUT)

    def snakemake(self, study, *words):
        """Run a study with two jobs of one thread each."""
        command = [str(Path(sys.executable).parent / "snakemake"), *words, "--cores", "2"]
        command += ["--resources", "gpu=2", "--config", f"study={study}", "threads=1"]
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-8000:]
        return done.stdout

    def jobs(self, study):
        """What a dry run would run: rule name to number of jobs."""
        output = self.snakemake(study, "--dry-run", "--quiet", "rules")
        table = re.search(r"Job stats:\n.*?\n-+.*?\n(.*?)\ntotal", output, re.S)
        if table is None:
            assert "Nothing to be done" in output, output
            return {}
        rows = [line.split() for line in table[1].splitlines()]
        return {row[0]: int(row[1]) for row in rows}


def write_stores(folder):
    """Write small stores of all sets that the studies use into a data folder."""
    for source, splits, size, extra in STORES:
        store(source, splits, size, extra, folder)


def make_shrunk(folder, tfds_folder):
    """Make a checkout with all studies shrunk, and weights."""
    checkout = Checkout(folder, tfds_folder)
    write_shrunken(folder / "config/studies")
    write_imagenet_weights(folder / "results/weights/resnet50-imagenet-notop.h5")
    write_narrow_weights(folder / NARROW_WEIGHTS)
    return checkout
