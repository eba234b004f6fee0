"""Networks of dense layers, for data of any shape: `mlp` and `resmlp`."""

import math
from collections.abc import Sequence
from typing import Any, Unpack

import keras

from keras_vae.networks import limit
from keras_vae.networks.blocks import (
    Blocks,
    Options,
    checked_network_shape,
    checked_size,
    checked_widths,
)


def mlp_encoder(
    input_shape: Sequence[int],
    latent_dim: int,
    *,
    hidden_units: Sequence[int] = (500, 500),
    **options: Unpack[Options],
) -> keras.Model:
    """Dense layers on data of any shape, flattened.

    Args:
        input_shape: Of an example: (features,), (time, features) or (height, width,
            channels).
        latent_dim: Number of latent dimensions.
        hidden_units: Widths of the hidden layers; none make a linear encoder.
        **options: See `Options`.

    Returns:
        A model from (batch, *input_shape) to [z_mean, z_log_var], each
        (batch, latent_dim).

    Raises:
        ValueError: If an argument is out of range.
    """
    return _encoder("mlp", input_shape, latent_dim, hidden_units, options)


def mlp_decoder(
    latent_dim: int,
    params_shape: Sequence[int],
    *,
    hidden_units: Sequence[int] = (500, 500),
    **options: Unpack[Options],
) -> keras.Model:
    """The mirror image of `mlp_encoder`.

    Args:
        latent_dim: Number of latent dimensions.
        params_shape: Of the likelihood's parameters for one example.
        hidden_units: Widths in the encoder's order, from the data to the latent:
            (400, 200) makes latent-200-400-data.
        **options: See `Options`.

    Returns:
        A model from (batch, latent_dim) to (batch, *params_shape), without a last
        activation.

    Raises:
        ValueError: If an argument is out of range.
    """
    return _decoder("mlp", latent_dim, params_shape, hidden_units, options)


def resmlp_encoder(
    input_shape: Sequence[int],
    latent_dim: int,
    *,
    hidden_units: Sequence[int] = (300, 300),
    **options: Unpack[Options],
) -> keras.Model:
    """Residual blocks of two dense layers each, on data of any shape, flattened.

    With ReLU give `normalization="layer"` too: its outputs are never negative, so the
    first steps of an adaptive optimizer move the stream between the blocks all one way,
    and without normalisation its units die.

    Args:
        input_shape: Of an example.
        latent_dim: Number of latent dimensions.
        hidden_units: Width of each block, at least one. A linear layer leads to the
            first and to each that has another width than the one before.
        **options: See `Options`.

    Returns:
        A model from (batch, *input_shape) to [z_mean, z_log_var], each
        (batch, latent_dim).

    Raises:
        ValueError: If an argument is out of range.
    """
    return _encoder("resmlp", input_shape, latent_dim, hidden_units, options)


def resmlp_decoder(
    latent_dim: int,
    params_shape: Sequence[int],
    *,
    hidden_units: Sequence[int] = (300, 300),
    **options: Unpack[Options],
) -> keras.Model:
    """The mirror image of `resmlp_encoder`.

    Args:
        latent_dim: Number of latent dimensions.
        params_shape: Of the likelihood's parameters for one example.
        hidden_units: Width of each block in the encoder's order.
        **options: See `Options`.

    Returns:
        A model from (batch, latent_dim) to (batch, *params_shape), without a last
        activation.

    Raises:
        ValueError: If an argument is out of range.
    """
    return _decoder("resmlp", latent_dim, params_shape, hidden_units, options)


def _encoder(
    network: str, input_shape: Any, latent_dim: Any, hidden_units: Any, options: Options
) -> keras.Model:
    shape = checked_network_shape("input_shape", input_shape)
    latent_dim = checked_size("latent_dim", latent_dim)
    widths = _widths(network, hidden_units)
    blocks = Blocks("encoder", options)
    x = keras.Input(shape, name="x")
    h = keras.layers.Flatten(name=f"{blocks.name}_flatten")(x)
    return blocks.encoder(x, _STACKS[network](blocks, h, widths), latent_dim)


def _decoder(
    network: str,
    latent_dim: Any,
    params_shape: Any,
    hidden_units: Any,
    options: Options,
) -> keras.Model:
    latent_dim = checked_size("latent_dim", latent_dim)
    shape = checked_network_shape("params_shape", params_shape)
    widths = _widths(network, hidden_units)
    blocks = Blocks("decoder", options)
    z = keras.Input((latent_dim,), name="z")
    h = _STACKS[network](blocks, z, widths[::-1])
    limit.count(h.shape[-1] * math.prod(shape))
    last = keras.layers.Dense(
        math.prod(shape), kernel_initializer=blocks.last(), name="params"
    )
    params = blocks.output(last, h)
    params = keras.layers.Reshape(shape, name=f"{blocks.name}_reshape")(params)
    return keras.Model(z, params, name=blocks.name)


def _widths(network: str, hidden_units: Any) -> tuple[int, ...]:
    minimum = 1 if network == "resmlp" else 0
    return checked_widths("hidden_units", hidden_units, "(500, 500)", minimum)


def _residual_stack(blocks: Blocks, h: Any, widths: Sequence[int]) -> Any:
    for k, width in enumerate(widths):
        if k == 0 or width != widths[k - 1]:
            h = blocks.dense(h, width)
        h = blocks.residual(h, blocks.dense)
    return blocks.activate(h)


_STACKS = {"mlp": Blocks.hidden, "resmlp": _residual_stack}
