"""The command line as a process."""

import os
import subprocess
import sys

import pytest

from ablation import cli

COMMANDS = ("prepare", "describe-models", "gallery", "analyse", "report", "plan", "prune")


def ablation(*words, **environment):
    return subprocess.run(
        [sys.executable, "-m", "ablation", *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


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


def test_a_data_set_is_prepared_on_a_console_that_knows_only_ascii(tmp_path):
    settings = (
        '{"channels":null,"duplicates":"keep","held_out":0.1,"image_size":null,"limit":60,'
        '"path":null,"resize":"stretch","source":"mnist5k","stored_size":null,"test_share":0.2,'
        '"train_share":1.0,"unreadable":"refuse"}'
    )
    words = ("--settings", settings, "--folder", str(tmp_path / "data"))
    done = ablation("prepare", *words, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 0, done.stderr
    assert r"10 classes, images of 28\xd728\xd71; 50 training" in done.stdout
    assert done.stderr == ""


def test_tensorflow_is_imported_in_silence_unless_its_variable_asks(tmp_path):
    code = "from ablation.quiet import import_tensorflow; import_tensorflow(); import tensorflow"
    for level, silent in (("", True), ("0", False)):
        environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
        if level:
            environment["TF_CPP_MIN_LOG_LEVEL"] = level
        done = subprocess.run(
            [sys.executable, "-c", f"{code}; import sys; print('after', file=sys.stderr)"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert (done.stderr == "after\n") == silent
