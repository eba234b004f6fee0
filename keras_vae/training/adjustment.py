"""What the data allow of a configuration, and whether a model can learn from them."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from keras_vae.data.augment import AUGMENTATIONS, Augment
from keras_vae.data.binarized import binarized
from keras_vae.data.datasets import Data
from keras_vae.errors import invalid_flag
from keras_vae.models.mistakes import channels_first
from keras_vae.models.vae import VAE
from keras_vae.probability.likelihoods import Bernoulli, DiscretizedLogistic
from keras_vae.training import defaults
from keras_vae.training.config import TrainConfig

_SHOWN = 1_000  # binarised examples that the likelihood checks


def adjusted(
    config: TrainConfig,
    explicit: frozenset[str],
    data: Data,
    say: Callable[[str], None],
) -> TrainConfig:
    """Returns the configuration as far as the data allow it.

    Args:
        config: The flags.
        explicit: Names of those that the user gave: none of them is changed.
        data: The dataset.
        say: Takes a note for each flag that is changed.

    Raises:
        ValueError: If the data do not allow a flag that the user gave.
    """
    if config.early_stopping_patience and data.validation is None:
        raise ValueError(
            "--early_stopping_patience needs data to select by that are not the test "
            "data: set --validation_fraction, as in 0.1."
        )
    if config.validation_fraction and "validation_fraction" not in explicit:
        aside = 0 if data.validation is None else len(data.validation)
        say(
            f"Note:   {aside:,} examples are held out for validation, to select by "
            "(--validation_fraction 0 trains on them too)."
        )
    config = _with_batches(config, explicit, len(data.train), say)
    if config.augment != "none" and data.kind != "images":
        if "augment" in explicit:
            raise ValueError(
                f"--augment {config.augment}: only images can be turned and moved, and "
                f"{data.name} holds {data.kind}: leave it out."
            )
        say(f"Note:   {data.kind} are not augmented, only images are.")
        config = dataclasses.replace(config, augment="none")
    if chosen := _chosen(config, explicit):
        shape = "x".join(map(str, data.input_shape))
        pictures = f"{len(data.train):,} colour pictures of {shape}"
        say(f"Note:   chosen for {pictures}: {' '.join(chosen)}.")
    if config.likelihood == "auto" and data.kind == "images":
        likelihood = config.likelihood_of(data.input_shape)
        if likelihood != "bernoulli":
            say(
                f"Note:   colour images have a {likelihood} likelihood with a learned "
                "scale; --likelihood names another."
            )
    swapped = channels_first(data.input_shape)
    if swapped is not None:
        say(f"Note:   {swapped}")
    return config


def _with_batches(
    config: TrainConfig,
    explicit: frozenset[str],
    examples: int,
    say: Callable[[str], None],
) -> TrainConfig:
    """Batches of no more examples than there are."""
    if config.batch_size <= examples:
        return config
    if "batch_size" in explicit:
        raise invalid_flag(
            "batch_size",
            f"at most {examples}, the number of training examples",
            config.batch_size,
            "Give a smaller one or leave it out.",
        )
    say(f"Note:   batches hold {examples} examples, all there are for training.")
    return dataclasses.replace(config, batch_size=examples)


def _chosen(config: TrainConfig, explicit: frozenset[str]) -> list[str]:
    """The flags that are what they are because the data are colour pictures."""
    values = dataclasses.asdict(config)
    given = {name: values[name] for name in explicit}
    found = defaults.of_colour_pictures(values, given)
    usual = {field.name: field.default for field in dataclasses.fields(config)}
    return [
        f"--{name}" if value is True else f"--{name} {value}"
        for name, value in found.items()
        if values[name] == value != usual[name]
    ]


def augmentation(config: TrainConfig, model: VAE) -> Augment | None:
    """Returns how training images are changed, None for not at all.

    For a likelihood of the 256 grey levels the changed images have these again.
    """
    augment = AUGMENTATIONS[config.augment]
    if augment is None or not isinstance(model.likelihood, DiscretizedLogistic):
        return augment
    return lambda images, noise: tf.round(255.0 * augment(images, noise)) / 255.0


def check_examples(config: TrainConfig, data: Data, model: VAE) -> None:
    """Raises a ValueError where the model cannot learn from the data as they are."""
    for split in data.splits.values():
        if config.binarize != "none" and isinstance(split.x, np.ndarray):
            Bernoulli().check(split.x)
            model.check_examples(binarized(split.x[:_SHOWN], config.binarize))
        else:
            model.check_examples(split.x)
