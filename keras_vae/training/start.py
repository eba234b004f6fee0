"""Where the weights of a run begin: at the networks of another run."""

import os
from typing import Any

import keras
import numpy as np

from keras_vae.errors import invalid_flag
from keras_vae.loading import load_model
from keras_vae.training.config import TrainConfig
from keras_vae.training.folder import RunFolder

_SAME = (
    "encoder",
    "decoder",
    "hidden_units",
    "activation",
    "batch_norm",
    "layer_order",
    "latent_dim",
    "groups",
    "group_channels",
    "width",
    "finest_stride",
)
"""Flags that say what the networks are."""

Weights = dict[str, list[np.ndarray]]
"""Weights of the networks by the model's name for them: "encoder", "decoder", and the
path between them in hierarchies."""


def read_networks(config: TrainConfig, model: keras.Model) -> Weights:
    """Reads the networks of the run that `--init_from` names and compares their shapes.

    The other run may be of any model, so a VAE can start from a plain autoencoder.

    Args:
        config: Of the run that starts.
        model: Its model, built.

    Returns:
        The weights for `set_networks`; nothing where the flag is not set.

    Raises:
        ValueError: If there is no such run, or its networks are of another make.
    """
    if config.init_from is None:
        return {}
    other = _loaded(config)
    weights = {}
    hierarchies = [hasattr(network, "top_down") for network in (model, other)]
    if hierarchies[0] != hierarchies[1]:
        raise invalid_flag(
            "init_from", "a run of a model of this kind", repr(config.init_from)
        )
    names = ("encoder", "decoder", *["top_down"] * hierarchies[0])
    for name in names:
        theirs = getattr(other, name).get_weights()
        ours = [tuple(weight.shape) for weight in getattr(model, name).weights]
        shapes = [weight.shape for weight in theirs]
        if shapes != ours:
            raise ValueError(
                f"--init_from: the {name} of {config.init_from} has weights of shapes "
                f"{_listed(shapes)}, this run's of {_listed(ours)}: start from a run "
                "on examples of the same shape, with the same --likelihood."
            )
        weights[name] = theirs
    return weights


def set_networks(model: keras.Model, weights: Weights) -> None:
    """Gives a model the weights that `read_networks` returned."""
    for name, values in weights.items():
        getattr(model, name).set_weights(values)


def _loaded(config: TrainConfig) -> Any:
    folder = RunFolder(os.fspath(config.init_from or ""))
    if not folder.is_run or not folder.model.is_file():
        raise invalid_flag(
            "init_from",
            "the folder of a complete run, with config.json and model.keras",
            repr(config.init_from),
        )
    try:
        there = TrainConfig.from_json(folder.config.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise ValueError(
            f"--init_from: {folder.config} cannot be read: {error}"
        ) from error
    for name in _SAME:
        theirs, ours = getattr(there, name), getattr(config, name)
        if theirs != ours:
            raise ValueError(
                f"--init_from: the run {config.init_from} has --{name} {_flag(theirs)}"
                f", this one {_flag(ours)}: give both the same."
            )
    try:
        return load_model(folder.model, compile=False)
    except ValueError as error:
        raise ValueError(f"--init_from: {error}") from error


def _flag(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return "not set" if value is None else str(value)


def _listed(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join(str(shape) for shape in shapes[:4]) + ", ..." * (len(shapes) > 4)
