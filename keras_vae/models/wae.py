"""The Wasserstein autoencoder with an MMD penalty (Tolstikhin et al. 2018)."""

from typing import Any

import keras
import tensorflow as tf

from keras_vae.arguments import in_range
from keras_vae.models.batch_statistics import squared_distances
from keras_vae.models.disentangled import aggregate_and_prior
from keras_vae.models.terms import Latent
from keras_vae.models.vae import VAE


@keras.saving.register_keras_serializable(package="keras_vae")
class WAE(VAE):
    """Brings the latents of all examples together to the prior, and asks no KL.

    The loss is E[c(x, G(z))] + mmd_weight MMD_k(q(z), p(z)) (Tolstikhin et al. 2018,
    equation 4 and algorithm 2), over the global batch and as many draws from the prior.
    The cost c is -log p(x|z): for the paper's, a squared distance, take a Gaussian
    likelihood of a fixed scale. The theory holds for any q(z|x), and this one is
    Gaussian, as `posterior` says. No term keeps its variance up, so it may become
    nearly the deterministic encoder of the paper's experiments. `kl_loss` and `elbo`
    are those of the VAE with these networks, which this model is not trained for.

    Args: as `VAE`, without `beta` and `free_bits`, and
        mmd_weight: Weight of the MMD, lambda, at least 0; the paper takes 10 on MNIST
            and 100 on faces.
    """

    needs_global_batch = True
    unused = ("beta", "free_bits", "posterior_flows")

    def __init__(
        self,
        latent_dim: int,
        input_shape: tuple[int, ...],
        *,
        mmd_weight: float = 100.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(latent_dim, input_shape, **kwargs)
        self.mmd_weight = in_range("mmd_weight", mmd_weight, 0)

    def latent_penalty(self, latent: Latent) -> tf.Tensor:
        """mmd_weight times the MMD, the same for each example, (batch,)."""
        mmd = unbiased_mmd(*aggregate_and_prior(self, latent))
        return tf.fill(tf.shape(latent.z)[1:2], self.mmd_weight * mmd)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "mmd_weight": self.mmd_weight}


def unbiased_mmd(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Maximum mean discrepancy of two samples, squared, without bias, a scalar.

    1/(n (n-1)) sum_{i != j} [k(a_i, a_j) + k(b_i, b_j)] - 2/n^2 sum_{i,j} k(a_i, b_j)
    (Tolstikhin et al. 2018, algorithm 2). The inverse multiquadratic kernel k(x, y) =
    C / (C + |x - y|^2) has C = 2 d, the mean squared distance of two draws of a
    standard normal in d dimensions. Of samples of one distribution it is 0 on average,
    and so below 0 about as often as above. One example has no pairs: n - 1 counts as 1.

    Args:
        a: (n, d).
        b: (n, d).
    """

    def kernel(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        scale = 2.0 * tf.cast(tf.shape(x)[1], x.dtype)
        return scale / (scale + squared_distances(x, y))

    def mean_of_pairs(x: tf.Tensor) -> tf.Tensor:
        n = tf.cast(tf.shape(x)[0], x.dtype)
        # A product, since XLA cannot compile the gradient of `tf.linalg.set_diag`.
        pairs = 1.0 - tf.eye(tf.shape(x)[0], dtype=x.dtype)
        others = tf.reduce_sum(pairs * kernel(x, x))
        return others / (n * tf.maximum(n - 1.0, 1.0))

    return mean_of_pairs(a) + mean_of_pairs(b) - 2.0 * tf.reduce_mean(kernel(a, b))
