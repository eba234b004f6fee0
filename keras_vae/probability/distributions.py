"""The posterior q(z|x): its tfp distribution, its KL to the prior, paths through z."""

from typing import Any

import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae.noise import RowNoise

LOG_VAR_LIMIT = 15.0
"""Log variances are kept within plus and minus this; the standard deviation that this
allows reaches from 5.5e-4 to 1,800 times the prior's."""


def to_float32(x: tf.Tensor) -> tf.Tensor:
    """Half-precision numbers as float32, where probabilities are computed."""
    return x if x.dtype == tf.float64 else tf.cast(x, tf.float32)


def bound_log_var(raw: tf.Tensor) -> tf.Tensor:
    """Bounds log variances smoothly to plus and minus `LOG_VAR_LIMIT`, in float32.

    The identity to within 2e-4 for |raw| < 6. Infinities give the limits; NaN stays.
    """
    limit = LOG_VAR_LIMIT
    raised = tf.nn.softplus(to_float32(raw) + limit) - limit
    return limit - tf.nn.softplus(limit - raised)


class NormalByRow(tfp.distributions.Normal):
    """A `tfp` Normal of shape (batch, latent_dim) whose samples take noise by row.

    `sample(k)` is the reparameterised `loc + scale * noise`, (k, batch, latent_dim).
    The noise of an example depends on its index in the global batch, not on how the
    batch is split (Kingma and Welling 2014, section 2.4).
    """

    def __init__(self, loc: tf.Tensor, scale: tf.Tensor, noise: RowNoise) -> None:
        parameters = {"loc": loc, "scale": scale, "noise": noise}
        super().__init__(loc, scale, name="NormalByRow")
        self._parameters = parameters
        self._noise = noise

    @classmethod
    def _parameter_properties(cls, dtype: Any, num_classes: Any = None) -> Any:
        return tfp.distributions.Normal._parameter_properties(dtype, num_classes)

    def _sample_n(self, n: Any, seed: Any = None) -> tf.Tensor:
        num_samples = int(tf.get_static_value(n))
        batch, latent_dim = tf.shape(self.loc)[0], int(self.loc.shape[-1])
        if num_samples == 1:
            noise = self._noise.normal(batch, (latent_dim,), "z")[tf.newaxis]
        else:
            noise = self._noise.normal(batch, (num_samples, latent_dim), "z")
            noise = tf.transpose(noise, [1, 0, 2])
        return self.loc + self.scale * tf.cast(noise, self.loc.dtype)


def kl_to_standard_normal(z_mean: tf.Tensor, z_log_var: tf.Tensor) -> tf.Tensor:
    """KL(N(z_mean, exp(z_log_var)) || N(0, 1)) for each dimension, in nats.

    Kingma and Welling 2014, appendix B. The shape is that of the arguments.
    """
    return 0.5 * (tf.square(z_mean) + tf.exp(z_log_var) - 1.0 - z_log_var)


def interpolate_latents(
    a: tf.Tensor, b: tf.Tensor, steps: Any, spherical: bool = False
) -> tf.Tensor:
    """Returns points from `a` to `b`, both included.

    Args:
        a: (latent_dim,), the start.
        b: (latent_dim,), the end.
        steps: Number of points, an int or int32 scalar; with one there is only `a`.
        spherical: Turn the direction at constant speed (slerp, Shoemake 1985) while the
            norm changes linearly; a straight line where the two directions coincide,
            oppose each other or do not exist, and in one dimension.

    Returns:
        (steps, latent_dim), float32. The first and last rows are `a` and `b` exactly.
    """
    a, b = tf.cast(a, tf.float32), tf.cast(b, tf.float32)
    count = tf.cast(tf.maximum(steps - 1, 1), tf.float32)
    t = (tf.range(tf.cast(steps, tf.float32)) / count)[:, tf.newaxis]
    line = (1.0 - t) * a + t * b
    if not spherical or a.shape[-1] == 1:
        return line
    norm_a, norm_b = tf.norm(a), tf.norm(b)
    cosine = tf.reduce_sum(a * b) / tf.maximum(norm_a * norm_b, 1e-30)
    angle = tf.acos(tf.clip_by_value(cosine, -1.0, 1.0))
    sine = tf.sin(angle)
    turns = tf.logical_and(sine > 1e-3, norm_a * norm_b > 0.0)
    safe = tf.where(turns, sine, 1.0)
    direction = tf.sin((1.0 - t) * angle) / safe * tf.math.divide_no_nan(
        a, norm_a
    ) + tf.sin(t * angle) / safe * tf.math.divide_no_nan(b, norm_b)
    arc = ((1.0 - t) * norm_a + t * norm_b) * direction
    at_an_end = tf.logical_or(tf.equal(t, 0.0), tf.equal(t, 1.0))
    return tf.where(tf.logical_and(turns, ~at_an_end), arc, line)


def nearer_end(steps: Any) -> tf.Tensor:
    """Returns which end each point of `interpolate_latents` is nearer to.

    Args:
        steps: Number of points, an int or int32 scalar.

    Returns:
        (steps,), int32: 0 for a, which has the middle too, and 1 for b.
    """
    return tf.cast(2 * tf.range(steps) >= steps, tf.int32)
