"""Studies with names and paths that a shell or Snakemake could misread, run as a whole.

That a page shows hostile texts as text is tested with the report.
"""

import copy
import json

import numpy as np
import pytest
from PIL import Image

from .conftest import make_project

pytestmark = pytest.mark.workflow

HOSTILE = "my \"images\" 'and' $(touch pwned) `touch pwned`; touch pwned; {x} {input} %s \\ é 日本"
STUDY = {
    "title": f"{HOSTILE} <b>&amp;\nnext",
    "experiments": {
        "own": {
            "question": f"{HOSTILE} | --help?",
            "datasets": [{"name": "photos", "source": "image_folder", "path": HOSTILE}],
            "models": [{"name": "A+b_c-d..e", "architecture": "resnet8", "width": 4}],
            "augmentations": {"none": "", "crop.1": "crop(1)"},
            "seeds": [0],
            "baseline": {"augmentation": "none"},
            "training": {"epochs": 1, "batch_size": 10, "learning_rate": 0.05},
        }
    },
}
CLASSES = ["$(touch pwned)", "<i>'\"{x}"]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    project = make_project(tmp_path_factory.mktemp("hostile") / "project")
    random = np.random.RandomState(0)
    for i in range(41):
        file = project.folder / HOSTILE / CLASSES[i % 2] / f"{i} $(touch pwned).png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.randint(0, 256, (8, 8), dtype=np.uint8)).save(file)
    return project


def test_paths_reach_no_shell_unquoted(hostile):
    weights = "$(touch pwned); '\"\n `touch pwned` é.h5"
    (hostile.folder / weights).write_bytes(b"none")
    study = copy.deepcopy(STUDY)
    study["experiments"]["own"]["models"] = [{"name": "resnet8", "weights": weights}]
    hostile.study.write_text(json.dumps(study))
    data_dir = str(hostile.folder / "results/$(touch pwned) {x} {input} '\"")
    config = json.dumps({"study": "tiny", "data_dir": data_dir})
    (hostile.folder / "config/config.yaml").write_text(config)
    for words in (["--dry-run"], ["prune"], ["plan"]):
        hostile.snakemake(*words)
    assert not list(hostile.folder.rglob("pwned"))


@pytest.mark.long
def test_a_study_of_hostile_names_runs_to_its_report(hostile):
    (hostile.folder / "config/config.yaml").write_text("study: tiny\n")
    hostile.study.write_text(json.dumps(STUDY))
    done = hostile.snakemake()
    assert "The study tiny is complete" in done.output
    assert not list(hostile.folder.rglob("pwned"))
