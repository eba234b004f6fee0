"""How a model infers z: q(z|x), a normal or a flow of one, and its draws."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from scipy.linalg import hadamard

from keras_vae.errors import invalid_argument
from keras_vae.models.hooks import Hooks
from keras_vae.models.terms import Latent, call_on_rows, normal_params
from keras_vae.naming import lookup
from keras_vae.networks.flows import FLOWS, Flow, make_flow
from keras_vae.noise import RowNoise
from keras_vae.probability.distributions import (
    LOG_VAR_LIMIT,
    NormalByRow,
    bound_log_var,
    to_float32,
)
from keras_vae.probability.priors import VampPrior

NORMALS = ("diagonal", "isotropic")
"""Posteriors with one variance for each dimension, or one for all."""

POSTERIORS = (*NORMALS, *FLOWS)

_MOST_PAIRS = 64  # of points at which the variance behind a flow is estimated


class PosteriorMethods(Hooks):
    """The methods of a `VAE` that infer z of x and draw it."""

    unused: tuple[str, ...]
    num_samples: int

    def encode_params(
        self, x: tf.Tensor, condition: Any = None, training: bool | None = None
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """q(z|x): returns z_mean and z_log_var, float32 `(batch, latent_dim)` each.

        Of a flow they are those of `flow_moments`.
        """
        if self.flow is None:
            inputs = self.encoder_input(x, condition)
            return normal_params(self.encoder, inputs, self.posterior_family, training)
        features = self._in_front_of_flow(x, condition, training)
        return flow_moments(self.flow, *features)

    infer = encode_params

    def posterior_features(
        self, x: tf.Tensor, condition: Any = None, training: bool | None = None
    ) -> Sequence[tf.Tensor]:
        """What x says of z, found once for many draws.

        Here the moments of q(z|x); where it is a flow those of the normal in front of
        it, and the context.
        """
        if self.flow is None:
            return self.encode_params(x, condition, training)
        return self._in_front_of_flow(x, condition, training)

    def _in_front_of_flow(
        self, x: tf.Tensor, condition: Any, training: bool | None
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        inputs = self.encoder_input(x, condition)
        mean, raw_log_var, context = call_on_rows(self.encoder, inputs, training)
        return to_float32(mean), bound_log_var(raw_log_var), to_float32(context)

    def sample_posterior(
        self,
        x: tf.Tensor,
        noise: RowNoise,
        condition: Any = None,
        training: bool | None = None,
        num_samples: int | None = None,
    ) -> Latent:
        """Infers q(z|x) and draws z from it, (num_samples, batch, z_dim)."""
        features = self.posterior_features(x, condition, training)
        return self.latent_from(features, noise, condition, training, num_samples)

    def latent_from(
        self,
        features: Sequence[tf.Tensor],
        noise: RowNoise,
        condition: Any = None,
        training: bool | None = None,
        num_samples: int | None = None,
        wanted: Any = None,
    ) -> Latent:
        """Draws z of the posterior that these features of x give.

        Args:
            features: What `posterior_features` returned.
            noise: Of the draws.
            condition: For conditional models.
            training: Whether networks are in training mode.
            num_samples: Samples of z of each example that noise is laid out for; None:
                the model's own number.
            wanted: How many of these are drawn, the first ones, an int or a scalar that
                a graph is given; None: all.
        """
        z_mean, z_log_var, *context = features
        latent = self.sample_latent(
            z_mean, z_log_var, noise, condition, num_samples, *context
        )
        return latent if wanted is None else latent.first(wanted)

    def sample_latent(
        self,
        z_mean: tf.Tensor,
        z_log_var: tf.Tensor,
        noise: RowNoise,
        condition: Any = None,
        num_samples: int | None = None,
        context: tf.Tensor | None = None,
    ) -> Latent:
        """Draws reparameterised samples of q(z|x) and measures them against p(z).

        With the context of a flow what is drawn goes through it, and log q with it.
        """
        q = NormalByRow(z_mean, tf.exp(0.5 * z_log_var), noise)
        z = q.sample(num_samples or self.num_samples)
        log_q = tf.reduce_sum(q.log_prob(z), axis=-1)
        kl = None
        if context is None or self.flow is None:
            kl = self.prior_kl(z_mean, z_log_var, condition)
        else:
            z, log_det = self.flow(z, context)
            log_q -= log_det
            z_mean, z_log_var = flow_moments(self.flow, z_mean, z_log_var, context)
        log_p = self.prior_log_prob(z, condition)
        if kl is None:
            kl = tf.reduce_mean(log_q - log_p, axis=0)
        return Latent(z_mean, z_log_var, z, log_q, log_p, kl, self.step)

    # Which posterior it is.

    def _set_posterior(self, posterior: str, steps: int | None, prior: Any) -> None:
        """Checks and sets the family of q(z|x), and its flow where it has one."""
        lookup("posterior", posterior, dict.fromkeys(POSTERIORS))
        if posterior in FLOWS and "posterior_flows" in self.unused:
            raise invalid_argument(
                "posterior",
                f"{' or '.join(map(repr, NORMALS))}, since {type(self).__name__} "
                "takes no flow",
                posterior,
            )
        if posterior in FLOWS and (prior == "vamp" or isinstance(prior, VampPrior)):
            raise invalid_argument(
                "prior",
                "another than VampPrior, which is made of normal posteriors, with "
                f"posterior={posterior!r}",
                prior,
            )
        if posterior in NORMALS and steps is not None:
            raise invalid_argument(
                "posterior_flows", f"None with posterior={posterior!r}", steps
            )
        self.posterior_family = posterior
        self.flow = make_flow(posterior, self.latent_dim, steps)


def flow_moments(
    flow: Flow, z_mean: tf.Tensor, z_log_var: tf.Tensor, context: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """The mean and the log variance of z behind a flow, without noise.

    Args:
        flow: The flow.
        z_mean: Of the normal in front of it, (batch, latent_dim).
        z_log_var: Of the same, (batch, latent_dim).
        context: (batch, flow.context_size).

    Returns:
        The image of the normal's mean, and the log of an estimate of each number's
        variance: half the squared distance of the images of z_mean + s and z_mean - s,
        over two, s having the standard deviations as sizes and the rows of Hadamard's
        matrix as signs, in the mean over rows. For affine flows of up to 64 dimensions
        that is the variance itself. Both are (batch, latent_dim).
    """
    size = flow.latent_dim
    pairs = min(_MOST_PAIRS, 1 << (size - 1).bit_length())
    columns = [column % pairs for column in range(size)]
    signs = tf.constant(hadamard(pairs)[:, columns], z_mean.dtype)
    steps = signs[:, tf.newaxis] * tf.exp(0.5 * z_log_var)
    points = tf.concat([z_mean[tf.newaxis], z_mean + steps, z_mean - steps], axis=0)
    images, _ = flow(points, context)
    halves = 0.5 * (images[1 : pairs + 1] - images[pairs + 1 :])
    variance = tf.reduce_mean(tf.square(halves), axis=0)
    smallest = tf.exp(tf.constant(-LOG_VAR_LIMIT, variance.dtype))
    return images[0], tf.math.log(tf.maximum(variance, smallest))
