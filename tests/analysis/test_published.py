"""Published accuracies: the right numbers, beside the right cells, with every difference named."""

import json

import pandas as pd
import pytest

from ablation.analysis.published import (
    FILE,
    NONE_KNOWN,
    PUBLISHED_COLUMNS,
    Arm,
    published_table,
    read_published,
    same_arm,
)
from ablation.augmentation.parsing import parse_pipeline
from ablation.errors import InputError
from ablation.models.families import resolve_network
from ablation.study.plan import load_config, load_plan

HE_TRAINING = """\
{epochs: 164, batch_size: 128, learning_rate: 0.1, schedule: step, step_at: [0.5, 0.75],
      momentum: 0.9, weight_decay: 1e-4}"""
ACCURACY = 0.95


@pytest.fixture
def table(project):
    """A function that gives the table of a study of one experiment."""

    def make(
        datasets="[cifar10]",
        models="[resnet20]",
        augmentations="{standard: flip | crop(4)}",
        seeds="[0]",
        training=HE_TRAINING,
        more="",
        accuracy=ACCURACY,
        finished=1,
    ):
        project(
            f"""\
title: t
experiments:
  main:
    question: q
    datasets: {datasets}
    models: {models}
    augmentations: {augmentations}
    seeds: {seeds}
    training: {training}
{more}"""
        )
        plan = load_plan(load_config())
        cells = pd.DataFrame(
            [
                {
                    **dict(zip(("dataset", "model", "augmentation"), cell, strict=True)),
                    "experiment": experiment.name,
                    "finished": finished,
                    "test_accuracy": accuracy,
                }
                for experiment in plan.experiments
                for cell in {run.cell: None for run in experiment.runs}
            ]
        )
        return published_table(plan, cells.sample(frac=1, random_state=1))

    return make


def differences(found):
    (row,) = found.to_dict("records")
    return row["differences_in_setting"].split("; ")


# The numbers ----------------------------------------------------------------------------------

KNOWN = [
    ("Table 6", "cifar10", "resnet20", "standard", 164, 91.25),
    ("Table 6", "cifar10", "resnet32", "standard", 164, 92.49),
    ("Table 6", "cifar10", "resnet44", "standard", 164, 92.83),
    ("Table 6", "cifar10", "resnet56", "standard", 164, 93.03),
    ("Table 6", "cifar10", "resnet110", "standard", 164, 93.57),
    ("Table 6", "cifar10", "resnet110", "standard", 164, 93.39),
    ("Table 2", "imagenet2012", "plain18", "standard", 120, 72.06),
    ("Table 2", "imagenet2012", "resnet18", "standard", 120, 72.12),
    ("Table 2", "imagenet2012", "plain34", "standard", 120, 71.46),
    ("Table 2", "imagenet2012", "resnet34", "standard", 120, 74.97),
    ("Yun", "imagenet2012", "resnet50", "baseline", 300, 76.32),
    ("Yun", "imagenet2012", "resnet50", "mixup", 300, 77.42),
    ("Yun", "imagenet2012", "resnet50", "cutmix", 300, 78.60),
    ("OpenMixup", "cifar100", "resnet18", "none", 200, 76.42),
    ("OpenMixup", "cifar100", "resnet18", "mixup", 200, 78.52),
    ("OpenMixup", "cifar100", "resnet18", "cutmix", 200, 79.45),
    ("OpenMixup", "cifar100", "resnet18", "none", 1200, 78.55),
    ("OpenMixup", "cifar100", "resnet18", "mixup", 1200, 79.24),
    ("OpenMixup", "cifar100", "resnet18", "cutmix", 1200, 78.29),
    ("Notebook 2", "stanford_dogs", "resnet50-pretrained", "none", 10, 72.67),
    ("Notebook 2", "stanford_dogs", "resnet50-pretrained", "augmentation", 10, 69.97),
    ("Notebook 2", "stanford_dogs", "resnet50-pretrained", "cutmix", 10, 70.77),
    ("Notebook 2", "stanford_dogs", "resnet50-pretrained", "augmentation+cutmix", 10, 65.82),
]


def test_every_published_figure_as_accuracy_in_percent():
    found = [
        (p.source, p.dataset, f.architecture, f.arm, p.settings(f)["epochs"], f.percent)
        for p in read_published()
        for f in p.figures
    ]
    assert len(found) == len(KNOWN)
    for row, (source, *known) in zip(found, KNOWN, strict=True):
        assert source in row[0]
        assert list(row[1:]) == known


def test_the_best_of_five_and_their_mean_are_told_apart(table):
    found = table(models="[resnet110]")
    assert list(found["published"]) == [0.9357, 0.9339]
    assert [setting.rpartition("; ")[2] for setting in found["setting"]] == [
        "the best of 5 runs",
        "the mean of 5 runs",
    ]
    assert "one run instead of the best of 5 runs" in found["differences_in_setting"][0]


# Matching -------------------------------------------------------------------------------------


def test_a_row_in_the_form_of_the_contract(table):
    found = table()
    assert tuple(found) == PUBLISHED_COLUMNS
    (row,) = found.to_dict("records")
    assert [row[key] for key in PUBLISHED_COLUMNS[:4]] == [
        "main",
        "cifar10",
        "resnet20",
        "standard",
    ]
    assert (row["published"], row["own"]) == (0.9125, ACCURACY)
    assert row["difference"] == pytest.approx(0.0375)
    assert row["source"] == "He et al. 2015 (arXiv:1512.03385), Table 6"
    assert row["setting"].startswith("164 epochs; batch size 128; learning rate 0.1")


@pytest.mark.parametrize(
    "change",
    [
        {"datasets": "[{name: cifar10, limit: 5000}]"},
        {"datasets": "[cifar100]"},
        {"datasets": "[{name: cifar10, image_size: 64}]"},
        {"datasets": "[{name: cifar10, source: svhn_cropped}]"},
        {"models": "[resnet14]"},
        {"models": "[plain20]"},
        {"models": "[{name: resnet20, width: 32}]"},
        {"models": "[{name: resnet20, stem: imagenet}]"},
        {"models": "[resnet18]"},
        {"augmentations": '{none: ""}'},
        {"augmentations": "{flip: flip}"},
        {"augmentations": "{idle: flip | crop(0)}"},
        {"augmentations": "{more: flip | crop(4) | brightness(0.2)}"},
        {"augmentations": "{cutmix: flip | crop(4) | cutmix}"},
        {"augmentations": "{mixup: flip | crop(4) | mixup}"},
    ],
)
def test_no_figure_stands_beside_another_model_data_or_arm(table, change):
    found = table(**change)
    assert found.empty
    assert tuple(found) == PUBLISHED_COLUMNS


@pytest.mark.parametrize(
    "change",
    [
        {"datasets": '[{name: mine, source: "cifar10:3.0.2"}]'},
        {"datasets": "[{name: cifar10, image_size: 32}]"},
        {"models": "[{name: mine, architecture: resnet20, projection: 1x1}]"},
        {"augmentations": '{mine: "crop(2, fill=reflect) | flip"}'},
        {"augmentations": "{mine: flip | crop(4) | clip | cutmix(probability=0)}"},
    ],
)
def test_labels_versions_and_options_do_not_hinder(table, change):
    assert list(table(**change)["published"]) == [0.9125]


def test_mixing_matches_exactly(table):
    def published(arm):
        found = table(
            datasets="[cifar100]",
            models="[{name: resnet18, stem: cifar}]",
            augmentations=f"{{arm: '{arm}'}}",
        )
        return list(found["published"])

    assert published("flip | crop(4)") == [0.7642, 0.7855]
    assert published("flip | crop(4) | mixup(alpha=1)") == [0.7852, 0.7924]
    assert published("flip | crop(4) | cutmix(alpha=0.2)") == [0.7945, 0.7829]
    assert published("flip | crop(4) | cutmix") == []
    assert published("flip | crop(4) | cutmix(alpha=0.2, box=independent)") == []
    assert published("mixup(alpha=1)") == []
    assert published("flip | crop(4) | mixup(alpha=1) | cutmix(alpha=0.2)") == []


def test_arms_without_a_pipeline_match_by_kind():
    arm = Arm.model_validate(
        {
            "words": "w",
            "kinds": ["geometric", "colour"],
            "mixing": "mixup",
            "unstated": ["alpha"],
        }
    )
    for text, expected in (
        ("flip | brightness(0.4) | mixup(alpha=1)", True),
        ("crop(8) | saturation(0.6, 1.4) | mixup", True),
        ("flip | brightness(0) | mixup", False),
        ("flip | mixup", False),
        ("flip | brightness(0.4) | mixup(partner=first_pair)", False),
        ("flip | brightness(0.4) | cutmix", False),
        ("flip | brightness(0.4)", False),
    ):
        assert same_arm(arm, parse_pipeline(text)) is expected, text


def test_the_notebooks_arms_each_stand_beside_their_own_figure(table):
    basic = "flip | brightness(0.2) | hue(0.2) | contrast(0.2, 0.5)"
    arms = {
        "none": ("none", 0.7267),
        "augmentation": (basic, 0.6997),
        "cutmix": ("cutmix(partner=uniform)", 0.7077),
        "both": (f"{basic} | cutmix(partner=uniform)", 0.6582),
        "other-cutmix": ("cutmix(box=independent, partner=uniform)", None),
        "mixup": ("mixup(alpha=1, partner=uniform)", None),
    }
    found = table(
        datasets="[{name: dogs, source: stanford_dogs, image_size: 224}]",
        models="[{name: resnet50-pretrained, scaling: unit}]",
        augmentations=json.dumps({label: pipeline for label, (pipeline, _) in arms.items()}),
        training="{epochs: 10, batch_size: 16, learning_rate: 0.005, momentum: 0, "
        "shuffle: batches, early_stopping: {patience: 5}}",
        more="    validation: test\n",
    )
    assert dict(zip(found["augmentation"], found["published"], strict=True)) == {
        label: figure for label, (_, figure) in arms.items() if figure is not None
    }
    # The setting is the notebook's but for what the project cannot express.
    assert set(found["differences_in_setting"]) == {
        "in the publication batches were shuffled in a window of 200 that went on from epoch to "
        "epoch"
    }


def test_rows_stand_in_the_order_of_the_study(table):
    found = table(models="[resnet56, resnet20, plain20]", seeds="[3, 1]")
    assert list(found["model"]) == ["resnet56", "resnet20"]


def test_a_cell_without_a_finished_run_has_no_own_number(table):
    (row,) = table(accuracy=float("nan"), finished=0).to_dict("records")
    assert row["published"] == 0.9125
    assert pd.isna(row["own"])
    assert pd.isna(row["difference"])
    assert "run instead" not in row["differences_in_setting"]


# Differences ----------------------------------------------------------------------------------

IDENTICAL = [
    "10 % of the training split held out for validation instead of 0 %",
    "in the publication the mean image was subtracted",
]


def test_only_what_differs_is_named(table):
    assert differences(table()) == IDENTICAL
    assert differences(table(more="    validation: test\n")) == IDENTICAL[1:]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"finished": 3}, "the mean of 3 runs instead of one run"),
        (
            {"models": "[{name: resnet20, projection: 1x1}]"},
            "shortcut projection 1x1 instead of pad",
        ),
        ({"models": "[{name: resnet20, bias: true}]"}, "convolution biases yes instead of no"),
        (
            {"models": "[{name: resnet20, initializer: glorot_uniform}]"},
            "initial kernels glorot_uniform instead of he_normal",
        ),
        (
            {"augmentations": "{a: flip | crop(2)}"},
            "augmentation flip | crop(2) instead of flip | crop(4)",
        ),
    ],
)
def test_one_difference_adds_one_sentence(table, change, told):
    assert [text for text in differences(table(**change)) if text not in IDENTICAL] == [told]


@pytest.mark.parametrize(
    ("training", "told"),
    [
        ("epochs: 4", "4 epochs instead of 164"),
        ("epochs: 1", "1 epoch instead of 164"),
        ("batch_size: 64", "batch size 64 instead of 128"),
        ("learning_rate: 0.01", "learning rate 0.01 instead of 0.1"),
        ("momentum: 0.0", "momentum 0 instead of 0.9"),
        ("weight_decay: 0.0", "weight decay 0 instead of 0.0001"),
        ("weight_decay_kind: decoupled", "kind of weight decay decoupled instead of coupled"),
        ("clip_norm: 1.0", "gradient clipping 1 instead of none"),
        ("precision: bfloat16", "precision bfloat16 instead of float32"),
        ("schedule: cosine", "schedule cosine instead of step (×0.1 at 0.5, 0.75 of the training)"),
        (
            "warmup_epochs: 2",
            "schedule step (×0.1 at 0.5, 0.75 of the training) after 2 epochs of warm-up instead "
            "of step (×0.1 at 0.5, 0.75 of the training)",
        ),
        (
            "early_stopping: {restore_best: true}",
            "early stopping on val_loss with patience 5, which restores the best epoch instead of "
            "no early stopping",
        ),
    ],
)
def test_every_training_setting_is_compared(table, training, told):
    key = training.partition(":")[0]
    settings = {
        "epochs": "epochs: 164",
        "batch_size": "batch_size: 128",
        "learning_rate": "learning_rate: 0.1",
        "schedule": "schedule: step",
        "weight_decay": "weight_decay: 1e-4",
    } | {key: training}
    found = differences(table(training=f"{{{', '.join(settings.values())}}}"))
    assert [text for text in found if text not in IDENTICAL] == [told]


def test_pretrained_weights_size_and_resizing(table):
    dogs = "[{name: dogs, source: stanford_dogs, image_size: 224, resize: crop}]"
    found = differences(
        table(datasets=dogs, models="[{name: resnet50, width: 64}]", augmentations='{none: ""}')
    )
    assert "starting weights random instead of imagenet" in found
    assert "strided convolution of bottleneck blocks middle instead of first" in found
    assert "resizing crop instead of stretch" in found
    smaller = "[{name: dogs, source: stanford_dogs, image_size: 160}]"
    assert table(datasets=smaller, models="[resnet50]", augmentations='{none: ""}').empty


def test_nothing_to_name_is_said_in_words(table, monkeypatch):
    def without_notes():
        (he,) = [p for p in read_published() if p.dataset == "cifar10"]
        return [he.model_copy(update={"notes": []})]

    monkeypatch.setattr("ablation.analysis.published.read_published", without_notes)
    assert differences(table(more="    validation: test\n")) == [NONE_KNOWN]


# The file -------------------------------------------------------------------------------------


def test_every_network_and_arm_of_the_file_resolves():
    for publication in read_published():
        for figure in publication.figures:
            network = publication.network(figure)
            assert network.depth == resolve_network(figure.architecture, {}).depth
            publication.arms[figure.arm].told.encode()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("error: 8.75", "error: 108.75", "publications[0].figures[0].error: Input should be"),
        ("error: 8.75", "errors: 8.75", "unknown key 'errors'; did you mean 'error'?"),
        ("error: 8.75", "error: 8.75, accuracy: 91.25", "has either an error or an accuracy"),
        ("arm: standard, error: 8.75", "arm: standart, error: 8.75", "no arm 'standart'"),
        ("architecture: resnet20", "architecture: resnet21", "unknown architecture 'resnet21'"),
        ("pipeline: flip | crop(4)", "pipeline: flip | crop(400)", "padding must be"),
        ("mixing: cutmix", "mixing: flip", "mixing holds a step that does not mix"),
        ("batch_size: 128", "batch_size: many", "publications[0].training.batch_size"),
        ("[norm_momentum,", "[norm_momenta,", "unknown setting 'norm_momenta'"),
        ("projection: pad", "projection: padded", "'pad', '1x1' or '3x3', not 'padded'"),
    ],
)
def test_a_mistake_in_the_file_is_told(tmp_path, old, new, message):
    text = FILE.read_text(encoding="utf-8")
    assert old in text
    file = tmp_path / "published.yaml"
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError) as error:
        read_published(file)
    assert str(error.value).startswith(f"{file}:")
    assert message in str(error.value)
