"""What prune takes for unused: runs, prepared data and checkpoints, damaged ones among them."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ablation.errors import InputError
from ablation.study.grid import canonical_json
from ablation.study.plan import load_config, load_plan
from ablation.study.prune import prune, unwanted
from ablation.study.schema import Config

STUDY = """\
title: Kept
experiments:
  one:
    question: Which?
    datasets: [mnist5k]
    models: [resnet8]
    augmentations: {none: "", crop: crop(2)}
    seeds: [0]
    training: {epochs: 2}
"""


class Results:
    """Folders of a study's runs, data and checkpoints, and what prune says of them."""

    def __init__(self, write):
        self.write = write
        write(STUDY)
        self.runs = {run.augmentation: run for run in self.plan().runs.values()}
        (self.data,) = self.plan().data.values()

    @staticmethod
    def plan(**changes):
        return load_plan(load_config(changes))

    @staticmethod
    def record(folder, settings, name="run.json"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / name).write_text(f'{{"settings": {canonical_json(settings)}}}')
        return Path(folder)

    @staticmethod
    def checkpoint(folder, settings, name="checkpoint.npz"):
        Path(folder).mkdir(parents=True, exist_ok=True)
        about = json.dumps({"settings": settings, "epoch": 1}).encode()
        np.savez(Path(folder) / name, about=np.frombuffer(about, np.uint8), weights=np.ones(9))
        return Path(folder)

    def forget_crop(self):
        """The study asks for the other arm only."""
        self.write(STUDY.replace(", crop: crop(2)", ""))

    @staticmethod
    def found(**changes):
        return {(str(one.path), one.damaged) for one in unwanted(load_config(changes))}


@pytest.fixture
def results(project):
    return Results(project)


def removed():
    prune(load_config({"prune": "remove"}))


def test_what_is_asked_for_stays_and_the_rest_is_listed_then_removed(results, capsys):
    for run in results.runs.values():
        results.record(run.folder, run.settings)
        results.checkpoint(run.checkpoints, run.settings)
    results.record(results.data.folder, results.data.settings, "description.json")
    assert results.found() == set()
    results.forget_crop()
    run = results.runs["crop"]
    assert results.found() == {(run.folder, False), (run.checkpoints, False)}
    prune(load_config())
    assert Path(run.folder).is_dir()
    printed = capsys.readouterr().out
    assert "2 folder(s) that no study asks for" in printed
    assert f"MB  {run.checkpoints}\n" in printed
    removed()
    assert not Path(run.folder).parent.exists()
    assert not Path(run.checkpoints).parent.exists()
    kept = results.runs["none"]
    assert Path(kept.folder).is_dir()
    assert Path(kept.checkpoints, "checkpoint.npz").is_file()
    assert Path(results.data.folder).is_dir()


def test_another_number_of_threads_is_asked_for_too(results):
    other = next(iter(results.plan(threads=7).runs.values()))
    assert other.id not in {run.id for run in results.runs.values()}
    results.record(other.folder, other.settings)
    results.checkpoint(other.checkpoints, other.settings)
    assert results.found() == set()
    # Without a checkpoint, the record of the run tells.
    Path(other.checkpoints, "checkpoint.npz").unlink()
    assert results.found() == set()
    Path(other.folder, "run.json").unlink()
    assert results.found() == {(other.checkpoints, False)}
    results.record(Path(other.checkpoints) / "finished", other.settings)
    assert results.found() == set()


DAMAGED = ["", "{", "[]", '{"settings": 3}', '{"settings": null}', "{}", "[" * 100_000, "\0"]


@pytest.mark.parametrize("text", DAMAGED)
def test_a_damaged_record_is_told_if_asked_for_and_unused_if_not(results, text, capsys):
    for run in results.runs.values():
        results.record(run.folder, run.settings)
        Path(run.folder, "run.json").write_text(text)
    results.record(results.data.folder, results.data.settings, "description.json")
    Path(results.data.folder, "description.json").write_text(text)
    results.forget_crop()
    kept, lost = results.runs["none"].folder, results.runs["crop"].folder
    assert results.found() == {(kept, True), (results.data.folder, True), (lost, False)}
    removed()
    printed = capsys.readouterr().out
    assert f"damaged, but asked for: delete {kept} and run snakemake again" in printed
    assert f"damaged, but asked for: delete {results.data.folder} and" in printed
    assert "1 folder(s) that no study asks for" in printed
    assert not Path(lost).exists()
    assert Path(kept).is_dir()
    assert Path(results.data.folder).is_dir()


def test_bytes_that_are_no_text_are_damage(results):
    run = results.runs["none"]
    results.record(run.folder, run.settings)
    Path(run.folder, "run.json").write_bytes(b"\xff\xfe\x00")
    assert results.found() == {(run.folder, True)}


def test_settings_that_do_not_fit_the_name_are_damage(results):
    """Edited settings would otherwise pass for those of a run that nobody asks for."""
    run = results.runs["none"]
    results.record(run.folder, run.settings | {"seed": 5})
    assert results.found() == {(run.folder, True)}
    # And those that somebody asks for do not save a folder of another name.
    stranger = Path(run.folder).with_name("seed-0-00000000")
    results.record(stranger, run.settings)
    assert results.found() == {(run.folder, True), (str(stranger), False)}


def test_a_damaged_checkpoint_of_a_run_that_is_asked_for_is_trainings_affair(results):
    run = results.runs["none"]
    folder = results.checkpoint(run.checkpoints, run.settings)
    file = folder / "checkpoint.npz"
    whole = file.read_bytes()
    results.forget_crop()
    for place in range(0, len(whole), 19):
        file.write_bytes(whole[:place])
        assert results.found() == set()
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        file.write_bytes(damaged)
        assert results.found() == set()
    other = results.runs["crop"]
    results.checkpoint(other.checkpoints, other.settings)
    os.truncate(Path(other.checkpoints, "checkpoint.npz"), 50)
    assert results.found() == {(other.checkpoints, False)}


def test_what_was_put_aside_is_unused_always(results, capsys):
    run = results.runs["none"]
    folder = results.checkpoint(run.checkpoints, run.settings)
    results.checkpoint(folder, run.settings, "put-aside.npz")
    assert results.found() == {(f"{run.checkpoints}/put-aside.npz", False)}
    removed()
    assert [file.name for file in folder.iterdir()] == ["checkpoint.npz"]
    assert "1 folder(s)" in capsys.readouterr().out


def test_nothing_is_removed_where_a_process_is_at_work(results, capsys):
    """In the folder of the checkpoint, and what it is of; until the process ends, however."""
    run = results.runs["crop"]
    results.record(run.folder, run.settings)
    results.checkpoint(run.checkpoints, run.settings)
    aside = results.checkpoint(run.checkpoints, run.settings, "put-aside.npz") / "put-aside.npz"
    code = (
        "import sys; from pathlib import Path; from ablation.storage import alone\n"
        "with alone(Path(sys.argv[1]), 'waiting'):\n"
        "    print('locked', flush=True); input()\n"
    )
    command = [sys.executable, "-c", code, f"{run.checkpoints}/.lock"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "locked\n"
        removed()  # of an asked-for run: what was put aside
        assert f"{aside}" in capsys.readouterr().out
        assert aside.is_file()
        results.forget_crop()
        removed()
        printed = capsys.readouterr().out
        assert printed.count("in use") == 2
        assert "removed" not in printed
        assert Path(run.checkpoints, "checkpoint.npz").is_file()
        assert Path(run.folder, "run.json").is_file()
        process.kill()
    removed()
    assert capsys.readouterr().out.count("removed ") == 2
    assert not Path(run.checkpoints).exists()
    assert not Path(run.folder).exists()


def test_links_and_foreign_names_are_left_alone(results, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    results.record(elsewhere / "small/none/seed-0-00000000", {})
    results.checkpoint(elsewhere / "small/none/seed-0-00000000", {})
    for kind in ("runs", "checkpoints"):
        Path(f"results/{kind}").mkdir(parents=True)
        Path(f"results/{kind}/shared").symlink_to(elsewhere)
        results.record(f"results/{kind}/digits/small/none/mine", {})
    Path("results/runs/digits/small/none/seed-1-00000000").mkdir()  # not finished
    assert results.found() == set()


def test_what_cannot_be_removed_is_told(results, monkeypatch):
    run = results.runs["crop"]
    results.record(run.folder, run.settings)
    results.forget_crop()

    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("ablation.study.prune.clear_folder", refuse)
    with pytest.raises(InputError, match=f"{run.folder}: cannot be removed: Permission denied"):
        prune(Config(study="tiny", prune="remove"))
