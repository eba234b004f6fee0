"""Noise of calls outside of `fit`: fresh in training, the same in inference."""

import re
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae import networks

SHAPE = (4,)
X = np.random.default_rng(0).normal(size=(6, *SHAPE)).astype(np.float32)


def make(kind=keras_vae.VAE, **options):
    return kind(
        2,
        SHAPE,
        encoder=networks.mlp_encoder(SHAPE, 2, hidden_units=(4,), dropout=0.5),
        decoder=networks.mlp_decoder(2, SHAPE, hidden_units=(4,)),
        likelihood="gaussian_fixed",
        seed=0,
        **options,
    )


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("options", [{"training": True}, {}])
def test_each_call_in_training_draws_afresh(graph, options):
    model = make()
    draw = lambda: model(X, **options).latent.z  # noqa: E731
    draw = tf.function(draw) if graph else draw
    draws = [draw().numpy() for _ in range(3)]
    assert not np.array_equal(draws[0], draws[1])
    assert not np.array_equal(draws[1], draws[2])


def test_inference_draws_the_same():
    model = make()
    first = model(X, training=False).latent.z
    model(X, training=True)
    np.testing.assert_array_equal(model(X, training=False).latent.z, first)
    np.testing.assert_array_equal(model.elbo(X), model.elbo(X))


class Outer(keras.Model):
    """A model of which a VAE is a layer."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def call(self, x):
        return self.inner(x).latent.z


def test_as_a_layer_of_another_model_it_draws_afresh():
    outer = Outer(make())
    a, b = (np.array(outer(X, training=True)) for _ in range(2))
    assert not np.array_equal(a, b)
    a, b = (np.array(outer(X, training=False)) for _ in range(2))
    np.testing.assert_array_equal(a, b)
    outer.compile("sgd", "mse")
    outer.fit(X, np.zeros((6, 2), np.float32), epochs=3, verbose=0)
    assert int(outer.inner.calls.numpy()) == 5


def weight_of_the_kl(model, x):
    """What one nat of KL costs at the model's step."""
    output = model(x, training=False)
    return float(model.losses[0]) / float(np.sum(output.latent.kl, axis=-1).mean())


@pytest.mark.slow
def test_the_loop_of_the_page_of_models_follows_the_schedule():
    page = Path(__file__).parents[2] / "docs" / "models.md"
    section = page.read_text().partition("## A training loop of your own")[2]
    code = re.search(r"^```python\n(.*?)^```", section, re.M | re.S)[1]
    x = np.random.default_rng(0).uniform(size=(520, 28, 28, 1)).astype(np.float32)
    names = {"keras": keras, "keras_vae": keras_vae, "tf": tf, "x_train": x}
    exec(code, names)
    vae = names["vae"]
    assert (int(vae.step.numpy()), int(vae.calls.numpy())) == (5, 5)
    assert weight_of_the_kl(vae, x[:8]) == pytest.approx(0.05, rel=1e-3)
    assert np.isfinite(names["loss"])


def test_a_callback_counts_the_steps_of_a_model_that_is_a_layer():
    vae = make(beta=keras_vae.LinearWarmup(10))
    outer = Outer(vae)
    outer.compile("sgd", "mse")
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: vae.step.assign_add(1)
    )
    outer.fit(X, np.zeros((6, 2)), batch_size=2, callbacks=[count], verbose=0)
    assert weight_of_the_kl(vae, X) == pytest.approx(0.3, rel=1e-3)


def test_a_loaded_model_goes_on_with_new_noise(tmp_path):
    model = make()
    model.compile()
    model(X, training=True)
    model.save(tmp_path / "model.keras")
    loaded = keras_vae.load_model(tmp_path / "model.keras")
    expected = model(X, training=True).latent.z
    np.testing.assert_array_equal(loaded(X, training=True).latent.z, expected)


def test_what_is_drawn_from_the_prior_is_fresh_too():
    model = make(keras_vae.InfoVAE, alpha=1.0)
    model.latent_penalty(model(X, training=True).latent)
    latent = model(X, training=False).latent
    first = model.latent_penalty(latent).numpy()
    model(X, training=True)
    assert not np.array_equal(model.latent_penalty(latent), first)


@pytest.mark.slow
def test_replicas_draw_each_for_itself(run_forked):
    code = """
import numpy as np, tensorflow as tf
from keras_vae.engine import strategies
strategy = strategies.mirrored(2)
import keras_vae
with strategy.scope():
    vae = keras_vae.VAE(2, (4,), likelihood="gaussian_fixed", seed=0)
    vae.build()
call = tf.function(lambda: strategy.run(lambda: vae(tf.ones((3, 4)), training=True)))
draws = [z.numpy() for _ in range(2) for z in call().latent.z.values]
print(len({z.tobytes() for z in draws}), int(vae.calls.numpy()))
"""
    result = run_forked("-c", code)
    assert result.stdout == "4 2\n", result.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", [keras_vae.VAE, keras_vae.FactorVAE, keras_vae.Autoencoder]
)
def test_a_model_is_a_layer_of_a_functional_model(kind, tmp_path):
    keras.utils.set_random_seed(0)
    vae = make(kind)
    x = keras.Input(SHAPE)
    output = vae(x)
    scores = keras.layers.Dense(1)(output.latent.z_mean)
    model = keras.Model(x, [scores, output.params])
    np.testing.assert_allclose(
        model(X, training=False)[1], vae(X, training=False).params, rtol=1e-5
    )
    alone = keras.Model(x, scores)
    alone.compile(keras.optimizers.SGD(1e-3), "mse")
    losses = alone.fit(X, np.zeros((6, 1)), epochs=2, verbose=0).history["loss"]
    assert np.isfinite(losses).all() and losses[0] != losses[1]
    alone.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(
        loaded.predict(X, verbose=0), alone(X, training=False), rtol=1e-4
    )


def test_a_conditional_model_is_a_layer_of_a_functional_model():
    keras.utils.set_random_seed(0)
    cvae = keras_vae.CVAE(2, SHAPE, num_classes=3, likelihood="gaussian_fixed", seed=0)
    x, label = keras.Input(SHAPE), keras.Input((), dtype="int32")
    model = keras.Model([x, label], cvae((x, label)).latent.z_mean)
    labels = np.arange(6) % 3
    np.testing.assert_allclose(
        model([X, labels]), cvae.encode(X, labels), rtol=1e-4, atol=1e-5
    )
