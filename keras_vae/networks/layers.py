"""What Keras does not have: dropout by row, fast convolutions, a fast activation."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.errors import invalid_argument
from keras_vae.noise import current_noise

_BLOCK = 4  # output pixels a side that one position of the wide kernel gives
_REACH = _BLOCK + 2  # input pixels a side that a 3x3 kernel needs for these
# _SHIFTS[u, i, a] is 1 where output i sees input u through tap a of the kernel.
_SHIFTS = np.array(
    [
        [[float(u == i + a) for a in range(3)] for i in range(_BLOCK)]
        for u in range(_REACH)
    ],
    np.float32,
)


@keras.saving.register_keras_serializable(package="keras_vae")
def silu(x: Any) -> Any:
    """Returns x sigmoid(x), as `keras.activations.silu`, whose gradient is slower.

    That one has a gradient of its own, which recomputes the sigmoid that is kept here
    until the gradient is there, and which a SavedModel has to trace for each
    activation. For hierarchies, whose layers are the package's own anyway: a network
    with Keras' own loads where the package is not imported.
    """
    return x * keras.ops.sigmoid(x)


@keras.saving.register_keras_serializable(package="keras_vae")
class RowDropout(keras.layers.Layer):
    """Dropout whose mask depends on the example's row in the global batch alone.

    Inside a `noise_scope` the mask comes from the scope's noise, in a stream that has
    this layer's name: layers of one model need different names, and the same names
    each time the model is made. Elsewhere `keras.random` draws it.

    Of vectors single features are dropped, of images and sequences whole channels,
    since neighbouring pixels are correlated (Tompson et al. 2015).

    Args:
        rate: The share that is dropped in training, in [0, 1). What is kept is scaled
            by 1 / (1 - rate).
        seed: Of the draws outside of a `noise_scope`.

    Raises:
        ValueError: If `rate` is out of range.
    """

    def __init__(self, rate: float, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if isinstance(rate, bool) or not 0 <= rate < 1:
            raise invalid_argument("rate", "a number of at least 0 and below 1", rate)
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """(batch, ..., features) to the same shape; the identity unless training."""
        if not training or self.rate == 0:
            return inputs
        event = (1,) * (len(inputs.shape) - 2) + (inputs.shape[-1],)
        rows = keras.ops.shape(inputs)[0]
        kept = kept_at_random(self, rows, event, self.rate)
        return inputs * (keras.ops.cast(kept, inputs.dtype) / (1 - self.rate))

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape that came."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}


def kept_at_random(
    layer: Any, rows: Any, event: tuple[int, ...], rate: float
) -> tf.Tensor:
    """Draws what a layer does not set to 0, bool (rows, *event).

    Args:
        layer: Its name is that of the stream of noise inside a `noise_scope`; outside
            its `seed_generator` draws.
        rows: Examples of the batch.
        event: Of one example.
        rate: The share that is not kept.
    """
    noise = current_noise()
    if noise is None:
        return keras.random.uniform((rows, *event), seed=layer.seed_generator) >= rate
    return noise.bits16(rows, event, layer.name) >= round(rate * 2**16)


@keras.saving.register_keras_serializable(package="keras_vae")
class OutputConv2D(keras.layers.Conv2DTranspose):
    """A `Conv2DTranspose` of 3x3, stride 1, that is fast for one or two filters.

    The kernels for CPUs leave most of the vector unit idle where there is one output
    channel. So 4x4 output pixels are made at once, as 16 channels of a convolution of
    6x6 with stride 4. Its sums are the same ones in the same float type; the gradient
    is taken by the plain kernels, which are fast in that direction. Where a GPU is
    used, and for more filters, this is what Keras does.

    Args:
        filters: Number of output channels.
        **kwargs: As of `keras.layers.Layer`, and `kernel_initializer`.
    """

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(filters, kernel_size=3, padding="same", **kwargs)

    def call(self, inputs: Any) -> Any:
        """(batch, height, width, channels) to (batch, height, width, filters)."""
        height, width = inputs.shape[1:3]
        large = None not in (height, width) and min(height, width) >= 2 * _BLOCK
        if self.filters > 2 or not large or tf.config.get_visible_devices("GPU"):
            return super().call(inputs)
        # Read here: inside, the custom gradient would be asked for the variable's own.
        kernel = tf.convert_to_tensor(self.kernel)
        return tf.nn.bias_add(_few_channels(inputs, kernel), self.bias)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        config = super().get_config()
        for fixed in ("kernel_size", "strides", "padding", "output_padding"):
            del config[fixed]
        return config


@tf.custom_gradient
def _few_channels(x: tf.Tensor, kernel: tf.Tensor) -> Any:
    """Convolves x (n, h, w, c) with kernel (3, 3, filters, c), transposed."""
    height, width = x.shape[1:3]
    channels, filters = x.shape[3], kernel.shape[2]
    shifts = tf.constant(_SHIFTS, kernel.dtype)
    # A transposed convolution is a convolution with the kernel turned around.
    wide = tf.einsum("uia,vjb,aboc->uvcijo", shifts, shifts, kernel[::-1, ::-1])
    wide = tf.reshape(wide, [_REACH, _REACH, channels, _BLOCK * _BLOCK * filters])
    pads = [[1, 1 + -size % _BLOCK] for size in (height, width)]
    blocks = tf.nn.conv2d(x, wide, _BLOCK, [[0, 0], *pads, [0, 0]])
    y = tf.nn.depth_to_space(blocks, _BLOCK)[:, :height, :width]

    def gradient(dy: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        dx = tf.nn.conv2d(dy, kernel, 1, "SAME")
        dkernel = tf.raw_ops.Conv2DBackpropFilter(
            input=dy,
            filter_sizes=kernel.shape,
            out_backprop=x,
            strides=[1, 1, 1, 1],
            padding="SAME",
        )
        return dx, dkernel

    return y, gradient


@keras.saving.register_keras_serializable(package="keras_vae")
class UpsampleConv(keras.layers.Layer):
    """Nearest-neighbour upsampling by 2 with a convolution of 3 taps a side behind it.

    It draws no checkerboards (Odena et al. 2016), for all pixels of an output go
    through the same taps. Pixels that upsampling repeats are not convolved twice: the
    sums are those of a transposed convolution with stride 2, whose 4 taps a side are
    sums of these 3, at less than half the cost.

    Args:
        filters: Number of output channels.
        kernel_initializer: As of `keras.layers.Conv2D`.
        **kwargs: As of `keras.layers.Layer`.
    """

    def __init__(
        self, filters: int, kernel_initializer: Any = "glorot_uniform", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape: Any) -> None:
        """Makes the kernel, (3, ..., channels, filters), and the bias."""
        taps = (3,) * (len(input_shape) - 2)
        self.kernel = self.add_weight(
            name="kernel",
            shape=(*taps, input_shape[-1], self.filters),
            initializer=self.kernel_initializer,
        )
        self.bias = self.add_weight(
            name="bias", shape=(self.filters,), initializer="zeros"
        )

    def call(self, inputs: Any) -> Any:
        """(batch, *sides, channels) to (batch, *twice the sides, filters)."""
        ops = keras.ops
        kernel = ops.convert_to_tensor(self.kernel)
        rank = len(kernel.shape)
        sides = tuple(range(rank - 2))
        # A transposed convolution is a convolution with the kernel turned around.
        kernel = ops.swapaxes(ops.flip(kernel, sides), -2, -1)
        for side in sides:
            before = [(int(axis == side), 0) for axis in range(rank)]
            after = [(0, int(axis == side)) for axis in range(rank)]
            kernel = ops.pad(kernel, before) + ops.pad(kernel, after)
        y = ops.conv_transpose(inputs, kernel, strides=2, padding="same")
        return y + ops.cast(self.bias, y.dtype)

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Twice the sides."""
        sides = [None if side is None else 2 * side for side in input_shape[1:-1]]
        return (input_shape[0], *sides, self.filters)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments."""
        initializer = keras.initializers.serialize(self.kernel_initializer)
        config = {"filters": self.filters, "kernel_initializer": initializer}
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="keras_vae")
class PositionBias(keras.layers.Layer):
    """Adds a learned number to each feature of each position; zeros at first."""

    def build(self, input_shape: Any) -> None:
        """Makes the bias, of the shape of an example."""
        self.bias = self.add_weight(
            name="bias", shape=input_shape[1:], initializer="zeros"
        )

    def call(self, inputs: Any) -> Any:
        """(batch, ..., features) to the same shape."""
        return inputs + self.bias

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The shape that came."""
        return input_shape
