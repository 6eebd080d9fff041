"""The command line."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from ablation import cli
from ablation.study.plan import load_config, load_plan
from ablation.study.plan_file import read_plan

COMMANDS = ("prepare", "describe-models", "gallery", "analyse", "report", "plan", "prune")


@pytest.mark.parametrize("name", COMMANDS)
def test_sigint_ends_a_command_with_one_line(name, monkeypatch, capsys):
    def interrupted(arguments):
        raise KeyboardInterrupt

    function = {"plan": "_show_plan"}.get(name, f"_{name.replace('-', '_')}")
    monkeypatch.setattr(cli, function, interrupted)
    words = ["--config", "{}"]
    if name == "prepare":
        words = ["--settings", '{"source": "mnist5k"}', "--folder", "x"]
    if name in ("describe-models", "gallery", "analyse", "report"):
        words = ["plan.json"]
    with pytest.raises(SystemExit) as ended:
        cli.main([name, *words])
    assert ended.value.code == 130
    assert capsys.readouterr().err == "error: stopped by SIGINT\n"


@pytest.mark.slow
def test_data_is_prepared_in_silence_on_a_console_that_knows_only_ascii(tmp_path):
    settings = '{"source": "mnist5k", "limit": 60}'
    environment = {name: of for name, of in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ablation", "prepare"),
            *("--settings", settings, "--folder", str(tmp_path / "data")),
        ],
        env=environment | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert r"10 classes, images of 28\xd728\xd71; 50 training" in done.stdout
    assert done.stderr == ""  # TensorFlow writes to it when it is imported


def test_a_study_that_was_edited_is_refused(project):
    project(
        textwrap.dedent("""\
        title: A study
        experiments:
          first:
            question: Which?
            datasets: [{name: digits, source: mnist5k}]
            models: [resnet8]
            augmentations: {none: ""}
            seeds: [0]
            training: {epochs: 1}
        """)
    )
    cli.main(["resolve", "--config", '{"study": "tiny"}', "plan.json"])
    assert read_plan(Path("plan.json")) == load_plan(load_config({"study": "tiny"}))
    with pytest.raises(SystemExit, match="error: the study was edited while it ran"):
        cli.main(["resolve", "plan.json", "--digest", "0" * 16])
