"""Small models and data for the tests of this folder."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_vae import VAE
from keras_vae.probability.likelihoods import LIKELIHOODS
from keras_vae.training import strategies


def user_networks(shape, latent_dim, params_shape, units=8, dtype=None):
    """Returns an encoder and a decoder made of nothing but Keras' layers."""
    x = keras.Input(shape, dtype=dtype)
    h = layers.Flatten(dtype=dtype)(x)
    h = layers.Dense(units, "tanh", dtype=dtype)(h)
    heads = [layers.Dense(latent_dim, dtype=dtype)(h) for _ in range(2)]
    z = keras.Input((latent_dim,), dtype=dtype)
    h = layers.Dense(units, "tanh", dtype=dtype)(z)
    h = layers.Dense(math.prod(params_shape), dtype=dtype)(h)
    params = layers.Reshape(params_shape, dtype=dtype)(h)
    return keras.Model(x, heads), keras.Model(z, params)


@pytest.fixture(scope="session")
def small_vae():
    """Makes a VAE of small networks of the user's: `small_vae(beta=2.0)`.

    Always with the same first weights; `kind` is the class.
    """

    def make(
        shape=(3, 5), latent_dim=2, *, kind=VAE, likelihood="bernoulli", **options
    ):
        keras.utils.set_random_seed(0)
        if isinstance(likelihood, str):
            likelihood = LIKELIHOODS[likelihood](image=len(shape) == 3)
        params_shape = likelihood.params_shape(shape)
        size = {name: options.pop(name) for name in ("units",) if name in options}
        dtype = options.get("dtype")
        encoder, decoder = user_networks(
            shape, latent_dim, params_shape, **size, dtype=dtype
        )
        return kind(
            latent_dim,
            shape,
            likelihood=likelihood,
            **{"encoder": encoder, "decoder": decoder, "seed": 3, **options},
        )

    return make


@pytest.fixture(scope="session")
def grey():
    """Makes grey values k / 255 with structure: `grey(n)`, float32 (n, *shape)."""

    def make(n, shape=(3, 5), seed=0):
        rng = np.random.default_rng(seed)
        kinds = rng.random((3, *shape))
        x = kinds[np.arange(n) % 3] + rng.normal(0, 0.1, (n, *shape))
        return (np.rint(255 * np.clip(x, 0, 1)) / 255).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def replicas():
    """Makes a strategy of so many replicas: `replicas(2)`."""

    def make(count):
        if count == 1:
            return tf.distribute.get_strategy()
        return strategies.mirrored(count)

    return make
