"""Results that were edited or damaged, disks that are full, processes that were killed."""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ablation.errors import InputError
from ablation.report import background, drawings
from ablation.report import render as rendering
from ablation.report.background import run_facts
from ablation.report.inputs import read_inputs
from ablation.report.model import Numbering
from ablation.report.render import render
from ablation.storage import is_sealed

from ..conftest import tiny_disk


@pytest.fixture
def folder(results, tmp_path):
    """A copy of the results that a test may harm."""
    shutil.copytree(results, tmp_path / "sample")
    return tmp_path / "sample"


def refused(folder, name):
    with pytest.raises(InputError) as caught:
        read_inputs(folder)
    message = str(caught.value)
    assert message.startswith(str(folder / name))
    return message.removeprefix(str(folder / name))


CHANGED = " has changed since the analysis wrote it; run snakemake --forcerun analyse"


@pytest.mark.parametrize("name", ["comparisons", "runs", "published", "rules", "claims"])
def test_an_edited_table_is_refused(folder, name):
    file = folder / f"{name}.csv"
    text = file.read_text()
    file.write_text(text[:-2] + ("7" if text[-2] != "7" else "8") + "\n")
    assert refused(folder, file.name) == CHANGED
    file.write_text(text[:-1])
    assert refused(folder, file.name) == CHANGED
    os.truncate(file, 0)
    assert refused(folder, file.name) == CHANGED
    file.unlink()
    assert "cannot be read (No such file or directory); delete it and" in refused(folder, file.name)


def test_a_table_that_the_report_only_cites_is_checked_as_well(folder, renew):
    file = folder / "findings.csv"
    file.write_text("text\nso\n")
    renew(folder)
    read_inputs(folder)
    file.write_text("text\nnot so\n")
    assert refused(folder, file.name) == CHANGED


def test_a_partial_report_is_made_anew_by_its_own_command(partial_results, tmp_path):
    folder = tmp_path / "sample"
    shutil.copytree(partial_results, folder)
    (folder / "cells.csv").write_text("experiment\n")
    assert refused(folder, "cells.csv").endswith("wrote it; run snakemake partial")


def test_an_edited_analysis_is_refused(folder):
    file = folder / "analysis.json"
    text = file.read_text()
    assert is_sealed(json.loads(text))
    file.write_text(text.replace("97.00", "99.00"))
    assert refused(folder, file.name) == CHANGED
    analysis = json.loads(text)
    analysis.pop("seal")
    file.write_text(json.dumps(analysis))
    assert refused(folder, file.name) == CHANGED


@pytest.mark.parametrize("text", ["", "[]", "3", "[" * 100_000, "{}", '{"format": 5}'])
def test_what_is_no_analysis_is_refused(folder, text):
    (folder / "analysis.json").write_text(text)
    refused(folder, "analysis.json")


@pytest.mark.parametrize("name", ["analysis.json", "comparisons.csv", "models.json", "gallery.npz"])
def test_a_file_cut_short_anywhere_is_refused(folder, name):
    file, chance = folder / name, random.Random(name)
    whole = file.read_bytes()
    end = len(whole) - 1
    for size in [0, 1, 2, end, *(chance.randrange(end) for _ in range(60))]:
        file.write_bytes(whole[:size])
        refused(folder, name)


@pytest.mark.parametrize("name", ["analysis.json", "comparisons.csv"])
def test_no_changed_bit_of_what_is_sealed_is_taken(folder, name):
    file, chance = folder / name, random.Random(name)
    whole = file.read_bytes()
    for place in (chance.randrange(len(whole)) for _ in range(150)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chance.randrange(8)
        file.write_bytes(damaged)
        refused(folder, name)


def small_models(folder):
    """Fewer networks and short summaries, so that every byte can be tried."""
    file = folder / "models.json"
    models = json.loads(file.read_text())[:1]
    file.write_text(json.dumps([model | {"summary": "Model: <i>\n"} for model in models]))


def small_gallery(folder):
    images = np.random.default_rng(0).integers(0, 255, (2, 3, 3, 1)).astype(np.uint8)
    entry = {"key": "images_0", "kind": "samples", "dataset": "mnist5k", "captions": ["7", "8"]}
    other = {"key": "images_1", "kind": "augmented", "augmentation": "a", "pipeline": "flip"}
    index = np.array(json.dumps([entry, entry | other]))
    np.savez_compressed(folder / "gallery.npz", index=index, images_0=images, images_1=images)


@pytest.mark.parametrize(
    ("name", "shrink"), [("models.json", small_models), ("gallery.npz", small_gallery)]
)
def test_no_changed_bit_of_the_others_ends_in_a_traceback(folder, name, shrink):
    """Bits here and there; what passes has the form that the report needs."""
    shrink(folder)
    file, chance = folder / name, random.Random(name)
    whole = file.read_bytes()
    refusals = 0
    for place in chance.sample(range(len(whole)), 60):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chance.randrange(8)
        file.write_bytes(damaged)
        try:
            render_parts(folder)
        except InputError as error:
            assert str(error).startswith(str(file))
            refusals += 1
    assert refusals > 15


def render_parts(folder):
    """Use the two files that carry no hash as the report does."""
    inputs, numbering = read_inputs(folder), Numbering()
    background.model_table(inputs.models, numbering)
    for model in inputs.models:
        background.stages_table(model, "anchor")
    for entry in inputs.gallery:
        drawings.gallery_drawing(entry, numbering)


@pytest.mark.parametrize(
    "change",
    [
        lambda model: model.pop("stages"),
        lambda model: model.update(parameters="many"),
        lambda model: model.update(multiply_adds=None),  # without what was not counted
        lambda model: model["stages"][0].pop("output_shape"),
        lambda model: model.update(input_shape=3),
        lambda model: model.update(architecture=[]),
    ],
)
def test_a_network_that_lacks_something_is_refused(folder, change):
    file = folder / "models.json"
    models = json.loads(file.read_text())
    change(models[-1])
    file.write_text(json.dumps(models))
    assert "cannot be read" in refused(folder, file.name)


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "other"},
        {"captions": ["7"]},
        {"captions": [7, 8]},
        {"key": "images_5"},
        {"dataset": None},
        {"kind": "augmented"},  # without its name
    ],
)
def test_a_gallery_that_does_not_fit_is_refused(folder, changes):
    entry = {"key": "images_0", "kind": "samples", "dataset": "mnist5k", "captions": ["7", "8"]}
    images = np.zeros((2, 3, 3, 1), np.uint8)
    index = np.array(json.dumps([entry | changes]))
    np.savez(folder / "gallery.npz", index=index, images_0=images)
    assert "cannot be read" in refused(folder, "gallery.npz")
    np.savez(folder / "gallery.npz", index=np.array(json.dumps([entry])), images_0=images[0])
    assert "does not hold images" in refused(folder, "gallery.npz")


def test_a_resumed_run_tells_how_often(results, page):
    runs = read_inputs(results).tables["runs"]
    told = [dict(run_facts(run, optimistic=False)) for run in runs.to_dict("records")]
    attempts = [facts["Attempts"] for facts in told if "Attempts" in facts]
    assert attempts == ["3, each from the checkpoint of the one before"]
    assert page.count("3, each from the checkpoint of the one before") == 1
    assert "Runs that went on after an interruption" in page


def test_where_no_run_was_resumed_nothing_is_said(partial_page):
    assert "after an interruption" not in partial_page


# How a report is written has nothing to do with what it says; so it says little here.
STUB = """
import json, os, shutil, sys
from pathlib import Path
from types import SimpleNamespace
from ablation.errors import InputError
from ablation.report import render as rendering

def stub(word):
    content = (word * 30_000).encode()
    report = SimpleNamespace(files={f"{i}.csv": content for i in range(5)})
    rendering.read_inputs = rendering.build_context = lambda _: report
    rendering.render_html = lambda report: word * 100_000
    rendering.render_markdown = lambda report, study: word * 50_000

def files(folder):
    found = {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}
    return {name: content for name, content in found.items() if name != "ballast"}
"""
NAMES = ["sample", "sample.html", "sample.md"]


@pytest.fixture
def stub(monkeypatch):
    """Makes `render` write a report of one word; returns the files of a folder."""
    for name in ("read_inputs", "build_context", "render_html", "render_markdown"):
        monkeypatch.setattr(rendering, name, getattr(rendering, name))  # undone in the end
    names = {}
    exec(STUB, names)  # the same as in processes of their own
    return SimpleNamespace(say=names["stub"], files=names["files"])


def words_of(files):
    """The words that files consist of."""
    return {name: set(content.decode()) for name, content in files.items()}


ON_A_SMALL_DISK = (
    STUB
    + """
disk = Path(sys.argv[1])
for free in map(int, sys.argv[2:]):
    stub("a")
    rendering.render("sample", None, disk)
    before = files(disk)
    stub("b")
    room = shutil.disk_usage(disk).free
    (disk / "ballast").write_bytes(bytes(max(0, room - free)))
    try:
        rendering.render("sample", None, disk)
        told = ["written", free]
    except InputError as error:
        told = ["refused", free, str(error), files(disk) == before]
    print(json.dumps([*told, sorted(path.name for path in disk.iterdir())]))
    (disk / "ballast").unlink()
"""
)


def test_a_full_disk_leaves_the_older_report_whole(tmp_path):
    disk, size = tmp_path / "reports", 2_000_000
    small = tiny_disk(disk, size)
    short = range(0, 300_000, 20_000)  # a report needs 300 kB
    words = [sys.executable, "-c", ON_A_SMALL_DISK, str(disk), *map(str, [*short, 400_000])]
    done = subprocess.run([*small, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *full, last = map(json.loads, done.stdout.splitlines())
    assert last == ["written", 400_000, ["ballast", *NAMES]]
    assert len(full) == len(short)
    for said, _, message, same, left in full:
        assert said == "refused"
        file, _, reason = message.partition(": ")
        assert file.startswith(f"{disk}/sample")
        assert reason == "cannot be written: No space left on device"
        assert same
        assert left == ["ballast", *NAMES]
    assert len({message for _, _, message, *_ in full}) > 5  # it ended at one file after another


def test_a_killed_process_leaves_nothing_behind_after_the_next(tmp_path, stub):
    leftover = tmp_path / ".part-sample"
    (leftover / "files").mkdir(parents=True)
    (leftover / "files/half.svg").write_text("<svg")
    (leftover / "replaced").mkdir()  # killed between two renames
    other = tmp_path / ".part-another"  # of a study whose report is being written
    other.mkdir()
    stub.say("a")
    render("sample", None, tmp_path)
    other.rmdir()
    assert sorted(path.name for path in tmp_path.iterdir()) == NAMES
    assert len(stub.files(tmp_path)) == 7


def test_what_a_killed_process_took_away_is_back_before_anything_can_fail(
    tmp_path, stub, monkeypatch
):
    stub.say("a")
    render("sample", None, tmp_path)
    before = stub.files(tmp_path)
    (tmp_path / ".part-sample").mkdir()
    (tmp_path / "sample").rename(tmp_path / ".part-sample/replaced")

    def full(aside, content, place):
        raise InputError(f"{place}: cannot be written: No space left on device")

    monkeypatch.setattr(rendering, "_write", full)
    with pytest.raises(InputError, match="No space left"):
        render("sample", None, tmp_path)
    assert stub.files(tmp_path) == before


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_a_rename_that_fails_loses_nothing(tmp_path, stub, at):
    """The older folder comes back; page and Markdown are each the older or the newer one."""
    stub.say("a")
    render("sample", None, tmp_path)
    stub.say("b")
    calls, replace = [], Path.replace

    def failing(self, target):
        calls.append(self)
        if len(calls) == at + 1:
            raise OSError(5, "Input/output error")
        return replace(self, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "replace", failing)
        with pytest.raises(InputError, match=r"sample.*: cannot be written: Input/output error"):
            render("sample", None, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == NAMES
    said = words_of(stub.files(tmp_path))
    expected = {f"sample/{i}.csv": {"b" if at > 1 else "a"} for i in range(5)}
    expected |= {"sample.md": {"b" if at > 2 else "a"}, "sample.html": {"a"}}
    assert said == expected


def test_processes_that_write_one_report_take_turns(tmp_path, stub):
    code = f"{STUB}\nstub(sys.argv[2])\nfor _ in range(40):\n"
    code += "    rendering.render('sample', None, Path(sys.argv[1]))\n"
    at_work = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), word]) for word in "abc"
    ]
    assert [process.wait() for process in at_work] == [0] * 3
    assert sorted(path.name for path in tmp_path.iterdir()) == NAMES
    said = words_of(stub.files(tmp_path))
    assert len(said) == 7
    assert len(set().union(*said.values())) == 1  # all of the one that came last


def test_a_process_killed_anywhere_leaves_a_report_after_the_next(tmp_path, stub):
    """Killed at random instants; the one after it finds no lock and leaves nothing of it."""
    code = f"{STUB}\nprint(1, flush=True)\nn = 0\nwhile True:\n    n += 1\n"
    code += "    stub('ab'[n % 2])\n    rendering.render('sample', None, Path(sys.argv[1]))\n"
    chance = random.Random(0)
    stub.say("c")
    for _ in range(3):
        words = [sys.executable, "-c", code, str(tmp_path)]
        with subprocess.Popen(words, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(chance.uniform(0, 0.2))
            process.kill()
        render("sample", None, tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == NAMES
        assert set().union(*words_of(stub.files(tmp_path)).values()) == {"c"}


def test_a_folder_in_which_nothing_can_be_written_is_told(tmp_path, stub):
    stub.say("a")
    (tmp_path / "reports").write_text("a file")
    with pytest.raises(InputError, match=r"reports.*: cannot be written: "):
        render("sample", None, tmp_path / "reports")
