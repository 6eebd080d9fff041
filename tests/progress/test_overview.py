"""What `snakemake plan` and `snakemake status` show."""

import re

import pytest
from rich.text import Text

from ablation import cli
from ablation.progress.machine import Machine
from ablation.progress.overview import overview_of, plan_parts, status_parts
from ablation.progress.terminal import WIDTH, duration, plain, show, table
from ablation.training.code import run_code

from .conftest import STUDY


def plan_text(overview, at_once=1):
    return plain(plan_parts(overview, at_once))


def status_text(overview, at_once=1):
    return plain(status_parts(overview, at_once))


def rows(text):
    """The cells of each table row by the arm's and the seeds' columns."""
    found = {}
    for line in text.splitlines():
        cells = re.split(r" {2,}", line.strip())
        if cells[0] == "digits" and len(cells) > 4:  # not the row that tells its size
            found[cells[2], cells[3]] = cells[4:]
    return found


def test_before_anything_every_run_is_to_do_and_no_time_is_known(place):
    text = plan_text(overview_of(place.plan))
    assert "9 runs, 0 done, 0 running, 0 failed, 9 to do" in text
    assert rows(text) == {
        (arm, "0 1 2"): ["to do", "4", "-", "none: no comparable run"]
        for arm in ("none", "flip", "crop")
    }
    assert "Training time still needed: unknown" in text
    assert "No finished run was trained on this machine" in text
    assert "digits is not prepared yet" in text
    assert re.search(r"^digits +- +0\.00 GB$", text, re.M)  # no download, 5,000 small images
    assert "Disk of results: 0.00 GB are needed" in text


def test_a_cell_of_two_experiments_is_listed_under_each(place):
    place.study(
        STUDY
        + STUDY.partition("experiments:\n")[2]
        .replace("first:", "much-longer-training:")
        .replace("epochs: 4", "epochs: 40")
        .replace("0, 1, 2", "0, 1")
    )
    place.prepare()
    place.finish(place.run("none", 0), total=300.0)
    place.status(place.run("none", 1), "failed", [0.5], reason="no")
    text = plan_text(overview_of(place.plan))
    first, longer = text.split("Experiment ")[1:]
    assert re.search(r" flip +0 1 2 +to do +4 ", first)
    assert longer.startswith("much-longer-training:\n")
    assert re.search(r" flip +0 1 +to do +40 ", longer)
    assert "resnet8 on digits, none, seed 1 (first)" in text


def test_runs_of_another_machine_are_named_and_do_not_count(place):
    place.finish(place.run(), machine=Machine("Strange CPU", ()))
    text = plan_text(overview_of(place.plan))
    assert "Runs of another machine are not used: Strange CPU." in text
    assert "Training time still needed: unknown" in text


def test_the_plan_tells_each_state_and_what_is_left(place):
    place.prepare()
    place.finish(place.run("none", 0), seconds=(9.0, 60.0, 60.0, 60.0), total=300.0)
    place.status(place.run("none", 1), "running", [0.5, 0.75], seconds=60.0)
    place.status(place.run("none", 2), "failed", reason="the disk is full")
    failed = place.log(place.run("none", 2))
    text = plan_text(overview_of(place.plan), 3)
    assert "9 runs, 1 done, 1 running, 1 failed, 6 to do" in text
    assert rows(text) == {
        ("none", "0"): ["done", "4", "-", "-"],
        ("none", "1"): ["running", "4", "2 min", "own epochs"],
        ("none", "2"): ["failed", "4", "5 min", "same"],
        ("flip", "0 1 2"): ["to do", "4", "5 min", "same"],
        ("crop", "0 1 2"): ["to do", "4", "5 min", "same"],
    }
    assert "the disk is full" in text
    assert failed in text
    assert "one run at a time: 37 min" in text  # 7 of 5 minutes and one of 2
    assert "With 3 runs at a time: 15 min, at best" in text
    assert "not prepared" not in text
    assert "GB" not in text
    assert "With" not in plan_text(overview_of(place.plan))


def test_runs_without_an_estimate_are_counted_beside_the_time(place):
    place.edit("models: [resnet8]", "models: [resnet8, resnet14]")
    place.prepare()
    place.finish(place.run("none", 0), total=300.0)
    assert ", and 9 runs without an estimate" in plan_text(overview_of(place.plan))


def test_what_other_code_has_made_is_to_do_again(place):
    place.prepare()
    for seed in (0, 1):
        run = place.run("none", seed)
        place.finish(run, code=run_code(run.settings) | {"mnist5k": "0"})
    text = plan_text(overview_of(place.plan))
    assert "0 done" in text
    assert "2 runs: the code of mnist5k has changed" in text
    assert rows(text)["none", "0 1"][0].startswith("to do: the code of mnist5k")


def test_a_failed_preparation_is_told(place):
    (data,) = place.plan.data.values()
    log = place.folder / (data.folder.replace("results/data", "results/logs/prepare") + ".log")
    log.parent.mkdir(parents=True)
    log.write_text("error: 'mnist5k' could not be fetched\n")
    text = status_text(overview_of(place.plan))
    assert "'mnist5k' could not be fetched" in " ".join(text.split())
    assert str(log.relative_to(place.folder)) in text


def test_status_tells_epoch_accuracy_reason_and_end(place):
    place.prepare()
    place.finish(place.run("none", 0), total=3600.0)
    place.status(place.run("none", 1), "running", [0.5, 0.75], seconds=60.0)
    place.status(place.run("none", 2), "failed", reason="the disk is full")
    log = place.log(place.run("none", 2))
    text = status_text(overview_of(place.plan))
    assert "9 runs, 1 done, 1 running, 1 failed, 6 to do" in text
    ((arm, (*shown, last_sign)),) = rows(text).items()
    assert (arm, shown) == (("none", "1"), ["2/4", "━" * 8, "75.00 %", "2 min"])
    assert re.fullmatch(r"\d+ s ago", last_sign)
    assert f"    the disk is full\n    {log}" in text
    # The failed run is not tried again by a study that is under way.
    assert re.search(r"end in 6 h 2 min, at [-\d ]*\d\d:\d\d \(one run at a time\)", text)


def test_an_interrupted_run_goes_on_and_only_the_rest_is_counted(place):
    place.prepare()
    # 60 seconds an epoch, and 60 more.
    place.finish(place.run("none", 0), seconds=(120.0, 60.0, 60.0, 60.0), total=300.0)
    run = place.run("none", 1)
    log = place.log(run)
    place.status(run, "failed", [0.1, 0.2, 0.3], reason="no")
    place.status(place.run("none", 2), "interrupted", [0.1, 0.2], ended=True)
    place.status(place.run("flip", 0), "interrupted", [0.1])
    text = plan_text(overview_of(place.plan))
    assert rows(text)["none", "1"] == ["failed, resumes after epoch 3 of 4", "4", "2 min", "same"]
    assert rows(text)["none", "2"][2] == "1 min"
    assert "one run at a time: 32 min" in text  # 5 of 5 minutes, and two, one and four
    text = status_text(overview_of(place.plan))
    assert f"    no\n    resumes after epoch 3 of 4\n    {log}" in text
    assert "Nothing is training. Time still needed: 32 min" in text


def test_a_resumed_run_that_trains_tells_its_epoch(place):
    place.prepare()
    place.finish(place.run("none", 0), seconds=(120.0, 60.0, 60.0, 60.0), total=300.0)
    place.status(place.run("none", 1), "running", resumed=3)
    place.status(place.run("none", 2), "waiting")
    text = status_text(overview_of(place.plan))
    assert rows(text)["none", "1"][:4] == ["3/4", "━" * 12, "-", "2 min"]
    assert rows(text)["none", "2"][:3] == ["waiting", "-", "5 min"]


@pytest.mark.parametrize("seconds", [-1e9, -5000.0, 5000.0, 1e9])
def test_a_clock_that_jumps_prints_no_negative_time(place, seconds):
    place.prepare()
    place.finish(place.run("none", 0), total=300.0)
    place.status(place.run("none", 1), "running", [0.5, 0.75], seconds=60.0, age=-seconds)
    overview = overview_of(place.plan)
    for text in (plan_text(overview), status_text(overview)):
        assert "1 done, 1 running" in text
        assert not re.search(r"(?<![\w-])-\d", text)


def test_as_many_run_at_once_as_are_seen(place):
    place.prepare()
    place.finish(place.run("none", 0), total=3600.0)
    for seed in (1, 2):
        place.status(place.run("none", seed), "running", [0.5, 0.75], seconds=60.0)
    text = status_text(overview_of(place.plan))
    assert "end in 3 h 2 min" in text
    assert "2 runs at a time" in text


def test_when_nothing_trains_failed_runs_are_still_to_do(place):
    place.prepare()
    place.finish(place.run("none", 0), total=3600.0)
    place.status(place.run("none", 1), "failed", reason="the disk is full")
    text = status_text(overview_of(place.plan), 2)
    assert "Nothing is training. Time still needed: 4 h (2 runs at a time" in text


def test_all_done_is_said_and_nothing_else(place):
    for run in place.plan.runs.values():
        place.finish(run)
    for text in (plan_text(overview_of(place.plan), 2), status_text(overview_of(place.plan), 2)):
        assert text.endswith("All runs are done.")


def test_early_stopping_makes_it_a_bound(place):
    place.edit("batch_size: 50", "batch_size: 50, early_stopping: {}")
    place.prepare()
    place.finish(place.run("none", 0))
    assert "Runs that stop early take less." in plan_text(overview_of(place.plan))


def test_lines_fit_whatever_the_names(place):
    place.edit("name: digits", f"name: {'d' * 80}")
    place.edit("models: [resnet8]", f"models: [{{name: {'m' * 80}, architecture: resnet8}}]")
    place.edit('{none: ""', '{none: "", ' + f"{'a' * 80}: mixup")
    for text in (plan_text(overview_of(place.plan)), status_text(overview_of(place.plan))):
        wide = [line for line in text.splitlines() if len(line) > WIDTH]
        assert all(" " not in line for line in wide)  # a name alone


def test_a_table_fits_and_keeps_its_numbers():
    text = plain([table(["a", "number"], [["x" * 200, "1"], ["y", "22"]], right=[1])])
    header, line, first, second = text.splitlines()
    assert len(line) == WIDTH
    assert header.endswith("  number")
    assert first.endswith("…       1")
    assert second.endswith("      22")


def test_a_terminal_gets_colour_and_the_log_plain_text(tmp_path, monkeypatch, capsys):
    parts = ["A [b]paragraph[/b]", Text("failed", "red"), table(["a"], [["b"]])]
    log = tmp_path / "logs/status.log"
    show(parts, log)
    assert capsys.readouterr().out == log.read_text() == f"{plain(parts)}\n"
    assert log.read_text() == "A [b]paragraph[/b]\n\nfailed\n\na\n──\nb\n"
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm-256color")
    show(parts, log)
    assert "\x1b[31mfailed" in capsys.readouterr().out
    assert "\x1b" not in log.read_text()


@pytest.mark.parametrize(
    ("command", "text"), [("plan", "The smallest difference"), ("status", "nothing is training")]
)
def test_the_commands_print_it_without_colours(place, capsys, command, text):
    cli.main([command, "--config", '{"study": "mine"}', "--at-once", "2"])
    printed = capsys.readouterr().out
    assert "Study mine: 9 runs, 0 done" in printed
    assert text in printed
    assert "\x1b" not in printed


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (0.2, "1 s"), (45.4, "45 s"), (59.7, "1 min"), (90, "2 min"), (3570, "1 h"),
        (3600, "1 h"), (3660, "1 h 1 min"), (86399, "1 d"), (90000, "1 d 1 h"), (864000, "10 d"),
    ],
)  # fmt: skip
def test_durations(seconds, text):
    assert duration(seconds) == text
