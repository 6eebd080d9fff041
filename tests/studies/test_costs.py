"""The costs in the comments of the studies, compared with computed ones."""

import re
from functools import cache
from itertools import pairwise

import pytest

from ablation.data.expected import images_prepared
from ablation.data.sources.tfds import in_table as known
from ablation.models.build import build
from ablation.models.cost import multiply_adds
from ablation.study.plan import load_plan
from ablation.study.schema import Config

from ..conftest import ROOT
from .test_studies import STUDIES

# The notebooks' GPU: 207 ms for 16 images of 224 pixels through keras.applications' ResNet-50,
# whose forward pass is 3.858 G multiply-adds; training takes three times the forward pass.
OPERATIONS_A_SECOND = 16 / 0.207 * 3.858e9 * 2 * 3


SIDE = 32  # pixels; the sides of all images are multiples of it
IRRELEVANT = {
    "weights": None, "bias": False, "initializer": "glorot_uniform", "norm_momentum": 0.9,
    "norm_epsilon": 1e-5, "padding": "same", "scaling": "unit",
}  # fmt: skip


@cache
def on_a_small_image(network):
    return multiply_adds(build(network, (SIDE, SIDE, 3), 10))


def forward(network, shape):
    """Multiply-adds of one image, which grow with its pixels but for those of the small head."""
    height, width = shape
    assert height % SIDE == width % SIDE == 0
    small = on_a_small_image(network.model_copy(update=IRRELEVANT))
    return small * height * width / SIDE**2


def operations(run):
    """Floating-point operations of a run's training."""
    data, training = run.settings.dataset, run.settings.training
    shape = data.image_size or known(data.source).shape[:2]
    of_source = known(data.source)
    images = of_source.images - (of_source.test or of_source.images * data.test_share)
    images *= data.train_share
    if run.settings.validation == "held-out":
        images *= 1 - data.held_out
    one = 3 * 2 * forward(run.settings.model, shape)
    return one * images * training.epochs


def gigabytes_prepared(data):
    source = known(data.settings.source)
    size = data.settings.stored_size or data.settings.image_size or source.size
    images = images_prepared(data.settings, source.images, source.test)
    return images * size[0] * size[1] * 3 / 1e9


@pytest.fixture(scope="module")
def counted():
    """What each study costs: runs, hours, gigabytes to fetch, gigabytes prepared."""
    costs = {}
    for name in STUDIES:
        plan = load_plan(Config(study=name))
        sources = {data.settings.source for data in plan.data.values()}
        costs[name] = {
            "runs": len(plan.runs),
            "hours": sum(map(operations, plan.runs.values())) / OPERATIONS_A_SECOND / 3600,
            "fetched": sum(known(source).download for source in sources) / 1e9,
            "prepared": sum(map(gigabytes_prepared, plan.data.values())),
        }
    return costs


def head(name):
    lines = (ROOT / f"config/studies/{name}.yaml").read_text().splitlines()
    comment = [line.removeprefix("#").strip() for line in lines if line.startswith("#")]
    return " ".join(comment)


def number(pattern, text):
    found = re.search(pattern, text)
    assert found, f"no {pattern!r} in: {text}"
    return float(found[1].replace(",", ""))


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_the_head_tells_what_the_study_costs(counted, name):
    text = head(name)
    assert "It should show" in text or name == "notebooks"
    costs = text[text.index("Costs:") :]
    assert number(r"([\d,]+) runs", costs) == counted[name]["runs"]
    if name == "mixup":
        assert "data as for the study cutmix" in costs
    else:
        assert number(r"([\d.]+) GB of downloads", costs) == pytest.approx(
            counted[name]["fetched"], rel=0.1, abs=0.05
        )
        assert number(r"([\d.]+) GB prepared", costs) == pytest.approx(
            counted[name]["prepared"], rel=0.1, abs=0.05
        )
    assert number(r"about ([\d.,]+) GPU hours", costs) == pytest.approx(
        counted[name]["hours"], rel=0.1
    )


@pytest.mark.slow
def test_training_longer_costs_more(counted):
    assert all(
        counted[small]["hours"] < counted[large]["hours"]
        for small, large in pairwise(["cutmix", "notebooks", "notebooks-sound"])
    )
