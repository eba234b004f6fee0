"""Encoders and decoders by name, for data of any shape.

An encoder maps examples to the pair (z_mean, z_log_var), a decoder maps latents to the
parameters of a likelihood. Both are Keras models of Keras' own layers and two of
`networks.layers`; the functions that make them are plain functions of shapes and
options, and mirror each other: the same options make a matching pair.
"""

import math
from typing import Any

import keras

from keras_vae.networks.blocks import Options
from keras_vae.networks.conv import (
    conv1d_decoder,
    conv1d_encoder,
    conv_decoder,
    conv_encoder,
    resnet_decoder,
    resnet_encoder,
)
from keras_vae.networks.dense import (
    mlp_decoder,
    mlp_encoder,
    resmlp_decoder,
    resmlp_encoder,
)
from keras_vae.networks.layers import OutputConv2D, RowDropout

__all__ = [
    "DECODERS",
    "ENCODERS",
    "Options",
    "OutputConv2D",
    "RowDropout",
    "conv1d_decoder",
    "conv1d_encoder",
    "conv_decoder",
    "conv_encoder",
    "mlp_decoder",
    "mlp_encoder",
    "output_bias",
    "resmlp_decoder",
    "resmlp_encoder",
    "resnet_decoder",
    "resnet_encoder",
]

ENCODERS = {
    "mlp": mlp_encoder,
    "resmlp": resmlp_encoder,
    "conv": conv_encoder,
    "resnet": resnet_encoder,
    "conv1d": conv1d_encoder,
}
DECODERS = {
    "mlp": mlp_decoder,
    "resmlp": resmlp_decoder,
    "conv": conv_decoder,
    "resnet": resnet_decoder,
    "conv1d": conv1d_decoder,
}


def output_bias(decoder: Any) -> keras.Variable | None:
    """Returns the bias that is added to a decoder's output, where there is one.

    It is that of the layer named "params", the last one with weights in this package's
    decoders. A model of another make takes part if it is a functional or sequential one
    with a linear layer of that name, behind which it only reshapes.

    Args:
        decoder: Any model.

    Returns:
        A variable of shape (prod(params_shape),) behind a dense layer or (channels,)
        behind a convolution; None for a decoder without.
    """
    try:
        layer = decoder.get_layer("params")
        shape = decoder.output_shape[1:]
    except (AttributeError, ValueError, TypeError):
        return None
    bias = getattr(layer, "bias", None)
    linear = getattr(layer, "activation", None) is keras.activations.linear
    if bias is None or not linear:
        return None
    fits = bias.shape in ((math.prod(shape),), tuple(shape[-1:]))
    return bias if fits else None
