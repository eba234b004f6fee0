import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae import networks
from keras_vae.engine.divergence import Diverged


def slow(value):
    """A case that `make test` leaves out."""
    return pytest.param(value, marks=pytest.mark.slow)


SHAPE = (4,)
X = np.random.default_rng(0).normal(size=(40, *SHAPE)).astype(np.float32)
AT = 5  # steps that are sound


class Failing(keras_vae.VAE):
    """A VAE one of whose terms is not finite once `AT` steps are made."""

    where, value = "nothing", math.nan

    def bad(self, sound):
        return tf.where(self.step >= AT, self.value, sound)

    def reconstruction_loss(self, *args, **kwargs):
        loss = super().reconstruction_loss(*args, **kwargs)
        return loss * self.bad(1.0) if self.where == "reconstruction" else loss

    def sample_latent(self, *args, **kwargs):
        latent = super().sample_latent(*args, **kwargs)
        if self.where == "KL":
            latent = latent._replace(kl=latent.kl * self.bad(1.0))
        return latent

    def latent_penalty(self, latent):
        penalty = super().latent_penalty(latent)
        if self.where != "gradient":
            return penalty

        @tf.custom_gradient
        def same(value):
            return value, lambda upstream: upstream * self.bad(1.0)

        return same(penalty)


def model(where, value=math.nan, **options):
    vae = Failing(
        2,
        SHAPE,
        encoder=networks.mlp_encoder(SHAPE, 2, hidden_units=(8,)),
        decoder=networks.mlp_decoder(2, SHAPE, hidden_units=(8,)),
        likelihood="gaussian_fixed",
        seed=0,
    )
    vae.where, vae.value = where, value
    vae.compile(**options)
    return vae


def diverge(vae):
    """Trains into the failure; returns it and the weights of the step before."""
    seen = {}

    class Keep(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen[int(self.model.step.numpy())] = self.model.get_weights()

    with pytest.raises(Diverged) as caught:
        vae.fit(X, epochs=3, batch_size=10, verbose=0, callbacks=[Keep()])
    return caught.value, seen


@pytest.mark.parametrize(
    ("where", "value"),
    [
        *[(where, math.nan) for where in ("reconstruction", "KL", "gradient")],
        pytest.param("KL", math.inf, marks=pytest.mark.slow),
    ],
)
def test_the_step_and_the_term_are_named_and_the_weights_are_those_before(where, value):
    vae = model(where, value, steps_per_execution=1)
    error, seen = diverge(vae)
    assert (error.step, error.term) == (AT + 1, where)
    assert f"step {AT + 1} gave numbers that are not finite ({where})" in str(error)
    assert f"weights of step {AT}" in str(error)
    assert "clipnorm" in str(error)
    assert int(vae.step.numpy()) == int(vae.optimizer.iterations.numpy()) == AT
    for now, then in zip(vae.get_weights(), seen[AT], strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"steps_per_execution": 12},
        {"run_eagerly": True},
        {"optimizer": {"class_name": "SGD", "config": {"learning_rate": 1e-5}}},
        slow({"jit_compile": True}),
    ],
)
def test_however_steps_are_run(options):
    vae = model("gradient", **options)
    error, _ = diverge(vae)
    assert error.step == AT + 1
    assert all(np.isfinite(weight).all() for weight in vae.get_weights())
    assert all(np.isfinite(v.numpy()).all() for v in vae.optimizer.variables)


@pytest.mark.slow
def test_a_sound_training_goes_to_its_end():
    vae = model("nothing")
    history = vae.fit(X, epochs=3, batch_size=10, verbose=0).history
    assert int(vae.step.numpy()) == 12
    assert np.isfinite(history["loss"]).all()


def group_lasso(kernel):
    """Its gradient is not a number in rows that are 0, while its value is."""
    return 1e-3 * tf.reduce_sum(tf.sqrt(tf.reduce_sum(tf.square(kernel), axis=1)))


@tf.custom_gradient
def spoil_one_row(x):
    """Makes row 7 of the gradient not a number."""
    rows = tf.one_hot(7, tf.shape(x)[0], on_value=math.nan, off_value=1.0)
    return x, lambda upstream: upstream * rows[:, tf.newaxis]


class SpoiledDense(keras.layers.Dense):
    """Row 7 of its kernel's gradient is not a number."""

    def call(self, x):
        return x @ spoil_one_row(tf.convert_to_tensor(self.kernel)) + self.bias


class SpoiledEmbedding(keras.layers.Embedding):
    """The gradient is of the type `tf.IndexedSlices`, and one row is not a number."""

    def call(self, indices):
        rows = tf.nn.embedding_lookup(self.embeddings, tf.reshape(indices, [-1]))
        return tf.reshape(spoil_one_row(rows), [-1, *indices.shape[1:], 4])


def spoiled(kind, h):
    """Adds a layer one row of whose gradient is not a number."""
    if kind == "dense":
        return SpoiledDense(128)(h)
    if kind == "regularizer":
        layer = keras.layers.Dense(128, kernel_regularizer=group_lasso)
        y = layer(h)
        layer.kernel.assign(layer.kernel * (np.arange(64) != 7)[:, np.newaxis])
        return y
    places = keras.layers.Lambda(lambda h: tf.cast(tf.abs(h[:, :4]) * 2, tf.int32) % 9)
    y = SpoiledEmbedding(9, 4)(places(h))
    return keras.layers.Concatenate()([h, keras.layers.Flatten()(y)])


@pytest.mark.parametrize("optimizer", ["adam", *map(slow, ["sgd", "mixed_float16"])])
@pytest.mark.parametrize("kind", ["dense", "regularizer", "embedding"])
def test_one_row_that_is_not_finite_reaches_no_weight(kind, optimizer):
    inputs = keras.Input(SHAPE)
    h = spoiled(kind, keras.layers.Dense(64)(inputs))
    heads = [keras.layers.Dense(2)(h) for _ in range(2)]
    encoder = keras.Model(inputs, heads)
    vae = keras_vae.VAE(2, SHAPE, encoder=encoder, likelihood="gaussian_fixed", seed=0)
    if optimizer == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(keras_vae.Adam())
    vae.compile(optimizer)
    vae.ensure_built()
    before = vae.get_weights()
    with pytest.raises(Diverged, match="gradient"):
        vae.fit(X, epochs=50, batch_size=20, verbose=0)
    changed = [
        v.path
        for v, then in zip(vae.weights, before, strict=True)
        if v is not vae.step and not np.array_equal(v.numpy(), then)
    ]
    assert changed == []


@pytest.mark.slow
def test_the_averages_of_batch_normalisation_are_those_before():
    vae = keras_vae.VAE(
        2,
        SHAPE,
        encoder=networks.mlp_encoder(
            SHAPE, 2, hidden_units=(8,), normalization="batch"
        ),
        likelihood="gaussian_fixed",
        seed=0,
    )
    vae.compile()
    vae.fit(X, batch_size=10, verbose=0)
    before = vae.get_weights()
    data = tf.data.Dataset.from_tensors(X[:10] * math.inf)
    with pytest.raises((Diverged, ValueError)):
        vae.fit(data, verbose=0)
    for now, then in zip(vae.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.slow
@pytest.mark.parametrize("which", ["model", "discriminator"])
def test_of_two_optimizers_none_makes_a_step_that_the_other_cannot(which):
    class Failing(keras_vae.FactorVAE):
        def latent_penalty(self, latent):
            kernel = (
                self.encoder if which == "model" else self.discriminator
            ).trainable_weights[0]
            return super().latent_penalty(latent) + group_lasso(kernel)

        def other_updates(self, output, part):
            loss, (gradients,) = super().other_updates(output, part)
            if which == "discriminator":
                gradients = [gradient * math.nan for gradient in gradients]
            return loss, [gradients]

    vae = Failing(2, SHAPE, likelihood="gaussian_fixed", discriminator_units=(8,))
    vae.compile()
    vae.ensure_built()
    kernel = vae.encoder.trainable_weights[0]
    kernel.assign(kernel * 0 if which == "model" else kernel)
    before = vae.get_weights()
    with pytest.raises(Diverged):
        vae.fit(X, verbose=0)
    for now, then in zip(vae.get_weights(), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.slow
def test_scaled_gradients_that_overflow_only_lower_the_scale():
    optimizer = keras.optimizers.LossScaleOptimizer(
        keras_vae.Adam(), initial_scale=2.0**126
    )
    vae = model("nothing", optimizer=optimizer)
    vae.fit(X, epochs=3, batch_size=10, verbose=0)
    assert float(optimizer.dynamic_scale.numpy()) < 2.0**126
    assert all(np.isfinite(weight).all() for weight in vae.get_weights())


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_one_replica_that_is_not_finite_holds_all_back(run_forked, policy):
    code = f"""
import math, keras, numpy as np, tensorflow as tf
from keras_vae.engine import strategies
strategy = strategies.mirrored(2)
keras.config.set_dtype_policy("{policy}")
import keras_vae
from keras_vae.engine.divergence import Diverged

class Failing(keras_vae.VAE):
    def latent_penalty(self, latent):
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        bad = (self.step >= 3) & (replica == 1)
        return super().latent_penalty(latent) * tf.where(bad, math.nan, 1.0)

with strategy.scope():
    vae = Failing(2, (2, 2, 1), seed=0)
    vae.compile()
x = np.random.default_rng(0).random((40, 2, 2, 1), "float32")
try:
    vae.fit(x, epochs=2, batch_size=10, verbose=0)
except Diverged as error:
    print(error.step, all(np.isfinite(w).all() for w in vae.get_weights()))
"""
    result = run_forked("-c", code)
    assert result.stdout == "4 True\n", result.stderr
