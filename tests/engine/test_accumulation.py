"""A batch worked on in microbatches makes the update of the whole."""

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import networks
from keras_vae.engine import strategies

SHAPE = (5, 4, 1)
CLASSES = 3


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(0)
    x = (rng.random((35, *SHAPE)) < 0.4).astype(np.float32)
    return x, rng.integers(0, CLASSES, 35).astype(np.int32)


def vae():
    options = {"hidden_units": (8,), "dropout": 0.3, "activation": "tanh"}
    return keras_vae.VAE(
        2,
        SHAPE,
        encoder=networks.mlp_encoder(SHAPE, 2, **options),
        decoder=networks.mlp_decoder(2, SHAPE, **options),
        num_samples=2,
        seed=0,
    )


def regularised():
    encoder = networks.mlp_encoder(SHAPE, 2, hidden_units=(8,))
    z = keras.Input((2,))
    dense = keras.layers.Dense(20, kernel_regularizer=keras.regularizers.L2(0.5))
    params = keras.layers.Reshape(SHAPE)(dense(z))
    decoder = keras.Model(z, params)
    return keras_vae.VAE(2, SHAPE, encoder=encoder, decoder=decoder, seed=0)


MODELS = {
    "vae": vae,
    "regularised": regularised,
    "iwae": lambda: keras_vae.IWAE(2, SHAPE, num_samples=3, seed=0),
    "cvae": lambda: keras_vae.CVAE(2, SHAPE, num_classes=CLASSES, seed=0),
    "m2": lambda: keras_vae.M2(2, SHAPE, num_classes=CLASSES, alpha=5.0, seed=0),
}


def trained(make, microbatches, examples, optimizer="adam"):
    x, y = examples
    keras.utils.set_random_seed(0)
    model = make()
    # Other gradients would be seen in the weights: Adam alone hides their size.
    rate = keras_vae.Adam(1e-3) if optimizer == "adam" else keras.optimizers.SGD(1e-3)
    model.compile(rate, accumulate_steps=microbatches)
    given = y if hasattr(model, "num_classes") or hasattr(model, "condition") else None
    history = model.fit(x, given, batch_size=16, epochs=2, verbose=0).history
    assert int(model.step.numpy()) == 6  # updates, not microbatches
    return history, [w.numpy() for w in model.trainable_variables]


def assert_same(one, other):
    for name in one[0]:
        np.testing.assert_allclose(other[0][name], one[0][name], rtol=1e-5)
    for weight, expected in zip(other[1], one[1], strict=True):
        np.testing.assert_allclose(weight, expected, atol=2e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_microbatches_make_the_update_of_the_whole_batch(name, examples):
    make = MODELS[name]
    assert_same(trained(make, 1, examples), trained(make, 3, examples))


@pytest.mark.parametrize("microbatches", [2, 40])
def test_more_microbatches_than_examples_are_as_many_as_there_are(
    microbatches, examples
):
    # The last of three batches holds 3 examples.
    whole = trained(vae, 1, examples, "sgd")
    assert_same(whole, trained(vae, microbatches, examples, "sgd"))


@pytest.mark.slow
def test_microbatches_on_replicas_make_the_update_of_the_whole_batch(
    examples, replicas
):
    whole = trained(vae, 1, examples)
    with replicas(2).scope():
        assert_same(whole, trained(vae, 3, examples))


def test_sample_weights_count_in_microbatches_as_in_the_whole_batch(examples):
    x, _ = examples
    weight = np.linspace(0, 3, len(x))

    def metrics(microbatches):
        keras.utils.set_random_seed(0)
        model = vae()
        model.compile(keras.optimizers.SGD(1e-3), accumulate_steps=microbatches)
        history = model.fit(x, sample_weight=weight, batch_size=16, verbose=0).history
        return history, [w.numpy() for w in model.trainable_variables]

    assert_same(metrics(1), metrics(3))


def test_a_compiled_model_keeps_its_microbatches(tmp_path):
    model = vae()
    model.compile(accumulate_steps=4)
    model.save(tmp_path / "model.keras")
    loaded = keras_vae.load_model(tmp_path / "model.keras")
    assert loaded.get_compile_config()["accumulate_steps"] == 4


@pytest.mark.parametrize("kind", ["FactorVAE", "DIPVAE", "InfoVAE"])
def test_an_objective_of_the_whole_batch_is_not_cut_up(kind):
    model = getattr(keras_vae, kind)(2, SHAPE)
    with pytest.raises(ValueError, match="`accumulate_steps`"):
        model.compile(accumulate_steps=2)


def test_less_than_one_microbatch_is_refused():
    with pytest.raises(ValueError, match="`accumulate_steps`"):
        vae().compile(accumulate_steps=0)


def test_parallel_pieces_are_taken_without_effect(recwarn):
    model = vae()
    model.compile(parallel_pieces="auto")
    assert not [w for w in recwarn if "`parallel_pieces`" in str(w.message)]
    with pytest.warns(DeprecationWarning, match="`parallel_pieces`"):
        model.compile(parallel_pieces=2)
    assert "parallel_pieces" not in model.get_compile_config()


def test_batch_normalisation_on_two_replicas_averages_the_microbatches_of_each():
    x = np.random.default_rng(0).random((8, 4), np.float32)
    with strategies.mirrored(2).scope():
        inputs = keras.Input((4,))
        normalised = keras.layers.BatchNormalization(momentum=0.9)(inputs)
        heads = [keras.layers.Dense(2)(normalised) for _ in range(2)]
        encoder = keras.Model(inputs, heads)
        model = keras_vae.VAE(2, (4,), encoder=encoder, likelihood="bernoulli", seed=0)
        model.compile(accumulate_steps=2)
    model.fit(x, batch_size=8, shuffle=False, verbose=0)
    averages = encoder.layers[1].moving_mean.value
    for replica, average in enumerate(averages.values):
        mean = np.zeros(4)
        for first in (4 * replica, 4 * replica + 2):
            mean = 0.9 * mean + 0.1 * x[first : first + 2].mean(axis=0)
        np.testing.assert_allclose(average, mean, rtol=1e-5)
