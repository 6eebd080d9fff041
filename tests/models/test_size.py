"""The size of a network without TensorFlow against the network that Keras builds."""

import math

import keras
import pytest

from ablation.models.build import build
from ablation.models.conv import Convolution
from ablation.models.families import ARCHITECTURES, FAMILIES, resolve_network

OPTIONS = [
    ("resnet50", {"stem": "cifar", "stride_on": "first", "projection": "3x3", "bias": True}),
    ("resnet18", {"width": 5, "projection": "pad", "padding": "same"}),
    ("resnet8", {"width": 3, "stem": "imagenet", "projection": "1x1"}),
]
NARROW = [(name, {"width": 4, "weights": "none"}) for name in ARCHITECTURES]  # faster to build


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), [*NARROW, *OPTIONS])
def test_a_size_is_that_of_the_layers(name, options):
    settings, shape = resolve_network(name, options), (33, 20, 3)
    found = FAMILIES[settings.family].size(settings, shape, 7)
    keras.utils.clear_session()
    model = build(settings, shape, 7)
    outputs = [
        math.prod(layer.output.shape[1:])
        for layer in model.layers
        if isinstance(layer, Convolution | keras.layers.Activation)
    ]
    assert found.weights == model.count_params()
    assert (found.activations, found.largest) == (sum(outputs), max(outputs))
