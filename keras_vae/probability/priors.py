"""The prior p(z), as Keras layers: what is learned of it is part of the model."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.probability.distributions import kl_to_standard_normal
from keras_vae.probability.noise import RowNoise

Posterior = Callable[[Any], tuple[tf.Tensor, tf.Tensor]]
"""The model's map from x to (z_mean, z_log_var), each (batch, latent_dim)."""


class Prior(keras.layers.Layer):
    """Base of the priors. Built with the shape `(None, latent_dim)`.

    `posterior` is handed to every method; only priors that are made of posteriors
    (VampPrior) call it.
    """

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Takes the latent dimension from the shape `(None, latent_dim)`."""
        self.latent_dim = int(input_shape[-1])  # type: ignore[arg-type]
        self.built = True

    def log_prob(self, z: tf.Tensor, posterior: Posterior | None = None) -> tf.Tensor:
        """Returns log p(z) in nats: (..., latent_dim) -> (...)."""
        raise NotImplementedError

    def sample(
        self, n: Any, seed: Any, posterior: Posterior | None = None
    ) -> tf.Tensor:
        """Draws z, (n, latent_dim); with the same seed a larger n starts the same.

        Args:
            n: How many, an int or int32 scalar.
            seed: A Python int or an int32 tensor of shape (2,).
            posterior: The model's posterior.
        """
        raise NotImplementedError

    def kl(self, z_mean: tf.Tensor, z_log_var: tf.Tensor) -> tf.Tensor | None:
        """KL(q(z|x) || p(z)) per dimension, (batch, latent_dim), or None."""
        return None


@keras.saving.register_keras_serializable(package="keras_vae")
class StandardNormal(Prior):
    """N(0, I) (Kingma and Welling 2014)."""

    def log_prob(self, z: tf.Tensor, posterior: Posterior | None = None) -> tf.Tensor:
        """Returns log N(z; 0, I), (..., latent_dim) -> (...)."""
        return -0.5 * tf.reduce_sum(tf.square(z) + np.log(2.0 * np.pi), axis=-1)

    def sample(
        self, n: Any, seed: Any, posterior: Posterior | None = None
    ) -> tf.Tensor:
        """Draws z, (n, latent_dim)."""
        return RowNoise(seed, domain="prior").normal(n, (self.latent_dim,))

    def kl(self, z_mean: tf.Tensor, z_log_var: tf.Tensor) -> tf.Tensor:
        """The closed form, (batch, latent_dim)."""
        return kl_to_standard_normal(z_mean, z_log_var)


PRIORS: dict[str, type[Prior]] = {"standard_normal": StandardNormal}
"""Priors by name."""
