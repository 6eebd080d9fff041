"""What a study may say of a data set."""

import pytest

from ablation.errors import InputError
from ablation.study.plan import load_plan
from ablation.study.schema import Config

STUDY = """\
title: A study
experiments:
  first:
    question: Does it?
    datasets: [{block}]
    models: [resnet8]
    seeds: [0]
    training: {{epochs: 1}}
"""


def plan(project, block):
    project(STUDY.format(block=block))
    return load_plan(Config(study="tiny"))


def refused(project, block):
    with pytest.raises(InputError) as caught:
        plan(project, block)
    return str(caught.value)


def test_sizes_are_resolved_to_height_and_width(project):
    made = plan(project, "{name: a, source: cifar10, image_size: 28, stored_size: [32, 40]}")
    (data,) = made.data.values()
    assert data.settings.image_size == (28, 28)
    assert data.settings.stored_size == (32, 40)
    assert "/32x40-stretch-" in data.folder


def test_a_stored_size_that_is_the_image_size_is_none(project):
    with_it = plan(project, "{name: a, source: cifar10, image_size: 28, stored_size: 28}")
    without = plan(project, "{name: a, source: cifar10, image_size: 28}")
    assert list(with_it.runs) == list(without.runs)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("{name: a, source: image_folder}", "source image_folder needs the key 'path'"),
        ("{name: a, source: csv}", "source csv needs the key 'path'"),
        ("csv", "source csv needs the key 'path'"),
        (
            "{name: a, source: cifar10, path: here}",
            "'path' is allowed with source csv or image_folder",
        ),
        ("{name: a, source: image_folder, path: nowhere}", "path: folder 'nowhere' not found"),
        ("{name: a, source: csv, path: nowhere.csv}", "path: file 'nowhere.csv' not found"),
        ("{name: a, source: cifar10, stored_size: 40}", "stored_size needs image_size"),
        (
            "{name: a, source: cifar10, image_size: [32, 40], stored_size: [40, 32]}",
            "stored_size must be at least image_size on both sides",
        ),
        ("{name: a, source: Cifar 10}", "source: 'Cifar 10' is not a source: write name"),
        ("MyImages", "'MyImages' is not a source: write name"),
        ("{name: a, source: mnist5k/b}", "source mnist5k has no configs or versions"),
        ("{name: a, source: cifar10, image_size: [8, 9, 10]}", "image_size: must be a number of"),
        ("{name: a, source: cifar10, image_size: 4}", "image_size: Input should be greater"),
        ("{name: a, source: cifar10, held_out: 0}", "held_out: must be greater than 0; with `val"),
        ("{name: a, source: cifar10, channels: 2}", "channels: Input should be 1 or 3, not 2"),
        ("{name: a, source: cifar10, train_share: 0}", "Input should be greater than 0"),
        ("{name: a, source: cifar10, train_share: 1.1}", "should be less than or equal to 1"),
        ("{name: a, source: cifar10, unreadable: ignore}", "should be 'refuse' or 'skip'"),
        ("{name: a, source: cifar10, duplicates: remove}", "should be 'keep' or 'drop'"),
    ],
)
def test_what_is_refused_with_its_place(project, block, message):
    told = refused(project, block)
    assert told.startswith("config/studies/tiny.yaml:5:")
    assert message in told


def test_local_images_are_found_where_the_study_says(project, tmp_path):
    (tmp_path / "pictures").mkdir()
    made = plan(project, "{name: mine, source: image_folder, path: pictures, image_size: 32}")
    (data,) = made.data.values()
    assert data.settings.source == "image_folder"
    assert data.settings.path == "pictures"
