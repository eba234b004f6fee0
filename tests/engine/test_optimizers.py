"""The fused Adam against Keras' own."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae.engine import strategies

STEPS = 20
SHAPES = [(3, 4), (4,), ()]


def gradients(dtype="float32"):
    """Returns a list of gradients for each step, of very different sizes."""
    rng = np.random.default_rng(0)
    return [
        [tf.constant(10.0 ** (1 - 3 * i) * rng.normal(size=shape), dtype)
         for i, shape in enumerate(SHAPES)]
        for _ in range(STEPS)
    ]  # fmt: skip


def variables(dtype="float32"):
    return [
        keras.Variable(np.full(shape, 0.5), dtype=dtype, name=f"v{i}")
        for i, shape in enumerate(SHAPES)
    ]


def trained(optimizer, dtype="float32"):
    """Returns the weights and the optimizer's state after some steps."""
    weights = variables(dtype)
    optimizer.build(weights)
    step = tf.function(optimizer.apply)
    for grads in gradients(dtype):
        step(grads)
    return [w.numpy() for w in [*weights, *optimizer.variables]]


def kernels(optimizer, gradient):
    """Returns the operations in the graph of one step on one variable."""
    weight = keras.Variable(np.ones((3,)), dtype=gradient.dtype.name)
    optimizer.build([weight])
    graph = tf.function(lambda: optimizer.apply([gradient])).get_concrete_function()
    return {op.type for op in graph.graph.get_operations()}


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"learning_rate": 0.1, "beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3},
        {"learning_rate": keras.optimizers.schedules.ExponentialDecay(0.1, 5, 0.5)},
        {"weight_decay": 0.1, "clipnorm": 0.5},
        {"use_ema": True, "ema_momentum": 0.9, "global_clipnorm": 1.0},
        {"gradient_accumulation_steps": 3},
        {"amsgrad": True},
    ],
    ids=lambda options: "-".join(options) or "defaults",
)
def test_it_equals_keras_adam_to_rounding(options):
    ours = trained(keras_vae.Adam(**options))
    theirs = trained(keras.optimizers.Adam(**options))
    assert len(ours) == len(theirs)
    for mine, reference in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, reference, rtol=2e-5, atol=1e-7)


def test_it_moves_the_weights():
    start = [v.numpy() for v in variables()]
    for before, after in zip(start, trained(keras_vae.Adam(0.01)), strict=False):
        # Each step of Adam is at most about the learning rate long.
        moved = np.abs(after - before)
        assert 0 < moved.max() < STEPS * 0.01 * 1.5


def test_it_equals_keras_adam_in_float64():
    ours = trained(keras_vae.Adam(), "float64")
    theirs = trained(keras.optimizers.Adam(), "float64")
    for mine, reference in zip(ours, theirs, strict=True):
        assert mine.dtype == reference.dtype
        np.testing.assert_array_equal(mine, reference)


def test_it_equals_keras_adam_on_sparse_gradients():
    results = []
    for kind in (keras_vae.Adam, keras.optimizers.Adam):
        weight = keras.Variable(np.ones((4, 2), np.float32))
        optimizer = kind(0.1)
        optimizer.build([weight])
        rows = tf.IndexedSlices(tf.ones((2, 2)), tf.constant([0, 2]), (4, 2))
        for _ in range(3):
            optimizer.apply([rows])
        results.append(weight.numpy())
    np.testing.assert_array_equal(*results)


def test_the_fused_kernel_is_used_where_it_holds():
    fused = "ResourceApplyAdam"
    gradient = tf.ones((3,))
    assert fused in kernels(keras_vae.Adam(), gradient)
    assert fused not in kernels(keras_vae.Adam(amsgrad=True), gradient)
    assert fused not in kernels(keras_vae.Adam(), tf.ones((3,), tf.float64))


@pytest.mark.parametrize("replicas", [2, 4])
def test_replicas_sum_their_gradients_and_stay_equal(replicas):
    strategy = strategies.mirrored(replicas)
    with strategy.scope():
        weights = variables()
        optimizer = keras_vae.Adam(0.01)
        optimizer.build(weights)

    @tf.function
    def step(grads):
        strategy.run(lambda: optimizer.apply([g / replicas for g in grads]))

    for grads in gradients():
        step(grads)
    expected = trained(keras_vae.Adam(0.01))
    for weight, reference in zip(weights, expected, strict=False):
        copies = strategy.experimental_local_results(weight.value)
        assert len(copies) == replicas
        for copy in copies:
            np.testing.assert_allclose(copy.numpy(), reference, rtol=2e-5, atol=1e-7)


def test_it_is_restored_from_its_config():
    optimizer = keras_vae.Adam(0.02, beta_1=0.8)
    config = keras.saving.serialize_keras_object(optimizer)
    again = keras.saving.deserialize_keras_object(config)
    assert type(again) is keras_vae.Adam
    assert again.get_config() == optimizer.get_config()
