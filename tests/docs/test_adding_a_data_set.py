import json
import re

import numpy as np
import pytest
from sklearn.datasets import load_digits

from ablation.data import decoding, issues
from ablation.data.prepared import load

from ..conftest import ROOT

PAGE = ROOT / "docs/adding-a-data-set.md"


@pytest.mark.long
@pytest.mark.workflow
def test_the_page_works_to_the_letter(example):
    example.follow(PAGE.name)
    (photos,) = (example.folder / "results/data/photos").glob("[!.]*")
    data = load(photos)
    assert data.images.shape == (602, 32, 32, 1)
    shown = re.search(r"```text\nphotos \(.*?```", PAGE.read_text(), re.S)[0]
    for line in shown.splitlines()[2:-1]:
        assert line.strip() in ("…", *map(str.strip, example.output.splitlines())), line

    (digits8,) = (example.folder / "results/data/digits8").glob("[!.]*")
    data = load(digits8)
    wanted = np.round(load_digits().images * (255 / 16)).astype(np.uint8)
    assert data.images.shape == (1797, 8, 8, 1)
    assert {image.tobytes() for image in np.asarray(data.images)} == {
        image.tobytes() for image in wanted
    }
    (record,) = (example.folder / "results/runs/digits8/small/none").glob("seed-0-*/run.json")
    assert json.loads(record.read_text())["status"] == "completed"


def test_the_table_of_files_is_the_modules_own():
    rows = re.findall(r"^\| (.+?) \| (.+?) \|$", PAGE.read_text(), re.M)
    page = dict(rows)
    lines = [line for line in decoding.__doc__.splitlines()[2:] if not line.startswith("=")]
    assert len(lines) > 10
    for line in lines:
        what, done = re.split(r"\s{2,}", line, maxsplit=1)
        assert page[what] == done


def test_the_thresholds_are_those_of_the_issues():
    text = PAGE.read_text()
    assert f"fewer than {issues.FEW_IMAGES} training images" in text
    assert f"more than {issues.IMBALANCE} times the training images" in text
