"""Whole runs: those whose bytes count in a process of their own, which fixes its threads once."""

import json
import subprocess

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from ablation.data.prepared import FORMAT, content_hash, load
from ablation.models.build import build
from ablation.storage import file_sha256, is_sealed, sealed
from ablation.training.code import run_code
from ablation.training.run import compiled_model, feed

from ..conftest import needs_bfloat16
from .conftest import DATA, command, settings, train

PIPELINE = "crop(2) | cutmix | label_smoothing"
WANTED = settings(PIPELINE, intra_op_threads=1)


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    done = train(WANTED, digits, folder, "model.weights.h5")
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.mark.slow
def test_history_and_timing_have_a_row_an_epoch(trained):
    text = (trained[0] / "history.csv").read_text()
    assert text.splitlines()[0] == "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate"
    history = pd.read_csv(trained[0] / "history.csv")
    assert history["epoch"].tolist() == [1, 2]
    assert history["learning_rate"].tolist() == [0.05, 0.05]
    assert np.isfinite(history).all(axis=None)
    timing = pd.read_csv(trained[0] / "timing.csv")
    assert list(timing) == ["epoch", "seconds", "images_per_second"]
    assert (timing[["seconds", "images_per_second"]] > 0).all(axis=None)


@pytest.mark.slow
def test_predictions_belong_to_the_splits_and_to_the_last_epoch(trained, digits):
    data = load(digits)
    with np.load(trained[0] / "predictions.npz", allow_pickle=False) as file:
        assert (file["label"] == data.labels[data.indices("test")]).all()
        label, probability = file["val_label"], file["val_probability"]
        assert (label == data.labels[data.indices("validation")]).all()
        assert file["probability"].dtype == np.float32
        assert file["probability"].shape == (110, 10)
        np.testing.assert_allclose(file["probability"].sum(axis=1), 1, rtol=1e-5)
    last = pd.read_csv(trained[0] / "history.csv").iloc[-1]
    assert last["val_accuracy"] == pytest.approx((probability.argmax(axis=1) == label).mean())
    # On hard labels, though the pipeline smooths those of training.
    loss = -np.log(probability[np.arange(len(label)), label]).mean()
    assert last["val_loss"] == pytest.approx(loss, abs=1e-4)


@pytest.mark.slow
def test_the_record_has_settings_code_data_and_hashes(trained, digits):
    record = json.loads((trained[0] / "run.json").read_text())
    assert record["format"] == 3
    assert record["id"] == WANTED.id
    assert record["status"] == "completed"
    assert record["settings"] == WANTED.model_dump(mode="json")
    assert record["code"] == run_code(WANTED)
    assert record["data"]["hash"] == load(digits).description["hash"]
    assert (record["data"]["train"], record["data"]["validation"]) == (100, 10)
    assert record["threads"] == {"intra_op": 1, "inter_op": 2}
    assert 0 <= record["train_accuracy_clean"] <= 1
    assert record["environment"]["packages"]["tensorflow"].startswith("2.")
    (attempt,) = record["attempts"]
    assert attempt["first_epoch"] == 1
    assert attempt["environment"] == record["environment"]
    assert record["files"] == {
        name: file_sha256(trained[0] / name)
        for name in ("history.csv", "model.weights.h5", "predictions.npz", "timing.csv")
    }
    assert is_sealed(record)
    assert (trained[0] / "model.weights.h5").stat().st_size > 10_000


@pytest.mark.slow
def test_the_log_has_a_line_an_epoch_with_the_time_left(trained):
    lines = [line for line in trained[1].splitlines() if line.startswith("epoch ")]
    assert [line.split()[1] for line in lines] == ["1/2", "2/2"]
    assert all("val_accuracy" in line and line.endswith(" left") for line in lines)
    assert not set(trained[1]) & {"\r", "\b", "\x1b"}


@pytest.mark.slow
def test_divergence_is_a_result(train_here, digits, tmp_path):
    train_here(settings("", epochs=9, learning_rate=100.0, weight_decay=1.0), digits, tmp_path)
    record = json.loads((tmp_path / "run.json").read_text())
    assert record["status"] == "diverged"
    history = pd.read_csv(tmp_path / "history.csv")
    assert not np.isfinite(history["loss"].iloc[-1])
    assert np.isfinite(history["loss"].iloc[:-1]).all()
    assert (tmp_path / "predictions.npz").exists()


@pytest.mark.slow
@needs_bfloat16
def test_early_stopping_bfloat16_and_test_as_validation(train_here, digits, tmp_path):
    wanted = settings(
        "",
        validation="test",
        epochs=6,
        precision="bfloat16",
        learning_rate=1e-6,
        early_stopping={"patience": 2, "min_delta": 1.0},
    )
    train_here(wanted, digits, tmp_path)
    record = json.loads((tmp_path / "run.json").read_text())
    assert (record["status"], record["epochs"]) == ("stopped_early", 3)
    assert (record["data"]["train"], record["data"]["validation"]) == (110, 110)
    with np.load(tmp_path / "predictions.npz") as file:
        assert (file["label"] == file["val_label"]).all()
        assert file["probability"].dtype == np.float32


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 101}, "batch_size 101 is more than the 100 training images"),
        ({"pipeline": "hue(0.1)"}, "grey"),
        ({"pipeline": "random_crop"}, "random_crop: the crop has no effect"),
    ],
)
def test_settings_that_do_not_fit_the_data_are_refused(
    train_here, digits, tmp_path, changes, message
):
    with pytest.raises(SystemExit, match=f"^error: .*{message}"):
        train_here(settings(**changes), digits, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Prepared images of 12×11 pixels of which a network shall see 8×8."""
    folder = tmp_path_factory.mktemp("prepared") / "stored"
    folder.mkdir()
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    images = rng.integers(0, 256, (60, 12, 11, 1), np.uint8)
    split = np.repeat(["train", "validation", "test"], 20)
    names = [f"{i}" for i in range(60)]
    examples = pd.DataFrame({"index": range(60), "split": split, "label": labels, "name": names})
    examples.to_csv(folder / "examples.csv", index=False)
    np.save(folder / "images.npy", images)
    classes = ["a", "b", "c"]
    description = {
        "format": FORMAT,
        "source": "made",
        "settings": DATA.model_dump() | {"image_size": [8, 8], "stored_size": [12, 11]},
        "class_names": classes,
        "shape": list(images.shape),
        "hash": content_hash(images, examples, classes),
        "files_digest": "",
        "examples_sha256": file_sha256(folder / "examples.csv"),
    }
    (folder / "description.json").write_text(json.dumps(sealed(description)))
    return folder


def test_a_network_is_scored_on_the_centre_of_stored_images(train_here, stored, tmp_path):
    wanted = settings("random_crop | crop(1)", batch_size=5, shuffle="batches")
    train_here(wanted, stored, tmp_path, "model.weights.h5")
    data = load(stored)
    model = build(wanted.model, (8, 8, 1), 3, seed=0)
    model.load_weights(tmp_path / "model.weights.h5")
    tested = data.indices("test")
    seen = np.float32(data.images[tested, 2:10, 1:9]) / 255
    with np.load(tmp_path / "predictions.npz") as file:
        np.testing.assert_allclose(file["probability"], model(seen), atol=1e-5)
        assert np.ptp(file["probability"], axis=0).max() > 1e-3


@pytest.mark.slow
def test_batches_finished_by_the_training_step_are_the_same(
    train_here, stored, tmp_path, monkeypatch
):
    """As on a GPU, which gets them as uint8; here on the CPU."""
    wanted = settings("random_crop | flip | brightness(0.2, 0.5) | cutmix", batch_size=5)
    fed = []

    def watched(*arguments, **options):
        fed.append(feed(*arguments, **options))
        return fed[-1]

    monkeypatch.setattr("ablation.training.run.feed", watched)
    for device in ("CPU", "GPU"):
        monkeypatch.setattr("ablation.training.run._device", lambda device=device: device)
        train_here(wanted, stored, tmp_path / device)
    assert [data.element_spec[0].dtype for data in fed] == [tf.float32, tf.uint8]
    one, other = (pd.read_csv(tmp_path / device / "history.csv") for device in ("CPU", "GPU"))
    np.testing.assert_allclose(one, other, rtol=1e-6)
    one, other = (np.load(tmp_path / device / "predictions.npz") for device in ("CPU", "GPU"))
    for name in ("probability", "val_probability"):
        np.testing.assert_allclose(one[name], other[name], rtol=1e-6)


@pytest.mark.slow
def test_a_reserved_gpu_that_tensorflow_does_not_find_is_reported(
    train_here, stored, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "7")
    train_here(settings("crop(1)", batch_size=5, epochs=1), stored, tmp_path)
    (attempt,) = json.loads((tmp_path / "run.json").read_text())["attempts"]
    assert (attempt["device"], attempt["reserved"]) == ("CPU", "7")
    assert "warning: GPU 7 is reserved for this job, but" in capsys.readouterr().out


@pytest.mark.slow
def test_runs_side_by_side_give_the_same_bytes_and_another_seed_others(trained, digits, tmp_path):
    wanted = {"same": WANTED, "other": settings(PIPELINE, seed=1)}
    started = [
        subprocess.Popen(
            command(one, digits, tmp_path / name),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name, one in wanted.items()
    ]
    assert [process.wait() for process in started] == [0, 0]
    for name in ("history.csv", "predictions.npz"):
        expected = (trained[0] / name).read_bytes()
        assert (tmp_path / "same" / name).read_bytes() == expected, name
        assert (tmp_path / "other" / name).read_bytes() != expected, name
    assert not (tmp_path / "same/model.weights.h5").exists()


@pytest.mark.slow
def test_training_is_traced_once():
    model, _ = compiled_model(settings(batch_size=4), (8, 8, 1), 3, 2)
    traced, step = [], model.train_step

    def counted(data):
        traced.append(data)
        return step(data)

    model.train_step = counted
    images, targets = np.ones((8, 8, 8, 1), np.float32), np.eye(3)[[0, 1, 2, 0, 1, 2, 0, 1]]
    model.fit(images, targets, batch_size=4, epochs=2, verbose=0)
    assert len(traced) == 1
