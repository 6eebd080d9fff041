"""What an archive contains, and when none is written."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from rocrate.rocrate import ROCrate

from ablation import cli
from ablation.archive import write
from ablation.archive.files import METADATA, names
from ablation.archive.write import rule_graph, write_archive
from ablation.errors import InputError
from ablation.storage import file_sha256
from ablation.training.records import OUTPUTS

from ..factory import ENVIRONMENT, write_run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]  # renders reports

ATTEMPTS = [
    {"first_epoch": first, "started": f"2026-01-01T00:0{first}:00Z", "device": device,
     "reserved": None, "environment": ENVIRONMENT | {"processor": device}}
    for first, device in ((1, "CPU"), (3, "GPU:0"))
]  # fmt: skip


def test_an_archive_contains_what_the_report_is_made_from(tree, project):
    _, plan = project
    found = set(names(tree))
    for run in plan.runs.values():
        assert {f"{run.folder}/{name}" for name in OUTPUTS} | {run.log} <= found
        assert f"{run.data.folder}/description.json" in found
    assert {
        "reports/sample.html", "reports/sample.md", "results/sample/plan.json",
        "results/sample/looks.csv", "results/sample/comparisons.csv", "results/sample/gallery.npz",
        "config/studies/sample.yaml", "config/config.yaml", "workflow/Snakefile", "envs/cpu.lock",
        "LICENSE", "rulegraph.dot", "SHA256SUMS", METADATA,
    } <= found  # fmt: skip
    assert not any(name.endswith(("images.npy", "examples.csv")) for name in found)


def test_the_crate_describes_every_file_and_run(archive, tree, project):
    _, plan = project
    crate = ROCrate(archive)
    for name in names(tree):
        if name not in ("SHA256SUMS", METADATA):
            entity = crate.get(name)
            assert entity["sha256"] == file_sha256(tree / name)
            assert int(entity["contentSize"]) == (tree / name).stat().st_size
    profiles = {entity.id.rsplit("/", 1)[0] for entity in crate.root_dataset["conformsTo"]}
    assert {f"https://w3id.org/ro/wfrun/{kind}" for kind in ("process", "workflow")} < profiles
    assert crate.mainEntity.id == "workflow/Snakefile"
    assert crate.license.id == "LICENSE"
    whole, *actions = crate.root_dataset["mentions"]
    assert whole["instrument"] is crate.mainEntity
    assert {"reports/sample.html", "results/sample/cells.csv"} < {one.id for one in whole["result"]}
    for action, run in zip(actions, plan.runs.values(), strict=True):
        assert action.type == "CreateAction"
        assert [one.id for one in action["result"]] == [f"{run.folder}/{name}" for name in OUTPUTS]
        versions = {one["name"]: one["softwareVersion"] for one in
                    action["instrument"]["softwareRequirements"]}  # fmt: skip
        assert versions == ENVIRONMENT["packages"] | {"python": ENVIRONMENT["python"]}
        assert {"processor": "A processor"}.items() <= {
            one["name"]: one["value"] for one in action["environment"]
        }.items()
        assert action["startTime"] == "2026-01-01T00:00:00+00:00"
        assert action["endTime"] == "2026-01-01T00:00:10+00:00"


def test_each_attempt_of_a_run_is_described(copy):
    run = next(iter(copy.runs.values()))
    write_run(run, accuracy=0.9, prepared=False, attempts=ATTEMPTS)
    cli.main(["analyse", "results/sample/plan.json"])
    cli.main(["report", "results/sample/plan.json"])
    action = ROCrate(write_archive(copy)).get(f"#run-{run.id}")
    *attempts, seconds = action["resourceUsage"]
    assert [one["value"] for one in attempts] == ["epochs 1 to 2 on CPU", "epochs 3 to 4 on GPU:0"]
    # An epoch takes two seconds; the time of the whole run is what its record says.
    assert [one["endTime"][11:19] for one in attempts] == ["00:01:04", "00:03:04"]
    assert seconds["value"] == 10.0
    processors = [one["value"] for one in action["environment"] if one["name"] == "processor"]
    assert processors == ["CPU", "GPU:0"]


def test_the_same_results_give_the_same_bytes(copy, archive):
    assert write_archive(copy).read_bytes() == archive.read_bytes()


def test_an_archive_without_images_contains_none(copy, tmp_path):
    before = {file.name for file in Path("reports/sample").iterdir()}
    shutil.unpack_archive(write_archive(copy, images=False), tmp_path / "tree")
    after = {file.name for file in (tmp_path / "tree/reports/sample").iterdir()}
    assert {name.partition("-")[0] for name in before - after} == {"gallery"}
    for name in ("gallery.npz", "mistakes.npz"):
        with np.load(tmp_path / "tree/results/sample" / name) as arrays:
            assert arrays.files == ["index"]
            assert json.loads(str(arrays["index"])) == []
    assert "gallery" not in (tmp_path / "tree/reports/sample.html").read_text()
    assert {file.name for file in Path("reports/sample").iterdir()} == before  # not changed


def test_an_unfinished_study_gives_one_error_that_names_its_missing_runs(copy):
    first, second, *_ = copy.runs
    shutil.rmtree(first)
    Path(second, "history.csv").unlink()
    with pytest.raises(
        InputError, match=r"'sample' is not finished, 2 of 6 runs are missing: "
    ) as e:
        write_archive(copy)
    assert f"{first}, {second}; run `make STUDY=sample` first" in str(e.value)


@pytest.mark.parametrize("name", ["results/sample/cells.csv", "reports/sample.html"])
def test_an_unfinished_report_gives_an_error(copy, name):
    Path(name).unlink()
    with pytest.raises(InputError, match=f"is not finished: {name} is missing"):
        write_archive(copy)


def test_results_that_are_out_of_date_give_an_error(copy):
    run = next(iter(copy.runs.values()))
    write_run(run, accuracy=0.5, prepared=False)
    with pytest.raises(InputError, match=r"results/sample is out of date: .*runs\.csv: line 2, "):
        write_archive(copy)


def test_a_study_that_was_edited_gives_an_error(copy):
    file = Path("config/studies/sample.yaml")
    file.write_text(file.read_text().replace("Which?", "Which one?"))
    with pytest.raises(SystemExit, match="'sample' was edited since it ran"):
        cli.main(["archive", "sample"])


@pytest.mark.parametrize("name", ["../text.md", "config/../../text.md", "/text.md"])
def test_a_file_outside_the_folder_gives_an_error(name):
    assert write._inside("config/studies/../text.md") == "config/text.md"
    with pytest.raises(InputError, match=r"text\.md: is outside this folder"):
        write._inside(name)


def test_the_command_line_writes_and_verifies(copy, capsys):
    cli.main(["archive", "--without-images"])
    assert capsys.readouterr().out == "results/archive/sample.zip\n"
    cli.main(["verify", "results/archive/sample.zip"])
    assert capsys.readouterr().out.endswith("results/archive/sample.zip: verified\n")


def test_the_rule_graph_does_not_depend_on_the_order_of_its_edges(monkeypatch):
    lines = [
        "digraph snakemake_dag {",
        '\t0[label = "all"];',
        "\t2 -> 0",
        "\t1 -> 0",
        "}            ",
    ]
    done = type("Done", (), {"returncode": 0, "stdout": "\n".join(lines)})
    monkeypatch.setattr(write.subprocess, "run", lambda *_, **__: done)
    assert rule_graph("sample").split("\n")[2:] == ["1 -> 0", "2 -> 0", "}", ""]
