import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae import WAE, networks
from keras_vae.models.wae import unbiased_mmd

SHAPE, DIM = (4, 4, 1), 3


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).uniform(size=(30, *SHAPE)).astype(np.float32)


def made(**options):
    keras.utils.set_random_seed(0)
    encoder = networks.mlp_encoder(SHAPE, DIM, hidden_units=(16,))
    decoder = networks.mlp_decoder(DIM, SHAPE, hidden_units=(16,))
    model = WAE(DIM, SHAPE, encoder=encoder, decoder=decoder, seed=0, **options)
    model.compile(keras.optimizers.Adam(0.01))
    return model


def normal(seed, n=2000, d=2):
    return tf.random.stateless_normal((n, d), seed=(0, seed))


def test_the_mmd_is_that_of_the_paper_by_hand():
    a, b = np.array([[0.0], [1.0], [3.0]]), np.array([[2.0], [2.0], [0.0]])

    def mean(x, y, without_itself):
        pairs = [
            2 / (2 + (p - q) ** 2)
            for i, p in enumerate(x[:, 0])
            for j, q in enumerate(y[:, 0])
            if not (without_itself and i == j)
        ]
        return np.mean(pairs)

    expected = mean(a, a, True) + mean(b, b, True) - 2 * mean(a, b, False)
    found = unbiased_mmd(tf.constant(a), tf.constant(b))
    assert float(found) == pytest.approx(expected)


def test_the_mmd_is_nothing_where_z_follows_the_prior_and_grows_away_from_it():
    prior = normal(1)
    distances = [float(unbiased_mmd(normal(2) + s, prior)) for s in (0.0, 0.3, 1.0)]
    assert abs(distances[0]) < 2e-3 < distances[1] < distances[2]
    narrow = float(unbiased_mmd(0.1 * normal(2), prior))
    assert narrow > 0.05


def test_the_mmd_of_small_batches_is_without_bias():
    batches = tf.reshape(normal(5, 4000), (500, 2, 4, 2))
    found = tf.vectorized_map(lambda pair: unbiased_mmd(pair[0], pair[1]), batches)
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found)) < 4 * error


def test_one_example_has_a_penalty_too(x):
    found = made().evaluate(x[:1], verbose=0, return_dict=True)
    assert np.isfinite(found["penalty_loss"])


@pytest.mark.slow
def test_training_brings_the_latents_of_all_to_the_prior(x):
    away = made(mmd_weight=0.0)
    away.fit(x, epochs=30, batch_size=30, verbose=0)
    near = made(mmd_weight=300.0)
    near.fit(x, epochs=30, batch_size=30, verbose=0)

    def distance(model):
        z_mean, z_log_var = (tf.constant(part) for part in model.posterior(x))
        noise = tf.random.stateless_normal((50, *z_mean.shape), seed=(0, 3))
        z = tf.reshape(z_mean + noise * tf.exp(0.5 * z_log_var), (-1, DIM))
        return float(unbiased_mmd(z, normal(4, len(z), DIM)))

    assert distance(near) < 0.5 * distance(away)


@pytest.mark.slow
def test_the_weight_weighs_and_the_kl_does_not_count(x):
    found = {
        weight: made(mmd_weight=weight).evaluate(x, verbose=0, return_dict=True)
        for weight in (1.0, 10.0)
    }
    one, ten = (found[weight] for weight in (1.0, 10.0))
    assert ten["penalty_loss"] == pytest.approx(10.0 * one["penalty_loss"], rel=1e-4)
    assert ten["kl_loss"] == one["kl_loss"] > 0.0


@pytest.mark.parametrize("options", [{"beta": 2.0}, {"mmd_weight": -1.0}])
def test_arguments_without_effect_or_out_of_range_are_refused(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"`{name}`"):
        made(**options)
