"""Fused kernels against Keras' own updates."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae.engine import strategies
from keras_vae.engine.optimizers import fused_updates

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


def trained(optimizer, dtype="float32", fused=False):
    """Returns the weights and the optimizer's state after some steps."""
    weights = variables(dtype)
    optimizer.build(weights)
    step = tf.function(optimizer.apply)
    with fused_updates([optimizer] if fused else []):
        for grads in gradients(dtype):
            step(grads)
    return [w.numpy() for w in [*weights, *optimizer.variables]]


def kernels(optimizer, gradient):
    """Returns the operations in the graph of one step on one variable."""
    weight = keras.Variable(np.ones((3,)), dtype=gradient.dtype.name)
    optimizer.build([weight])
    graph = tf.function(lambda: optimizer.apply([gradient])).get_concrete_function()
    definition = graph.graph.as_graph_def()
    bodies = [definition.node, *(f.node_def for f in definition.library.function)]
    return {node.op for body in bodies for node in body}


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


OWN = [
    (keras.optimizers.Adam, {}),
    (keras.optimizers.Adam, {"clipnorm": 0.5, "weight_decay": 0.1, "use_ema": True}),
    (keras.optimizers.Adam, {"gradient_accumulation_steps": 3, "amsgrad": True}),
    (keras.optimizers.AdamW, {"weight_decay": 0.1, "global_clipnorm": 1.0}),
    (keras.optimizers.SGD, {}),
    (keras.optimizers.SGD, {"momentum": 0.9}),
    (keras.optimizers.SGD, {"momentum": 0.9, "nesterov": True}),
]


@pytest.mark.parametrize(("kind", "options"), OWN)
def test_keras_own_optimizers_are_fused_with_the_same_result(kind, options):
    rate = keras.optimizers.schedules.ExponentialDecay(0.01, 5, 0.5)
    found = trained(kind(rate, **options), fused=True)
    expected = trained(kind(rate, **options))
    assert len(found) == len(expected)
    for mine, reference in zip(found, expected, strict=True):
        np.testing.assert_allclose(mine, reference, rtol=2e-5, atol=1e-7)


def test_keras_own_optimizers_are_fused_where_the_kernel_holds_and_nowhere_else():
    class Subclass(keras.optimizers.Adam):
        pass

    def fused(optimizer, gradient=None):
        found = []
        for within in ([optimizer], []):
            with fused_updates(within):
                gradient = tf.ones((3,)) if gradient is None else gradient
                used = kernels(optimizer, gradient)
            found.append(any(name.startswith("ResourceApply") for name in used))
        assert not found[1], "it stays fused"
        return found[0]

    adam, sgd = keras.optimizers.Adam, keras.optimizers.SGD
    assert fused(adam()) and fused(keras.optimizers.AdamW())
    assert fused(sgd()) and fused(sgd(momentum=0.9))
    assert fused(keras.optimizers.LossScaleOptimizer(adam()))
    assert not fused(adam(amsgrad=True))
    assert not fused(adam(), tf.ones((3,), tf.float64))
    assert not fused(keras.optimizers.RMSprop())
    assert not fused(Subclass())


def vae(optimizer):
    keras.utils.set_random_seed(0)
    model = keras_vae.VAE(2, (4, 4, 1), seed=0)
    model.compile(optimizer)
    return model


def fitted(optimizer, x):
    model = vae(optimizer)
    model.fit(x, batch_size=4, epochs=2, verbose=0)
    return model


@pytest.mark.slow
def test_an_optimizer_of_the_user_trains_fused_and_stays_as_it_was(tmp_path):
    x = np.random.default_rng(0).random((10, 4, 4, 1), np.float32)
    optimizer = keras.optimizers.Adam(0.01)
    names = set(vars(optimizer))
    config = keras.saving.serialize_keras_object(optimizer)
    model = fitted(optimizer, x)
    assert model.optimizer is optimizer and type(optimizer) is keras.optimizers.Adam
    assert int(optimizer.iterations.numpy()) == 6
    assert keras.saving.serialize_keras_object(optimizer) == config
    added = set(vars(optimizer)) - names
    assert "update_step" not in added
    # The same kernel gives the same bits.
    for mine, fused in zip(
        model.get_weights(), fitted(keras_vae.Adam(0.01), x).get_weights(), strict=True
    ):
        np.testing.assert_array_equal(mine, fused)
    model.save(tmp_path / "model.keras")
    loaded = keras_vae.load_model(tmp_path / "model.keras")
    assert type(loaded.optimizer) is keras.optimizers.Adam
    for each in (model, loaded):
        each.fit(x, batch_size=4, verbose=0)
    for mine, other in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_an_optimizer_is_as_it_was_after_an_error():
    optimizer = keras.optimizers.Adam(0.01)
    with pytest.raises(KeyError), fused_updates([optimizer]):
        raise KeyError("of a step")
    assert "update_step" not in vars(optimizer)


@pytest.mark.parametrize("kind", [keras_vae.Adam, keras.optimizers.Adam])
@pytest.mark.parametrize("replicas", [2, 4])
def test_replicas_sum_their_gradients_and_stay_equal(replicas, kind):
    strategy = strategies.mirrored(replicas)
    with strategy.scope():
        weights = variables()
        optimizer = kind(0.01)
        optimizer.build(weights)

    @tf.function
    def step(grads):
        with fused_updates([optimizer]):
            strategy.run(lambda: optimizer.apply([g / replicas for g in grads]))

    for grads in gradients():
        step(grads)
    expected = trained(kind(0.01))
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
