"""Whether results and prepared data are of today's code and files."""

import json
from pathlib import Path

import pytest

from ablation.progress import current
from ablation.progress.current import is_prepared, result_state
from ablation.training.code import LOOP, data_code, run_code


def prepare(run, **changes):
    """Leave the data that the run was trained on, with changes to its description."""
    folder = Path(run.data.folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in current.ARRAYS:
        (folder / name).touch()
    code = data_code(run.data.settings)
    description = {"hash": "h", "files_digest": "files", "code": code, **changes}
    (folder / "description.json").write_text(json.dumps(description))
    current._prepared.cache_clear()


@pytest.fixture
def run(place):
    current._prepared.cache_clear()
    run = place.run("flip")
    place.finish(run)
    return run


def test_a_result_is_current_by_its_data_and_code(run):
    assert result_state(run, "files") == "current"  # the data was deleted
    assert result_state(run, "edited") == "outdated"
    prepare(run)
    assert result_state(run, "files") == "current"
    assert result_state(run, "edited") == "outdated"  # it has to be prepared again
    prepare(run, hash="other")
    assert result_state(run, "files") == "outdated"
    prepare(run, files_digest="edited")  # other files with the same pixels
    assert result_state(run, "edited") == "current"


@pytest.mark.parametrize("part", [LOOP, "mnist5k", "resnet", "flip"])
def test_a_result_of_other_code_is_outdated(place, part):
    run = place.run("flip")
    code = run_code(run.settings)
    assert part in code
    place.finish(run, code=code | {part: "other"})
    assert result_state(run, "files") == "outdated"


def test_without_whole_files_there_is_no_result(run):
    assert result_state(run, "files", weights=True) == "none"
    (Path(run.folder) / "model.weights.h5").touch()
    assert result_state(run, "files", weights=True) == "current"
    record = Path(run.folder) / "run.json"
    record.write_text(record.read_text().replace('"seed": 0', '"seed": 1'))
    assert result_state(run, "files") == "none"
    record.unlink()
    assert result_state(run, "files") == "none"


def test_data_is_prepared_where_files_and_code_are_the_same(run):
    assert not is_prepared(run.data, "files")
    prepare(run)
    assert is_prepared(run.data, "files")
    assert not is_prepared(run.data, "edited")
    prepare(run, code="other")
    assert not is_prepared(run.data, "files")
    prepare(run)
    (Path(run.data.folder) / "images.npy").unlink()
    assert not is_prepared(run.data, "files")
