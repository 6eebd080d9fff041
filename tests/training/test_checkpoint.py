"""Checkpoints: what they keep, and when they are of no use."""

import random
from dataclasses import replace

import keras
import numpy as np
import pytest

from ablation.errors import InputError
from ablation.storage import file_sha256
from ablation.training import checkpoint as kept
from ablation.training.callbacks import Checkpoints, EarlyStopping, EpochLog, restore
from ablation.training.checkpoint import Checkpoint, Identity
from ablation.training.optimizer import Schedule

IDENTITY = Identity({"seed": 0, "training": {"epochs": 3}}, {"cutmix": "a"}, "d4ta", None)
STATE = Checkpoint(
    2,
    False,
    {"attempts": [{"first_epoch": 1}], "best": float("inf")},
    {"model/0": np.arange(6, dtype=np.float32).reshape(2, 3), "history": np.array([[1, np.nan]])},
)


RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(32, 6)).astype("float32")
Y = np.eye(3)[RANDOM.integers(0, 3, 32)]


def test_a_checkpoint_comes_back(tmp_path):
    kept.save(tmp_path, IDENTITY, STATE)
    found = kept.load(tmp_path, IDENTITY)
    assert (found.epoch, found.ended, found.values) == (2, False, STATE.values)
    for name, array in STATE.arrays.items():
        np.testing.assert_array_equal(found.arrays[name], array, strict=True)
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.npz"]


def test_without_one_there_is_none(tmp_path):
    assert kept.load(tmp_path, IDENTITY) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"settings": {"seed": 1}}, "it was made with other settings"),
        ({"code": {"cutmix": "b"}}, "it was made with other code"),
        ({"data": "other"}, "it was made with other data"),
        ({"weights": "f00"}, "it was made with other pretrained weights"),
        ({"code": {}, "data": "other"}, "it was made with other code and data"),
    ],
)
def test_one_of_something_else_is_not_used_and_stays(tmp_path, capsys, changes, reason):
    kept.save(tmp_path, replace(IDENTITY, **changes), STATE)
    assert kept.load(tmp_path, IDENTITY) is None
    file = tmp_path / "checkpoint.npz"
    message = f"{file}: not used ({reason}); training starts from the beginning\n"
    assert capsys.readouterr().out == message
    assert list(tmp_path.iterdir()) == [file]
    kept.save(tmp_path, IDENTITY, STATE)  # the first epoch of the new training
    assert kept.load(tmp_path, IDENTITY).epoch == 2


def test_a_damaged_one_is_never_used(tmp_path, capsys):
    kept.save(tmp_path, IDENTITY, STATE)
    file = tmp_path / "checkpoint.npz"
    whole = file.read_bytes()
    damaged = [whole[:length] for length in range(0, len(whole), 97)]
    rng = random.Random(0)
    for place in range(len(whole)):
        flipped = whole[place] ^ 1 << rng.randrange(8)
        damaged.append(whole[:place] + bytes([flipped]) + whole[place + 1 :])
    refused = 0
    for content in damaged:
        file.write_bytes(content)
        found = kept.load(tmp_path, IDENTITY)
        if found is None:
            refused += 1
        else:  # a bit that means nothing, such as one of a date in the archive
            assert found.arrays.keys() == STATE.arrays.keys()
            for name, array in STATE.arrays.items():
                np.testing.assert_array_equal(found.arrays[name], array, strict=True)
            assert found.values == STATE.values
    assert refused > len(damaged) / 2
    assert capsys.readouterr().out.count(f"{file}: not used (") == refused


def test_what_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    kept.save(tmp_path, IDENTITY, STATE)

    def full(path, **_):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(InputError, match=r"checkpoint\.npz: cannot be written: No space left"):
        kept.save(tmp_path, IDENTITY, Checkpoint(3, True, {}, {}))
    assert kept.load(tmp_path, IDENTITY).epoch == 2


def network(seed):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input([6]),
            keras.layers.Dense(8, activation="relu"),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.4),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    schedule = Schedule("cosine", 0.1, 6 * 4)
    model.compile(
        keras.optimizers.SGD(schedule, momentum=0.9),
        loss="categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.optimizer.build(model.trainable_variables)
    log = EpochLog(schedule, 4, 8, 6, lambda: model.evaluate(X[:8], Y[:8], verbose=0))
    stopping = EarlyStopping("val_loss", mode="min", patience=2, restore_best_weights=True)
    return model, log, stopping


def fit(model, log, stopping, epochs):
    written = []
    model.fit(
        X, Y, batch_size=8, shuffle=False, verbose=0,
        initial_epoch=len(log.history), epochs=epochs,
        callbacks=[log, stopping, Checkpoints(log, stopping, written.append)],
    )  # fmt: skip
    return written


@pytest.mark.slow
def test_going_on_is_like_never_having_stopped():
    straight = network(0)
    every = fit(*straight, 6)
    assert len(every) >= 4
    for point in (every[0], every[-2]):
        other = network(1)  # other weights, other random numbers: all has to come from there
        random.random()
        restore(point, *other)
        rest = fit(*other, 6)
        assert [one.epoch for one in rest] == [one.epoch for one in every[point.epoch :]]
        for one, same in zip(rest, every[point.epoch :], strict=True):
            assert one.ended == same.ended
            assert one.values == same.values
            assert one.arrays.keys() == same.arrays.keys()
            for name in one.arrays:
                if name != "timing":
                    np.testing.assert_array_equal(one.arrays[name], same.arrays[name], err_msg=name)
        for mine, theirs in zip(other[0].get_weights(), straight[0].get_weights(), strict=True):
            np.testing.assert_array_equal(mine, theirs)
        assert [list(map(str, row.values())) for row in other[1].history] == [
            list(map(str, row.values())) for row in straight[1].history
        ]


def test_the_random_states_are_among_it():
    model, log, stopping = network(0)
    point = fit(model, log, stopping, 1)[-1]
    expected = random.random(), np.random.rand(), keras.random.uniform([2]).numpy().tolist()
    random.seed(7)
    np.random.seed(7)
    keras.random.uniform([2])
    restore(point, *network(3))
    assert (
        random.random(),
        np.random.rand(),
        keras.random.uniform([2]).numpy().tolist(),
    ) == expected


def test_another_network_s_checkpoint_is_refused_whole():
    model, log, stopping = network(0)
    point = fit(model, log, stopping, 1)[-1]
    point.arrays["model/0"] = point.arrays["model/0"][:, :4]
    other = network(1)
    before = [weights.copy() for weights in other[0].get_weights()]
    with pytest.raises(ValueError, match="variables of the model do not fit"):
        restore(point, *other)
    for now, then in zip(other[0].get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


def finish(folder, identity=IDENTITY):
    from ablation.training.outputs import write_files

    model, log, stopping = network(0)
    fit(model, log, stopping, 1)
    record = {
        "settings": identity.settings,
        "code": identity.code,
        "data": {"hash": identity.data},
        "weights_sha256": identity.weights,
    }
    wanted = ["run.json", "history.csv", "predictions.npz"]
    predictions = {"label": np.arange(3)}
    write_files(folder / "finished", wanted, log, predictions, model, record)
    return wanted


def test_finished_files_are_put_in_place_without_training(tmp_path):
    wanted = finish(tmp_path)
    place = kept.finished_files(tmp_path, IDENTITY, wanted)
    outputs = [tmp_path / "run" / name for name in wanted]
    kept.publish(place, outputs)
    before = {output.name: file_sha256(output) for output in outputs}
    kept.publish(place, outputs)  # once more, over its own links
    outputs[0].unlink()  # as Snakemake does
    kept.publish(place, outputs)
    assert {output.name: file_sha256(output) for output in outputs} == before
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == sorted(wanted)


def test_finished_files_that_are_not_whole_or_not_its_own_are_not_taken(tmp_path):
    wanted = finish(tmp_path)
    other = replace(IDENTITY, code={"cutmix": "b"})
    assert kept.finished_files(tmp_path, other, wanted) is None
    assert kept.finished_files(tmp_path, IDENTITY, [*wanted, "model.weights.h5"]) is None
    history = tmp_path / "finished/history.csv"
    text = history.read_text()
    history.write_text(text.replace("1,", "2,", 1))
    assert kept.finished_files(tmp_path, IDENTITY, wanted) is None
    history.write_text(text)
    assert kept.finished_files(tmp_path, IDENTITY, wanted)
    (tmp_path / "finished/run.json").unlink()
    assert kept.finished_files(tmp_path, IDENTITY, wanted) is None
