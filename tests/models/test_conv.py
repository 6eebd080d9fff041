"""Convolutions against TensorFlow's: equal outputs and gradients, on maps of every size."""

from functools import partial
from itertools import product

import keras
import numpy as np
import pytest
import tensorflow as tf

from ablation.models.conv import Convolution

SIZES = [(1, 1), (2, 2), (1, 2), (2, 1), (3, 3), (4, 2), (7, 7), (8, 8), (9, 5)]


def reference(images, kernel, stride, *, symmetric):
    """TensorFlow's convolution of padded images, with a bias of one."""
    if not symmetric:
        return 1 + tf.nn.conv2d(images, kernel, stride, "SAME")
    edge = [kernel.shape[0] // 2] * 2
    padded = tf.pad(images, [[0, 0], edge, edge, [0, 0]])
    return 1 + tf.nn.conv2d(padded, kernel, stride, "VALID")


def convolved(layer, images, kernel):
    """The layer's output for a kernel given as a tensor."""
    with keras.StatelessScope([(layer.kernel, kernel)]):
        return layer(images)


def outputs_and_gradients(function, images, kernel):
    with tf.GradientTape() as tape:
        tape.watch([images, kernel])
        outputs = function(images, kernel)
        weights = tf.reshape(tf.range(tf.size(outputs), dtype=tf.float32), outputs.shape)
        loss = tf.reduce_sum(tf.sin(weights) * tf.cast(outputs, tf.float32))
    return [outputs, *tape.gradient(loss, [images, kernel])]


@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("size", [1, 3, 5])
def test_outputs_and_gradients_are_those_of_tensorflow(size, shape):
    random = np.random.default_rng(0)
    images = tf.constant(random.normal(size=(2, *shape, 3)), tf.float32)
    kernel = tf.constant(random.normal(size=(size, size, 3, 4)), tf.float32)
    for stride, symmetric in product([1, 2, 3], [True, False]):
        layer = Convolution(4, size, stride, symmetric=symmetric, bias_initializer="ones")
        layer.build(images.shape)
        found = outputs_and_gradients(partial(convolved, layer), images, kernel)
        expected = outputs_and_gradients(
            partial(reference, stride=stride, symmetric=symmetric), images, kernel
        )
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4, err_msg=str(layer.strides))
        assert layer.compute_output_shape(images.shape) == tuple(found[0].shape)


@pytest.mark.parametrize(
    ("size", "stride", "pixels", "products"),
    [
        (3, 1, 2, 1),
        (3, 2, 2, 1),
        (3, 1, 1, 1),
        (1, 1, 7, 1),
        (1, 2, 14, 1),
        (1, 1, 8, 0),
        (3, 1, 3, 0),
    ],
)
def test_small_maps_are_matrix_products(size, stride, pixels, products):
    layer = Convolution(4, size, stride)
    layer.build((None, pixels, pixels, 3))
    graph = (
        tf.function(layer.__call__)
        .get_concrete_function(tf.TensorSpec((None, pixels, pixels, 3)))
        .graph
    )
    kinds = [operation.type for operation in graph.get_operations()]
    assert (kinds.count("MatMul"), kinds.count("Conv2D")) == (products, 1 - products)


def test_a_mixed_policy_computes_in_bfloat16():
    layer = Convolution(4, 3, dtype="mixed_bfloat16")
    assert layer(np.ones((1, 2, 2, 3), "float32")).dtype == tf.bfloat16
    assert layer.kernel.dtype == "float32"


def test_a_layer_comes_back_from_its_config():
    layer = Convolution(4, 3, 2, symmetric=True, use_bias=False)
    copy = Convolution.from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    assert copy.symmetric and copy.strides == (2, 2) and not copy.use_bias
