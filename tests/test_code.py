"""Digests of code, on a small package."""

import pytest

from ablation import code

FILES = {
    "__init__.py": "",
    "data/__init__.py": "",
    "data/load.py": "def load():\n    return 1\n",
    "training/__init__.py": "",
    "training/run.py": '''
"""Train."""
from ablation.data.load import load
from ablation.study.plan import plan

def train(rate: float = 0.1) -> float:
    """Train with a rate."""
    field(description="The rate.", default=rate)  # in steps
    return load() * rate
''',
    "study/__init__.py": "",
    "study/plan.py": "def plan():\n    from ablation.training import run\n",
    "study/other.py": "x = 1\n",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    for name, text in FILES.items():
        file = tmp_path / "ablation" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    kept = tmp_path / "ablation/__pycache__/code.json"
    kept.parent.mkdir()
    monkeypatch.setattr(code, "PACKAGE", tmp_path / "ablation")
    monkeypatch.setattr(code, "KEPT", kept)
    monkeypatch.setattr("sys.dont_write_bytecode", False)
    forget()
    yield tmp_path / "ablation"
    forget()


def forget():
    """As in a new process."""
    code._module.cache_clear()
    code._kept.cache_clear()


def digest(**parts):
    forget()
    return code.code_digest(["ablation.training.run"], **parts)


def edit(file, old, new):
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""Train."""', '"""Train a network."""'),
        ('    """Train with a rate."""\n', ""),
        ("# in steps", "# another comment"),
        ("rate: float = 0.1", "rate:float=0.10"),
        ("The rate.", "The learning rate."),
        ("return load() * rate", "return (\n        load()\n        * rate\n    )"),
    ],
)
def test_words_and_layout_do_not_count(package, old, new):
    before = digest()
    edit(package / "training/run.py", old, new)
    assert digest() == before


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("training/run.py", "0.1", "0.2"),
        ("training/run.py", "* rate", "+ rate"),
        ("training/run.py", "default=rate", "default=1"),
        ("data/load.py", "1", "2"),  # an imported module
        ("data/load.py", "1", "True"),
        ("study/plan.py", "import run", "import settings"),  # imported in turn
    ],
)
def test_code_counts_with_all_that_it_imports(package, file, old, new):
    before = digest()
    edit(package / file, old, new)
    assert digest() != before


def test_what_is_not_imported_or_of_another_package_does_not_count(package):
    whole, part = digest(), digest(only=["data", "training"])
    assert digest(without=["", "study"]) == part
    edit(package / "study/other.py", "1", "2")
    (package / "data/new.py").write_text("y = 3\n")
    assert (digest(), digest(only=["data", "training"])) == (whole, part)
    edit(package / "study/plan.py", "def plan", "def other")
    assert digest() != whole
    assert digest(only=["data", "training"]) == part


@pytest.mark.parametrize(
    "statement", ["from ..data.load import load", "from ..data import load", "from .. import data"]
)
def test_relative_imports_are_followed(package, statement):
    edit(package / "training/run.py", "from ablation.data.load import load", statement)
    edit(package / "data/__init__.py", "", "from . import load\n")
    before = digest()
    edit(package / "data/load.py", "1", "2")
    assert digest() != before


def test_hidden_files_do_not_count(tmp_path):
    (tmp_path / "a.j2").write_text("a")
    before = code.files_digest(tmp_path.iterdir())
    (tmp_path / ".a.j2.swp").write_text("b")
    (tmp_path / ".#a.j2").symlink_to("missing")
    (tmp_path / "folder").mkdir()
    assert code.files_digest(tmp_path.iterdir()) == before
    (tmp_path / "b.j2").write_text("b")
    assert code.files_digest(tmp_path.iterdir()) != before


def test_a_cycle_of_imports_ends(package):
    found = code.reached(["ablation.study.plan"])
    assert {"ablation.training.run", "ablation.data.load", "ablation.study.plan"} <= found


def test_the_digest_does_not_depend_on_the_version_of_python(package):
    assert digest() == "7cf2ea037f28f4f8"


def test_a_missing_module_is_an_error(package):
    with pytest.raises(FileNotFoundError, match=r"ablation\.training\.missing"):
        code.code_digest(["ablation.training.missing"])


def test_modules_are_parsed_once_and_again_after_an_edit(package, monkeypatch):
    before = digest()
    code.KEPT.write_text("damaged")
    assert digest() == before
    parsed, real = [], code._parsed
    monkeypatch.setattr(code, "_parsed", lambda *one: parsed.append(one) or real(*one))
    assert digest() == before
    assert not parsed
    edit(package / "data/load.py", "return 1", "return 2")
    assert digest() != before
    assert len(parsed) == 1
