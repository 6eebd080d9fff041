"""What a partial report is made from, and where its files go."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from ablation.study.fingerprint import models_request, plan_digest, request_digest

from ablation import cli
from ablation.errors import InputError
from ablation.progress.partial import is_made, prepared_part, remember

CONFIG = json.dumps({"study": "mine"})


@pytest.fixture
def calls(monkeypatch):
    """What the commands call, with its arguments, instead of doing it."""
    made = []

    def stand_in(module, name):
        def function(*arguments, **named):
            made.append((name, arguments, named))
            if name in ("describe_models", "draw_gallery"):
                arguments[1].parent.mkdir(parents=True, exist_ok=True)
                arguments[1].write_text("made")

        monkeypatch.setitem(sys.modules, module, SimpleNamespace(**{name: function}))

    stand_in("ablation.models.table", "describe_models")
    stand_in("ablation.augmentation.gallery", "draw_gallery")
    stand_in("ablation.analysis.analyse", "analyse")
    stand_in("ablation.report.render", "render")
    monkeypatch.setattr(cli, "_import_without_sklearn", lambda: None)
    monkeypatch.setattr(cli, "_import_tensorflow", lambda: None)
    return made


def ablation(command, *words):
    cli.main([command, "--config", CONFIG, *words])


def test_with_nothing_prepared_there_is_nothing_to_report(place, calls):
    for command in ("describe-models", "gallery"):
        with pytest.raises(SystemExit, match=r"no data is prepared \(digits\)"):
            ablation(command, "--partial")
    assert calls == []


def test_only_what_is_prepared_is_shown(place):
    place.prepare()
    here = models_request(place.plan)
    elsewhere = [{**here[0], "dataset": "other", "data": "results/data/other/native-stretch-0"}]
    assert prepared_part(here + elsewhere) == here
    with pytest.raises(InputError, match="other"):
        prepared_part(elsewhere)


def test_partial_files_lie_apart_from_those_of_the_study(place, calls):
    place.prepare()
    for command in ("describe-models", "gallery", "analyse", "report"):
        ablation(command, "--partial")
    aside, looks = Path("results/mine/partial"), Path("results/mine/looks.csv")
    plan = place.plan
    assert calls[0] == ("describe_models", (models_request(plan), aside / "models.json"), {})
    assert calls[1][1][1] == aside / "gallery.npz"
    name, (planned, folder), named = calls[2]
    assert (name, planned.name, folder, named) == (
        "analyse",
        "mine",
        aside,
        {"partial": True, "looks": looks},
    )
    assert calls[3] == ("render", ("mine-partial", aside, Path("reports")), {})
    assert {file.name for file in Path("results/mine").iterdir()} == {"partial"}


def test_without_partial_the_files_are_the_studys(place, calls):
    for command in ("describe-models", "gallery", "analyse", "report"):
        ablation(command)
    folder = Path("results/mine")
    assert [calls[0][1][1], calls[1][1][1]] == [folder / "models.json", folder / "gallery.npz"]
    assert (calls[2][1][1], calls[2][2]) == (
        folder,
        {"partial": False, "looks": folder / "looks.csv"},
    )
    assert calls[3] == ("render", ("mine", folder, Path("reports")), {})
    assert {file.name for file in folder.iterdir()} == {"models.json", "gallery.npz"}


def test_networks_and_augmentations_are_shown_anew_only_if_they_changed(place, calls):
    place.prepare()
    commands = ("describe-models", "gallery")
    for command in (*commands, *commands):
        ablation(command, "--partial")
    assert [name for name, *_ in calls] == ["describe_models", "draw_gallery"]
    place.edit("crop: crop(2)", "crop: crop(3)")
    for command in commands:
        ablation(command, "--partial")
    assert [name for name, *_ in calls][2:] == ["draw_gallery"]
    Path("results/mine/partial/models.json").unlink()
    ablation("describe-models", "--partial")
    assert calls[-1][0] == "describe_models"


def test_other_code_or_data_makes_them_anew(place, monkeypatch, tmp_path):
    place.prepare()
    file = tmp_path / "models.json"
    request = models_request(place.plan)
    file.touch()
    assert not is_made(file, request)
    remember(file, request)
    assert is_made(file, request)
    description = Path(request[0]["data"]) / "description.json"
    before = description.read_bytes()
    description.write_bytes(before + b"\n")
    assert not is_made(file, request)
    description.write_bytes(before)
    assert is_made(file, request)
    monkeypatch.setattr("ablation.progress.partial.code_fingerprint", lambda *places: "other")
    assert not is_made(file, request)


def test_a_partial_report_too_refuses_a_study_that_was_edited(place, calls):
    place.prepare()
    digests = {"analyse": plan_digest(place.plan)}
    digests["describe-models"] = request_digest(models_request(place.plan))
    for command, digest in digests.items():
        ablation(command, "--partial", "--digest", digest)
    place.edit("models: [resnet8]", "models: [resnet14]")
    for command, digest in digests.items():
        with pytest.raises(SystemExit, match="the study was edited"):
            ablation(command, "--partial", "--digest", digest)


@pytest.mark.parametrize(
    ("command", "said"), [("plan", "The smallest difference"), ("status", "nothing is training")]
)
def test_plan_and_status_are_printed_without_colours(place, capsys, command, said):
    cli.main([command, "--config", CONFIG, "--at-once", "2", "--code", "x"])
    printed = capsys.readouterr().out
    assert "Study mine: 9 runs, 0 done" in printed
    assert said in printed
    assert "\x1b" not in printed
