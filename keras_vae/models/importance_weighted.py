"""The importance-weighted autoencoder (Burda et al. 2015)."""

import math
from typing import Any

import keras
import tensorflow as tf

from keras_vae.models.terms import Latent, replica_mean
from keras_vae.models.vae import VAE


@keras.saving.register_keras_serializable(package="keras_vae")
class IWAE(VAE):
    """Trains on the K-sample bound, which is tighter than the ELBO.

    L_K = E[log 1/K sum_k p(x|z_k) p(z_k) / q(z_k|x)] (Burda et al. 2015, equation 8),
    K being `num_samples`; with one sample it is the VAE's bound with a Monte Carlo KL.
    `loss` is -L_K, which is no sum of a reconstruction and a penalty: the metrics
    `reconstruction_loss` and `kl_loss` are those of the ELBO, beside it.

    Args: as `VAE`, without `beta` and `free_bits`, which this bound does not have.
    """

    unused = ("beta", "free_bits")

    def __init__(
        self,
        latent_dim: int,
        input_shape: tuple[int, ...],
        *,
        num_samples: int = 16,
        **kwargs: Any,
    ) -> None:
        super().__init__(latent_dim, input_shape, num_samples=num_samples, **kwargs)

    def latent_penalty(self, latent: Latent) -> tf.Tensor:
        """No penalty of its own: the bound takes z and x together."""
        return tf.zeros_like(latent.log_q[0])

    def _has_own_penalty(self) -> bool:
        return False

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        """Returns -L_K; the arguments are those of `VAE.compute_loss`."""
        latent = y_pred.latent
        log_weight = self.log_likelihood(x, y_pred.params) + latent.log_p - latent.log_q
        bound = tf.reduce_logsumexp(log_weight, axis=0) - math.log(log_weight.shape[0])
        collected = keras.Model.compute_loss(self, x, None, None, training=training)
        return replica_mean(-bound, sample_weight) + collected
