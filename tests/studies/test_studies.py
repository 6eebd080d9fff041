"""Every study that ships: its full grid as a dry run, and a shrunken form from data to report."""

import json

import pandas as pd
import pytest

from ablation.study.plan import load_plan
from ablation.study.schema import Config

from ..conftest import copy_tracked, tracked
from .shrunken import NARROW_WEIGHTS, read_study, write_shrunken

NOTEBOOKS = ("residual", "cutmix", "mixup", "notebooks")
# Study: training jobs of the full grid, and of the shrunken one where no run is there yet.
STUDIES = {
    "residual": 12,
    "cutmix": 4,
    "mixup": 11,
    "notebooks": 27,
    "grid": 480,
    "notebooks-sound": 251,
    "he2015": 50,
    "mixing": 60,
}


def table(checkout, study, name):
    return pd.read_csv(checkout.folder / f"results/{study}/{name}.csv")


def run(checkout, study):
    """Run a shrunken study to its report; return its runs."""
    checkout.snakemake(study)
    page = (checkout.folder / f"reports/{study}.html").read_text()
    title = read_study(study)["title"].replace("&", "&amp;")
    assert title in page
    assert (checkout.folder / f"reports/{study}.md").exists()
    runs = table(checkout, study, "runs")
    assert set(runs["status"]) <= {"completed", "stopped_early"}, runs
    return runs


def test_the_studies_are_these():
    there = {file.stem for file in tracked("config/studies/*.yaml")}
    assert there == {"quickstart", *STUDIES}


@pytest.mark.workflow
@pytest.mark.parametrize("study", STUDIES)
def test_the_full_grid_plans(shipped, study):
    jobs = shipped.jobs(study)
    assert jobs["train"] == STUDIES[study]
    assert jobs["report"] == jobs["analyse"] == 1


@pytest.mark.parametrize("study", STUDIES)
def test_the_shrunken_form_asks_the_same(study, tmp_path, monkeypatch):
    full = load_plan(Config(study=study))
    monkeypatch.chdir(tmp_path)
    copy_tracked(tmp_path, "config/rubrics")
    studies = tmp_path / "config/studies"
    studies.mkdir()
    write_shrunken(studies)
    weights = tmp_path / NARROW_WEIGHTS
    weights.parent.mkdir(parents=True)
    weights.touch()
    small = load_plan(Config(study=study))
    asked = [[(c.kinds, c.claims) for c in e.comparisons] for e in small.experiments]
    if study != "grid":
        assert asked == [[(c.kinds, c.claims) for c in e.comparisons] for e in full.experiments]
    assert len(small.runs) < len(full.runs) or all(
        len(e.block.seeds) == 1 for e in full.experiments
    )


@pytest.mark.studies
@pytest.mark.timeout(1800)
class TestShrunken:
    """Run in this order: later studies share runs with earlier ones."""

    def test_residual_trains_on_three_data_sets(self, shrunk):
        runs = run(shrunk, "residual")
        assert len(runs) == 12
        compared = table(shrunk, "residual", "comparisons")
        assert set(compared["dataset"]) == {"cifar10", "cats_vs_dogs", "eurosat"}

    def test_cutmix_starts_from_the_weights_and_tests_the_notebooks_conclusion(self, shrunk):
        runs = run(shrunk, "cutmix")
        arms = {"none", "augmentation", "cutmix", "augmentation+cutmix"}
        assert set(runs["augmentation"]) == arms
        for folder in shrunk.folder.glob("results/runs/stanford_dogs/resnet50/*/*"):
            record = json.loads((folder / "run.json").read_text())
            assert record["weights_sha256"]
            assert record["settings"]["model"]["scaling"] == "unit"
        claims = table(shrunk, "cutmix", "claims")
        assert set(claims["claim"]) == {"no-difference"}
        assert len(claims) == 3

    def test_mixup_tests_the_claims_of_notebook_3(self, shrunk):
        run(shrunk, "mixup")
        claims = table(shrunk, "mixup", "claims")
        assert set(claims["claim"]) == {
            "cutmix-leads-early",
            "geometric-wins",
            "geometry-over-colour",
            "mixing-needs-epochs",
            "data-tells-apart",
        }
        assert {1.0, 2.0, 3.0} <= set(claims["epoch"].dropna())

    def test_notebooks_is_the_three_together_and_trains_nothing_anew(self, shrunk):
        if not (shrunk.folder / "reports/mixup.html").exists():
            pytest.skip("follows the three studies that it includes")
        assert "train" not in shrunk.jobs("notebooks")
        runs = run(shrunk, "notebooks")
        assert set(runs["experiment"]) == {
            "residual", "cutmix", "mixup", "mixup-longer", "mixup-data",
        }  # fmt: skip
        checks = table(shrunk, "notebooks", "rubric_checks")
        status = checks[checks["check"].isna()].set_index("criterion")["status"]
        assert status[1] == status[3] == status[6] == "met"
        assert status[2] in ("met", "not met")  # three epochs of eighty pictures may not fall
        assert status[5] == "cannot be decided"  # by one seed

    def test_notebooks_sound_says_what_survives(self, shrunk):
        runs = run(shrunk, "notebooks-sound")
        sound = runs[runs["experiment"].str.endswith("-sound")]
        assert set(sound["experiment"]) == {
            "residual-sound",
            "cutmix-sound",
            "mixup-sound",
            "mixup-longer-sound",
            "mixup-data-sound",
        }
        page = (shrunk.folder / "reports/notebooks-sound.md").read_text()
        assert "What survives" in page
        for folder in shrunk.folder.glob("results/runs/stanford_dogs/resnet50/geometric/*"):
            settings = json.loads((folder / "run.json").read_text())["settings"]
            if settings["dataset"]["stored_size"]:
                assert settings["model"]["scaling"] == "caffe"
                assert settings["validation"] == "held-out"

    def test_he2015_has_every_depth_and_its_published_errors(self, shrunk):
        runs = run(shrunk, "he2015")
        assert runs["model"].nunique() == 10
        assert set(table(shrunk, "he2015", "claims")["claim"]) == {
            "plain-degrades",
            "residual-gains",
        }

    def test_mixing_ranks_the_arms_at_each_budget(self, shrunk):
        runs = run(shrunk, "mixing")
        assert runs.groupby("experiment")["epochs"].max().to_dict() == {
            "short": 1,
            "long": 2,
            "longest": 3,
        }
        compared = table(shrunk, "mixing", "comparisons")
        assert compared["kinds"].str.contains("budget").sum() == 8

    def test_grid_has_its_interactions(self, shrunk):
        run(shrunk, "grid")
        compared = table(shrunk, "grid", "comparisons")
        assert {"depth × shortcut", "depth × augmentation", "shortcut × augmentation"} <= set(
            compared["factors"].dropna()
        )
