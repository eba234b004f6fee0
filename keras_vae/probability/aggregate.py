"""A fixed density over z for after training, as a Keras layer that a model can keep."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.noise import Domain, RowNoise
from keras_vae.probability.priors import Posterior, Prior

COVARIANCES = ("full", "diagonal")


@keras.saving.register_keras_serializable(package="keras_vae")
class AggregateDensity(Prior):
    """A mixture of normals that has been fitted to the latents of the training data.

    It approximates the aggregate posterior, E_data[q(z|x)], in place of the prior
    when examples are generated (Tomczak and Welling 2018; Ghosh et al. 2020, section
    4). Nothing of it is trained: its weights are set by `assign`. With one component it
    is a Normal.

    Args:
        components: How many normals.
        covariance: "full", or "diagonal" where the dimensions are many.
        **kwargs: Of `keras.layers.Layer`.
    """

    def __init__(
        self, components: int = 1, covariance: str = "full", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.components = components
        self.covariance = covariance

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weights, those of N(0, I)."""
        if self.built:  # a loaded model builds its parts before itself
            return
        super().build(input_shape)
        shape = (self.components, self.latent_dim)
        scale_shape = shape if self.covariance == "diagonal" else (*shape, shape[-1])
        self.log_weights = self._constant("log_weights", shape[:1])
        self.means = self._constant("means", shape)
        self.scales = self._constant("scales", scale_shape)
        self.assign(
            np.full(self.components, 1.0 / self.components),
            np.zeros(shape),
            np.broadcast_to(
                1.0 if self.covariance == "diagonal" else np.eye(self.latent_dim),
                scale_shape,
            ),
        )

    def _constant(self, name: str, shape: tuple[int, ...]) -> keras.Variable:
        return self.add_weight(
            name=name,
            shape=shape,
            initializer="zeros",
            trainable=False,
            dtype="float32",
            autocast=False,
        )

    def assign(
        self, weights: np.ndarray, means: np.ndarray, covariances: np.ndarray
    ) -> None:
        """Sets the density.

        Args:
            weights: (components,), that sum to 1.
            means: (components, latent_dim).
            covariances: (components, latent_dim, latent_dim), or the variances
                (components, latent_dim) where the covariance is "diagonal".
        """
        diagonal = self.covariance == "diagonal"
        self.log_weights.assign(np.log(weights))
        self.means.assign(means)
        self.scales.assign(
            np.sqrt(covariances) if diagonal else np.linalg.cholesky(covariances)
        )

    def log_prob(self, z: tf.Tensor, posterior: Posterior | None = None) -> tf.Tensor:
        """Returns the log density in nats: (..., latent_dim) -> (...)."""
        flat = tf.cast(tf.reshape(z, [-1, self.latent_dim]), tf.float32)
        scales, means = self.scales.value, self.means.value
        if self.covariance == "diagonal":
            standard = (flat[:, tf.newaxis] - means) / scales
            log_volume = tf.reduce_sum(tf.math.log(scales), axis=-1)
        else:
            identity = tf.eye(self.latent_dim, batch_shape=[self.components])
            inverse = tf.linalg.triangular_solve(scales, identity)
            offset = tf.einsum("kij,kj->ki", inverse, means)
            standard = tf.einsum("nj,kij->nki", flat, inverse) - offset
            diagonal = tf.linalg.diag_part(scales)
            log_volume = tf.reduce_sum(tf.math.log(diagonal), axis=-1)
        log_normal = -0.5 * tf.reduce_sum(tf.square(standard), axis=-1) - (
            log_volume + 0.5 * self.latent_dim * math.log(2.0 * math.pi)
        )
        mixed = tf.reduce_logsumexp(log_normal + self.log_weights.value, axis=-1)
        return tf.reshape(mixed, tf.shape(z)[:-1])

    def sample(
        self, n: Any, seed: Any, posterior: Posterior | None = None
    ) -> tf.Tensor:
        """Draws z, (n, latent_dim)."""
        noise = RowNoise(seed, domain=Domain.AGGREGATE)
        edges = tf.cumsum(tf.exp(self.log_weights.value))[:-1]
        quantile = noise.uniform(n, (1,), "component")
        component = tf.reduce_sum(tf.cast(quantile >= edges, tf.int32), axis=-1)
        normal = noise.normal(n, (self.latent_dim,))
        scales = self.scales.value
        if self.covariance == "diagonal":
            spread = tf.gather(scales, component) * normal
        else:
            # Of all components, then one: a matrix for each row would be much larger.
            spreads = tf.einsum("nj,kij->nki", normal, scales)
            spread = tf.gather(spreads, component, batch_dims=1)
        return tf.gather(self.means.value, component) + spread

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {
            **super().get_config(),
            "components": self.components,
            "covariance": self.covariance,
        }
