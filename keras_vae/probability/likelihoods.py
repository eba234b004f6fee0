"""The likelihoods p(x|z) by name, and those of binary and of real numbers.

Every element of x is independent given z, so a likelihood is a distribution of one
number. Those of the 256 values of 8-bit images are in `discretized`, of which one has
the colours of a pixel depend on one another.
"""

import inspect
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.errors import invalid_argument
from keras_vae.naming import lookup
from keras_vae.probability import support
from keras_vae.probability.discretized import (
    DiscretizedLogistic,
    DiscretizedLogisticMixture,
)
from keras_vae.probability.functions import bounded, langevin, log_sinhc, softplus
from keras_vae.probability.likelihood_base import (
    INITIAL_IMAGE_SCALE,
    LOG_SCALE_LIMIT,
    Likelihood,
)

__all__ = [
    "LIKELIHOODS",
    "Bernoulli",
    "ContinuousBernoulli",
    "DiscretizedLogistic",
    "DiscretizedLogisticMixture",
    "Gaussian",
    "GaussianFixed",
    "GaussianPerPixel",
    "Likelihood",
    "likelihood_of",
]

# Where a pixel is nearly always black, a bias at its mean leaves the sigmoid so flat
# that the KL can shut the latents before the decoder learns what they are for.
_INITIAL_MEANS = (0.05, 0.95)


@keras.saving.register_keras_serializable(package="keras_vae")
class Bernoulli(Likelihood):
    """log p = x l - log(1 + exp(l)) for logits l (Kingma and Welling 2014, appendix C).

    Grey values in [0, 1] are taken as probabilities: minus the cross-entropy. Draws are
    0 or 1.
    """

    unit_interval = True

    def _log_density(self, x: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        (logits,) = parameters
        return x * logits - softplus(logits)

    def _expectation(self, *parameters: tf.Tensor) -> tf.Tensor:
        return tf.sigmoid(parameters[0])

    def _draw(self, noise: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        return tf.cast(noise < tf.sigmoid(parameters[0]), noise.dtype)

    def _initial_parameters(self, mean: np.ndarray) -> list[np.ndarray]:
        inner = np.clip(mean, *_INITIAL_MEANS)
        return [np.log(inner) - np.log1p(-inner)]


@keras.saving.register_keras_serializable(package="keras_vae")
class ContinuousBernoulli(Likelihood):
    """log p = x l - log((exp(l) - 1) / l), l in +-15 (Loaiza-Ganem, Cunningham 2019).

    A density on [0, 1] with natural parameter l, the logit of the paper's lambda. It is
    computed as (x - 1/2) l - log(sinh(l/2) / (l/2)), exact near lambda = 1/2. Without
    the bound a pixel that is always 0 would be worth any number of nats.
    """

    unit_interval = True
    _limit = 15.0

    def check(self, x: np.ndarray) -> None:
        """See `Likelihood.check`; data that are all 0 or 1 are refused too."""
        super().check(x)
        support.check_grey(x, type(self).__name__)

    def fits(self, x: tf.Tensor) -> tf.Tensor:
        """See `Likelihood.fits`."""
        return super().fits(x) & support.is_grey(x)

    def _parameters(self, params: tf.Tensor) -> list[tf.Tensor]:
        (logits,) = self._numbers(params)
        return [bounded(logits, -self._limit, self._limit)]

    def _log_density(self, x: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        (logits,) = parameters
        return (x - 0.5) * logits - log_sinhc(0.5 * logits)

    def _expectation(self, *parameters: tf.Tensor) -> tf.Tensor:
        return 0.5 + 0.5 * langevin(0.5 * parameters[0])

    def _draw(self, noise: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        (logits,) = parameters
        logits = tf.where(tf.abs(logits) < 1e-6, tf.ones_like(logits) * 1e-6, logits)
        # The inverse of the distribution function (exp(l x) - 1) / (exp(l) - 1).
        quantile = tf.math.log1p(noise * tf.math.expm1(logits)) / logits
        return tf.clip_by_value(quantile, 0.0, 1.0)

    def _initial_parameters(self, mean: np.ndarray) -> list[np.ndarray]:
        low = np.full_like(mean, 1.0 - self._limit)
        high = -low
        for _ in range(50):  # bisection: the mean grows with the logit
            middle = 0.5 * (low + high)
            below = self.mean(tf.constant(middle)).numpy() < mean
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        return [low]


@keras.saving.register_keras_serializable(package="keras_vae")
class Gaussian(Likelihood):
    """log p = -((x - m) / s)^2 / 2 - log s - log(2 pi) / 2, one learned s for all of x.

    The weight `log_scale` is a scalar, bounded below so that the density stays finite
    (Dai and Wipf 2019; Rybkin et al. 2021).
    """

    normal_noise = True

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """Makes the weight `log_scale`."""
        if hasattr(self, "log_scale"):  # a loaded model builds its parts before itself
            return
        self.log_scale = self.add_weight(
            name="log_scale",
            shape=(),
            initializer=keras.initializers.Constant(self._initial_log_scale()),
            dtype="float32",
            autocast=False,
        )
        self.built = True

    @property
    def output_gain(self) -> float:
        """See `Likelihood.output_gain`; vectors and sequences are standardised."""
        return INITIAL_IMAGE_SCALE if self.image else 1.0

    def _initial_log_scale(self) -> float:
        return math.log(INITIAL_IMAGE_SCALE) if self.image else 0.0

    @property
    def smallest_scale(self) -> float:
        """The smallest standard deviation that p(x|z) can have."""
        return 1.0 / 510.0 if self.image else 1e-3

    def _bounded_log_scale(self, log_scale: tf.Tensor) -> tf.Tensor:
        return bounded(log_scale, math.log(self.smallest_scale), LOG_SCALE_LIMIT)

    def _parameters(self, params: tf.Tensor) -> list[tf.Tensor]:
        (location,) = self._numbers(params)
        log_scale = tf.cast(self.log_scale, location.dtype)
        return [location, self._bounded_log_scale(log_scale)]

    def _log_density(self, x: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        location, log_scale = parameters
        distance = (x - location) * tf.exp(-log_scale)
        return -0.5 * tf.square(distance) - (log_scale + 0.5 * math.log(2.0 * math.pi))

    def _draw(self, noise: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        location, log_scale = parameters
        return location + tf.exp(log_scale) * noise


@keras.saving.register_keras_serializable(package="keras_vae")
class GaussianFixed(Gaussian):
    """log p = -((x - m) / s)^2 / 2 - log s - log(2 pi) / 2 with s given.

    Args:
        scale: The standard deviation, in the units of the data as the model sees them.
        image: See `Likelihood`; of effect on the first outputs alone.
        **kwargs: Of `keras.layers.Layer`.

    Raises:
        ValueError: If `scale` is not a positive number.
    """

    def __init__(self, scale: float = 0.1, image: bool = False, **kwargs: Any) -> None:
        super().__init__(image, **kwargs)
        if not (math.isfinite(scale) and scale > 0.0):
            raise invalid_argument("scale", "a finite number above 0", scale)
        self.scale = scale

    @property
    def smallest_scale(self) -> float:
        """The scale that was given."""
        return self.scale

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """There is nothing to make: the scale is given."""
        self.built = True

    def get_config(self) -> dict[str, Any]:
        """The arguments, to build an equal likelihood from."""
        return {**super().get_config(), "scale": self.scale}

    def _parameters(self, params: tf.Tensor) -> list[tf.Tensor]:
        (location,) = self._numbers(params)
        return [location, tf.constant(math.log(self.scale), location.dtype)]


@keras.saving.register_keras_serializable(package="keras_vae")
class GaussianPerPixel(Gaussian):
    """log p = -((x - m) / s)^2 / 2 - log s - log(2 pi) / 2, m and log s per element.

    Kingma and Welling 2014, appendix C.2.
    """

    numbers_per_element = 2

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        """There is nothing to make: the decoder gives the scales."""
        self.built = True

    def _parameters(self, params: tf.Tensor) -> list[tf.Tensor]:
        location, log_scale = self._numbers(params)
        return [location, self._bounded_log_scale(log_scale)]

    def _initial_parameters(self, mean: np.ndarray) -> list[np.ndarray]:
        return [mean, np.full_like(mean, self._initial_log_scale())]


LIKELIHOODS: dict[str, type[Likelihood]] = {
    "bernoulli": Bernoulli,
    "continuous_bernoulli": ContinuousBernoulli,
    "gaussian": Gaussian,
    "gaussian_fixed": GaussianFixed,
    "gaussian_per_pixel": GaussianPerPixel,
    "discretized_logistic": DiscretizedLogistic,
    "discretized_logistic_mixture": DiscretizedLogisticMixture,
}
"""Likelihoods by name."""


def likelihood_of(name: str, data_shape: Sequence[int], **options: Any) -> Likelihood:
    """Returns the likelihood of that name for examples of a shape.

    Args:
        name: In `LIKELIHOODS`.
        data_shape: Of one example; three axes are an image.
        **options: Arguments, of which it gets those that it has.

    Raises:
        ValueError: If there is none of that name.
    """
    kind = lookup("likelihood", name, LIKELIHOODS)
    known = inspect.signature(kind.__init__).parameters
    own = {option: value for option, value in options.items() if option in known}
    return kind(image=len(data_shape) == 3, **own)
