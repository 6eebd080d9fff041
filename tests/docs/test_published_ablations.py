"""The page of published ablations is what its scores and the rule give; the scores are valid."""

import re
import subprocess
import sys

import pandas as pd
import pytest

from ablation.study.loading import read_yaml

from ..conftest import ROOT

FOLDER = ROOT / "docs/published"
GROUPS = read_yaml(FOLDER / "tables.yaml").data["groups"]
TABLES = {name: group for group in GROUPS.values() for name in group["tables"]}


@pytest.mark.slow
def test_the_page_is_what_the_tool_writes():
    command = [sys.executable, "tools/published.py", "--check"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_file_of_scores_has_a_source():
    assert set(TABLES) == {file.stem for file in FOLDER.glob("*.csv")}
    for group in GROUPS.values():
        assert group["source"]
        assert re.fullmatch(r"[\w.-]+/[\w.-]+", group["repository"])
        for table in group["tables"].values():
            assert table["files"]
            assert re.fullmatch(r"[0-9a-f]{40}", table["commit"])


@pytest.mark.parametrize("name", TABLES)
def test_the_scores_are_shares_of_the_images_with_enough_seeds(name):
    scores = pd.read_csv(FOLDER / f"{name}.csv")
    assert list(scores) == ["arm", "seed", "accuracy", "images"]
    seeds = scores.groupby("arm")["seed"].agg(frozenset)
    assert TABLES[name]["reference"] in seeds
    assert len(seeds) >= 2
    assert seeds.nunique() == 1
    assert len(seeds.iloc[0]) >= 5
    assert not scores.duplicated(["arm", "seed"]).any()
    assert scores["images"].nunique() == 1
    assert scores["accuracy"].between(0, 1).all()
    correct = scores["accuracy"] * scores["images"]
    # The files give six decimals.
    assert ((correct - correct.round()).abs() <= 1e-6 * scores["images"] + 1e-9).all()


@pytest.mark.parametrize("group", GROUPS)
def test_claims_name_arms_of_their_tables(group):
    for claim in GROUPS[group]["claims"]:
        for name in claim["tables"]:
            assert name in GROUPS[group]["tables"]
            arms = set(pd.read_csv(FOLDER / f"{name}.csv")["arm"]) - {TABLES[name]["reference"]}
            assert set(claim["expects"]) <= arms
            assert all(
                set(expected) < {"better", "worse", "same"}
                for expected in claim["expects"].values()
            )
