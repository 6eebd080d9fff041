"""Files of a run that were edited, damaged, cut short or are of another format."""

import json
import os
import random
from pathlib import Path

import numpy as np
import pytest

from ablation.analysis.runs import read_run
from ablation.errors import InputError
from ablation.storage import sealed
from ablation.study.plan import load_config, load_plan
from ablation.training.records import FORMAT, OtherFormatError, read_record, write_record

STUDY = """\
title: One run
experiments:
  one:
    question: Is it whole?
    datasets: [mnist5k]
    models: [resnet8]
    seeds: [0]
    training: {epochs: 2}
"""
FILES = ("history.csv", "timing.csv", "predictions.npz", "run.json")


@pytest.fixture
def run(project):
    """A run that is done."""
    project(STUDY)
    (run,) = load_plan(load_config()).runs.values()
    folder = Path(run.folder)
    folder.mkdir(parents=True)
    (folder / "history.csv").write_text(
        "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate\n"
        "1,2.302585,0.1,2.302585,0.1,0.1\n2,1.5,0.5,1.6,0.45,0.01\n"
    )
    (folder / "timing.csv").write_text(
        "epoch,seconds,images_per_second\n1,2.0,500.0\n2,1.9,520.5\n"
    )
    label = np.arange(6) % 3
    probability = np.full((6, 3), 0.2, np.float32)
    probability[np.arange(6), label] = 0.6
    np.savez_compressed(
        folder / "predictions.npz",
        label=label,
        probability=probability,
        val_label=label[:3],
        val_probability=probability[:3],
    )
    record = {
        "id": run.id,
        "status": "completed",
        "settings": run.settings.model_dump(mode="json"),
        "code": {"the training loop": "c"},
        "epochs": 2,
        "train_accuracy_clean": 0.5,
        "class_names": ["a", "b", "ü"],
        "data": {"train": 30, "validation": 3, "test": 6},
        "environment": {"processor": "A processor", "packages": {}},
        "started": "2026-01-01T00:00:00Z",
        "seconds": 0.30000000000000004,
    }
    write_record(folder, record)
    return run


def refused(run, name):
    """The message of a refused run; it names the file and what to do."""
    with pytest.raises(InputError) as caught:
        read_run(run)
    message = str(caught.value)
    assert message.startswith(f"{run.folder}/{name}")
    assert message.endswith(f"; delete {run.folder} and run snakemake again")
    return message


def test_a_run_as_it_was_written_is_read(run):
    result = read_run(run)
    assert result.record["format"] == FORMAT
    assert result.history["loss"].tolist() == [2.302585, 1.5]
    assert result.correct.all()


@pytest.mark.parametrize("name", FILES)
def test_no_changed_bit_is_taken_and_no_other_exception_seen(run, name):
    """Every byte in turn, one of its bits: what is read then is refused, whatever it is."""
    file, chance = Path(run.folder) / name, random.Random(name)
    whole = file.read_bytes()
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chance.randrange(8)
        file.write_bytes(damaged)
        try:
            record = read_run(run).record
        except InputError as error:
            assert str(error).startswith(str(file))
            continue
        # Other bytes may mean the same: `\u00FC` for `\u00fc`, or a digit beyond a float's last.
        assert name == "run.json"
        assert record == json.loads(whole)
    file.write_bytes(whole)
    read_run(run)


@pytest.mark.parametrize("name", FILES)
def test_no_file_cut_short_is_taken(run, name):
    file = Path(run.folder) / name
    whole = file.read_bytes()
    # The line break at the end of a record has no meaning.
    for size in range(len(whole) - (name == "run.json")):
        file.write_bytes(whole[:size])
        refused(run, name)
    file.write_bytes(whole + b"\0")
    refused(run, name)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_gone_or_a_folder_is_named(run, name):
    file = Path(run.folder) / name
    file.unlink()
    assert "cannot be read (No such file or directory)" in refused(run, name)
    file.mkdir()
    with pytest.raises(InputError, match=rf"{name}: cannot be read \(Is a directory\)$"):
        read_run(run)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_not_to_be_deleted(run):
    (Path(run.folder) / "timing.csv").chmod(0)
    with pytest.raises(InputError, match=r"timing\.csv: cannot be read \(Permission denied\)$"):
        read_run(run)


def test_an_edited_number_is_reported_with_what_to_do(run):
    file = Path(run.folder) / "history.csv"
    file.write_text(file.read_text().replace("0.45", "0.95"))
    assert "history.csv has changed since it was written" in refused(run, "history.csv")


def test_an_edited_record_is_reported_though_its_form_is_right(run):
    file = Path(run.folder) / "run.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps(record | {"train_accuracy_clean": 0.99}))
    assert "run.json has changed since it was written" in refused(run, "run.json")
    record.pop("seal")
    file.write_text(json.dumps(record))
    assert "run.json has changed since it was written" in refused(run, "run.json")


@pytest.mark.parametrize("number", [1, 2, "x" * 500])
def test_other_formats_are_reported_with_their_number(run, number):
    file = Path(run.folder) / "run.json"
    record = json.loads(file.read_text())
    file.write_text(json.dumps(sealed(record | {"format": number})))
    message = refused(run, "run.json")
    assert f"run.json is of format {str(number)[:20]}, this version reads 3; delete" in message
    with pytest.raises(OtherFormatError) as caught:
        read_record(Path(run.folder))
    assert caught.value.record["code"] == {"the training loop": "c"}


@pytest.mark.parametrize("text", ["{}", "[]", "null", "[" * 100_000, '{"format": 3}', "\ufeff{}"])
def test_what_is_no_record_is_refused(run, text):
    (Path(run.folder) / "run.json").write_text(text)
    refused(run, "run.json")


def test_files_of_two_runs_do_not_go_together(run):
    """A record may be whole and its files too, and still not of each other."""
    folder = Path(run.folder)
    (folder / "timing.csv").write_text("epoch,seconds,images_per_second\n1,2.0,500.0\n")
    write_record(folder, json.loads((folder / "run.json").read_text()))
    with pytest.raises(InputError, match=f"{run.folder}: its files are of different runs"):
        read_run(run)
    assert "is of another run" in str(_other_id(run))


def _other_id(run):
    with pytest.raises(InputError) as caught:
        read_record(Path(run.folder), "0" * 8)
    return caught.value


def test_a_record_has_to_list_every_file(run):
    folder = Path(run.folder)
    record = json.loads((folder / "run.json").read_text())
    record["files"].pop("predictions.npz")
    (folder / "run.json").write_text(json.dumps(sealed(record)))
    assert "predictions.npz has changed" in refused(run, "predictions.npz")


def test_weights_are_checked_where_they_are_and_may_be_missing(run):
    folder = Path(run.folder)
    weights = folder / "model.weights.h5"
    weights.write_bytes(b"weights")
    write_record(folder, json.loads((folder / "run.json").read_text()))
    read_run(run)
    weights.write_bytes(b"Weights")
    refused(run, "model.weights.h5")
    weights.unlink()
    read_run(run)


class Bomb:
    """Something whose unpickling makes a file."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (open, (str(self.file), "w"))


def test_pickled_predictions_are_refused_and_not_run(run, tmp_path):
    folder = Path(run.folder)
    bomb = np.array([Bomb(tmp_path / "exploded")])
    arrays = dict.fromkeys(("label", "probability", "val_label", "val_probability"), bomb)
    np.savez(folder / "predictions.npz", allow_pickle=True, **arrays)
    write_record(folder, json.loads((folder / "run.json").read_text()))  # its hashes are right
    with pytest.raises(InputError, match=r"cannot be read .*allow_pickle=False"):
        read_run(run)
    assert not (tmp_path / "exploded").exists()
