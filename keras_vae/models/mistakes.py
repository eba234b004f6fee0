"""Warnings of what trains without an error and is hardly ever meant."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any

import keras

from keras_vae.probability.likelihoods import Bernoulli, ContinuousBernoulli

_CHANNELS = (1, 3, 4)  # grey, colour, colour and transparency
_NARROW = 4  # pixels; images of that width are rather channels
_SHAPING = ("Reshape", "Flatten", "Permute", "Dropout", "Identity")
_LIMITING = (
    "sigmoid",
    "hard_sigmoid",
    "softmax",
    "tanh",
    "hard_tanh",
    "relu",
    "relu6",
    "softplus",
    "exponential",
)
"""Activations that cannot give all real numbers."""


class LikelyMistake(UserWarning):
    """A model is about to learn something else than its user thinks."""


def likely_mistakes(model: Any) -> list[LikelyMistake]:
    """Finds channels that come first, and a decoder that ends in a sigmoid.

    Args:
        model: A VAE that is built.
    """
    found = (channels_first(model.data_shape), _limited_logits(model))
    return [LikelyMistake(sentence) for sentence in found if sentence is not None]


@contextlib.contextmanager
def said() -> Iterator[None]:
    """Warns of no mistake meanwhile, where they are spoken of in another way."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LikelyMistake)
        yield


def channels_first(shape: tuple[int, ...]) -> str | None:
    """Returns a sentence where the channels of images of a shape seem to come first."""
    if len(shape) != 3 or shape[0] not in _CHANNELS or min(shape[1:]) <= _NARROW:
        return None
    first, second, last = shape
    return (
        f"Images of shape {tuple(shape)} are {first} pixels high and {second} wide, of "
        f"{last} channels. If these are {first} channels of {second}x{last} pixels, "
        f"move the channels last, np.moveaxis(x, 1, -1), for the shape "
        f"{(second, last, first)}."
    )


def _limited_logits(model: Any) -> str | None:
    likelihood = model.likelihood
    activation = last_activation(model.decoder)
    if not isinstance(likelihood, Bernoulli | ContinuousBernoulli):
        return None
    if activation not in _LIMITING:
        return None
    return (
        f"The decoder ends in the activation {activation}, but the likelihood "
        f"{type(likelihood).__name__} takes what it gives as logits, any real numbers: "
        "leave that activation out."
    )


def last_activation(network: Any) -> str | None:
    """Returns the name of the activation that a Keras model ends in, None if unknown.

    Layers behind it that only reshape are passed over.
    """
    parts = "layers" if isinstance(network, keras.Sequential) else "operations"
    operations = list(getattr(network, parts, []))
    while operations and type(operations[-1]).__name__ in _SHAPING:
        operations.pop()
    if not operations:
        return None
    last = operations[-1]
    if isinstance(last, keras.Model):
        return last_activation(last)
    activation = getattr(last, "activation", None)
    if isinstance(activation, keras.layers.Layer):
        activation = type(activation)
    name = getattr(activation, "__name__", None) or type(last).__name__
    return {"ReLU": "relu", "Softmax": "softmax"}.get(name, name.lower())
