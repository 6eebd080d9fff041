"""The author's own words: numbers from the tables, and nothing else of the machine."""

import pytest

from ablation.errors import InputError
from ablation.report.narrative import NOTE, narrative
from ablation.report.values import Citations, Tables

from .made import arms, made
from .test_values import FRAMES

MARK = '<sup class="unchecked">?</sup>'
CROP = '{{ value("cells", "test_accuracy", experiment="a", augmentation="crop") | percent }}'


@pytest.fixture
def write(tmp_path):
    """A function that renders a narrative, and the numbers that it cited."""

    def write(text):
        file = tmp_path / "narrative.md"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        citations = Citations()
        shown = []
        citations.finding(
            "a", "finding", "x",
            lambda: shown.append(narrative(file, Tables(FRAMES), citations.filters)) or "x",
        )  # fmt: skip
        return str(shown[0]), citations.table()["number"].dropna().tolist()

    return write


def test_a_number_of_a_table_is_cited_and_not_marked(write):
    assert write(f"Crop reached {CROP} % here.") == ("Crop reached 95.0 % here.", ["95.0"])


@pytest.mark.parametrize(
    ("typed", "marked"),
    [
        ("It gains 3 points.", f"It gains 3{MARK} points."),
        ("About 97.5 %, −1.2 or 1,000.", f"About 97.5{MARK} %, −1.2{MARK} or 1,000{MARK}."),
        (f"{CROP} % after 20 epochs.", f"95.0 % after 20{MARK} epochs."),
        ("(0.5)", f"(0.5{MARK})"),
    ],
)
def test_numbers_that_were_typed_are_marked_with_a_note(write, typed, marked):
    rendered, _ = write(typed)
    assert rendered == f"{marked}\n\n{NOTE}\n"


@pytest.mark.parametrize(
    "text",
    [
        "ResNet-50 on CIFAR-10, resnet8 and He2015.", "`crop(2)` and `lr = 0.1`",
        "See [the paper](https://arxiv.org/abs/1512.03385).", "1. First\n2. Second", "No number.",
    ],
)  # fmt: skip
def test_numbers_of_names_code_links_and_lists_are_not_marked(write, text):
    assert write(text)[0] == text


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("one\n{{ value('cells', 'gap') | percent }}", 2, "no column 'gap'"),
        ("one\n\n{{ value('cells', 'test_accuracy') | percent }}", 3, "2 values, one is needed"),
        ("{{ value('thresholds', 'value', threshold='level') }}", 1, "has no format"),
        ("a\nb\n{{ 0.95 | percent }}", 3, "not a number of a table"),
        ("a\n{{ 1 / 0 }}", 2, "division by zero"),
        ("a\n{{ 3 }}", 2, "has no format"),
        ("a\n{{ values }}", 2, "undefined"),
        ("a\n{% if %}", 2, "Expected an expression"),
        ("a\n{{ value.__globals__ }}", 2, "unsafe"),
        ("{{ ''.__class__.__mro__ }}", 1, "unsafe"),
        ("a\n{% include 'x' %}", 2, "no loader"),
        ("{{ range(10 ** 9) | list }}", 1, "undefined"),
    ],
)
def test_mistakes_are_refused_with_file_and_line(write, text, line, said):
    with pytest.raises(InputError, match=rf"narrative\.md, line {line}: .*{said}"):
        write(text)


def test_what_cannot_be_read_is_refused(write, tmp_path):
    with pytest.raises(InputError, match=r"narrative\.md: cannot be read"):
        write(b"\xff")
    with pytest.raises(InputError, match=r"none\.md: cannot be read"):
        narrative(tmp_path / "none.md", Tables(FRAMES), {})


def test_a_narrative_has_the_numbers_of_its_study_and_is_renewed_with_them(tmp_path):
    rendered = []
    for accuracy in (0.9, 0.8):
        folder = tmp_path / str(accuracy)
        file = folder / "config/studies/narrative.md"
        file.parent.mkdir(parents=True)
        file.write_text(CROP.replace('experiment="a", ', "").join(["So ", " %, not 7 %.\n"]))
        study = made(
            folder, arms("none", "crop", narrative="narrative.md"),
            lambda cell, seed, of=accuracy: of + (0.05 if cell[2] == "crop" else 0),
        )  # fmt: skip
        report = study.report(figures=False)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            rendered.append(report.markdown())
    assert (
        f"So 95.0 %, not 7{MARK} %." in rendered[0] and f"So 85.0 %, not 7{MARK} %." in rendered[1]
    )
    assert all(NOTE in one for one in rendered)
