"""Times of runs to come, from those of runs that are finished."""

from pathlib import Path

import pytest

from ablation.augmentation.parsing import parse_pipeline
from ablation.data.settings import DataSettings
from ablation.errors import InputError
from ablation.models.families import resolve_network
from ablation.progress.estimate import (
    Estimate,
    Images,
    Past,
    Timed,
    _all_past,
    estimate,
    images_of,
    makespan,
    minutes_to_request,
    read_past,
    seconds_left,
)
from ablation.progress.machine import Machine, this_machine
from ablation.progress.states import RunState
from ablation.training.settings import RunSettings, Training

IMAGES = Images(3600, (28, 28, 1))
RESULTS = Path("results")
HERE = Machine("This CPU", ("Some GPU",))


SETTINGS = RunSettings(
    dataset=DataSettings(source="mnist5k"),
    model=resolve_network("resnet8", {}),
    augmentation=(),
    training=Training(epochs=10, batch_size=50),
    validation="held-out",
    seed=0,
    threads=2,
)


def settings(**changes):
    """Settings of a run, with changes to those of network, training or the rest."""
    made = {}
    for name in ("model", "training"):
        block = getattr(SETTINGS, name)
        own = {key: changes.pop(key) for key in set(type(block).model_fields) & set(changes)}
        made[name] = block.model_copy(update=own)
    return SETTINGS.model_copy(update={**made, **changes})


def timed(seconds=2.0, overhead=10.0, images=IMAGES, epochs=4, **changes):
    return Timed(settings(**changes), images, epochs, seconds, overhead)


def test_the_same_work_takes_the_median_pace_and_overhead():
    past = [timed(2.0, 10.0), timed(3.0, 20.0), timed(40.0, 30.0)]
    assert estimate(settings(), IMAGES, past) == Estimate(10 * 3.0 + 20.0, 3.0, "same")


@pytest.mark.parametrize("changed", [{"seed": 1}, {"learning_rate": 0.5}, {"norm_epsilon": 1e-3}])
def test_what_does_not_change_the_work_is_the_same(changed):
    assert estimate(settings(**changed), IMAGES, [timed()]).basis == "same"


def test_the_same_augmentation_goes_before_another():
    flip, crop = parse_pipeline("flip"), parse_pipeline("crop(2)")
    past = [timed(2.0), timed(5.0, augmentation=flip)]
    assert estimate(settings(augmentation=flip), IMAGES, past).epoch_seconds == 5.0
    assert estimate(settings(), IMAGES, past).epoch_seconds == 2.0
    other = estimate(settings(augmentation=crop), IMAGES, past)
    assert (other.epoch_seconds, other.basis) == (3.5, "same")


@pytest.mark.parametrize(
    ("images", "changes", "ratio", "text"),
    [
        (Images(7200, (28, 28, 1)), {}, 2, "scaled: number of images"),
        (Images(3600, (56, 56, 1)), {}, 4, "scaled: image size"),
        (Images(1800, (56, 28, 3)), {}, 1, "scaled: image size, number of images"),
        (IMAGES, {"batch_size": 100}, 1, "scaled: batch size"),
    ],
)
def test_other_data_scales_the_epochs_and_not_the_rest(images, changes, ratio, text):
    found = estimate(settings(**changes), images, [timed(2.0, 10.0)])
    assert found.epoch_seconds == pytest.approx(2.0 * ratio)
    assert found.seconds == pytest.approx(10 * 2.0 * ratio + 10.0)
    assert found.text == text


def test_the_nearest_is_taken():
    half, double = Images(1800, (28, 28, 1)), Images(36000, (28, 28, 1))
    past = [timed(1.0, images=half), timed(100.0, images=double), timed(7.0, batch_size=25)]
    assert estimate(settings(), IMAGES, past).epoch_seconds == pytest.approx(2.0)


@pytest.mark.parametrize(
    "changed", [{"depth": 20}, {"width": 32}, {"precision": "bfloat16"}, {"threads": 4}]
)
def test_nothing_is_invented_for_other_work(changed):
    found = estimate(settings(**changed), IMAGES, [timed()])
    assert (found.seconds, found.epoch_seconds, found.basis) == (None, None, "none")


def test_without_knowing_the_data_nothing_is_said():
    assert estimate(settings(), None, [timed()]) == Estimate(
        None, None, "none", "data not prepared"
    )


def test_a_single_epoch_tells_of_single_epochs_only():
    past = [timed(9.0, 1.0, epochs=1)]
    assert estimate(settings(), IMAGES, past).seconds is None
    assert estimate(settings(epochs=1), IMAGES, past).seconds == 10.0


def test_the_first_epoch_counts_as_overhead(place):
    place.finish(place.run(), seconds=(9.0, 2.0, 3.0, 2.0), total=20.0)
    (found,) = read_past(this_machine(), RESULTS).timed
    assert (found.epochs, found.epoch_seconds, found.overhead) == (4, 2.0, 12.0)
    assert estimate(place.run().settings, found.images, [found]).seconds == 20.0


def test_only_runs_of_this_machine_count(place):
    place.finish(place.run("none", 0), machine=HERE)
    place.finish(place.run("none", 1), machine=Machine("This CPU", ()))
    place.finish(place.run("none", 2), machine=Machine("Other CPU", ("Some GPU",)))
    place.finish(place.run("flip", 0), machine=Machine("This CPU", ("Other GPU",)))
    past = read_past(HERE, RESULTS)
    assert len(past.timed) == 1
    assert past.elsewhere == [
        "Other CPU with Some GPU", "This CPU", "This CPU with Other GPU",
    ]  # fmt: skip


def test_runs_that_are_not_finished_do_not_count(place):
    place.finish(place.run())
    (place.folder / place.run().folder / "predictions.npz").unlink()
    assert read_past(this_machine(), RESULTS) == Past([], [], [])


def test_resumed_runs_count_where_every_attempt_was_made_here(place):
    here, there = ({"environment": {"processor": p, "gpus": []}} for p in ("This CPU", "Other"))
    place.finish(place.run("none", 0), attempts=[here, here], total=50.0)
    place.finish(place.run("none", 1), attempts=[there, here])
    past = read_past(Machine("This CPU", ()), RESULTS)
    (timed_here,) = past.timed
    assert (timed_here.epoch_seconds, timed_here.overhead) == (2.0, 42.0)
    assert past.elsewhere == ["Other"]


def test_runs_of_another_format_are_passed_over_and_edited_ones_reported(place):
    place.finish(place.run("none", 0))
    place.finish(place.run("none", 1))
    for seed, old, new in ((0, '"format": 3', '"format": 1'), (1, "20.0", "2.0")):
        file = place.folder / place.run("none", seed).folder / "run.json"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
    assert read_past(this_machine(), RESULTS) == Past([], [], [place.run("none", 1).folder])


def test_a_damaged_description_is_reported(place):
    place.prepare()
    file = place.folder / place.run().data.folder / "description.json"
    file.write_text(file.read_text()[:-9])
    with pytest.raises(
        InputError, match=r"description\.json: cannot be read .*; delete results/data"
    ):
        images_of(place.run(), Past([], [], []))


def test_a_damaged_run_is_reported_and_the_others_count(place):
    place.finish(place.run("none"))
    place.finish(place.run("flip"))
    (place.folder / place.run("flip").folder / "timing.csv").write_text("epoch,seconds\n1,soon\n")
    past = read_past(this_machine(), RESULTS)
    assert len(past.timed) == 1
    assert past.unreadable == [place.run("flip").folder]


def test_the_images_are_those_of_the_prepared_data(place):
    nothing = Past([], [], [])
    assert images_of(place.run(), nothing) is None
    place.prepare(images=3600)
    assert images_of(place.run(), nothing) == IMAGES
    place.edit("baseline:", "validation: test\n    baseline:")
    place.prepare(images=3600)  # of a source with a validation split of its own
    assert images_of(place.run(), nothing) == Images(3640, (28, 28, 1))


def test_the_images_are_known_from_a_run_that_had_the_same(place):
    place.finish(place.run(), images=1234)
    past = read_past(this_machine(), RESULTS)
    assert images_of(place.run("flip", 2), past) == Images(1234, (28, 28, 1))
    place.edit("{name: digits, source: mnist5k}", "{name: digits, source: mnist5k, limit: 500}")
    assert images_of(place.run("flip", 2), past) is None


def state(status, epoch=0, pace=None, updated=1000.0, reason=None, **more):
    return RunState(status, reason, None, epoch, 10, None, pace, updated, **more)


@pytest.mark.parametrize(
    ("given", "left"),
    [
        (state("done"), 0.0),
        (state("missing"), 100.0),
        (state("failed", 3, 5.0), 100.0),  # it begins anew
        (state("running", 4, 5.0), 6 * 5.0 - 3),  # its own pace, less what has passed
        (state("running", 1, 50.0), 9 * 8.0 - 3),  # the first epoch is no pace
        (state("running", 10, 5.0), 0.0),
        (state("running"), 97.0),
        (state("running", reason="waiting", resumed=2), 100.0 - 2 * 8.0),
        (state("failed", 3, 5.0, kept=3), 100.0 - 3 * 8.0),
        (state("missing", kept=10), 20.0),  # what is beyond the epochs
        (state("running", 6, resumed=6), 100.0 - 6 * 8.0 - 3),
        (state("running", 7, 50.0, resumed=6), 3 * 8.0 - 3),  # the first one of this attempt
        (state("running", 8, 5.0, resumed=6), 2 * 5.0 - 3),
        (state("running", 4, 5.0, updated=10_000.0), 6 * 5.0),  # the clock was put back
        (state("running", 4, 5.0, updated=-1e9), 0.0),
    ],
)
def test_what_a_run_still_needs(given, left):
    assert seconds_left(given, Estimate(100.0, 8.0, "same"), 1003.0) == pytest.approx(left)


def test_what_is_not_known_stays_unknown():
    nothing = Estimate(None, None, "none")
    assert seconds_left(state("missing"), nothing, 1003.0) is None
    assert seconds_left(state("running"), nothing, 1003.0) is None
    assert seconds_left(state("running", 1, 5.0), nothing, 1003.0) == pytest.approx(42.0)


@pytest.mark.parametrize(
    ("begun", "waiting", "at_once", "seconds"),
    [
        ([], [5, 5, 5], 1, 15),
        ([], [5, 5, 5], 2, 10),
        ([], [5, 5, 5], 9, 5),
        ([3], [5, 1], 1, 9),
        ([30], [5, 1], 2, 30),
        ([7, 2], [4, 4], 2, 10),
    ],
)
def test_runs_start_as_places_come_free(begun, waiting, at_once, seconds):
    assert makespan(begun, waiting, at_once) == seconds


def test_minutes_to_request_follow_from_the_runs_of_all_machines(place):
    place.prepare()
    _all_past.cache_clear()
    assert minutes_to_request(place.run(), Path("results")) is None
    node = Machine("A node", ("A GPU",))
    place.finish(place.run(seed=1), seconds=[600.0] * 4, total=2700.0, machine=node)
    _all_past.cache_clear()
    assert minutes_to_request(place.run(), Path("results")) == pytest.approx(2 * 45 + 10)
    _all_past.cache_clear()
