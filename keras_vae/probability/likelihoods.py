"""The likelihood p(x|z), as Keras layers: what the decoder's raw output says about x.

Every element of x is independent given z, so a likelihood is a distribution of one
number; log-probabilities are summed over the event axes. They are computed in float32
whatever the compute dtype is, and in float64 for a decoder that gives float64.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.errors import invalid_argument
from keras_vae.noise import RowNoise
from keras_vae.probability import support
from keras_vae.probability.functions import bounded, langevin, log_sinhc, softplus

_LOG_SCALE_LIMIT = 20.0  # keeps exp(log scale) and its square finite in float32
_LOGISTIC_LOG_SCALE_FLOOR = -8.0  # a bin is then 12 scales wide: it can hold 0.994
# Where a pixel is nearly always black, a bias at its mean leaves the sigmoid so flat
# that the KL can shut the latents before the decoder learns what they are for.
_INITIAL_MEANS = (0.05, 0.95)
_INITIAL_IMAGE_SCALE = 0.25  # about the standard deviation of images in [0, 1]
_INITIAL_LOGISTIC_SCALE = 0.1  # a logistic's standard deviation is 1.8 times its scale


class Likelihood(keras.layers.Layer):
    """Base of the likelihoods.

    A subclass gives, element by element, `_log_density(x, *parameters)` in nats,
    `_expectation(*parameters)` and a draw, `_draw(noise, *parameters)`; `_parameters`
    makes the distribution's parameters of the decoder's output.

    Args:
        image: The data are images in [0, 1]. Gaussian likelihoods then learn no scale
            below half a step of 8-bit grey, 1/510, and else none below 1e-3.
        **kwargs: Of `keras.layers.Layer`.
    """

    numbers_per_element = 1  # that the decoder gives
    unit_interval = False  # whether x has to lie in [0, 1]
    normal_noise = False  # whether draws take normal noise, else uniform on [0, 1)

    def __init__(self, image: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.image = image

    @property
    def output_gain(self) -> float:
        """How large the weights of the decoder's last layer are to be at first.

        As large as the data vary, beside 1. Outputs that vary more cost so much that
        the first steps do nothing but make them constant, for good where units die.
        """
        return 1.0

    def params_shape(self, input_shape: Sequence[int]) -> tuple[int, ...]:
        """The shape of the decoder's output for data of `input_shape`, without batch.

        Where there are two numbers per element the last axis is doubled: locations
        first, then log scales.
        """
        *leading, channels = input_shape
        return (*leading, self.numbers_per_element * channels)

    def log_prob(
        self, x: tf.Tensor, params: tf.Tensor, weight: tf.Tensor | None = None
    ) -> tf.Tensor:
        """Computes log p(x|z) in nats, summed over the event axes.

        Args:
            x: (batch, *input_shape).
            params: (..., batch, *params_shape), the decoder's output.
            weight: Of each element in the sum, of a shape that broadcasts to that of x;
                0 leaves out what is not asked for.

        Returns:
            (..., batch); float32, or float64 where `params` are.
        """
        parameters = self._parameters(params)
        x = tf.cast(x, parameters[0].dtype)
        event_axes = list(range(1 - x.shape.rank, 0))
        density = self._log_density(x, *parameters)
        if weight is not None:
            density *= tf.cast(weight, density.dtype)
        return tf.reduce_sum(density, event_axes)

    def mean(self, params: tf.Tensor) -> tf.Tensor:
        """E[x|z]: (..., batch, *params_shape) -> (..., batch, *input_shape)."""
        return self._expectation(*self._parameters(params))

    def sample(self, params: tf.Tensor, noise: RowNoise) -> tf.Tensor:
        """A draw of x, (batch, *input_shape), from the rows of `noise`."""
        parameters = self._parameters(params)
        draw = noise.normal if self.normal_noise else noise.uniform
        rows, event_shape = tf.shape(parameters[0])[0], tuple(parameters[0].shape[1:])
        numbers = draw(rows, event_shape, stream="x")
        return self._draw(tf.cast(numbers, parameters[0].dtype), *parameters)

    def check(self, x: np.ndarray) -> None:
        """Asks whether the model can be trained on data, reading the whole array.

        Args:
            x: (n, *input_shape), as stored: uint8 and uint16 are taken to be divided by
                255 and 65,535 later, all else as it is.

        Raises:
            ValueError: If the data cannot come from this likelihood.
        """
        self.check_support(x)

    def check_support(self, x: np.ndarray) -> None:
        """As `check`, of examples that say nothing of the rest, one alone maybe."""
        support.check_range(x, type(self).__name__, self.unit_interval)

    def fits(self, x: tf.Tensor) -> tf.Tensor:
        """Whether a batch, float32 as `check` has it, passes; a boolean scalar.

        Made for graphs, where it costs little next to a training step.
        """
        return support.in_range(x, self.unit_interval)

    def initial_bias(self, mean: np.ndarray, input_shape: Sequence[int]) -> np.ndarray:
        """The decoder's output bias at which its mean is that of the data.

        Args:
            mean: The data's mean, of shape `input_shape` or of its last axes (a mean
                per channel, for decoders that end in a convolution).
            input_shape: Of the data, without batch.

        Returns:
            float32, of `mean`'s shape with the last axis as in `params_shape`. Means
            that no finite output gives (pixels that are always 0), or that only one
            gives at which hardly a gradient is left, are taken inwards.

        Raises:
            ValueError: If the two shapes do not go together.
        """
        mean = np.asarray(mean, np.float64)
        if mean.shape != tuple(input_shape)[-mean.ndim :]:
            raise ValueError(
                f"`mean` must have the shape {tuple(input_shape)} or that of its last "
                f"axes, but has {mean.shape}."
            )
        parts = self._initial_parameters(mean)
        return np.concatenate(parts, axis=-1).astype(np.float32)

    def get_config(self) -> dict[str, Any]:
        """The arguments, to build an equal likelihood from."""
        return {**super().get_config(), "image": self.image}

    def _numbers(self, params: tf.Tensor) -> list[tf.Tensor]:
        """The decoder's output in float32 or float64, split per `params_shape`."""
        params = tf.convert_to_tensor(params)
        if params.dtype != tf.float64:
            params = tf.cast(params, tf.float32)
        if self.numbers_per_element == 1:
            return [params]
        return tf.split(params, self.numbers_per_element, axis=-1)

    def _parameters(self, params: tf.Tensor) -> list[tf.Tensor]:
        """The distribution's parameters, bounded; the first has x's event shape."""
        return self._numbers(params)

    def _expectation(self, *parameters: tf.Tensor) -> tf.Tensor:
        """The mean of each element."""
        return parameters[0]

    def _initial_parameters(self, mean: np.ndarray) -> list[np.ndarray]:
        """What the decoder should give for this mean, one array for each number."""
        return [mean]


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
        return _INITIAL_IMAGE_SCALE if self.image else 1.0

    def _initial_log_scale(self) -> float:
        return math.log(_INITIAL_IMAGE_SCALE) if self.image else 0.0

    @property
    def smallest_scale(self) -> float:
        """The smallest standard deviation that p(x|z) can have."""
        return 1.0 / 510.0 if self.image else 1e-3

    def _bounded_log_scale(self, log_scale: tf.Tensor) -> tf.Tensor:
        return bounded(log_scale, math.log(self.smallest_scale), _LOG_SCALE_LIMIT)

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
        image: See `Likelihood`; without effect here.
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


@keras.saving.register_keras_serializable(package="keras_vae")
class DiscretizedLogistic(Likelihood):
    """p = F((x - m + h) / s) - F((x - m - h) / s), F the sigmoid and h = 1/510.

    A distribution of the 256 values k/255: the mass of a logistic in bins 1/255 wide,
    those of 0 and 1 reaching to infinity (Salimans et al. 2017, equation 2).
    """

    numbers_per_element = 2
    unit_interval = True

    @property
    def output_gain(self) -> float:
        """See `Likelihood.output_gain`."""
        return _INITIAL_IMAGE_SCALE

    def check_support(self, x: np.ndarray) -> None:
        """See `Likelihood.check`; data off the grid k/255 are refused too."""
        super().check_support(x)
        support.check_levels(x, type(self).__name__)

    def fits(self, x: tf.Tensor) -> tf.Tensor:
        """See `Likelihood.fits`."""
        return super().fits(x) & support.on_levels(x)

    def _parameters(self, params: tf.Tensor) -> list[tf.Tensor]:
        # In steps of 1/255, so that the bins' edges k +- 1/2 are exact and shared.
        location, log_scale = self._numbers(params)
        log_scale = bounded(log_scale, _LOGISTIC_LOG_SCALE_FLOOR, _LOG_SCALE_LIMIT)
        return [255.0 * location, 255.0 * tf.exp(log_scale)]

    def _log_density(self, x: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        # F(b) - F(a) = F(b) F(-a) (1 - exp(a - b)): no difference of near equals.
        location, scale = parameters
        level = tf.round(255.0 * x)
        distance = level - location
        log_below = -softplus((-0.5 - distance) / scale)  # log F(b)
        log_above = -softplus((distance - 0.5) / scale)  # log F(-a)
        log_width = tf.math.log(-tf.math.expm1(-1.0 / scale))
        inner = tf.where(level < 255.0, log_below, tf.zeros_like(log_below))
        inner += tf.where(level > 0.0, log_above, tf.zeros_like(log_above))
        at_an_end = tf.logical_or(level <= 0.0, level >= 255.0)
        return inner + tf.where(at_an_end, tf.zeros_like(inner), log_width)

    def _expectation(self, *parameters: tf.Tensor) -> tf.Tensor:
        # The sum over k of P(level >= k): one pass for each of 255 edges, with never
        # more than an image's memory for an image.
        location, scale = parameters

        def add(edge: tf.Tensor, total: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return edge + 1.0, total + tf.sigmoid((location - edge) / scale)

        _, total = tf.while_loop(
            lambda edge, _: edge < 255.0,
            add,
            (tf.constant(0.5, location.dtype), tf.zeros_like(location)),
            maximum_iterations=255,
        )
        return total / 255.0

    def _draw(self, noise: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        location, scale = parameters
        logistic = tf.math.log(noise) - tf.math.log1p(-noise)
        level = tf.round(location + scale * logistic)
        return tf.clip_by_value(level, 0.0, 255.0) / 255.0

    def _initial_parameters(self, mean: np.ndarray) -> list[np.ndarray]:
        # The mean of a logistic cut off at 0 and 1 is s log((1 + exp(m/s)) /
        # (1 + exp((m - 1)/s))); this is its inverse.
        s = _INITIAL_LOGISTIC_SCALE
        mean = np.clip(mean, 1e-3, 1.0 - 1e-3)
        location = s * np.log(np.expm1(mean / s) / -np.expm1((mean - 1.0) / s))
        return [location, np.full_like(mean, math.log(s))]


LIKELIHOODS: dict[str, type[Likelihood]] = {
    "bernoulli": Bernoulli,
    "continuous_bernoulli": ContinuousBernoulli,
    "gaussian": Gaussian,
    "gaussian_fixed": GaussianFixed,
    "gaussian_per_pixel": GaussianPerPixel,
    "discretized_logistic": DiscretizedLogistic,
}
"""Likelihoods by name."""
