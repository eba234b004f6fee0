"""Likelihoods of the 256 values of 8-bit images: a logistic, and a mixture of them."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.errors import invalid_argument
from keras_vae.noise import RowNoise
from keras_vae.probability import support
from keras_vae.probability.distributions import to_float32
from keras_vae.probability.functions import bounded, softplus
from keras_vae.probability.likelihood_base import (
    INITIAL_IMAGE_SCALE,
    LOG_SCALE_LIMIT,
    Likelihood,
)

_LOG_SCALE_FLOOR = -8.0  # a bin is then 12 scales wide: it can hold 0.994
_INITIAL_SCALE = 0.1  # a logistic's standard deviation is 1.8 times its scale
_INITIAL_SPREAD = 0.25  # of the components: each has a range of its own to learn
_COEFFICIENT_LIMIT = 3.0
_KINDS = {1: 3, 3: 10}  # of numbers for a component, by how many channels share it
_ANY_VALUE = 1e-6  # probability that a value is none of the logistics'
_BEYOND = 1e30  # the open end of a tail: above all locations and scales
_NODES, _NODE_WEIGHTS = (
    points.tolist() for points in np.polynomial.legendre.leggauss(8)
)


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
        return INITIAL_IMAGE_SCALE

    def check_support(self, x: np.ndarray) -> None:
        """See `Likelihood.check`; data off the grid k/255 are refused too."""
        super().check_support(x)
        support.check_levels(x, type(self).__name__)

    def fits(self, x: tf.Tensor) -> tf.Tensor:
        """See `Likelihood.fits`."""
        return super().fits(x) & support.on_levels(x)

    def _parameters(self, params: tf.Tensor) -> list[tf.Tensor]:
        location, log_scale = self._numbers(params)
        return [_location(location), _scale(log_scale)]

    def _log_density(self, x: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        location, scale = parameters
        return _log_mass(tf.round(255.0 * x), location, scale)

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
        return _draw_level(noise, location, scale) / 255.0

    def _initial_parameters(self, mean: np.ndarray) -> list[np.ndarray]:
        # The mean of a logistic cut off at 0 and 1 is s log((1 + exp(m/s)) /
        # (1 + exp((m - 1)/s))); this is its inverse.
        s = _INITIAL_SCALE
        mean = np.clip(mean, 1e-3, 1.0 - 1e-3)
        location = s * np.log(np.expm1(mean / s) / -np.expm1((mean - 1.0) / s))
        return [location, np.full_like(mean, math.log(s))]


@keras.saving.register_keras_serializable(package="keras_vae")
class DiscretizedLogisticMixture(DiscretizedLogistic):
    """p = sum_k w_k prod_c (F((x_c - m_kc + h) / s_kc) - F((x_c - m_kc - h) / s_kc)).

    A mixture of K logistics over the 256 values k/255, with the bins of
    `DiscretizedLogistic` (Salimans et al. 2017, equations 2 and 3). Where the last axis
    has three channels, a pixel's red, green and blue share the component, and the
    locations of green and blue are linear in the channels before them:
    m_g + a (r - 1/2), m_b + b (r - 1/2) + c (g - 1/2), with a, b and c of each
    component from the decoder. With any other number of channels each has a mixture of
    its own.

    Given the channels before it each has, with probability 1e-6, any of the 256 values
    alike. So no number costs more than 19.4 nats, where a logistic whose scale is a
    tenth of a step costs thousands: one held-out image that a network has never seen
    the like of would decide the mean over all others. `sample` draws of the logistics
    alone.

    The decoder gives weights as logits, locations, log scales and coefficients, in this
    order: 10 numbers for each pixel and component with three channels, and else 3 for
    each element and component.

    Args:
        components: K, the number of logistics.
        image: See `Likelihood`; without effect here.
        **kwargs: Of `keras.layers.Layer`.

    Raises:
        ValueError: If `components` is below 1.
    """

    def __init__(
        self, components: int = 10, image: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(image, **kwargs)
        if components < 1:
            raise invalid_argument("components", "at least 1", components)
        self.components = components
        self.numbers_per_element = _KINDS[1] * components  # without joint channels

    def params_shape(self, input_shape: Sequence[int]) -> tuple[int, ...]:
        """See `Likelihood.params_shape`, and above for the order of the last axis."""
        *leading, channels = input_shape
        if channels == 3:
            return (*leading, _KINDS[3] * self.components)
        return super().params_shape(input_shape)

    def sample(self, params: tf.Tensor, noise: RowNoise) -> tf.Tensor:
        """See `Likelihood.sample`: the component, then one channel after another."""
        log_weights, *parameters = self._parameters(params)
        locations, scales, coefficients = self._by_channel(parameters)
        rows, shape = tf.shape(log_weights)[0], tuple(log_weights.shape[1:])
        *leading, _, pixels = shape

        def uniform(count: int, stream: str) -> tf.Tensor:
            numbers = noise.uniform(rows, (*leading, count), stream=stream)
            return tf.cast(numbers, log_weights.dtype)

        weight_below = tf.cumsum(tf.exp(log_weights), axis=-2)[..., :-1, :]
        passed = weight_below <= uniform(pixels, "component")[..., tf.newaxis, :]
        component = tf.reduce_sum(tf.cast(passed, tf.int32), axis=-2)
        axis = component.shape.rank - 1  # the last but one of what comes out
        chosen = tf.one_hot(component, shape[-2], axis=axis, dtype=log_weights.dtype)
        numbers = tf.split(uniform(len(locations) * pixels, "x"), len(locations), -1)
        levels: list[tf.Tensor] = []
        for channel, scale in enumerate(scales):
            location = _conditional_location(levels, channel, locations, coefficients)
            location, scale = (
                tf.reduce_sum(chosen * of_each, axis=-2, keepdims=True)
                for of_each in (location, scale)
            )
            number = numbers[channel][..., tf.newaxis, :]
            levels.append(_draw_level(number, location, scale))
        return tf.squeeze(tf.concat(levels, axis=-1), axis=-2) / 255.0

    def get_config(self) -> dict[str, Any]:
        """The arguments, to build an equal likelihood from."""
        return {**super().get_config(), "components": self.components}

    @staticmethod
    def _by_channel(parameters: Sequence[tf.Tensor]) -> tuple[list[tf.Tensor], ...]:
        """All but the weights as locations, scales and coefficients."""
        joint = 1 if len(parameters) == 2 else 3
        parts = list(parameters)
        return parts[:joint], parts[joint : 2 * joint], parts[2 * joint :]

    def _parameters(self, params: tf.Tensor) -> list[tf.Tensor]:
        # Each is (..., components, pixels): one pixel of three channels that share a
        # component, or as many as there are channels, each for itself.
        params = to_float32(tf.convert_to_tensor(params))
        kinds = _KINDS[3 if params.shape[-1] == _KINDS[3] * self.components else 1]
        parts = [kinds, self.components, params.shape[-1] // (kinds * self.components)]
        parameters = tf.reshape(params, tf.concat([tf.shape(params)[:-1], parts], 0))
        parameters.set_shape([*params.shape[:-1], *parts])
        logits, *others = tf.unstack(parameters, axis=-3)
        locations, log_scales, coefficients = self._by_channel(others)
        limits = -_COEFFICIENT_LIMIT, _COEFFICIENT_LIMIT
        return [
            tf.nn.log_softmax(logits, axis=-2),
            *(_location(location) for location in locations),
            *(_scale(log_scale) for log_scale in log_scales),
            *(bounded(coefficient, *limits) for coefficient in coefficients),
        ]

    def _log_density(self, x: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        # log p of each channel given those before, which tell the component.
        log_weights, *others = parameters
        locations, scales, coefficients = self._by_channel(others)
        every = tf.split(tf.round(255.0 * x), len(locations), axis=-1)
        levels = [level[..., tf.newaxis, :] for level in every]
        densities = []
        for channel, scale in enumerate(scales):
            location = _conditional_location(levels, channel, locations, coefficients)
            joint = log_weights + _log_mass(levels[channel], location, scale)
            density = tf.reduce_logsumexp(joint, axis=-2, keepdims=True)
            log_weights = joint - density
            densities.append(_with_any_value(density))
        return tf.squeeze(tf.concat(densities, axis=-1), axis=-2)

    def _expectation(self, *parameters: tf.Tensor) -> tf.Tensor:
        log_weights, *others = parameters
        locations, scales, coefficients = self._by_channel(others)
        if len(locations) == 1:
            means = [super()._expectation(locations[0], scales[0])]
        else:
            means = _mean_colour(locations, scales, coefficients)
        weights = tf.exp(log_weights)
        return tf.concat([tf.reduce_sum(weights * m, -2) for m in means], axis=-1)

    def _initial_parameters(self, mean: np.ndarray) -> list[np.ndarray]:
        # Components apart from one another, shifted until the mixture has the mean.
        joint = 3 if mean.shape[-1] == 3 else 1
        mean = np.clip(mean, 1e-3, 1.0 - 1e-3)
        several = self.components > 1
        offsets = np.linspace(-1.0, 1.0, self.components) if several else 0.0
        spread = _INITIAL_SPREAD * np.reshape(offsets, (-1, 1))
        low, high, s = np.full_like(mean, -3.0), np.full_like(mean, 4.0), _INITIAL_SCALE
        for _ in range(60):  # bisection: the mean grows with the shift
            middle = 0.5 * (low + high)
            each = (middle[..., np.newaxis, :] + spread) / s
            inside = np.logaddexp(0.0, each) - np.logaddexp(0.0, each - 1.0 / s)
            below = s * inside.mean(axis=-2) < mean
            low, high = np.where(below, middle, low), np.where(below, high, middle)
        location = low[..., np.newaxis, :] + spread
        by_channel = np.split(location, joint, axis=-1)  # (..., components, pixels)
        flat = (*mean.shape[:-1], -1)
        zeros = np.zeros_like(by_channel[0]).reshape(flat)
        return [
            zeros,
            *(channel.reshape(flat) for channel in by_channel),
            *[np.full_like(zeros, math.log(s))] * joint,
            *[zeros] * (joint * (joint - 1) // 2),
        ]


# Locations and scales below are in steps of 1/255, so that the bins' edges k +- 1/2 are
# exact and shared.


def _location(raw: tf.Tensor) -> tf.Tensor:
    return 255.0 * raw


def _scale(raw: tf.Tensor) -> tf.Tensor:
    return 255.0 * tf.exp(bounded(raw, _LOG_SCALE_FLOOR, LOG_SCALE_LIMIT))


def _log_mass(level: tf.Tensor, location: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """The log of a logistic's mass in the bin of a level, 0 to 255."""
    # F(b) - F(a) = F(b) F(-a) (1 - exp(a - b)): no difference of near equals.
    low = tf.where(level > 0.0, level - 0.5, -_BEYOND)
    high = tf.where(level < 255.0, level + 0.5, _BEYOND)
    log_below = -softplus((location - high) / scale)  # log F(b)
    log_above = -softplus((low - location) / scale)  # log F(-a)
    return log_below + log_above + tf.math.log(-tf.math.expm1((low - high) / scale))


def _with_any_value(log_mass: tf.Tensor) -> tf.Tensor:
    """The log of a value's probability where it may also be none of the logistics'."""
    alike = math.log(_ANY_VALUE / 256.0)
    return alike + softplus(log_mass + math.log1p(-_ANY_VALUE) - alike)


def _draw_level(noise: tf.Tensor, location: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """Levels, 0 to 255, of noise uniform on [0, 1)."""
    logistic = tf.math.log(noise) - tf.math.log1p(-noise)
    return tf.clip_by_value(tf.round(location + scale * logistic), 0.0, 255.0)


def _conditional_location(
    levels: Sequence[tf.Tensor],
    channel: int,
    locations: Sequence[tf.Tensor],
    coefficients: Sequence[tf.Tensor],
) -> tf.Tensor:
    """A channel's location given the levels of those before (equation 3)."""
    location, first = locations[channel], channel * (channel - 1) // 2
    for before in range(channel):
        location += coefficients[first + before] * (levels[before] - 127.5)
    return location


def _mean_colour(
    locations: Sequence[tf.Tensor],
    scales: Sequence[tf.Tensor],
    coefficients: Sequence[tf.Tensor],
) -> list[tf.Tensor]:
    """The mean of each of three channels over those before, by Gauss and Legendre.

    The values of a channel are taken as continuous here, which leaves an error of less
    than half a step of 1/255 for each.
    """
    mean_red = _clipped_mean(locations[0], scales[0])
    dtype = mean_red.dtype
    nodes = 0.5 + 0.5 * tf.constant(_NODES, dtype)
    quantiles = tf.math.log(nodes) - tf.math.log1p(-nodes)
    weights = 0.5 * tf.constant(_NODE_WEIGHTS, dtype)
    count = len(_NODES)

    def at(node: tf.Tensor, location: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
        level = location + scale * tf.gather(quantiles, node)
        return tf.clip_by_value(level, 0.0, 255.0)

    def add(step: tf.Tensor, *totals: tf.Tensor) -> tuple[tf.Tensor, ...]:
        first, second = step // count, step % count
        weight = tf.gather(weights, first) * tf.gather(weights, second)
        levels = [at(first, locations[0], scales[0])]
        green = _conditional_location(levels, 1, locations, coefficients)
        levels.append(at(second, green, scales[1]))
        blue = _conditional_location(levels, 2, locations, coefficients)
        means = _clipped_mean(green, scales[1]), _clipped_mean(blue, scales[2])
        new = [t + weight * m for t, m in zip(totals, means, strict=True)]
        return (step + 1, *new)

    zero = tf.zeros_like(mean_red)
    _, green, blue = tf.while_loop(
        lambda step, *_: step < count * count,
        add,
        (tf.constant(0), zero, zero),
        maximum_iterations=count * count,
    )
    return [mean_red, green, blue]


def _clipped_mean(location: tf.Tensor, scale: tf.Tensor) -> tf.Tensor:
    """The mean of a logistic cut off at 0 and 255, in units of 255, not rounded.

    It is s (softplus(m / s) - softplus((m - 255) / s)).
    """
    width = 255.0 / scale
    upper = tf.clip_by_value(location / scale, -20.0, width + 20.0)
    lower = upper - width
    # The difference of near equals, where the scale is large.
    flat = tf.math.log1p(tf.sigmoid(lower) * tf.math.expm1(tf.minimum(width, 1.0)))
    steep = softplus(upper) - softplus(lower)
    return tf.clip_by_value(tf.where(width < 1.0, flat, steep) / width, 0.0, 1.0)
