"""Verification: tables, reports and runs are computed again."""

import base64
import json
import re
import zlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from ablation import cli
from ablation.analysis.tables import TABLES
from ablation.archive import rerun as rerunning
from ablation.archive.recompute import json_difference, same_content, table_difference
from ablation.archive.rerun import rerun
from ablation.archive.verify import verify
from ablation.errors import InputError
from ablation.storage import file_sha256, sealed

from ..factory import write_images, write_run
from .conftest import forged, packed

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]  # renders reports


def findings(file, capsys):
    assert not verify(file)
    *lines, last = capsys.readouterr().out.splitlines()
    found = [line.removeprefix("FINDING ") for line in lines if line.startswith("FINDING ")]
    assert last == f"{file}: {len(found)} finding(s)"
    return found


def test_claims_are_listed_with_their_evidence(archive, project, capsys):
    assert verify(archive)
    printed = capsys.readouterr().out
    ids = " ".join(run.id for run in project[1].runs.values())
    assert re.search(r"arms: Which\?\n  .*5\.0 points higher.*\n", printed)
    assert "  better: crop against none on mnist5k, test_accuracy +0.05 (" in printed
    assert f"    comparisons.csv line 2; runs {ids}\n" in printed
    assert "  claim “Crops help.” (A paper): holds\n    claims.csv line 2\n" in printed


def test_a_changed_file_is_found_before_the_tables_are_computed(tree, project, capsys):
    run = next(iter(project[1].runs))
    with (tree / run / "history.csv").open("a") as file:
        file.write("\n")
    changed, computed = findings(packed(tree), capsys)
    assert changed.startswith(f"{run}/history.csv: has changed (")
    assert (
        computed == f"cannot be computed again: {run}/history.csv has changed since it was written"
    )


def test_changes_together_with_their_hashes_are_found(tree, capsys):
    changes = {
        "results/sample/comparisons.csv": (",better,", ",same,"),
        "results/sample/cells.csv": ("0.95", "0.96"),
        "results/sample/analysis.json": ('"margin": 0.005', '"margin": 0.004'),
        "results/sample/findings.csv": ("5.0 points", "6.0 points"),
        "reports/sample.md": ("5.0 points", "6.0 points"),
        "reports/sample.html": ("5.0 points", "6.0 points"),
        "reports/sample/comparisons-arms.csv": ("better", "worse"),
        "reports/sample/curves-arms-mnist5k.svg": ("</svg>", "<path/></svg>"),
    }
    for name, (old, new) in changes.items():
        text = (tree / name).read_text()
        assert old in text
        (tree / name).write_text(text.replace(old, new, 1))
    found = findings(forged(tree), capsys)
    assert sorted(line.partition(": ")[0] for line in found) == sorted(changes)


def test_predictions_that_were_replaced_with_all_hashes_are_found(tree, project, capsys):
    run = next(iter(project[1].runs.values()))
    folder = tree / run.folder
    with np.load(folder / "predictions.npz") as arrays:
        changed = dict(arrays)
    changed["probability"] = np.roll(changed["probability"], 1, axis=1)
    np.savez(folder / "predictions.npz", **changed)
    record = json.loads((folder / "run.json").read_text())
    record["files"]["predictions.npz"] = file_sha256(folder / "predictions.npz")
    (folder / "run.json").write_text(json.dumps(sealed(record)))
    found = findings(forged(tree), capsys)
    assert any(
        line.startswith("results/sample/runs.csv: line 2, test_accuracy: ") for line in found
    )


def test_missing_parts_are_found(tree, capsys):
    (tree / "reports/sample.md").unlink()
    (tree / "reports/sample/more.csv").write_text("")
    (tree / "results/sample/epochs.csv").unlink()
    found = "\n".join(findings(packed(tree), capsys))
    assert "reports/sample.md: is missing" in found
    assert "reports/sample/more.csv: is not part of the report that the tables give" in found
    assert "results/sample/epochs.csv: cannot be read" in found


def test_another_version_of_the_code_is_noted(tree, capsys):
    about = json.loads((tree / "archive.json").read_text())
    (tree / "archive.json").write_text(json.dumps(about | {"report_code": "0" * 16}))
    (tree / "reports/sample.md").write_text("older")
    verify(forged(tree))
    assert "note: made with another version of ablation (0.1.0)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{}", "is this an archive"),
        ('{"format": 9}', "format 9, this version reads 1"),
        ('{"format": 1, "study": "../x"}', "is not the name of a study"),
    ],
)
def test_other_zip_files_are_refused(tree, content, message):
    (tree / "archive.json").write_text(content)
    with pytest.raises(InputError, match=message):
        verify(packed(tree))


def test_the_command_line_ends_with_status_1_for_a_finding(tree, capsys):
    (tree / "LICENSE").write_text("other\n")
    with pytest.raises(SystemExit) as ended:
        cli.main(["verify", str(packed(tree))])
    assert ended.value.code == 1


def test_numbers_of_tables_may_differ_in_the_last_digits():
    table = TABLES["published"]
    one = table.frame([{"dataset": "a", "own": 0.9, "difference": 0.0}])
    for changes, message in (
        ({"own": 0.9 * (1 + 1e-10), "difference": 1e-15}, ""),
        ({"own": 0.9 * (1 + 1e-8)}, "line 2, own: 0.9, but 0.90"),
        ({"own": np.nan}, "line 2, own: 0.9, but nan"),
        ({"dataset": "b", "own": 0.1}, "(and 1 more cells)"),
    ):
        difference = table_difference(table, one, one.assign(**changes))
        assert message in difference
        assert bool(message) == bool(difference)
    assert (
        table_difference(table, one, pd.concat([one, one])) == "1 rows, but 2 follow from the runs"
    )


@pytest.mark.parametrize(
    ("new", "place"),
    [
        ({"a": [1, {"b": 0.1}]}, None),
        ({"a": [1, {"b": 0.1 + 1e-12}]}, None),
        ({"a": [1, {"b": 0.1 + 1e-8}]}, "a[1].b"),
        ({"a": [True, {"b": 0.1}]}, "a[0]"),
        ({"a": [1]}, "a"),
        ({"c": []}, ""),
    ],
)
def test_differences_of_json_are_located(new, place):
    assert json_difference({"a": [1, {"b": 0.1}]}, new) == place


def svg(x="10.5", colour="#0173b2", name="m0123456789", picture="iVBOR"):
    return (
        f'<svg><defs><path id="{name}" d="M {x} 2e-3" style="fill: {colour}"/></defs>'
        f'<use xlink:href="#{name}" clip-path="url(#{name})"/>'
        f'<image id="i{name}" xlink:href="data:image/png;base64,{picture}"/></svg>'
    ).encode()


def pdf(x, level):
    content = zlib.compress(f"{x} 20 m\n".encode(), level)
    return b"5 0 obj\n<< >>\nstream\n%s\nendstream\nendobj\n6 0 obj\n%d\nendobj\nxref\n%d" % (
        content, len(content), level,
    )  # fmt: skip


def page(figure):
    return b'<p>Text</p><img src="data:image/svg+xml;base64,%s">' % base64.b64encode(figure)


@pytest.mark.parametrize(
    ("name", "old", "new", "same"),
    [
        ("a.svg", svg(), svg(x="10.51", name="mabcdef0123", picture="AAAA"), True),
        ("a.svg", svg(), svg(x="10.7"), False),
        ("a.svg", svg(), svg(colour="#d55e00"), False),
        ("a.pdf", pdf("10.5", 9), pdf("10.52", 0), True),
        ("a.pdf", pdf("10.5", 9), pdf("11.5", 9), False),
        ("a.html", page(svg()), page(svg(x="10.51")), True),
        ("a.html", page(svg()), page(svg(x="10.7")), False),
        ("a.html", page(svg()), page(svg()).replace(b"Text", b"Test"), False),
        ("a.md", b"10.5", b"10.51", False),
    ],
)  # fmt: skip
def test_what_may_differ_in_a_report(name, old, new, same):
    assert same_content(name, old, new) == same


@pytest.fixture
def repeated(tree, copy, monkeypatch, tmp_path):
    """A function that repeats the first run of the archive, which gives an accuracy then."""
    run = next(iter(copy.runs.values()))
    write_images(run, np.zeros((1000, 28, 28, 1), np.uint8))
    monkeypatch.setattr(rerunning, "find_spec", lambda name: True)

    def repeat(accuracy):
        def train_again(run, folder, data):
            assert data == Path(run.data.folder)
            folder.mkdir(parents=True)
            write_run(replace_folder(run, folder), accuracy=accuracy, prepared=False)

        monkeypatch.setattr(rerunning, "train_again", train_again)
        return rerun(copy, tree, run.id, tmp_path / "again")

    return repeat


def replace_folder(run, folder):
    values = {name: getattr(run, name) for name in ("id", "settings", "data")}
    return SimpleNamespace(folder=folder, **values)


def test_a_run_with_the_same_bytes_agrees(repeated, capsys):
    assert repeated(0.9) == []
    assert "history.csv: the same bytes\npredictions.npz: the same bytes" in capsys.readouterr().out


@pytest.mark.parametrize("changes", [[], ["processor: one then, another now"]])
def test_a_difference_is_shown_beside_the_spread(repeated, monkeypatch, capsys, changes):
    monkeypatch.setattr(rerunning, "machine_changes", lambda record, now: list(changes))
    found = repeated(0.898)
    assert [line.partition(": ")[2] for line in found] == (
        [] if changes else ["history.csv and predictions.npz differ on a like machine"]
    )
    assert capsys.readouterr().out.endswith(
        "test accuracy 89.80 %, in the archive 90.00 %: -0.20 points; standard deviation over 3 "
        "seeds: 0.10\n" + "".join(f"{line}\n" for line in changes)
    )


def test_a_run_of_other_data_is_not_trained(repeated, copy):
    file = Path(next(iter(copy.data)), "description.json")
    file.write_text(json.dumps(sealed(json.loads(file.read_text()) | {"hash": "other"})))
    (found,) = repeated(0.9)
    assert "was trained on other images than" in found


def test_a_run_that_cannot_be_trained_gives_an_error(repeated, tree, copy, monkeypatch, tmp_path):
    with pytest.raises(InputError, match="the archive has no run '00000000'; runs: "):
        rerun(copy, tree, "00000000", tmp_path)
    monkeypatch.setattr(rerunning, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"--rerun needs TensorFlow: install ablation\[train\]"):
        repeated(0.9)
