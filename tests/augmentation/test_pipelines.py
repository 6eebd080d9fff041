"""Pipeline strings: what they mean, that one meaning has one form, and what mistakes say."""

import re
import subprocess
import sys
from typing import Annotated, Literal

import pytest
from pydantic import Field, TypeAdapter

from ablation.augmentation import registry
from ablation.augmentation.parsing import parse_pipeline
from ablation.augmentation.pipelines import (
    check_channels,
    check_size,
    crops,
    format_pipeline,
    mixes_labels,
    needs_colour,
)
from ablation.augmentation.registry import STEPS, Pipeline, StepCall
from ablation.errors import InputError

from .made import EVERY_CALL


def test_steps_come_in_order_with_every_parameter():
    steps = parse_pipeline("flip | crop(4) | contrast(0.8, 1.2) | cutmix(box=independent)")
    assert [step.model_dump() for step in steps] == [
        {"step": "flip", "parameters": {"probability": 0.5}},
        {"step": "crop", "parameters": {"padding": 4, "fill": "zero", "probability": 1.0}},
        {"step": "contrast", "parameters": {"low": 0.8, "high": 1.2, "probability": 1.0}},
        {
            "step": "cutmix",
            "parameters": {
                "alpha": 1.0,
                "probability": 1.0,
                "box": "independent",
                "partner": "permutation",
            },
        },
    ]
    assert list(steps[1].parameters) == ["padding", "fill", "probability"]
    form = TypeAdapter(Pipeline)
    assert form.validate_json(form.dump_json(steps)) == steps


@pytest.mark.parametrize(
    "texts",
    [
        ["", "   ", "\n", "none", "none | none"],
        ["flip", "flip()", "flip(0.5)", " flip ( .5 ) ", "flip(5e-1)", "flip(probability=+0.50)"],
        ["crop(4)", "crop(padding=4)", "crop(4.0)", "crop(4, zero)", "crop(fill=zero, padding=4)"],
        ["brightness(0)", "brightness(0.0)", "brightness(-0)", "brightness(-0.0)"],
        ["cutmix", "cutmix(1)", "cutmix(alpha=1)", "cutmix(1.0, 1, square, permutation)"],
        ["flip|clip", "flip\n  | clip\n", "none | flip | clip", "flip # then\n| clip"],
    ],
)
def test_the_same_meaning_has_the_same_form(texts):
    forms = {str([step.model_dump() for step in parse_pipeline(text)]) for text in texts}
    assert len(forms) == 1


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("", "none"),
        ("flip(probability=0.5)|crop(padding=4)", "flip | crop(4)"),
        ("contrast(high=1.0,low=0.25)", "contrast(0.25, 1)"),
        ("mixup(0.2, partner=first_pair)", "mixup(partner=first_pair)"),
        ("hue(1e-7)", "hue(1e-07)"),
        ("crop(4, zero, .3)", "crop(4, probability=0.3)"),
        ("random_erasing(fill=mean, probability=1)", "random_erasing(fill=mean, probability=1)"),
        ("translation(vertical=0.1, horizontal=0.2)", "translation(0.2, 0.1)"),
    ],
)
def test_the_shortest_text_means_the_same(text, written):
    steps = parse_pipeline(text)
    assert format_pipeline(steps) == written
    assert parse_pipeline(written) == steps


@pytest.mark.parametrize("call", EVERY_CALL, ids=str)
def test_every_step_can_be_written_and_parsed(call):
    assert parse_pipeline(str(call)) == (call,)


def test_named_pipelines_compose():
    named = {"basic": "flip | small", "small": "crop(1)", "nothing": ""}
    steps = parse_pipeline("nothing | basic | cutmix | small", named)
    assert format_pipeline(steps) == "flip | crop(1) | cutmix | crop(1)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flp", "unknown step 'flp'; did you mean 'flip'?"),
        ("Flip", "unknown step 'Flip'; did you mean 'flip'?"),
        ("flip | random-crop", "unknown step 'random-crop'; did you mean 'random_crop'?"),
        ("bsic", "unknown step 'bsic'; did you mean 'basic'?"),
        ("wrong", "unknown step 'flp'"),
        ("flip | outer", "in 'wrong': unknown step 'flp'"),
        ("circle", "'circle' uses itself: circle → back → circle"),
        ("basic()", "'basic' is a named pipeline and takes no parameters"),
        ("none(1)", "'none' is a named pipeline and takes no parameters"),
        ("crop", "crop: 'crop' needs padding, a whole number from 0 to 128"),
        ("crop(4.5)", "crop(4.5): padding must be a whole number from 0 to 128, not 4.5"),
        ("crop(-1)", "crop(-1): padding must be a whole number from 0 to 128, not -1"),
        ("crop(4, fil=zero)", "crop(4, fil=zero): 'crop' has no parameter 'fil'; did you mean 'f"),
        ("crop(4, zro)", "fill must be zero or reflect, not zro; did you mean 'zero'?"),
        ("crop(4, 'zero')", "fill must be zero or reflect, not 'zero'"),
        ("crop(4, padding=4)", "'padding' is given twice"),
        ("flip(probability=0, probability=1)", "'probability' is given twice"),
        ("flip(0.1, 0.2)", "more values than parameters; 'flip' takes probability"),
        ("clip(1)", "more values than parameters; 'clip' takes no parameters"),
        ("clip(x=1)", "'clip' has no parameter 'x'; it takes no parameters"),
        ("flip(**x)", "'flip' has no parameter '**'"),
        ("contrast(1.2, 0.8)", "low must be at most high, but 1.2 is above 0.8"),
        ("random_erasing(0.5)", "area_low must be at most area_high, but 0.5 is above 0.4"),
        ("random_crop | flip | random_crop", "random_crop and random_crop both crop"),
        ("mixup(partner=one)", "must be permutation, uniform or first_pair, not one"),
        ("flip(nan)", "flip(nan): probability must be a number from 0 to 1, not nan"),
        ("flip(-inf)", "probability must be a number from 0 to 1, not -inf"),
        ("flip(1e999)", "probability must be a number from 0 to 1, not inf"),
        ("flip(True)", "probability must be a number from 0 to 1, not True"),
        ("flip([].x())", "probability must be a number from 0 to 1, not [].x()"),
        ("brightness(" + "9" * 400 + ")", "delta must be a number from 0 to 1, not 9999"),
        ("cutmix(box=1)", "cutmix(box=1): box must be square or independent, not 1"),
        ("__import__('os')", "unknown step '__import__'"),
        ("(lambda: flip)()", "unknown step '(lambda: flip)()'"),
        *(
            (text, f"'{text}' is not a pipeline; write it as in 'flip | crop(4) | cutmix(alpha=1)'")
            for text in ("flip || clip", "flip |", "flip clip", "flip(0.5", "crop(padding=4, zero)")
        ),
        ("(" * 1000, "is not a pipeline"),
        ("-" * 900 + "1", "unknown step"),
        ("crop(１)", "is not a pipeline"),
    ],
)
def test_mistakes_are_named_with_what_would_be_right(text, message):
    named = {"basic": "flip", "wrong": "flp", "outer": "wrong", "circle": "back", "back": "circle"}
    with pytest.raises(InputError) as caught:
        parse_pipeline(text, named)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_call_is_checked_whatever_it_is_made_from():
    assert StepCall(step="flip") == parse_pipeline("flip")[0]
    with pytest.raises(InputError, match="unknown step 'cutmx'; did you mean 'cutmix'"):
        StepCall(step="cutmx")
    with pytest.raises(InputError, match="alpha must be a number"):
        StepCall.model_validate_json('{"step": "mixup", "parameters": {"alpha": 0}}')


def test_every_step_is_documented():
    for name, step in STEPS.items():
        summary, *_, source = step.documentation.split("\n\n")
        assert summary.endswith(".")
        assert source.startswith("Source: "), name
        for parameter, field in step.parameters.model_fields.items():
            assert field.description.endswith("."), (name, parameter)
            assert step.allowed(parameter)
        assert set(step.idle) | set(step.ordered or ()) <= set(step.parameters.model_fields)


def test_steps_that_need_colour_are_refused_on_other_images():
    steps = parse_pipeline("flip | hue(0.1) | saturation(0.5, 1) | contrast(0.5, 1)")
    assert needs_colour(steps) == ["hue", "saturation"]
    check_channels(steps, 3)
    with pytest.raises(InputError, match=r"'hue' and 'saturation' can be .* RGB images only"):
        check_channels(steps, 1)
    with pytest.raises(InputError, match="4 channels"):
        check_channels(steps, 4)
    check_channels([call for call in EVERY_CALL if not needs_colour([call])], 1)
    assert {name for name, step in STEPS.items() if step.needs_colour} == {
        "hue",
        "saturation",
        "grayscale",
    }


@pytest.mark.parametrize(
    ("text", "size", "stored", "message"),
    [
        ("crop(27, reflect)", (28, 40), None, None),
        ("flip | crop(28)", (40, 28), None, r"crop\(28\): .* 40×28 pixels: at most 27"),
        ("crop(28)", None, None, None),  # unknown
        # Padding is compared with the image that the step is given.
        ("crop(35) | random_crop | crop(27)", (28, 28), (40, 36), None),
        ("random_resized_crop | crop(28)", (28, 28), (40, 36), "28×28 pixels: at most 27"),
        ("crop(36) | random_crop", (28, 28), (40, 36), "40×36 pixels: at most 35"),
        ("crop(28)", (28, 28), (40, 36), "at most 27"),  # it sees the centre
        ("flip | random_crop", (28, 28), (28, 29), None),
        ("flip | random_crop", (28, 28), [28, 28], "random_crop: the crop has no effect"),
        ("flip | random_crop", [28, 28], None, "the data set needs a stored_size larger than its"),
        ("flip | random_crop", None, None, "random_crop: the crop has no effect"),
        ("random_resized_crop", (28, 28), None, None),  # this one changes something
    ],
)
def test_steps_that_make_no_sense_on_images_of_a_size_are_refused(text, size, stored, message):
    steps = parse_pipeline(text)
    if message is None:
        check_size(steps, size, stored)
    else:
        with pytest.raises(InputError, match=message):
            check_size(steps, size, stored)


def test_what_a_pipeline_does_is_known():
    assert crops(parse_pipeline("flip | random_crop | cutmix"))
    assert crops(parse_pipeline("random_resized_crop"))
    assert not crops(parse_pipeline("flip | crop(4)"))
    mixing = {name for name, step in STEPS.items() if step.mixes_labels}
    assert mixing == {"cutmix", "mixup", "cutmix_or_mixup"}
    assert mixes_labels(parse_pipeline("flip | cutmix"))
    assert not mixes_labels(parse_pipeline("label_smoothing"))  # soft, but of one image
    idle = parse_pipeline("flip(0) | crop(0) | crop(4, probability=0) | contrast(1, 1)")
    assert all(step.changes_nothing for step in idle)
    busy = parse_pipeline("flip | crop(4) | contrast(0.5, 1) | translation(0, 0.1) | clip | mixup")
    assert not any(step.changes_nothing for step in busy)


def test_reading_pipelines_needs_nothing_slow():
    code = (
        "import sys, ablation.augmentation.pipelines\n"
        "slow = {'tensorflow', 'keras', 'numpy', 'scipy', 'pandas'} & set(sys.modules)\n"
        "sys.exit(str(slow) if slow else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def declare(parameters, documented="x: Strength.", **properties):
    """Register a step ``odd`` with the given keyword-only parameters."""
    space = {"Annotated": Annotated, "Field": Field, "Literal": Literal}
    code = f"def odd(images, targets, draws, *, {parameters}):\n    '''Do.\n\n    Args:\n        "
    exec(f"{code}{documented}\n    '''\n", space)
    return registry.step(**properties)(space["odd"])


@pytest.mark.parametrize(
    ("parameters", "options", "message"),
    [
        ("x=1", {}, "x: needs an annotation"),
        ("x: float = 1", {}, "x: the annotation needs both bounds, ge and le, or choices"),
        ("x: Annotated[float, Field(gt=0, le=9)] = 1", {}, "x: the annotation needs both bounds"),
        ("x: Annotated[str, Field(max_length=9)] = 'a'", {}, "x: the annotation needs both"),
        ("x: Literal['a', 'b'] = 'a'", {"documented": "y: Other."}, "x: needs an entry under Args"),
        (
            "x: Literal['a', 'b'] = 'a'",
            {"kind": "color"},
            "kind 'color': must be geometric or colour",
        ),
    ],
)
def test_a_wrong_declaration_of_a_step_is_one_message(monkeypatch, parameters, options, message):
    monkeypatch.setattr(registry, "STEPS", {})
    with pytest.raises(InputError, match=re.escape(message)) as raised:
        declare(parameters, **options)
    assert str(raised.value).startswith("step odd: ")
    assert registry.STEPS == {}
