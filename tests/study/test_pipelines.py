"""Pipeline strings: what they mean, that one meaning has one form, and how mistakes are told."""

import json
import subprocess
import sys

import pytest
from ablation.study.pipelines import (
    ARMS,
    STEPS,
    changes_nothing,
    check_channels,
    check_size,
    crops,
    describe_steps,
    format_pipeline,
    mixes_labels,
    needs_colour,
    parse_pipeline,
)

from ablation.errors import InputError


def test_steps_come_in_order_with_every_parameter():
    assert parse_pipeline("flip | crop(4) | contrast(0.8, 1.2) | cutmix(box=independent)") == [
        {"step": "flip", "probability": 0.5},
        {"step": "crop", "padding": 4, "fill": "zero", "probability": 1.0},
        {"step": "contrast", "low": 0.8, "high": 1.2, "probability": 1.0},
        {
            "step": "cutmix",
            "alpha": 1.0,
            "probability": 1.0,
            "box": "independent",
            "partner": "permutation",
        },
    ]


@pytest.mark.parametrize(
    "texts",
    [
        ["", "   ", "\n", "none", "none | none", "notebook2-none"],
        ["flip", "flip()", "flip(0.5)", " flip ( .5 ) ", "flip(5e-1)", "flip(probability=+0.50)"],
        ["crop(4)", "crop(padding=4)", "crop(4.0)", "crop(4, zero)", "crop(fill=zero, padding=4)"],
        ["brightness(0)", "brightness(0.0)", "brightness(-0)", "brightness(-0.0)"],
        ["cutmix", "cutmix(1)", "cutmix(alpha=1)", "cutmix(1.0, 1, square, permutation)"],
        ["flip|clip", "flip\n  | clip\n", "none | flip | clip"],
        ["hue(0.1)", "hue(0.1, 1)", "hue(0.1, probability=1.0)"],
        ["random-resized-crop", "random-resized-crop(.08, 1, .75)"],
        ["random-erasing", "random-erasing(0.5, 0.02, 0.4, 0.3, noise)"],
        ["cutmix-or-mixup", "cutmix-or-mixup(0.5, 1, 0.2, 1, permutation)"],
    ],
)
def test_the_same_meaning_has_the_same_form(texts):
    forms = {json.dumps(parse_pipeline(text)) for text in texts}
    assert len(forms) == 1


def test_numbers_have_their_parameter_s_type():
    crop, brightness = parse_pipeline("crop(4.0) | brightness(0)")
    assert type(crop["padding"]) is int
    assert type(brightness["delta"]) is float


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("", "none"),
        ("flip(probability=0.5)|crop(padding=4)", "flip | crop(4)"),
        ("contrast(high=1.0,low=0.25)", "contrast(0.25, 1)"),
        ("mixup(0.2, partner=first-pair)", "mixup(partner=first-pair)"),
        ("hue(1e-7)", "hue(1e-07)"),
        ("crop(4, zero, .3)", "crop(4, probability=0.3)"),
        ("random-erasing(1, fill=mean)", "random-erasing(probability=1, fill=mean)"),
        ("translation(vertical=0.1, horizontal=0.2)", "translation(0.2, 0.1)"),
        ("rotation(15.0, reflect) | grayscale(0.1)", "rotation(15, fill=reflect) | grayscale"),
        ("random-resized-crop(0.5, 1, 0.75)", "random-resized-crop(scale_low=0.5)"),
        ("label-smoothing(0.1) | cutmix-or-mixup", "label-smoothing | cutmix-or-mixup"),
        ("notebook4-flip-brightness | clip", "flip | brightness(0.2) | clip"),
    ],
)
def test_written_back_it_is_short_and_means_the_same(text, written):
    steps = parse_pipeline(text)
    assert format_pipeline(steps) == written
    assert parse_pipeline(written) == steps


@pytest.mark.parametrize("name", sorted(ARMS))
def test_arms_stand_for_a_pipeline_and_compose(name):
    steps = parse_pipeline(name)
    assert parse_pipeline(format_pipeline(steps)) == steps
    assert parse_pipeline(f"{name} | cutmix") == steps + parse_pipeline("cutmix")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("flp", "unknown step 'flp'; did you mean 'flip'?"),
        ("Flip", "unknown step 'Flip'; did you mean 'flip'?"),
        ("notebook2-cutmx", "unknown step 'notebook2-cutmx'; did you mean 'notebook2-cutmix'?"),
        ("crop", "crop: 'crop' needs padding, a whole number from 0 to 128"),
        (
            "flip | crop(4.5)",
            "crop(4.5): padding has to be a whole number from 0 to 128, not 4.5",
        ),
        ("crop(-1)", "crop(-1): padding has to be a whole number from 0 to 128, not -1"),
        ("crop(4, fil=zero)", "crop(4, fil=zero): 'crop' has no parameter 'fil'; did you mean 'f"),
        (
            "crop(4, zro)",
            "crop(4, zro): fill has to be zero or reflect, not zro; did you mean 'zero'?",
        ),
        ("crop(4, padding=4)", "'padding' is given twice, by place and by name"),
        ("flip(probability=0, probability=1)", "'flip' is given 'probability' twice"),
        ("crop(padding=4, zero)", "'zero' at character 17 of 'crop(padding=4, zero)' needs a name"),
        ("flip(0.1, 0.2)", "more values than parameters; 'flip' takes probability"),
        ("clip(1)", "more values than parameters; 'clip' takes no parameters"),
        ("clip(x=1)", "'clip' has no parameter 'x'; it takes no parameters"),
        ("none(1)", "'none' is a named pipeline and takes no parameters"),
        ("contrast(1.2, 0.8)", "low has to be at most high, but 1.2 is above 0.8"),
        ("random-resized-crop(0.5, 0.2)", "scale_low has to be at most scale_high, but 0.5 is"),
        ("random-erasing(1, 0.5)", "area_low has to be at most area_high, but 0.5 is above 0.4"),
        ("random-erasing(fill=reflect)", "fill has to be zero, noise or mean, not reflect"),
        ("random-resized-crop(ratio=1.5)", "ratio has to be a number from 0.1 to 1, not 1.5"),
        ("rotation(181)", "degrees has to be a number from 0 to 180, not 181"),
        ("clip(probability=0.5)", "'clip' has no parameter 'probability'; it takes no parameters"),
        (
            "random-crop | flip | random-resized-crop",
            "random-crop and random-resized-crop all cut out what the network sees, which can be "
            "done once",
        ),
        ("random-crop | random-crop", "random-crop and random-crop all cut out"),
        ("hue(0.6)", "hue(0.6): delta has to be a number from 0 to 0.5, not 0.6"),
        ("mixup(0)", "mixup(0): alpha has to be a number from 0.01 to 100, not 0"),
        ("mixup(partner=one)", "has to be permutation, uniform or first-pair, not one"),
        ("flip(nan)", "flip(nan): probability has to be a number from 0 to 1, not nan"),
        ("flip(-inf)", "probability has to be a number from 0 to 1, not -inf"),
        ("flip(1e999)", "probability has to be a number from 0 to 1, not inf"),
        ("flip(true)", "probability has to be a number from 0 to 1, not true"),
        ("brightness(" + "9" * 400 + ")", "delta has to be a number from 0 to 1, not 9999"),
        ("cutmix(box=1)", "cutmix(box=1): box has to be square or independent, not 1"),
        ("flip || clip", "expected the name of a step but found '|' at character 7"),
        ("flip |", "expected the name of a step but found the end"),
        ("flip clip", "expected '|' or '(' but found 'clip' at character 6"),
        ("flip(0.5) clip", "expected '|' but found 'clip'"),
        ("flip(0.5", "expected ',' or ')' but found the end"),
        ("flip(0.5,)", "expected a parameter of 'flip' but found ')'"),
        ("flip((1))", "expected a parameter of 'flip' but found '('"),
        ("flip(probability=)", "expected a value for 'probability' but found ')'"),
        ("flip(1=1)", "a parameter's name is a word"),
        ("crop(１)", "'１' at character 6"),
        ("__import__('os')", "'_' at character 1"),
        ("flip" + " " * 1000, "at most 1000 characters, this one 1004"),
        (" | ".join(["notebook2-augmentation"] * 6), "at most 20 steps, this one 24"),
        (None, "a pipeline is text such as 'flip | crop(4)', not None"),
    ],
)
def test_mistakes_are_named_with_what_would_be_right(text, message):
    with pytest.raises(InputError) as caught:
        parse_pipeline(text)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 400


def test_colour_steps_are_refused_on_grey_images():
    steps = parse_pipeline("flip | hue(0.1) | saturation(0.5, 1) | contrast(0.5, 1)")
    assert needs_colour(steps) == ["hue", "saturation"]
    check_channels(steps, 3)
    with pytest.raises(InputError, match="'hue' and 'saturation' work on colour images only: grey"):
        check_channels(steps, 1)
    with pytest.raises(InputError, match="4 channels"):
        check_channels(steps, 4)
    others = "flip|crop(4)|random-crop|translation(0.1, 0.1)|rotation(9)|random-erasing|clip|cutmix"
    others += "|brightness(0.1)|contrast(0.5, 1)|mixup|cutmix-or-mixup|label-smoothing"
    check_channels(parse_pipeline(others), 1)
    check_channels(parse_pipeline("random-resized-crop"), 1)
    assert {name for name, step in STEPS.items() if step.needs_colour} == {
        "hue",
        "saturation",
        "grayscale",
    }


def test_padding_has_to_be_smaller_than_the_image():
    check_size(parse_pipeline("crop(27, reflect)"), (28, 40))
    with pytest.raises(InputError, match=r"crop\(28\): .* 40×28 pixels; at most 27 here"):
        check_size(parse_pipeline("flip | crop(28)"), (40, 28))
    check_size(parse_pipeline("crop(28)"), None)  # nothing to be said


def test_padding_is_of_the_image_that_the_step_is_given():
    size, stored = (28, 28), (40, 36)
    check_size(parse_pipeline("crop(35) | random-crop | crop(27)"), size, stored)
    with pytest.raises(InputError, match="is 28×28 pixels; at most 27 here"):
        check_size(parse_pipeline("random-resized-crop | crop(28)"), size, stored)
    with pytest.raises(InputError, match="is 40×36 pixels; at most 35 here"):
        check_size(parse_pipeline("crop(36) | random-crop"), size, stored)
    with pytest.raises(InputError, match="at most 27 here"):  # it sees the centre
        check_size(parse_pipeline("crop(28)"), size, stored)


@pytest.mark.parametrize(
    ("size", "stored"), [((28, 28), None), ((28, 28), (28, 28)), ((28, 28), [28, 28]), (None, None)]
)
def test_a_crop_out_of_images_that_are_not_larger_would_do_nothing(size, stored):
    with pytest.raises(InputError) as caught:
        check_size(parse_pipeline("flip | random-crop"), size, stored)
    assert str(caught.value) == (
        "random-crop: the crop would do nothing: give the data set a stored_size larger than its "
        "image_size"
    )
    check_size(parse_pipeline("random-resized-crop"), size, stored)  # this one does something


def test_a_crop_out_of_images_that_are_larger_on_one_side_is_allowed():
    check_size(parse_pipeline("random-crop"), (28, 28), (28, 29))


def test_pipelines_that_crop_are_known():
    assert crops(parse_pipeline("flip | random-crop | cutmix"))
    assert crops(parse_pipeline("random-resized-crop"))
    assert not crops(parse_pipeline("flip | crop(4)"))


@pytest.mark.parametrize(
    ("text", "idle"),
    [
        ("flip(0)", True),
        ("flip", False),
        ("crop(0)", True),
        ("crop(4, probability=0)", True),
        ("crop(4)", False),
        ("contrast(1, 1)", True),
        ("contrast(0.5, 1)", False),
        ("translation(0, 0)", True),
        ("translation(0, 0.1)", False),
        ("label-smoothing(0)", True),
        ("label-smoothing", False),
        ("cutmix(probability=0)", True),
        ("clip", False),
    ],
)
def test_steps_that_change_nothing_are_known(text, idle):
    assert [changes_nothing(step) for step in parse_pipeline(text)] == [idle]


def test_only_cutmix_and_mixup_mix_labels():
    assert {name for name, step in STEPS.items() if step.mixes_labels} == {
        "cutmix",
        "mixup",
        "cutmix-or-mixup",
    }
    assert not mixes_labels(parse_pipeline("label-smoothing"))  # soft, but of one image
    assert mixes_labels(parse_pipeline("flip | cutmix"))
    assert mixes_labels(parse_pipeline("mixup"))
    assert not mixes_labels(parse_pipeline("notebook2-augmentation | crop(4) | clip"))
    assert not mixes_labels([])


def test_steps_describe_themselves_completely():
    infos = {info.name: info for info in describe_steps()}
    assert list(infos) == list(STEPS)
    assert all(info.summary and info.source for info in infos.values())
    assert all(p.description and p.allowed for i in infos.values() for p in i.parameters)
    padding, fill, chance = infos["crop"].parameters
    assert (chance.name, chance.allowed, chance.default) == (
        "probability",
        "a number from 0 to 1",
        "1",
    )
    sure = {
        name
        for name, info in infos.items()
        if "probability" not in {p.name for p in info.parameters}
    }
    assert sure == {"clip", "random-crop", "random-resized-crop", "label-smoothing"}
    assert (padding.name, padding.allowed, padding.default) == (
        "padding",
        "a whole number from 0 to 128",
        None,
    )
    assert (fill.allowed, fill.default) == ("zero or reflect", "zero")
    assert infos["mixup"].parameters[0].default == "0.2"


def test_reading_pipelines_needs_nothing_slow():
    code = (
        "import sys, ablation.study.pipelines\n"
        "slow = {'tensorflow', 'keras', 'numpy', 'scipy', 'pandas'} & set(sys.modules)\n"
        "sys.exit(str(slow) if slow else 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
