"""A batch worked on in microbatches makes the update of the whole."""

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import networks
from keras_vae.engine import strategies

SHAPE = (5, 4, 1)


@pytest.fixture(scope="module")
def examples():
    rng = np.random.default_rng(0)
    return (rng.random((35, *SHAPE)) < 0.4).astype(np.float32)


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


def trained(make, microbatches, x, **options):
    keras.utils.set_random_seed(0)
    model = make()
    # Other gradients are seen in the weights: Adam would hide their size.
    model.compile(keras.optimizers.SGD(1e-3), accumulate_steps=microbatches)
    history = model.fit(x, batch_size=16, epochs=2, verbose=0, **options).history
    assert int(model.step.numpy()) == 6  # updates, not microbatches
    return history, [w.numpy() for w in model.trainable_variables]


def assert_same(one, other):
    for name in one[0]:
        np.testing.assert_allclose(other[0][name], one[0][name], rtol=1e-5)
    for weight, expected in zip(other[1], one[1], strict=True):
        np.testing.assert_allclose(weight, expected, atol=2e-5)


@pytest.mark.slow
def test_regularisation_counts_once_in_microbatches_too(examples):
    whole = trained(regularised, 1, examples)
    assert_same(whole, trained(regularised, 3, examples))


WEIGHT = np.linspace(0, 3, 35)


@pytest.fixture(scope="module")
def whole(examples):
    """What whole batches train; the last of three holds 3 examples."""
    return trained(vae, 1, examples, sample_weight=WEIGHT)


@pytest.mark.slow
@pytest.mark.parametrize("microbatches", [3, 40])
def test_weights_count_in_microbatches_as_in_the_whole_batch(
    whole, microbatches, examples
):
    found = trained(vae, microbatches, examples, sample_weight=WEIGHT)
    assert_same(whole, found)


@pytest.mark.slow
def test_microbatches_on_replicas_make_the_update_of_the_whole_batch(
    whole, examples, replicas
):
    with replicas(2).scope():
        assert_same(whole, trained(vae, 3, examples, sample_weight=WEIGHT))


def test_a_compiled_model_keeps_its_microbatches(tmp_path):
    model = vae()
    model.compile(accumulate_steps=4)
    model.save(tmp_path / "model.keras")
    loaded = keras_vae.load_model(tmp_path / "model.keras")
    assert loaded.get_compile_config()["accumulate_steps"] == 4


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


@pytest.mark.slow
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
