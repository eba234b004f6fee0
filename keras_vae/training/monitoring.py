"""The monitoring callbacks of a run: TensorBoard and the plots of its epochs."""

from collections.abc import Callable
from typing import Any

import keras

from keras_vae.data import datasets
from keras_vae.data.datasets import Data, Split
from keras_vae.training import pictures
from keras_vae.training.callbacks import (
    CompletionImages,
    InterpolationImages,
    ReconstructionImages,
    SampleImages,
)
from keras_vae.training.config import TrainConfig
from keras_vae.training.folder import RunFolder
from keras_vae.training.labels import all_known
from keras_vae.training.targets import targets

_EXAMPLES = 10  # in the pictures


def monitoring_callbacks(
    config: TrainConfig,
    folder: RunFolder,
    data: Data,
    held: Split | None,
    model: Any,
    say: Callable[[str], None],
) -> list[keras.callbacks.Callback]:
    """Returns the callbacks that change nothing, in the order in which they are called.

    Args:
        config: The flags.
        folder: The run's.
        data: The dataset.
        held: The examples that the run is monitored by; None takes those trained on.
        model: The model, built.
        say: Takes a note, where something is left out.
    """
    board = _tensorboard(config, folder, data, held)
    if board is None:
        say("Note: tensorboard is not installed, so there will be no logs/.")
    callbacks = [] if board is None else [board]
    if not config.image_every:
        return callbacks
    split = held or data.train
    x = datasets.to_unit(split.x[:_EXAMPLES])
    given = all_known(targets(config, split))
    first, last = pictures.ends(split.y, len(x))
    conditions = pictures.conditions(
        model, x, None if given is None else given[:64], (first, last)
    )
    options: dict[str, Any] = {"every": config.image_every}
    if board is not None:
        options["log_dir"] = folder.logs / "images"
    callbacks += [
        ReconstructionImages(
            folder.images / "reconstruction",
            x,
            condition=conditions.of_examples,
            **options,
        ),
        InterpolationImages(
            folder.images / "interpolation",
            x[first],
            x[last],
            condition=conditions.of_ends,
            **options,
        ),
    ]
    if pictures.completes(model):
        callbacks.append(CompletionImages(folder.images / "completion", x, **options))
    elif model.has_kl:  # else there is no prior to draw from
        samples = {**conditions.of_samples, **options}
        callbacks.append(SampleImages(folder.images / "samples", **samples))
    return callbacks


def _tensorboard(
    config: TrainConfig, folder: RunFolder, data: Data, held: Split | None
) -> keras.callbacks.Callback | None:
    try:
        from keras_vae.training import tensorboard
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "tensorboard":
            raise
        return None  # training does without
    return tensorboard.for_run(config, folder, data, held)
