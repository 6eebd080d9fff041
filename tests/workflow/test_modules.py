"""The workflow in other folders than its checkout: as a module, and by ``-s``."""

import json
import os
import re
import shutil
import subprocess

import pytest

from .conftest import CONFIG, STUDY, Project, history, make_project

pytestmark = pytest.mark.workflow

MODULE = """
module {name}:
    snakefile:
        {snakefile}
    config:
        {config}
    prefix:
        "{name}-files"


use rule * from {name} as {name}_*
"""


def workflow(folder, **modules):
    """A workflow with another config that uses this one as modules.

    Args:
        folder: its folder.
        modules: by name, a folder of a checkout or an expression for its Snakefile.
    """
    (folder / "config/studies").mkdir(parents=True)
    config = {"samples": 3} | {name: {"study": "tiny"} for name in modules}
    (folder / "config/config.yaml").write_text(json.dumps(config))
    text = 'configfile: "config/config.yaml"\n'
    for name, place in modules.items():
        snakefile = place if isinstance(place, str) else repr(f"{place}/workflow/Snakefile")
        text += MODULE.format(name=name, snakefile=snakefile, config=f'config["{name}"]')
    inputs = "".join(f"        rules.{name}_all.input,\n" for name in modules)
    text += f"\n\nrule mine:\n    default_target: True\n    input:\n{inputs}"
    (folder / "Snakefile").write_text(text)
    return Project(folder)


@pytest.fixture
def other_package(tmp_path):
    """A folder with another version of the package, for PYTHONPATH."""
    package = tmp_path / "site-packages/ablation/__init__.py"
    package.parent.mkdir(parents=True)
    package.write_text("raise ImportError('the installed package')\n")
    return str(package.parents[1])


def test_a_module_with_a_prefix_trains_and_reports_the_same(finished, tmp_path, other_package):
    outer = workflow(tmp_path / "outer", ablation=finished.folder)
    outer.study.write_text(STUDY.replace("    seeds:", "    narrative: mine.md\n    seeds:"))
    outer.study.with_name("mine.md").write_text("A text of my own.\n")
    outer.snakemake(PYTHONPATH=other_package)
    files = outer.folder / "ablation-files"
    assert history(files) == history(finished.folder)
    assert len(history(files)) == 2
    assert "A text of my own." in (files / "reports/tiny.md").read_text()
    left = {file.name for file in outer.folder.iterdir()}
    assert left == {".snakemake", "Snakefile", "config", "ablation-files"}
    assert "Nothing to be done" in outer.snakemake().output

    assert "2 runs, 2 done" in outer.snakemake("ablation_status").output
    assert "ablation-files/reports/tiny-partial.html" in outer.snakemake("ablation_partial").output
    repeated = outer.snakemake("ablation_recheck").output
    assert "ablation-files/results/runs/digits/small/" in repeated
    assert "repeated, the same" in repeated
    outer.study.write_text(STUDY.replace(", cutmix: crop(2) | cutmix", ""))
    unused = outer.snakemake("ablation_prune").output
    assert "ablation-files/results/runs/digits/small/cutmix/seed-0-" in unused
    assert "small/none/" not in unused


def test_a_snakefile_elsewhere_uses_its_own_package_and_studies(finished, tmp_path, other_package):
    """With ``--directory``, in a folder without config."""
    here, there = Project(tmp_path / "here"), Project(tmp_path / "there")
    here.folder.mkdir()
    words = ["-s", f"{finished.folder}/Snakefile", "-d", str(there.folder), "--config"]
    until = ["--until", "train"]
    here.snakemake(*until, *words, "study=tiny", PYTHONPATH=other_package)
    assert history(there.folder) == history(finished.folder)
    assert not list(here.folder.iterdir())
    assert not {"prepare", "train"} & set(here.plan(*words, "study=tiny"))
    done = here.snakemake(*words, "study=tinny", check=False)
    message = "error: study 'tinny': config/studies/tinny.yaml not found; did you mean 'tiny'"
    assert message in done.output


def test_two_modules_have_their_own_study_and_prefix(finished, tmp_path):
    outer = workflow(tmp_path / "outer", one=finished.folder, other=finished.folder)
    outer.edit('"other": {"study": "tiny"}', '"other": {"study": "own"}', outer.config)
    outer.study.with_name("own.yaml").write_text(STUDY.replace("seeds: [0]", "seeds: [1, 2, 3]"))
    plan = outer.plan()
    assert (plan["one_train"], plan["other_train"]) == (2, 6)
    assert "Study own: 6 runs, 0 done" in outer.snakemake("other_status").output


def test_rules_that_run_where_snakemake_runs_do_so_in_a_module(finished, tmp_path):
    outer = workflow(tmp_path / "outer", ablation=finished.folder)
    with outer.folder.joinpath("Snakefile").open("a") as file:
        file.write('\nprint("local:", *sorted(workflow._localrules))\n')
    names = ("data", "fetch_weights", "partial", "plan", "prune", "resolve", "status")
    local = " ".join(["local:", *(f"ablation_{name}" for name in names)])
    assert local in outer.snakemake("--list-rules").output.splitlines()


def test_modules_of_two_checkouts_are_refused(finished, tmp_path):
    second = make_project(tmp_path / "second").folder
    outer = workflow(tmp_path / "outer", one=finished.folder, other=second)
    done = outer.snakemake("--dry-run", check=False)
    assert done.returncode != 0
    message = f"error: {second}/src: the package of {finished.folder}/src is already imported"
    assert message in done.output


def test_a_wrong_key_of_a_module_is_reported(finished, tmp_path):
    outer = workflow(tmp_path / "outer", ablation=finished.folder)
    outer.edit('"study": "tiny"', '"study": "tiny", "thread": 2', outer.config)
    done = outer.snakemake("--dry-run", check=False)
    assert "error: config: thread: unknown key 'thread'; did you mean 'threads'" in done.output


@pytest.fixture
def hosted(tmp_path):
    """Variables with which ``github("lab/ablation", …)`` is a repository on this machine."""
    project = make_project(tmp_path / "hosted/lab/ablation")
    git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "one"], ["tag", "v1.0"]):
        subprocess.run([*git, *words], cwd=project.folder, check=True)
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{tmp_path}/hosted/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }


# What `snakedeploy deploy-workflow https://github.com/lab/ablation . --tag v1.0` writes.
DEPLOYED = """\
from snakemake.utils import min_version


min_version("6.10.0")


configfile: "config/config.yaml"


# declare https://github.com/lab/ablation as a module
module ablation:
    snakefile:
        github("lab/ablation", path="workflow/Snakefile", tag="v1.0")
    config:
        config


# use all rules from https://github.com/lab/ablation
use rule * from ablation
"""


def test_a_deployed_workflow_runs_on_the_package_of_its_tag(hosted, tmp_path, other_package):
    deployed = Project(tmp_path / "deployed")
    (deployed.folder / "workflow").mkdir(parents=True)
    (deployed.folder / "workflow/Snakefile").write_text(DEPLOYED)
    shutil.copytree(CONFIG, deployed.folder / "config")
    variables = {**hosted, "PYTHONPATH": other_package}
    assert "2 runs, 0 done" in deployed.snakemake("plan", **variables).output
    deployed.snakemake("data", **variables)
    assert list(deployed.folder.glob("results/data/digits/*/images.npy"))


def program(folder, name, text):
    """Write a program and return PATH with its folder."""
    file = folder / "bin" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{text}")
    file.chmod(0o755)
    return f"{file.parent}:{os.environ['PATH']}"


CONDA = """\
echo '{"conda_prefix": "/", "platform": "linux-64", "conda_version": "26.1.0",
       "get": {"channel_priority": "strict"}}'
"""
# Runs the command in the folder of the image, without a container.
APPTAINER = """\
[ "$1" = --version ] && exec echo "apptainer version 1.4.0"
echo "$@" >>calls
while [ "$1" != envs/cpu.sif ]; do shift; done
shift
exec "$@"
"""


def test_conda_environments_of_a_module_are_those_of_its_checkout(finished, tmp_path):
    outer = workflow(tmp_path / "outer", ablation=finished.folder)
    done = outer.snakemake("--sdm", "conda", "-n", PATH=program(tmp_path, "conda", CONDA))
    (file,) = re.findall(r"Conda environment (.*) will be created", done.output)
    assert (finished.folder / "envs/cpu.yaml").samefile(file)


def test_jobs_run_in_a_local_image(tmp_path):
    project = make_project(tmp_path / "project")
    path = program(tmp_path, "apptainer", APPTAINER)
    words = ["data", "--sdm", "apptainer"]
    missing = project.snakemake(*words, check=False, PATH=path)
    assert "error: envs/cpu.sif not found; docs/modules.md shows how to build it" in missing.output
    (project.folder / "envs/cpu.sif").touch()
    project.snakemake(*words, PATH=path)
    calls = (project.folder / "calls").read_text()
    assert re.findall(r"^(\w+) .* (\S+\.sif) ", calls, re.M) == [("exec", "envs/cpu.sif")] * 2
    assert list(project.folder.glob("results/data/digits/*/images.npy"))
