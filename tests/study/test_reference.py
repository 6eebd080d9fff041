from pathlib import Path

import pytest

from ablation.augmentation.registry import STEPS
from ablation.errors import InputError
from ablation.study.reference import reference_text, with_reference
from ablation.study.schema import Training

README = Path(__file__).parent.parent.parent / "config/README.md"


def test_the_committed_reference_is_that_of_the_code():
    text = README.read_text()
    assert with_reference(text) == text, "run `make docs`"


def test_it_has_every_key_step_and_parameter():
    text = reference_text()
    parameters = (name for step in STEPS.values() for name in step.parameters.model_fields)
    for name in (*Training.model_fields, *STEPS, *parameters):
        assert f"`{name}`" in text
    assert (
        "| `padding` | a whole number from 0 to 128 | required | Pixels added on each side. |\n"
        "| `fill` | zero or reflect | `zero` |"
    ) in text


def test_a_document_without_the_mark_is_refused():
    with pytest.raises(InputError, match="has no line"):
        with_reference("# Title\n")
