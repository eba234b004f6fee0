"""Convolutional networks of images and sequences: `conv`, `conv1d` and `resnet`.

Each stage halves the sides, rounding up; the decoder's stages give exactly the sizes
that the encoder's had, so any height, width and length will do.
"""

import math
from collections.abc import Sequence
from typing import Any, Unpack

import keras

from keras_vae.networks.blocks import (
    Blocks,
    Options,
    checked_network_shape,
    checked_size,
    checked_widths,
    default_filters,
)
from keras_vae.networks.layers import OutputConv2D

_RANKS = {"conv": (3,), "conv1d": (2,), "resnet": (2, 3)}


def conv_encoder(
    input_shape: Sequence[int],
    latent_dim: int,
    *,
    filters: Sequence[int] | None = None,
    hidden_units: Sequence[int] = (256,),
    **options: Unpack[Options],
) -> keras.Model:
    """Convolutions of 3x3 with stride 2, then dense layers, on images.

    `conv_encoder(shape, 2, filters=(32, 64), hidden_units=(16,), activation="relu")` is
    the encoder of the Keras VAE example.

    Args:
        input_shape: (height, width, channels), each at least 1.
        latent_dim: Number of latent dimensions.
        filters: Of each convolution. By default 32, 64, 128 ... up to 256, as many as
            bring the longer side to 8 pixels or below.
        hidden_units: Widths of the dense layers behind the convolutions.
        **options: See `Options`.

    Returns:
        A model from (batch, *input_shape) to [z_mean, z_log_var], each
        (batch, latent_dim).

    Raises:
        ValueError: If an argument is out of range.
    """
    return _encoder("conv", input_shape, latent_dim, filters, hidden_units, options)


def conv_decoder(
    latent_dim: int,
    params_shape: Sequence[int],
    *,
    filters: Sequence[int] | None = None,
    hidden_units: Sequence[int] = (256,),
    **options: Unpack[Options],
) -> keras.Model:
    """The mirror image of `conv_encoder`: transposed convolutions of stride 2.

    `conv_decoder(2, shape, filters=(32, 64), hidden_units=(), activation="relu")` is
    the decoder of the Keras VAE example.

    Args:
        latent_dim: Number of latent dimensions.
        params_shape: (height, width, channels) of the likelihood's parameters.
        filters: Of each transposed convolution in the encoder's order, from the data to
            the latent; by default as in the encoder.
        hidden_units: Widths of the dense layers in the encoder's order.
        **options: See `Options`.

    Returns:
        A model from (batch, latent_dim) to (batch, *params_shape), without a last
        activation.

    Raises:
        ValueError: If an argument is out of range.
    """
    return _decoder("conv", latent_dim, params_shape, filters, hidden_units, options)


def conv1d_encoder(
    input_shape: Sequence[int],
    latent_dim: int,
    *,
    filters: Sequence[int] | None = None,
    hidden_units: Sequence[int] = (256,),
    **options: Unpack[Options],
) -> keras.Model:
    """Convolutions over time of 3 steps with stride 2, then dense layers, on sequences.

    Args:
        input_shape: (time, features).
        latent_dim: Number of latent dimensions.
        filters: Of each convolution. By default 32, 64, 128 ... up to 256, as many as
            bring the length to 8 steps or below.
        hidden_units: Widths of the dense layers behind the convolutions.
        **options: See `Options`.

    Returns:
        A model from (batch, *input_shape) to [z_mean, z_log_var], each
        (batch, latent_dim).

    Raises:
        ValueError: If an argument is out of range.
    """
    return _encoder("conv1d", input_shape, latent_dim, filters, hidden_units, options)


def conv1d_decoder(
    latent_dim: int,
    params_shape: Sequence[int],
    *,
    filters: Sequence[int] | None = None,
    hidden_units: Sequence[int] = (256,),
    **options: Unpack[Options],
) -> keras.Model:
    """The mirror image of `conv1d_encoder`.

    Args:
        latent_dim: Number of latent dimensions.
        params_shape: (time, features) of the likelihood's parameters.
        filters: Of each transposed convolution in the encoder's order.
        hidden_units: Widths of the dense layers in the encoder's order.
        **options: See `Options`.

    Returns:
        A model from (batch, latent_dim) to (batch, *params_shape), without a last
        activation.

    Raises:
        ValueError: If an argument is out of range.
    """
    return _decoder("conv1d", latent_dim, params_shape, filters, hidden_units, options)


def resnet_encoder(
    input_shape: Sequence[int],
    latent_dim: int,
    *,
    filters: Sequence[int] | None = None,
    hidden_units: Sequence[int] = (),
    **options: Unpack[Options],
) -> keras.Model:
    """Convolutions of stride 2, each with a residual block behind it.

    Args:
        input_shape: (height, width, channels) or (time, features).
        latent_dim: Number of latent dimensions.
        filters: Of each stage; by default as in `conv_encoder`.
        hidden_units: Widths of the dense layers behind the stages.
        **options: See `Options`.

    Returns:
        A model from (batch, *input_shape) to [z_mean, z_log_var], each
        (batch, latent_dim).

    Raises:
        ValueError: If an argument is out of range.
    """
    return _encoder("resnet", input_shape, latent_dim, filters, hidden_units, options)


def resnet_decoder(
    latent_dim: int,
    params_shape: Sequence[int],
    *,
    filters: Sequence[int] | None = None,
    hidden_units: Sequence[int] = (),
    **options: Unpack[Options],
) -> keras.Model:
    """The mirror image of `resnet_encoder`.

    Args:
        latent_dim: Number of latent dimensions.
        params_shape: (height, width, channels) or (time, features) of the likelihood's
            parameters.
        filters: Of each stage in the encoder's order.
        hidden_units: Widths of the dense layers in the encoder's order.
        **options: See `Options`.

    Returns:
        A model from (batch, latent_dim) to (batch, *params_shape), without a last
        activation.

    Raises:
        ValueError: If an argument is out of range.
    """
    return _decoder("resnet", latent_dim, params_shape, filters, hidden_units, options)


def _encoder(
    network: str,
    input_shape: Any,
    latent_dim: Any,
    filters: Any,
    hidden_units: Any,
    options: Options,
) -> keras.Model:
    shape = checked_network_shape("input_shape", input_shape, _RANKS[network], network)
    latent_dim = checked_size("latent_dim", latent_dim)
    filters = _filters(filters, shape)
    hidden_units = checked_widths("hidden_units", hidden_units, "(256,)")
    blocks = Blocks("encoder", options, activation="relu")
    h = x = keras.Input(shape, name="x")
    for width in filters:
        h = blocks.conv(h, width, strides=2)
        if network == "resnet":
            h = blocks.residual(h, blocks.conv)
        else:
            h = blocks.activate(h)
    if network == "resnet":
        h = blocks.activate(h)
    h = keras.layers.Flatten(name=f"{blocks.name}_flatten")(h)
    return blocks.encoder(x, blocks.hidden(h, hidden_units), latent_dim)


def _decoder(
    network: str,
    latent_dim: Any,
    params_shape: Any,
    filters: Any,
    hidden_units: Any,
    options: Options,
) -> keras.Model:
    latent_dim = checked_size("latent_dim", latent_dim)
    shape = checked_network_shape(
        "params_shape", params_shape, _RANKS[network], network
    )
    filters = _filters(filters, shape)
    hidden_units = checked_widths("hidden_units", hidden_units, "(256,)")
    blocks = Blocks("decoder", options, activation="relu")
    sizes = [shape[:-1]]
    for _ in filters:
        sizes.append(tuple(-(-side // 2) for side in sizes[-1]))
    z = keras.Input((latent_dim,), name="z")
    h = blocks.hidden(z, hidden_units[::-1])
    start = (*sizes[-1], filters[-1])
    h = blocks.dense(h, math.prod(start))
    h = keras.layers.Reshape(start, name=f"{blocks.name}_reshape")(h)
    if network == "resnet":
        # The stage's block first: the maps are as small as they will be.
        widths = (filters[0], *filters[:-1])
        for width, size in zip(widths[::-1], sizes[-2::-1], strict=True):
            h = blocks.residual(h, blocks.conv)
            h = blocks.transposed(h, width, size)
    else:
        for width, size in zip(filters[::-1], sizes[-2::-1], strict=True):
            h = blocks.transposed(blocks.activate(h), width, size)
    params = blocks.output(output_layer(shape, blocks), blocks.activate(h))
    return keras.Model(z, params, name=blocks.name)


def _filters(filters: Any, shape: Sequence[int]) -> tuple[int, ...]:
    if filters is None:
        return default_filters(shape[:-1])
    return checked_widths("filters", filters, "(32, 64)", minimum=1)


def output_layer(shape: Sequence[int], blocks: Blocks) -> keras.layers.Layer:
    """Returns the last layer of a decoder, to maps of `shape`, named "params"."""
    kwargs = {"kernel_initializer": blocks.last(), "name": "params"}
    if len(shape) == 3:
        return OutputConv2D(shape[-1], **kwargs)
    return keras.layers.Conv1D(shape[-1], 3, padding="same", **kwargs)
