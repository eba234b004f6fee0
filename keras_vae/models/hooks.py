"""What models change of the VAE, with the answers of the plain one."""

from typing import Any

import tensorflow as tf

from keras_vae.data.pipeline import as_unit
from keras_vae.engine.microbatches import ReplicaBatch
from keras_vae.errors import invalid_argument
from keras_vae.models.state import State
from keras_vae.models.terms import Output
from keras_vae.noise import RowNoise
from keras_vae.probability.priors import Prior, StandardNormal


class Hooks(State):
    """The methods of a `VAE` that other models override, besides `latent_penalty`."""

    latent_dim: int
    prior: Prior

    @property
    def z_dim(self) -> int:
        """How many numbers z has; more than `latent_dim` in hierarchies."""
        return self.latent_dim

    @property
    def z_widths(self) -> tuple[int, ...]:
        """How many numbers of z `decode` takes: all, or those of the first groups."""
        return (self.z_dim,)

    @property
    def has_standard_prior(self) -> bool:
        """Whether p(z) = N(0, I)."""
        return isinstance(self.prior, StandardNormal)

    def kl_by_group(self, kl: tf.Tensor) -> tf.Tensor:
        """The KL of each unit that has `free_bits`: each dimension, here.

        `(batch, dimensions)` to `(batch, units)`; (batch,) stays as it is.
        """
        return kl

    def track_more(self, output: Output) -> None:
        """Adds to metrics of a model's own, where it has some: nothing here."""
        del output  # a body, without which AutoGraph cannot read the function

    def other_updates(
        self, output: Output, span: ReplicaBatch
    ) -> tuple[tf.Tensor | float, list[list[Any]]]:
        """What else a model trains in a step (a discriminator, say): nothing here.

        Args:
            output: What calling the model on the examples gave.
            span: Which examples of the global batch they are.

        Returns:
            The loss of what else is trained, and its gradients: a list for each of
            `optimizers` behind the first, of one for each variable, or None.
        """
        return 0.0, []

    def split_inputs(self, inputs: Any) -> tuple[tf.Tensor, Any]:
        """Returns x and the condition, which is None here."""
        return as_unit(inputs), None

    def condition_on(self, x: tf.Tensor, condition: Any, noise: RowNoise) -> Any:
        """What x is conditioned on where no condition came with it: nothing here."""
        return condition

    def merge_observed(self, x: tf.Tensor, condition: Any) -> tf.Tensor:
        """Generated x, with what the condition says of it in its place."""
        return x

    def likelihood_weight(self, condition: Any) -> tf.Tensor | None:
        """The weight of each element of x in log p(x|z); None: all count."""
        return None

    def encoder_input(self, x: tf.Tensor, condition: Any) -> Any:
        """What the encoder is called with."""
        return self.to_model(x)

    def decoder_input(self, z: tf.Tensor, lead: tf.Tensor, condition: Any) -> Any:
        """What the decoder is called with; z is `(prod(lead), latent_dim)`."""
        return z

    def prior_log_prob(self, z: tf.Tensor, condition: Any = None) -> tf.Tensor:
        """Returns log p(z) in nats, (num_samples, batch)."""
        return self.prior.log_prob(z, self.encode_params)

    def prior_kl(
        self, z_mean: tf.Tensor, z_log_var: tf.Tensor, condition: Any = None
    ) -> tf.Tensor | None:
        """KL(q(z|x) || p(z)) where it has a closed form, else None."""
        return self.prior.kl(z_mean, z_log_var)

    def prior_sample(
        self, n: Any, seed: Any, condition: Any = None, temperature: float = 1.0
    ) -> tf.Tensor:
        """Draws z from p(z), (n, z_dim), standard deviations times `temperature`."""
        z = self.prior.sample(n, seed, self.encode_params)
        if temperature == 1.0:
            return z
        if self.prior.kl(z[:1], tf.zeros_like(z[:1])) is None:
            prior = type(self.prior).__name__
            raise invalid_argument(
                "temperature", f"1 with the prior {prior}, no normal", temperature
            )
        return temperature * z
