import subprocess
import sys

import pytest

from ablation.data.sources import SOURCES, check_source, source_of
from ablation.errors import InputError

from ..conftest import ROOT
from .conftest import settings


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("mnist5k", "mnist5k"),
        ("csv", "csv"),
        ("image_folder", "image_folder"),
        ("cifar10:3.0.2", "tfds"),
        ("eurosat/rgb:2.0.0", "tfds"),
        ("unheard_of", "tfds"),
    ],
)
def test_a_name_leads_to_its_source_or_to_tfds(source, name):
    found = source_of(source)
    assert found is SOURCES[name]
    assert found.module.startswith("ablation.data.sources.")


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (settings("csv"), "source csv needs the key 'path'"),
        (settings("cifar10", "here"), "'path' is allowed with source csv or image_folder only"),
        (settings("csv:1.0.0", "here"), "source csv has no configs or versions: write csv"),
        (settings("unheard_of"), "TensorFlow Datasets has no 'unheard_of'"),
    ],
)
def test_settings_that_do_not_fit_a_source_are_refused(wanted, message):
    with pytest.raises(InputError, match=message):
        check_source(wanted)


def test_a_study_is_resolved_and_its_disk_space_counted_without_large_libraries():
    script = """
import sys
from ablation.progress.disk_space import needs
from ablation.study.plan import load_config, load_plan
needs(load_plan(load_config({"study": "notebooks"})).data.values())
large = {"tensorflow", "tensorflow_datasets", "keras", "pandas", "PIL", "requests"}
print(sorted(large & set(sys.modules)))
"""
    words = [sys.executable, "-c", script]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
