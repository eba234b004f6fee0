"""A start of the networks at an embedding that keeps neighbours together."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.data.datasets import to_unit
from keras_vae.errors import invalid_flag
from keras_vae.probability.distributions import bound_log_var

_EXAMPLES = 2000  # that are embedded
_NEIGHBOURS = 10
_STEPS = 1500
_BATCH_SIZE = 200
_LEARNING_RATE = 3e-3
_LOG_VAR = math.log(0.05)  # of the posterior that training starts from


def isomap(x: np.ndarray, latent_dim: int) -> np.ndarray:
    """Returns Isomap's embedding (Tenenbaum et al. 2000), each dimension standardised.

    Args:
        x: `(n, ...)`, more than 10 examples.
        latent_dim: Of the embedding.

    Returns:
        `(n, latent_dim)`, float32.
    """
    from sklearn.manifold import Isomap

    flat = x.reshape(len(x), -1).astype(np.float64)
    z = Isomap(n_neighbors=_NEIGHBOURS, n_components=latent_dim).fit_transform(flat)
    spread = np.maximum(z.std(axis=0), np.finfo(np.float32).tiny)
    return np.asarray((z - z.mean(axis=0)) / spread, np.float32)


def start_at_isomap(model: Any, x: Any, seed: int) -> None:
    """Fits the networks to Isomap's embedding, as where a training begins.

    A network that starts anywhere finds a rolled sheet's unrolled form by luck alone,
    since no small step leads to it from a projection.

    Args:
        model: A `VAE` whose networks take x and z alone, built and adapted.
        x: The training examples, `(n, *input_shape)`; 2,000 of them are taken.
        seed: Of the batches and the noise.

    Raises:
        ValueError: If there are too few examples.
    """
    if len(x) <= max(_NEIGHBOURS, model.latent_dim):
        raise invalid_flag(
            "init_latents",
            f"more than {max(_NEIGHBOURS, model.latent_dim)} training examples",
            len(x),
        )
    rows = np.linspace(0, len(x) - 1, min(len(x), _EXAMPLES)).astype(np.int64)
    some = x.gather(rows) if hasattr(x, "gather") else np.asarray(x)[rows]
    x = model.to_model(tf.constant(to_unit(some), tf.float32)).numpy()
    z = isomap(x, model.latent_dim)
    # On copies, which belong to no strategy.
    encoder, decoder = (_copy(model.encoder), _copy(model.decoder))
    _fit(encoder, decoder, model.likelihood, x, z, seed)
    model.encoder.set_weights(encoder.get_weights())
    model.decoder.set_weights(decoder.get_weights())


def _copy(network: Any) -> Any:
    copy = keras.models.clone_model(network)
    copy.set_weights(network.get_weights())
    return copy


def _fit(
    encoder: Any, decoder: Any, likelihood: Any, x: np.ndarray, z: np.ndarray, seed: int
) -> None:
    """Teaches the encoder z of x, and the decoder x of z with a posterior's noise."""
    weights = encoder.trainable_variables + decoder.trainable_variables
    decay = keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, _STEPS)
    optimizer = keras.optimizers.Adam(decay)
    optimizer.build(weights)

    @tf.function
    def step(x: tf.Tensor, z: tf.Tensor, noise: tf.Tensor) -> None:
        with tf.GradientTape() as tape:
            z_mean, raw_log_var = encoder(x, training=True)
            params = decoder(z + math.exp(_LOG_VAR / 2) * noise, training=True)
            loss = (
                tf.reduce_mean(tf.square(z_mean - z))
                + tf.reduce_mean(tf.square(bound_log_var(raw_log_var) - _LOG_VAR))
                - tf.reduce_mean(likelihood.log_prob(x, params))
            )
        optimizer.apply(tape.gradient(loss, weights), weights)

    random = np.random.default_rng(seed)
    for _ in range(_STEPS):
        rows = random.integers(len(x), size=min(_BATCH_SIZE, len(x)))
        noise = random.standard_normal(z[rows].shape).astype(np.float32)
        step(*map(tf.constant, (x[rows], z[rows], noise)))
