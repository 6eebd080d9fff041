"""What `precision: auto` selects, and that only its answer is part of a study."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from ablation.errors import InputError
from ablation.study import precision
from ablation.study.plan import load_config, load_plan
from ablation.study.plan_file import read_plan, write_plan
from ablation.study.precision import VARIABLE, auto_precision, processor_has_bfloat16
from ablation.training.settings import Training

STUDY = """\
title: A study
experiments:
  first:
    question: Which?
    datasets: [mnist5k]
    models: [resnet8, plain8]
    seeds: [0]
    training: {epochs: 2, precision: auto}
    overrides: [{where: {model: plain8}, training: {precision: float32}}]
  second:
    question: Which?
    datasets: [mnist5k]
    models: [resnet20]
    seeds: [0]
    training: {epochs: 2}
    overrides: [{where: {model: resnet20}, training: {precision: auto}}]
"""


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A function that installs GPUs, by compute capability, and a CPU with or without bfloat16.

    Returns the file that has a line for each call of nvidia-smi.
    """
    for name in (VARIABLE, "CUDA_VISIBLE_DEVICES"):
        monkeypatch.setenv(name, "")  # so that it is restored
        monkeypatch.delenv(name)
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    calls = tmp_path / "calls"
    calls.touch()

    def install(*capabilities, cpu=False, status=0):
        monkeypatch.setattr(precision, "processor_has_bfloat16", lambda: cpu)
        lines = [f"GPU-{number}, {value}" for number, value in enumerate(capabilities)]
        output = "\n".join(lines) or "No devices were found"
        script = programs / "nvidia-smi"
        script.write_text(
            "#!/bin/sh\n"
            f"echo called >> '{calls}'\n"
            "[ \"$*\" = '--query-gpu=uuid,compute_cap --format=csv,noheader' ] || exit 99\n"
            f"echo '{output}'; exit {status}\n"
        )
        script.chmod(0o755)
        return calls

    return install


@pytest.mark.parametrize(
    ("capabilities", "cpu", "hides", "expected"),
    [
        (["8.0"], False, None, "bfloat16"),
        (["12.0", "9.0"], False, "1", "bfloat16"),
        (["7.5"], True, None, "float32"),  # the GPU decides
        (["9.0", "7.5"], True, None, "float32"),  # a run may get either
        (["9.0"], False, "", "float32"),
        (["9.0"], False, "-1", "float32"),
        (["7.5"], True, "-1", "bfloat16"),
        ([], True, None, "bfloat16"),
        ([], False, None, "float32"),
    ],
)
def test_the_gpus_decide_and_without_them_the_processor(
    machine, monkeypatch, capabilities, cpu, hides, expected
):
    machine(*capabilities, cpu=cpu)
    if hides is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hides)
    assert auto_precision() == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("flags\t\t: fpu avx512f avx512_bf16 avx512_vnni", True),
        ("flags\t\t: fpu amx_bf16 amx_tile", True),
        ("Features\t: fp asimd bf16 i8mm", True),
        ("flags\t\t: fpu avx2 avx512f avx512_vnni", False),
        ("Features\t: fp asimd i8mm", False),
    ],
)
def test_flags_of_the_processor(tmp_path, line, expected):
    file = tmp_path / "cpuinfo"
    file.write_text(f"processor\t: 0\nmodel name\t: Some CPU\n{line}\n")
    assert processor_has_bfloat16(file) is expected
    assert not processor_has_bfloat16(tmp_path / "missing")


def test_runs_have_the_answer_in_their_identity(project, machine, monkeypatch):
    calls = machine("9.0")
    project(STUDY)
    plan = load_plan(load_config())
    found = {run.model: run.settings.training.precision for run in plan.runs.values()}
    assert found == {"resnet8": "bfloat16", "plain8": "float32", "resnet20": "bfloat16"}
    assert calls.read_text() == "called\n"
    assert os.environ[VARIABLE] == "bfloat16"  # for jobs that resolve the study again
    write_plan(plan, Path("plan.json"))
    assert "auto" not in Path("plan.json").read_text()

    monkeypatch.setenv(VARIABLE, "float32")  # another machine
    assert read_plan(Path("plan.json")) == plan
    other = load_plan(load_config())
    assert set(other.runs) & set(plan.runs) == {
        r.folder for r in plan.runs.values() if r.model == "plain8"
    }
    project(STUDY.replace("auto", "bfloat16"))
    assert load_plan(load_config()) == plan


def test_the_settings_of_a_run_have_no_auto():
    with pytest.raises(ValidationError, match="precision"):
        Training(epochs=1, precision="auto")


def test_a_study_without_auto_starts_no_process(project, machine):
    calls = machine("9.0")
    project(STUDY.replace("auto", "bfloat16"))
    load_plan(load_config())
    assert calls.read_text() == ""


def test_where_nvidia_smi_fails_the_place_and_the_choices_are_named(project, machine):
    machine(status=9)
    project(STUDY)
    message = r"tiny\.yaml:8:\d+: .*precision: nvidia-smi failed: .*give float32 or bfloat16"
    with pytest.raises(InputError, match=message):
        load_plan(load_config())


def test_auto_needs_no_tensorflow(project, machine):
    machine("9.0")
    project(STUDY)
    code = (
        "import sys\nfrom ablation.study.plan import load_config, load_plan\n"
        "load_plan(load_config())\nprint({'tensorflow', 'keras'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
