import keras
import numpy as np
import pytest

from ablation.training.optimizer import Schedule, make_optimizer, make_schedule
from ablation.training.settings import Training


def settings(**changes):
    return Training(epochs=10, **changes)


def test_a_constant_rate():
    schedule = make_schedule(settings(learning_rate=0.3), 7)
    assert {schedule.at(step) for step in range(70)} == {0.3}


def test_a_rate_that_falls_in_steps():
    schedule = make_schedule(settings(schedule="step", step_at=[0.5, 0.75]), 100)
    assert [schedule.at(s) for s in (0, 499, 500, 749, 750, 999)] == pytest.approx(
        [0.1, 0.1, 0.01, 0.01, 0.001, 0.001]
    )


def test_a_cosine_with_warm_up():
    schedule = make_schedule(settings(schedule="cosine", warmup_epochs=1.0), 10)
    assert schedule.at(0) == pytest.approx(0.01)
    assert schedule.at(9) == pytest.approx(0.1)
    assert schedule.at(10) == pytest.approx(0.1)
    assert schedule.at(55) == pytest.approx(0.05)
    assert schedule.at(99) == pytest.approx(0.1 / 2 * (1 + np.cos(np.pi * 89 / 90)))


def test_the_graph_sees_the_same_rates():
    schedule = Schedule("cosine", 0.1, 50, 5)
    assert [float(schedule(s)) for s in range(50)] == [
        float(np.float32(schedule.at(s))) for s in range(50)
    ]
    assert float(schedule(10_000)) == float(schedule(49))


def step_by_hand(w, g, v, t, decay, norm):
    """One step as the formulas have it, in double precision."""
    if t.clip_norm is not None and norm > t.clip_norm:
        g = g * t.clip_norm / norm
    if t.weight_decay_kind == "coupled":
        g = g + decay * w
    else:
        w = w - t.learning_rate * decay * w
    v = t.momentum * v - t.learning_rate * g
    return (w + t.momentum * v - t.learning_rate * g if t.nesterov else w + v), v


@pytest.mark.parametrize(
    "changes",
    [
        {"momentum": 0.0},
        {},
        {"nesterov": True},
        {"weight_decay": 0.01, "weight_decay_on": "all"},
        {"weight_decay": 0.01},
        {"weight_decay": 0.01, "weight_decay_kind": "decoupled"},
        {"clip_norm": 0.5, "weight_decay": 0.01},
        {"clip_norm": 0.5, "clip_scope": "global"},
    ],
)
def test_steps_follow_the_formulas(changes):
    training = settings(**changes)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    random = np.random.RandomState(0)
    weights = [random.normal(size=v.shape) for v in model.trainable_variables]
    for variable, value in zip(model.trainable_variables, weights, strict=True):
        variable.assign(value)
    optimizer = make_optimizer(training, make_schedule(training, 10), model)
    optimizer.build(model.trainable_variables)
    momenta = [np.zeros_like(w) for w in weights]
    for _ in range(3):
        gradients = [random.normal(size=w.shape) for w in weights]
        optimizer.apply([g.astype(np.float32) for g in gradients], model.trainable_variables)
        norms = [np.sqrt((g**2).sum()) for g in gradients]
        if training.clip_scope == "global":
            norms = [np.sqrt(sum(norm**2 for norm in norms))] * 2
        for i, name in enumerate(("kernel", "bias")):
            decays = name == "kernel" or training.weight_decay_on == "all"
            decay = training.weight_decay if decays else 0.0
            weights[i], momenta[i] = step_by_hand(
                weights[i], gradients[i], momenta[i], training, decay, norms[i]
            )
    for variable, value in zip(model.trainable_variables, weights, strict=True):
        np.testing.assert_allclose(variable.numpy(), value, rtol=1e-5, atol=1e-6)


def test_decay_of_kernels_takes_those_of_every_convolution():
    image = keras.Input((4, 4, 2))
    x = keras.layers.DepthwiseConv2D(1, name="depthwise")(image)
    x = keras.layers.SeparableConv2D(2, 1, name="separable")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    model = keras.Model(image, x)
    training = settings(weight_decay=0.5)
    optimizer = make_optimizer(training, make_schedule(training, 10), model)
    optimizer.build(model.trainable_variables)
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape))
    optimizer.apply([np.zeros(v.shape, "float32") for v in model.trainable_variables])
    decayed = {v.path for v in model.trainable_variables if float(np.max(v)) < 1}
    assert decayed == {
        "depthwise/kernel",
        "separable/depthwise_kernel",
        "separable/pointwise_kernel",
    }
