"""The plain autoencoder, as a point of comparison."""

from typing import Any

import keras
import tensorflow as tf

from keras_vae.errors import invalid_argument
from keras_vae.models.terms import Latent
from keras_vae.models.vae import VAE
from keras_vae.noise import RowNoise
from keras_vae.probability.distributions import LOG_VAR_LIMIT
from keras_vae.probability.likelihoods import Likelihood


@keras.saving.register_keras_serializable(package="keras_vae")
class Autoencoder(VAE):
    """An autoencoder: the encoder's mean is the latent, and nothing is asked of it.

    The loss is -log p(x|z) alone (Hinton and Salakhutdinov 2006). With
    `networks.with_input_noise` around the encoder it is the denoising autoencoder
    (Vincent et al. 2008). There is no prior: `sample` draws z from the density of the
    training examples' latents, once `evaluation.samplers` has fitted one.

    Args:
        latent_dim: Number of latent dimensions, at least 1.
        input_shape: Shape of one example; see `VAE`.
        encoder: See `VAE`. What it says of the variance is not used, so that a VAE can
            start from the same networks.
        decoder: See `VAE`.
        likelihood: See `VAE`.
        seed: Of all noise. None draws one; it is saved with the model.
        **kwargs: Of `keras.Model`.

    Raises:
        ValueError: As `VAE`.
    """

    has_kl = False
    unused = (
        *("prior", "posterior", "posterior_flows"),
        *("beta", "num_samples", "free_bits"),
    )

    def __init__(
        self,
        latent_dim: int,
        input_shape: tuple[int, ...],
        *,
        encoder: str | keras.Model = "mlp",
        decoder: str | keras.Model = "mlp",
        likelihood: str | Likelihood = "bernoulli",
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            latent_dim,
            input_shape,
            encoder=encoder,
            decoder=decoder,
            likelihood=likelihood,
            seed=seed,
            **kwargs,
        )

    def encode_params(
        self, x: tf.Tensor, condition: Any = None, training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the latents, and log variances as small as there are."""
        z_mean, _ = super().encode_params(x, condition, training)
        return z_mean, tf.fill(tf.shape(z_mean), -LOG_VAR_LIMIT)

    def sample_latent(
        self,
        z_mean: tf.Tensor,
        z_log_var: tf.Tensor,
        noise: RowNoise,
        condition: Any = None,
        num_samples: int | None = None,
        context: Any = None,
    ) -> Latent:
        """Every sample is the mean; there is no density, and so no KL."""
        z = tf.repeat(z_mean[tf.newaxis], num_samples or self.num_samples, axis=0)
        none = tf.zeros_like(z[..., 0])
        return Latent(z_mean, z_log_var, z, none, none, none[0], self.step)

    def prior_sample(
        self, n: Any, seed: Any, condition: Any = None, temperature: float = 1.0
    ) -> tf.Tensor:
        """Draws z from the density fitted to the latents, (n, latent_dim).

        Raises:
            ValueError: If none has been fitted.
        """
        if self.aggregate is None:
            raise ValueError(
                "An autoencoder has no prior to generate from: fit a density to its "
                "latents first, with keras_vae.evaluation.samplers.fit_aggregate."
            )
        if temperature != 1.0:
            raise invalid_argument(
                "temperature", "1 for an autoencoder, without a prior", temperature
            )
        return self.aggregate.sample(n, seed)

    def elbo(self, *args: Any, **kwargs: Any) -> Any:
        """Refused: without a posterior there is no bound.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            "An autoencoder has no ELBO, since its z is a function of x: compare "
            "`reconstruction_loss`, which `evaluate` returns."
        )

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        config = super().get_config()
        return {k: value for k, value in config.items() if k not in self.unused}
