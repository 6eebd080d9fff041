"""The fused batch norm against Keras' own and against the formula."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from ablation.models.norm import FusedBatchNormalization

from ..conftest import needs_bfloat16

SETTINGS = {"momentum": 0.8, "epsilon": 1e-3}
SHAPE = (4, 3, 5, 6)


def _pair(dtype="float32"):
    """Return the fused layer and Keras' own with the same, uneven weights."""
    rng = np.random.default_rng(1)
    layers = [
        cls(dtype=dtype, **SETTINGS)
        for cls in (FusedBatchNormalization, keras.layers.BatchNormalization)
    ]
    for layer in layers:
        layer.build((None, *SHAPE[1:]))
    weights = [rng.uniform(0.5, 1.5, w.shape) for w in layers[0].weights]
    for layer in layers:
        layer.set_weights(weights)
    return layers


def _images(seed=0):
    return np.random.default_rng(seed).normal(2.0, 3.0, SHAPE).astype("float32")


def test_weights_come_in_keras_order():
    fused, stock = _pair()
    assert [w.name for w in fused.weights] == [w.name for w in stock.weights]
    assert [w.name for w in fused.weights] == ["gamma", "beta", "moving_mean", "moving_variance"]


@pytest.mark.parametrize("training", [False, True])
def test_outputs_and_gradients_equal_keras(training):
    x = tf.constant(_images())
    towards = tf.constant(_images(7))
    outputs, gradients = [], []
    for layer in _pair():
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x, training=training)
            loss = tf.reduce_sum(y * towards)
        sources = [x, *(w.value for w in layer.trainable_weights)]
        outputs.append(y.numpy())
        gradients.append([g.numpy() for g in tape.gradient(loss, sources)])
    np.testing.assert_allclose(outputs[0], outputs[1], rtol=1e-4, atol=1e-5)
    assert len(gradients[0]) == len(gradients[1]) == 3
    for ours, theirs in zip(*gradients, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


def test_small_epsilon_is_taken_as_it_is():
    layer = FusedBatchNormalization(epsilon=1e-5)
    x = 1e-3 * _images()
    y = layer(x, training=True).numpy()
    expected = (x - x.mean((0, 1, 2))) / np.sqrt(x.var((0, 1, 2)) + 1e-5)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


def test_moving_averages():
    fused, stock = _pair()
    _, _, mean, variance = fused.get_weights()
    for seed in (0, 1):
        x = _images(seed)
        fused(x, training=True)
        stock(x, training=True)
        n = x.size / SHAPE[-1]
        mean = 0.8 * mean + 0.2 * x.mean((0, 1, 2))
        variance = 0.8 * variance + 0.2 * x.var((0, 1, 2)) * n / (n - 1)
    np.testing.assert_allclose(fused.moving_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(fused.moving_mean, stock.moving_mean, rtol=1e-5)
    np.testing.assert_allclose(fused.moving_variance, variance, rtol=1e-5)
    # Keras averages the biased estimate: the documented difference, and no other.
    assert np.all(np.asarray(fused.moving_variance) > np.asarray(stock.moving_variance))


def test_inference_and_frozen_layers_move_nothing():
    fused, stock = _pair()
    before = fused.get_weights()
    fused(_images(), training=False)
    fused.trainable = stock.trainable = False
    x = _images()
    np.testing.assert_allclose(
        fused(x, training=True), stock(x, training=True), rtol=1e-4, atol=1e-5
    )
    for now, then in zip(fused.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


@needs_bfloat16
def test_bfloat16_keeps_statistics_in_float32():
    fused, stock = _pair("mixed_bfloat16")
    exact, _ = _pair()
    x = tf.cast(_images(), tf.bfloat16)
    for training in (False, True):
        y = fused(x, training=training)
        assert y.dtype == tf.bfloat16
        reference = stock(x, training=training)
        np.testing.assert_allclose(
            tf.cast(y, tf.float32), tf.cast(reference, tf.float32), rtol=0.02, atol=0.02
        )
    exact(tf.cast(x, tf.float32), training=True)
    assert {w.dtype for w in fused.weights} == {"float32"}
    np.testing.assert_allclose(fused.moving_mean, exact.moving_mean, rtol=1e-4)
    np.testing.assert_allclose(fused.moving_variance, exact.moving_variance, rtol=1e-4)


def test_runs_the_fused_kernel_in_a_graph():
    fused, stock = _pair()

    def kernels(layer):
        step = tf.function(lambda x: layer(x, training=True))
        graph = step.get_concrete_function(tf.TensorSpec(SHAPE)).graph
        return {op.type for op in graph.get_operations()}

    assert "FusedBatchNormV3" in kernels(fused)
    assert "FusedBatchNormV3" not in kernels(stock)


def test_features_of_another_rank_are_left_to_keras():
    x = _images().reshape(-1, SHAPE[-1])
    layer = FusedBatchNormalization(**SETTINGS)
    reference = keras.layers.BatchNormalization(**SETTINGS)
    np.testing.assert_array_equal(layer(x, training=True), reference(x, training=True))
