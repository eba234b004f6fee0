"""Networks that take a condition: encoders, decoders and priors of a `CVAE`."""

from typing import Any

import keras

from keras_vae import networks
from keras_vae.models.conditions import Condition, Label, Region, Vector, joined_shape
from keras_vae.naming import lookup

_FLAT = ("mlp", "resmlp")  # networks that take the condition as more features
_NARROWING = (256,)  # the dense layer that `resnet` gets between a picture and its maps


def conditional_encoder(
    name: str,
    condition: Condition,
    data_shape: tuple[int, ...],
    latent_dim: int,
    **options: Any,
) -> keras.Model:
    """Returns an encoder of x and the condition in one tensor.

    Args:
        name: In `networks.ENCODERS`.
        condition: See `conditions.make_condition`.
        data_shape: Of one example.
        latent_dim: Number of latent dimensions.
        **options: Of the network.
    """
    shape = joined_shape(data_shape, condition.encoder_shape, name in _FLAT)
    return lookup("encoder", name, networks.ENCODERS)(shape, latent_dim, **options)


def conditional_decoder(
    name: str,
    condition: Condition,
    latent_dim: int,
    params_shape: tuple[int, ...],
    **options: Any,
) -> keras.Model:
    """Returns a decoder of z and the condition in one vector.

    Args:
        name: In `networks.DECODERS`.
        condition: See `conditions.make_condition`.
        latent_dim: Number of latent dimensions.
        params_shape: Of the likelihood's parameters for one example.
        **options: Of the network.
    """
    make = lookup("decoder", name, networks.DECODERS)
    if name == "resnet" and isinstance(condition, Region):
        options = {"hidden_units": _NARROWING, **options}
    (width,) = joined_shape((latent_dim,), condition.code_shape, True)
    return make(width, params_shape, **options)


def prior_network(
    name: str, condition: Condition, latent_dim: int, **options: Any
) -> keras.Model:
    """Returns a network from the code of a condition to p(z|c).

    For labels it is a table of means and log variances, for regions of images the
    encoder of that name, for vectors an "mlp".
    """
    options = {"name": "prior", **options}
    if isinstance(condition, Label):
        name, options = "mlp", {**options, "hidden_units": ()}
    elif isinstance(condition, Vector):
        name = "mlp"
    make = lookup("encoder", name, networks.ENCODERS)
    return make(condition.code_shape, latent_dim, **options)


def takes_pair(network: Any) -> bool:
    """Whether a network is called with two tensors; so is one of unknown inputs."""
    return not isinstance(network, keras.Sequential) and (
        len(getattr(network, "inputs", None) or ()) != 1
    )


def is_flat(network: Any) -> bool:
    """Whether a network is called with one vector an example."""
    inputs: Any = getattr(network, "inputs", None) or ()
    return len(inputs) == 1 and len(inputs[0].shape) == 2
