"""Facts of the repository as a whole: what it declares, and what it must not give away."""

import json
import os
import re
import subprocess
import sys
import tomllib
from itertools import pairwise, product
from pathlib import Path

import pytest
import yaml

from ..conftest import ROOT, tracked

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def run(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def make_would_run(*words):
    """The commands of a make that knows nothing of the one that runs these tests."""
    settings = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS", "PYTHON", "STUDY", "CORES", "GPU", "ARGS"}
    result = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", *words],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name not in settings},
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.replace("\\\n", " ")


def test_no_file_names_a_package_index_or_a_place_on_a_machine():
    forbidden = re.compile(r"pypi\.org|pythonhosted\.org|file:/{3}|/(?:root|home)/|index-url =")
    # This checkout's own place, unless it is part of a relative path.
    here = re.compile(rf"(?<![\w.]){re.escape(str(ROOT))}\b")
    found = []
    for path in tracked():
        if path == Path(__file__):
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture or an array
        for number, line in enumerate(text.splitlines(), start=1):
            words = forbidden.findall(line) + here.findall(line)
            found += [f"{path.relative_to(ROOT)}:{number}: {word}" for word in words]
    assert not found, "\n".join(found)


def test_citation_agrees_with_the_package():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    deposit = json.loads((ROOT / ".zenodo.json").read_text())
    for key in ("title", "version", "license", "keywords"):
        assert deposit[key] == citation[key]
    assert deposit["creators"] == citation["authors"]
    assert deposit["description"] == " ".join(citation["abstract"].split())
    assert citation["cff-version"] == "1.2.0"
    assert citation["message"]
    assert citation["title"].startswith(PROJECT["name"])
    assert citation["authors"] == PROJECT["authors"]
    assert citation["version"] == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    assert citation["keywords"] == PROJECT["keywords"]


def test_catalog_file_offers_what_the_workflow_has():
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert set(usage["mandatory-flags"]) == {"desc", "flags"}
    rules = "".join(path.read_text() for path in tracked("workflow/Snakefile", "workflow/*.smk"))
    deployment = usage["software-stack-deployment"]
    assert deployment["conda"] == ("conda:" in rules)
    assert deployment["apptainer"] == ("container:" in rules)
    assert usage["report"] == ("report(" in rules)


@pytest.mark.workflow
def test_the_catalog_names_what_snakemake_itself_needs():
    jobs_only = (
        "h5py", "keras", "matplotlib", "mlxtend", "pandas", "PIL", "scipy", "seaborn", "sklearn",
        "tensorflow", "tensorflow_datasets",
    )  # fmt: skip
    code = (
        "import sys\nfrom snakemake.cli import get_argument_parser, main\n"
        "get_argument_parser()\n"  # loads plugins
        f"sys.modules.update(dict.fromkeys({jobs_only}))\n"
        "main(['--directory', '.test', '--dry-run', '--forceall'])\n"
    )
    done = run(sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", ["workflow/Snakefile", "config/README.md", "README.md", "LICENSE"])
def test_what_the_workflow_catalog_looks_for_is_there(name):
    assert (ROOT / name).is_file()


def test_readme_can_be_found_by_the_workflow_catalog():
    words = (ROOT / "README.md").read_text().lower()
    assert "snakemake" in words
    assert "workflow" in words


@pytest.mark.workflow
def test_snakemake_finds_nothing_to_complain_about():
    result = run(sys.executable, "-m", "snakemake", "--lint")
    assert result.returncode == 0, result.stderr


@pytest.mark.workflow
def test_the_graph_of_the_rules_is_up_to_date():
    command = ["snakemake", "--directory", ".test", "--forceall", "--rulegraph", "mermaid-js"]
    drawn = run(sys.executable, "-m", *command).stdout
    names = dict(re.findall(r"(id\d+)\[(\w+)\]", drawn))
    edges = re.findall(r"(id\d+) --> (id\d+)", drawn)
    expected = {(names[one], names[other]) for one, other in edges if names[other] != "default"}
    (block,) = re.findall(
        r"^flowchart LR\n(.*?)^```", (ROOT / "docs/architecture.md").read_text(), re.M | re.S
    )
    shown = set()
    for line in block.splitlines():
        groups = [group.split(" & ") for group in line.strip().split(" --> ")]
        shown |= {edge for pair in pairwise(groups) for edge in product(*pair)}
    assert shown == expected


def test_make_runs_the_declared_command():
    steps = make_would_run()
    assert "tools/venv.sh cpu" in steps
    assert re.search(r"&& snakemake --cores 8 --resources gpu=1\s*$", steps, re.MULTILINE)


def test_make_takes_another_study_cores_and_the_gpu():
    steps = make_would_run("STUDY=mine", "CORES=3", "GPU=1", "ARGS=--dry-run")
    assert "tools/venv.sh gpu" in steps
    # --resources and --config take all the words that follow them: nothing may come after.
    command = r"&& snakemake --dry-run --cores 3 --resources gpu=1\s+--config 'study=mine'$"
    assert re.search(command, steps, re.MULTILINE)


def test_make_archives_a_study():
    assert re.search(r"&& ablation archive\s*$", make_would_run("archive"), re.MULTILINE)
    steps = make_would_run("archive", "STUDY=mine", "ARGS=--without-images")
    assert "&& ablation archive 'mine' --without-images" in steps


def test_every_make_target_that_ci_runs_exists():
    targets = re.search(r"^targets=\((.*)\)$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
    assert targets
    for target in targets[1].split():
        assert make_would_run(target)
