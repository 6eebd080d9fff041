"""Nothing that is read is run: no pickles, no evaluation, no models that bring their own code."""

import ast
from pathlib import Path

import numpy as np
import pytest

from ablation.analysis.records import write_record
from ablation.analysis.runs import read_run
from ablation.errors import InputError
from ablation.study.plan import load_config, load_plan

from ..conftest import ROOT, tracked

CALLS = {"eval", "exec", "compile", "__import__", "execfile"}
MODULES = {
    "pickle", "cPickle", "_pickle", "marshal", "shelve", "joblib", "dill", "cloudpickle", "yaml",
    "runpy", "code", "codeop",
}  # fmt: skip
METHODS = {
    "load_model", "model_from_json", "model_from_config", "model_from_yaml", "read_pickle",
    "to_pickle", "enable_unsafe_deserialization", "deserialize_keras_object", "unsafe_load",
    "full_load",
}  # fmt: skip
NUMPY_FILES = {"load", "save", "savez", "savez_compressed"}


def called(node):
    """The dotted name of what a call calls."""
    name, function = [], node.func
    while isinstance(function, ast.Attribute):
        name.insert(0, function.attr)
        function = function.value
    return [function.id if isinstance(function, ast.Name) else "", *name]


def offences(source):
    """What of a module would run what it reads, or could."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or ""]
        else:
            modules = []
        for module in modules:
            if module.split(".")[0] in MODULES:
                yield f"{node.lineno}: imports {module}"
        if not isinstance(node, ast.Call):
            continue
        first, *rest = called(node)
        words = {word.arg: word.value for word in node.keywords}
        pickles = words.get("allow_pickle")
        if not rest and first in CALLS:
            yield f"{node.lineno}: {first}"
        if {first, *rest} & METHODS:
            yield f"{node.lineno}: {'.'.join([first, *rest])}"
        if first in ("np", "numpy") and rest[-1] in NUMPY_FILES:
            if not (isinstance(pickles, ast.Constant) and pickles.value is False):
                yield f"{node.lineno}: {'.'.join([first, *rest])} without allow_pickle=False"
        elif isinstance(pickles, ast.Constant) and pickles.value is not False:
            yield f"{node.lineno}: allow_pickle"
        # Shells get no text but from the workflow's rules, which quote it.
        shell = words.get("shell")
        if shell is not None or [first, *rest] in (["os", "system"], ["os", "popen"]):
            yield f"{node.lineno}: a shell"


@pytest.mark.parametrize(
    "file", tracked("src/*.py", "tools/*.py"), ids=lambda file: str(file.relative_to(ROOT))
)
def test_no_module_runs_what_it_reads(file):
    assert not list(offences(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "source",
    [
        "eval(x)",
        "import pickle",
        "from yaml import load",
        "import numpy as np\nnp.load(x)",
        "np.load(x, allow_pickle=True)",
        "np.savez(x, a=y)",
        "keras.saving.load_model(x)",
        "keras.models.model_from_json(x)",
        "pd.read_pickle(x)",
        "subprocess.run(x, shell=True)",
        "os.system(x)",
    ],
)
def test_what_is_looked_for_is_found(source):
    assert list(offences(source))


PYTHON_IN_RULES = ("eval(", "exec(", "pickle", "configfile:", "__use_yte__", "os.system", "shell(")


@pytest.mark.parametrize("file", tracked("Snakefile", "workflow/*.smk"), ids=lambda file: file.name)
def test_no_rule_runs_what_it_reads(file):
    text = file.read_text(encoding="utf-8")
    assert not [word for word in PYTHON_IN_RULES if word in text]


class Bomb:
    """Something whose unpickling makes a file."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return (open, (str(self.file), "w"))


STUDY = """\
title: One run
experiments:
  one:
    question: Is it data?
    datasets: [mnist5k]
    models: [resnet8]
    seeds: [0]
    training: {epochs: 1}
"""


def test_pickled_predictions_are_refused_and_not_run(project, tmp_path):
    bomb = np.array([Bomb(tmp_path / "pwned")])
    np.savez(tmp_path / "x.npz", label=bomb, allow_pickle=True)
    with np.load(tmp_path / "x.npz", allow_pickle=True) as file:
        file["label"][0].close()
    (tmp_path / "pwned").unlink()  # so it does go off where pickles are read

    project(STUDY)
    (run,) = load_plan(load_config()).runs.values()
    folder = Path(run.folder)
    folder.mkdir(parents=True)
    (folder / "history.csv").write_text("epoch,loss\n1,2.3\n")
    (folder / "timing.csv").write_text("epoch,seconds\n1,2.0\n")
    arrays = dict.fromkeys(("label", "probability", "val_label", "val_probability"), bomb)
    np.savez(folder / "predictions.npz", allow_pickle=True, **arrays)
    # Its hashes are right: somebody meant it.
    record = {
        "id": run.id,
        "status": "completed",
        "settings": run.settings,
        "code": "c",
        "epochs": 1,
        "data": {"train": 1, "validation": 1, "test": 1},
        "environment": {"processor": "A processor", "packages": {}},
        "started": "2026-01-01T00:00:00Z",
        "seconds": 1.0,
    }
    write_record(folder, record)
    with pytest.raises(InputError, match=f"{run.folder}: cannot be read .*allow_pickle=False"):
        read_run(run)
    assert not (tmp_path / "pwned").exists()
