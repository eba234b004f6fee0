"""What every likelihood p(x|z) is: a Keras layer that says what raw output means.

Log-probabilities are summed over the event axes. They are computed in float32 whatever
the compute dtype is, and in float64 for a decoder that gives float64.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.noise import RowNoise
from keras_vae.probability import support
from keras_vae.probability.distributions import to_float32

LOG_SCALE_LIMIT = 20.0  # keeps exp(log scale) and its square finite in float32
INITIAL_IMAGE_SCALE = 0.25  # about the standard deviation of images in [0, 1]


class Likelihood(keras.layers.Layer):
    """Base of the likelihoods.

    A subclass has to give the density of an element, `_log_density`, and how one is
    drawn, `_draw`; it may override `_parameters`, which makes the distribution's
    parameters of the decoder's output, `_expectation` and `_initial_parameters`.

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
        return support.is_in_range(x, self.unit_interval)

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

    def _log_density(self, x: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        """Returns log p of each element of x given z, in nats.

        Args:
            x: (batch, *input_shape), of the parameters' dtype.
            *parameters: What `_parameters` returns, each of a shape that broadcasts to
                (..., batch, *input_shape), or as the subclass lays them out.

        Returns:
            (..., batch, *input_shape).
        """
        raise NotImplementedError

    def _draw(self, noise: tf.Tensor, *parameters: tf.Tensor) -> tf.Tensor:
        """Returns a draw of each element of x.

        Args:
            noise: (batch, *input_shape), independent numbers: standard normal where
                `normal_noise`, else uniform on [0, 1).
            *parameters: As `_log_density` takes them, of z of one example each.

        Returns:
            (batch, *input_shape).
        """
        raise NotImplementedError

    def _numbers(self, params: tf.Tensor) -> list[tf.Tensor]:
        """The decoder's output as float32, split per `params_shape`."""
        params = to_float32(tf.convert_to_tensor(params))
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
