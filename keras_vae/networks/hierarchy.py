"""The networks of a hierarchy of latents: bottom-up, top-down, and to the data.

Bottom-up features of x and the top-down path of a hierarchical VAE (Sønderby et al.
2016; Vahdat and Kautz 2020; Child 2021) live on levels: vectors at the top, then maps
whose sides double from level to level. All are small Keras models, so that each can be
looked at, replaced and frozen.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from keras_vae.arguments import in_range
from keras_vae.errors import invalid_argument
from keras_vae.networks import limit
from keras_vae.networks.blocks import (
    Blocks,
    Options,
    checked_network_shape,
    checked_size,
)
from keras_vae.networks.conv import output_layer
from keras_vae.networks.layers import PositionBias, silu

MAX_COARSE_SIDE = 8
"""The longest side of the coarsest maps, by default."""

Block = Callable[[Any], Any]
"""From a Keras tensor, (batch, *sides, channels), to one of the same shape."""


class GroupNetworks(NamedTuple):
    """What one group of latents has; h is the top-down path, e the bottom-up features.

    All maps are (batch, *size, channels), vectors (batch, channels).
    """

    prior: Any
    """h to mean and log variance of p(z_l | z_<l), and what is added to h."""
    posterior: Any
    """[h, e] to what the posterior adds to mean and log variance of the prior."""
    merge: Any
    """[h, z_l] to the next h."""
    split_posterior: "SplitPosterior | None"
    """The posterior for many h and one e; None where normalisation joins the two."""


class SplitPosterior:
    """A posterior's network in two steps, so that many h of one e cost less.

    The first layer is linear: what it makes of [h, e] is the sum of what it makes of h
    and of e, and the latter is computed once. For inference, without dropout.

    Args:
        network: From [h, e], as of `GroupNetworks`.
    """

    def __init__(self, network: keras.Model) -> None:
        self.network = network
        self._first, self._last = (x for x in network.layers if hasattr(x, "kernel"))
        self._activate = next(
            x for x in network.layers if isinstance(x, keras.layers.Activation)
        )

    def of_features(self, e: Any) -> Any:
        """What the first layer makes of e: (batch, *size, width)."""
        return self._linear(e, slice(-int(e.shape[-1]), None))

    def __call__(self, h: Any, of_features: Any) -> Any:
        """Returns what the network gives for h and e, of which `of_features` came."""
        hidden = self._linear(h, slice(int(h.shape[-1])))
        hidden = hidden + keras.ops.cast(self._first.bias, hidden.dtype) + of_features
        return keras.ops.split(self._last(self._activate(hidden)), 2, axis=-1)

    def _linear(self, x: Any, channels: slice) -> Any:
        x = self._activate(x)
        kernel = keras.ops.cast(self._first.kernel, x.dtype)[..., channels, :]
        if isinstance(self._first, keras.layers.Dense):
            return keras.ops.matmul(x, kernel)
        return self._first.convolution_op(x, kernel)


def level_sizes(
    data_shape: Sequence[int], levels: int, finest_stride: int = 2
) -> list[tuple[int, ...]]:
    """Returns the sides of the maps of each level, coarsest first, () for vectors.

    Args:
        data_shape: Of one example.
        levels: How many there are, the vectors at the top being the first.
        finest_stride: Pixels of an example that a pixel of the finest maps stands for,
            along each side: a power of 2.
    """
    sides = tuple(data_shape[:-1])
    if not sides:
        return [()] * levels
    sizes = []
    for _ in range(int(math.log2(finest_stride))):
        sides = halved(sides)
    for _ in range(levels - 1):
        sizes.append(sides)
        sides = halved(sides)
    return [(), *sizes[::-1]]


def default_groups(
    data_shape: Sequence[int], finest_stride: int = 2
) -> tuple[int, ...]:
    """Returns how many groups each level has by default, coarsest first.

    One vector at the top, three groups of the coarsest maps, whose longest side is at
    most `MAX_COARSE_SIDE`, and two on each level below; vectors have three groups.
    """
    sides = tuple(data_shape[:-1])
    if not sides:
        return (1, 2)
    side, levels = max(sides) / finest_stride, 1
    while math.ceil(side) > MAX_COARSE_SIDE:
        side, levels = side / 2, levels + 1
    return (1, 3, *[2] * (levels - 1))


def checked_stride(value: Any) -> int:
    """Returns `finest_stride`; raises a ValueError unless it is a power of 2."""
    stride = in_range("finest_stride", value, 1, whole=True)
    if stride & (stride - 1):
        raise invalid_argument("finest_stride", "a power of 2", value)
    return int(stride)


def checked_groups(value: Any, levels: int) -> tuple[int, ...]:
    """Returns `groups`; raises a ValueError where there are fewer than `levels`."""
    groups = np.atleast_1d(np.asarray(value, dtype=object)).tolist()
    if len(groups) < levels:
        raise invalid_argument("groups", f"{levels} numbers at least", value)
    return tuple(int(in_range("groups", count, 1, whole=True)) for count in groups)


def halved(sides: Sequence[int]) -> tuple[int, ...]:
    """The sides of a map behind a convolution of stride 2."""
    return tuple(-(-side // 2) for side in sides)


def bottom_up(
    input_shape: tuple[int, ...],
    levels: int,
    *,
    width: int = 32,
    finest_stride: int = 2,
    blocks_per_level: int = 2,
    block: Block | None = None,
    **options: Any,
) -> keras.Model:
    """Returns a network from x to the features of each level, coarsest first.

    Args:
        input_shape: Of one example.
        levels: As for `level_sizes`.
        width: Channels of all features.
        finest_stride: As for `level_sizes`.
        blocks_per_level: Residual blocks on each level of maps.
        block: What stands in their place; it is called once for each.
        **options: `networks.Options`.

    Returns:
        A model from (batch, *input_shape) to a list of `levels` features.
    """
    shape = checked_network_shape("input_shape", input_shape)
    width = checked_size("width", width)
    net = Blocks("bottom_up", _options(options))
    x = keras.Input(shape, name="x")
    sizes = level_sizes(shape, levels, finest_stride)
    features = []
    if len(shape) == 1:
        h = net.dense(x, width)
        for _ in sizes:
            for _ in range(blocks_per_level):
                h = _block(net, h, block)
            features.append(h)
        return keras.Model(x, features[::-1], name=net.name)
    h, sides = x, tuple(shape[:-1])
    if finest_stride == 1:
        h = net.conv(h, width)
    while len(features) < levels - 1:
        if sides != sizes[-1 - len(features)] or h is x:
            h, sides = net.conv(h, width, strides=2, taps=4), halved(sides)
        if sides == sizes[-1 - len(features)]:
            for _ in range(blocks_per_level):
                h = _block(net, h, block)
            features.append(h)
    flat = keras.layers.Flatten(name=f"{net.name}_flatten")(net.activate(h))
    h = net.activate(net.dense(flat, 4 * width))
    features.append(net.dense(h, width))
    return keras.Model(x, features[::-1], name=net.name)


def group_networks(
    name: str,
    size: tuple[int, ...],
    channels: int,
    *,
    width: int = 32,
    block: Block | None = None,
    **options: Any,
) -> GroupNetworks:
    """Returns the networks of one group of latents.

    Args:
        name: That their names start with.
        size: Sides of its maps; () for a vector.
        channels: Numbers of z_l at each position.
        width: Channels of the top-down path and the bottom-up features.
        block: What stands in place of the residual block behind z_l.
        **options: `networks.Options`.
    """
    h = keras.Input((*size, width), name=f"{name}_h")
    e = keras.Input((*size, width), name=f"{name}_e")
    z = keras.Input((*size, channels), name=f"{name}_z")
    style = _options(options)

    prior = Blocks("", {**style, "name": f"{name}_prior"})
    outputs = _two(prior, h, width, 2 * channels + width)
    cuts = [channels, 2 * channels]
    prior_net = keras.Model(h, keras.ops.split(outputs, cuts, axis=-1), name=prior.name)

    posterior = Blocks("", {**style, "name": f"{name}_posterior"})
    joined = keras.layers.Concatenate(name=f"{name}_join")([h, e])
    outputs = _two(posterior, joined, width, 2 * channels)
    deltas = keras.ops.split(outputs, 2, axis=-1)
    posterior_net = keras.Model([h, e], deltas, name=posterior.name)

    merge = Blocks("", {**style, "name": f"{name}_merge"})
    into = merge.dense(z, width, kernel_initializer="glorot_uniform")
    added = keras.layers.Add(name=f"{name}_add")([h, into])
    merged = _block(merge, added, block)
    merge_net = keras.Model([h, z], merged, name=merge.name)
    split = None if posterior.normalization else SplitPosterior(posterior_net)
    return GroupNetworks(prior_net, posterior_net, merge_net, split)


def start(name: str, width: int) -> keras.Model:
    """Returns a network from zeros (batch, width) to where the top-down path starts."""
    zeros = keras.Input((width,), name="zeros")
    return keras.Model(zeros, PositionBias(name=f"{name}_bias")(zeros), name=name)


def up(
    name: str,
    size: tuple[int, ...],
    next_size: tuple[int, ...],
    *,
    width: int = 32,
    block: Block | None = None,
    **options: Any,
) -> keras.Model:
    """Returns a network from the top-down path of one level to that of the next."""
    net = Blocks("", {**_options(options), "name": name})
    h = keras.Input((*size, width), name=f"{name}_h")
    if not next_size:
        return keras.Model(h, _block(net, h, block), name=name)
    if size:
        out = net.upsample(h, width, next_size)
    else:
        units = math.prod(next_size) * width
        limit.count(width * units)
        out = net.dense(h, units)
        out = keras.layers.Reshape((*next_size, width), name=f"{name}_reshape")(out)
    return keras.Model(h, PositionBias(name=f"{name}_position")(out), name=name)


def condition_bias(
    name: str, code_shape: tuple[int, ...], size: tuple[int, ...], width: int
) -> keras.Model:
    """Returns a network from the code of a condition to what it adds to a level."""
    code = keras.Input(code_shape, name=f"{name}_code")
    flat = keras.layers.Flatten(name=f"{name}_flatten")(code)
    added = keras.layers.Dense(width, name=f"{name}_dense")(flat)
    shape = (*[1 for _ in size], width)
    return keras.Model(
        code, keras.layers.Reshape(shape, name=f"{name}_reshape")(added), name=name
    )


def top_down_decoder(
    size: tuple[int, ...],
    params_shape: tuple[int, ...],
    *,
    width: int = 32,
    block: Block | None = None,
    **options: Any,
) -> keras.Model:
    """Returns the network from the end of the top-down path to the data.

    Args:
        size: Sides of the finest maps; () for vectors.
        params_shape: Of the likelihood's parameters for one example.
        width: Channels of the top-down path.
        block: What stands in place of its first residual block.
        **options: `networks.Options`.
    """
    shape = checked_network_shape("params_shape", params_shape)
    net = Blocks("decoder", _options(options))
    h = top = keras.Input((*size, width), name="h")
    h = _block(net, h, block)
    if not size:
        head = keras.layers.Dense(
            shape[-1], kernel_initializer=net.last(), name="params"
        )
        params = net.output(head, net.activate(h))
        return keras.Model(top, params, name=net.name)
    sides = [tuple(shape[:-1])]
    while sides[-1] != tuple(size):
        sides.append(halved(sides[-1]))
    for at in sides[-2::-1]:
        h = net.upsample(net.activate(h), max(16, width // 2), at)
    params = net.output(output_layer(shape, net), net.activate(h))
    return keras.Model(top, params, name=net.name)


def _options(options: dict[str, Any]) -> Options:
    known: Any = {k: v for k, v in options.items() if v is not None}
    if known.get("activation", "silu") in ("silu", "swish"):
        known["activation"] = silu
    return known


def _linear(net: Blocks, size: tuple[int, ...]) -> Any:
    return net.conv if size else net.dense


def _block(net: Blocks, x: Any, block: Block | None) -> Any:
    """A residual block, or what was given in its place."""
    if block is None:
        return net.residual(x, _linear(net, tuple(x.shape[1:-1])))
    made = block(x)
    if made.shape != x.shape:
        raise invalid_argument(
            "block",
            f"a function from a Keras tensor to one of its shape, {x.shape}",
            received=f"one that gives {made.shape}",
        )
    return made


def _two(net: Blocks, x: Any, width: int, filters: int) -> Any:
    """Two layers in front of which there are activations; the last starts at zero."""
    linear = _linear(net, tuple(x.shape[1:-1]))
    h = linear(net.activate(x), width)
    return linear(net.activate(h), filters, kernel_initializer="zeros")
