"""What `snakemake plan` shows of the disk."""

import re
import shutil
from collections import namedtuple
from pathlib import Path

import pytest
from PIL import Image

from ablation.progress.disk_space import disk_space_parts, needs
from ablation.progress.terminal import plain
from ablation.study.grid import prepared_data
from ablation.study.schema import Dataset

Usage = namedtuple("Usage", "total used free")


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    return tmp_path


def need(**block):
    (one,) = needs([prepared_data(Dataset(**block))])
    return one.download, one.prepared


def test_known_sources_need_no_download_to_be_counted():
    assert need(name="mnist5k") == (0, 5_000 * 28 * 28)
    assert need(name="mnist5k", limit=100) == (0, 300 * 28 * 28)
    assert need(name="cifar10") == (170_052_171, 60_000 * 32 * 32 * 3)
    assert need(name="cifar10", image_size=64, channels=1) == (170_052_171, 60_000 * 64 * 64)
    assert need(name="dogs", source="stanford_dogs:0.2.0", image_size=224, stored_size=256) == (
        815_912_960,
        20_580 * 256 * 256 * 3,
    )
    assert need(name="stanford_dogs") == (815_912_960, None)  # at what size?
    assert need(name="eurosat", source="eurosat/rgb") == (94_277_468, 27_000 * 64 * 64 * 3)
    assert need(name="food101", image_size=64) == (None, None)


def test_what_tfds_has_stored_is_not_downloaded(place):
    (place / "tfds/cifar10/incomplete.ABC_3.0.2").mkdir(parents=True)
    (place / "tfds/cifar10/incomplete.ABC_3.0.2/dataset_info.json").touch()
    assert need(name="cifar10")[0] > 0
    (place / "tfds/cifar10/3.0.2").mkdir(parents=True)
    (place / "tfds/cifar10/3.0.2/dataset_info.json").touch()
    assert need(name="cifar10")[0] == 0
    assert need(name="cifar10", source="cifar10:3.0.2")[0] == 0
    assert need(name="cifar10", source="cifar10:1.0.0")[0] > 0


def test_local_images_are_counted(place):
    for i in range(7):
        file = place / f"photos/c{i % 2}/{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (9, 9)).save(file)
    (place / "photos/notes.txt").touch()
    (place / "t.csv").write_text("path,label\na.png,1\n\nb.png,2\n")
    local = {"source": "image_folder", "path": "photos"}
    assert need(name="mine", image_size=20, **local) == (0, 7 * 400 * 3)
    assert need(name="mine", image_size=20, channels=1, **local) == (0, 7 * 400)
    assert need(name="mine", **local) == (0, None)
    assert need(name="mine", image_size=20, source="csv", path="t.csv") == (0, 2 * 400 * 3)


def test_prepared_ones_need_nothing():
    one = prepared_data(Dataset(name="mnist5k"))
    Path(one.folder).mkdir(parents=True)
    (Path(one.folder) / "description.json").touch()
    assert needs([one]) == []
    assert disk_space_parts([], Path("results")) == []


@pytest.mark.parametrize(("free", "fits"), [(2 * 10**9, True), (10**9, False)])
def test_the_text_warns_when_it_will_not_fit(monkeypatch, free, fits):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, free))
    sets = [
        Dataset(name="cifar10"),
        Dataset(name="large", source="cifar10", image_size=64),
        Dataset(name="food101", image_size=64),
    ]
    text = plain(disk_space_parts(needs(map(prepared_data, sets)), Path("results")))
    shown = " ".join(text.split())  # where lines break depends on the folder's name
    # One download of 0.17 GB counted three times, 0.18 GB and 0.74 GB of images.
    assert "1.43 GB are needed" in shown
    assert f"{free / 1e9:.2f} GB are free" in shown
    assert ("WARNING: not enough disk space" in shown) is not fits
    assert re.search(r"^food101 +unknown +unknown$", text, re.M)
    assert "Unknown sizes are not counted." in shown
