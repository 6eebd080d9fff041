"""Studies with names and paths made to be misread, through Snakemake as a whole."""

import json
import os
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from .conftest import make_project

pytestmark = pytest.mark.workflow

HOSTILE = "my \"images\" 'and' $(touch pwned) `touch pwned`; touch pwned; {x} {input} %s \\ é 日本"
STUDY = {
    "title": f"{HOSTILE} <b>&amp;\nnext",
    "description": f"</p><script>touch('pwned')</script> {HOSTILE}",
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
    project.study.write_text(json.dumps(STUDY))
    random = np.random.RandomState(0)
    for i in range(41):  # the report names the largest and the smallest class
        file = project.folder / HOSTILE / CLASSES[i % 2] / f"{i} $(touch pwned).png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.randint(0, 256, (8, 8), dtype=np.uint8)).save(file)
    return project


def made(project):
    """Every file of a project but those that the workflow may make."""
    return sorted(
        f"{folder}/{name}"
        for folder, _, names in os.walk(project.folder)
        for name in names
        if not folder.startswith(
            tuple(str(project.folder / own) for own in ("results", "reports", ".snakemake"))
        )
        and "__pycache__" not in folder
    )


def dry(project, *words, study=STUDY, config="study: tiny\n"):
    """A dry run that must end by itself and leave nothing; its output."""
    (project.folder / "config/config.yaml").write_text(config)
    project.study.write_text(study if isinstance(study, str) else json.dumps(study))
    before = made(project)
    done = project.snakemake("--dry-run", *words, check=False)
    assert "Traceback" not in done.output
    assert made(project) == before
    assert not list(project.folder.rglob("pwned"))
    return done


def changed(**values):
    study = json.loads(json.dumps(STUDY))
    study["experiments"]["own"].update(values)
    return study


@pytest.mark.parametrize(
    ("study", "told"),
    [
        ("title: !!python/object/apply:os.system ['touch pwned']", "is not allowed"),
        (changed(question="a\x1b[2J"), "holds the control character '\\x1b'"),
        (changed(augmentations={"$(touch pwned)": ""}), "'$(touch pwned)' is not a name"),
        (
            changed(models=[{"name": "resnet8", "weights": "{x} $(touch pwned)"}]),
            "Snakemake cannot take a path with { or }",
        ),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "study",
)
def test_what_is_refused_is_told_in_one_line(hostile, study, told):
    done = dry(hostile, study=study)
    assert done.returncode != 0
    (line,) = [line for line in done.output.splitlines() if line.startswith("error: ")]
    assert told in line


@pytest.mark.parametrize(
    "value",
    ["[a, b]", "../x", "$(touch pwned)", "1e999"],
)
def test_a_study_that_is_no_name_on_the_command_line(hostile, value):
    done = dry(hostile, "--config", f"study={value}")
    assert done.returncode != 0
    assert "error: " in done.output


def test_paths_reach_no_shell_unquoted(hostile):
    weights = "$(touch pwned); '\"\n `touch pwned` é.h5"
    (hostile.folder / weights).write_bytes(b"none")
    study = changed(models=[{"name": "resnet8", "weights": weights}])
    data_dir = str(hostile.folder / "results/$(touch pwned) {x} {input} '\"")
    config = json.dumps({"study": "tiny", "data_dir": data_dir})
    for target in ("all", "prune", "plan"):
        assert dry(hostile, target, study=study, config=config).returncode == 0, target
    hostile.snakemake("prune")
    hostile.snakemake("plan")
    assert not list(hostile.folder.rglob("pwned"))


class Text(HTMLParser):
    """The text of a page, and its elements."""

    def __init__(self, page):
        super().__init__()
        self.text, self.tags, self.scripts = [], [], 0
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)

    def handle_data(self, data):
        self.text.append(data)


def test_a_study_of_hostile_names_runs_to_its_report(hostile):
    (hostile.folder / "config/config.yaml").write_text("study: tiny\n")
    hostile.study.write_text(json.dumps(STUDY))
    before = made(hostile)
    done = hostile.snakemake()
    assert "The study tiny is complete" in done.output
    assert made(hostile) == before
    assert not list(hostile.folder.rglob("pwned"))
    page = Text((hostile.folder / "reports/tiny.html").read_text(encoding="utf-8"))
    text = " ".join("".join(page.text).split())
    assert page.tags.count("script") == 1  # the page's own
    assert not {"b", "i"} & set(page.tags)
    for foreign in (
        STUDY["title"],
        STUDY["description"],
        STUDY["experiments"]["own"]["question"],
        *CLASSES,
    ):
        assert " ".join(foreign.split()) in text
