"""A batch worked on in pieces, in turn or at once, makes the update of the whole."""

import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import networks
from keras_vae.training import strategies

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


def trained(make, pieces, examples, optimizer="adam", way="accumulate_steps"):
    x, y = examples
    keras.utils.set_random_seed(0)
    model = make()
    # Other gradients would be seen in the weights: Adam alone hides their size.
    rate = keras_vae.Adam(1e-3) if optimizer == "adam" else keras.optimizers.SGD(1e-3)
    model.compile(rate, **{way: pieces})
    given = y if hasattr(model, "num_classes") or hasattr(model, "condition") else None
    history = model.fit(x, given, batch_size=16, epochs=2, verbose=0).history
    assert int(model.step.numpy()) == 6  # updates, not pieces
    return history, [w.numpy() for w in model.trainable_variables]


def assert_same(one, other):
    for name in one[0]:
        np.testing.assert_allclose(other[0][name], one[0][name], rtol=1e-5)
    for weight, expected in zip(other[1], one[1], strict=True):
        np.testing.assert_allclose(weight, expected, atol=2e-5)


WAYS = ["accumulate_steps", "parallel_pieces"]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", MODELS)
def test_pieces_make_the_update_of_the_whole_batch(name, way, examples):
    make = MODELS[name]
    assert_same(trained(make, 1, examples), trained(make, 3, examples, way=way))


@pytest.mark.parametrize(("way", "pieces"), [(WAYS[0], 2), (WAYS[0], 40), (WAYS[1], 2)])
def test_more_pieces_than_examples_are_as_many_as_there_are(way, pieces, examples):
    # The last of three batches holds 3 examples.
    whole = trained(vae, 1, examples, "sgd")
    assert_same(whole, trained(vae, pieces, examples, "sgd", way))


@pytest.mark.slow
@pytest.mark.parametrize("encoder", ["mlp", "conv"])
def test_pieces_without_examples_change_nothing(encoder, examples):
    def make():
        return keras_vae.VAE(2, SHAPE, encoder=encoder, decoder=encoder, seed=0)

    odd = tuple(part[:33] for part in examples)  # the last batch holds one
    whole = trained(make, 1, odd, "sgd")
    assert_same(whole, trained(make, 2, odd, "sgd", "parallel_pieces"))


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_pieces_on_replicas_make_the_update_of_the_whole_batch(way, examples, replicas):
    whole = trained(vae, 1, examples)
    with replicas(2).scope():
        assert_same(whole, trained(vae, 3, examples, way=way))


@pytest.mark.parametrize("way", WAYS)
def test_a_compiled_model_keeps_its_pieces(way, tmp_path):
    model = vae()
    model.compile(**{way: 4})
    model.save(tmp_path / "model.keras")
    loaded = keras_vae.load_model(tmp_path / "model.keras")
    assert loaded.get_compile_config()[way] == 4


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["FactorVAE", "DIPVAE", "InfoVAE"])
def test_an_objective_of_the_whole_batch_is_not_cut_up(kind, way):
    model = getattr(keras_vae, kind)(2, SHAPE)
    with pytest.raises(ValueError, match=f"`{way}`.*takes the examples"):
        model.compile(**{way: 2})


def test_a_batch_is_not_cut_up_in_both_ways():
    with pytest.raises(
        ValueError, match="`parallel_pieces`.*cuts the batch up already"
    ):
        vae().compile(accumulate_steps=2, parallel_pieces=2)


def test_less_than_one_piece_is_refused():
    with pytest.raises(ValueError, match="`accumulate_steps`.*at least 1"):
        vae().compile(accumulate_steps=0)
    with pytest.raises(ValueError, match="`parallel_pieces`.*'auto' or a whole number"):
        vae().compile(parallel_pieces=0)


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
