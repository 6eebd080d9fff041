"""The partial report: from what is prepared and finished, beside the files of the study."""

import json
from pathlib import Path

import pytest

from ablation import cli
from ablation.progress import partial

from ..factory import write_run

CONFIG = ("--config", json.dumps({"study": "mine"}))


@pytest.fixture
def requests(monkeypatch):
    """What networks and augmentations are described for, which takes TensorFlow and data."""
    found = {}
    for name in ("describe_models", "draw_gallery"):
        monkeypatch.setattr(partial, name, lambda request, file: found.update({file.name: request}))
    return found


def test_with_nothing_prepared_there_is_nothing_to_report(place, requests):
    with pytest.raises(SystemExit, match=r"no data is prepared \(digits\)"):
        cli.main(["partial", *CONFIG])
    assert requests == {}
    assert not Path("results").exists()


def test_it_takes_what_is_there_and_leaves_the_files_of_the_study(place, requests, monkeypatch):
    place.edit("[{name: digits", "[{name: other, source: mnist5k, limit: 99}, {name: digits")
    for run in place.plan.runs.values():
        if run.dataset == "digits" and run.augmentation != "crop":
            write_run(run)
    rendered = []
    monkeypatch.setattr(partial, "render", lambda *arguments: rendered.append(arguments))
    cli.main(["partial", *CONFIG])
    assert {name: {one["dataset"] for one in of} for name, of in requests.items()} == {
        "models.json": {"digits"},
        "gallery.npz": {"digits"},
    }
    aside = Path("results/mine/partial")
    assert rendered == [("mine-partial", aside, Path("reports"))]
    analysis = json.loads((aside / "analysis.json").read_text())
    assert analysis["partial"] == {"planned": 18, "missing": 12}
    assert {file.name for file in Path("results/mine").iterdir()} == {"partial", "looks.csv"}
