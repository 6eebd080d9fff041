"""Archives of real figures, verified in a process of their own."""

import os
import subprocess
import sys
import zipfile
from contextlib import chdir
from pathlib import Path

import pytest

from ablation.archive import write
from ablation.archive.write import write_archive

from ..conftest import ROOT
from .conftest import GRAPH, finished

pytestmark = pytest.mark.slow  # draws figures

VERIFY = """
import sys
from ablation.cli import main
try:
    main(["verify", sys.argv[1]])
finally:
    loaded = {name.partition(".")[0] for name in sys.modules}
    print(sorted(loaded & {"tensorflow", "keras", "tensorflow_datasets", "rocrate", "snakemake"}))
"""


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    """Archives of a study with and without images."""
    folder = tmp_path_factory.mktemp("drawn") / "project"
    plan = finished(folder)
    files = []
    with pytest.MonkeyPatch.context() as patched, chdir(folder):
        patched.setattr(write, "rule_graph", lambda study: GRAPH)
        for images in (True, False):
            files.append(folder / f"{images}.zip")
            write_archive(plan, images=images).rename(files[-1])
    return files


def test_verification_imports_no_tensorflow(archives, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", VERIFY, archives[0]],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith(f"{archives[0]}: verified\n[]\n")
    assert list(tmp_path.iterdir()) == []


def test_without_images_no_figure_shows_one(archives):
    scales = {"classes", "confusion"}  # their scale of colours is a picture, too
    for archive, expected in zip(archives, (scales | {"gallery"}, scales), strict=True):
        with zipfile.ZipFile(archive) as packed:
            found = {
                Path(name).name.partition("-")[0]
                for name in packed.namelist()
                if name.endswith(".svg") and b"data:image/png" in packed.read(name)
            }
        assert found == expected
