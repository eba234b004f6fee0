"""What the workers of a job agree on before they train; one process is a job too."""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from keras_vae.data import datasets
from keras_vae.data.datasets import Data
from keras_vae.data.digest import differences, digest
from keras_vae.engine import rendezvous, strategies, workers
from keras_vae.training import (
    adjustment,
    extension,
    labels,
    messages,
)
from keras_vae.training import folder as folders
from keras_vae.training.config import TrainConfig
from keras_vae.training.folder import RunFolder

Say = Callable[[str], None]


def strategy(config: TrainConfig, tell: Say) -> tf.distribute.Strategy:
    """Returns what trains; of several workers, once all have come with these flags.

    Raises:
        ValueError: If the flags of the workers differ, or say of no strategy, or there
            is no such device.
        WorkerMissing: If another worker did not start in time.
        WorkerLost: If TensorFlow cannot connect the workers.
    """
    strategies.use_device(config.device)
    named = config.strategy, config.workers or (), config.worker_index or 0
    addresses, index = strategies.job(*named)
    if addresses:
        tell(messages.waits())
        rendezvous.meet(addresses, index, config.shared(), config.worker_timeout, tell)
    try:
        return strategies.create(named[0], config.virtual_devices, *named[1:])
    except tf.errors.OpError as error:
        if not addresses:
            raise
        raise workers.WorkerLost(messages.not_connected(index, error)) from error


def folder(
    config: TrainConfig, strategy: tf.distribute.Strategy
) -> tuple[RunFolder, bool]:
    """Returns the folder to train in, and whether there is nothing left to do.

    Raises:
        ValueError: On all workers, if worker 0 cannot train there.
    """

    def find() -> list[Any]:
        found = folders.find(config)
        complete = found.is_complete and not config.overwrite
        if complete and extension.is_of(found.read_config(), config):
            complete = False
        return [os.fspath(found.path), complete]

    path, complete = workers.as_chief(strategy, find)
    return RunFolder(path), complete


class Loaded(NamedTuple):
    """The data, what they allow of the configuration, and their digest."""

    data: Data
    config: TrainConfig
    digest: dict[str, str]


def load(
    config: TrainConfig,
    explicit: frozenset[str],
    tell: Say,
    strategy: tf.distribute.Strategy,
) -> Loaded:
    """Loads the data.

    Raises:
        ValueError: On all workers, if one cannot load them or has others.
    """
    loaded: list[Loaded] = []

    def read() -> dict[str, str]:
        data = datasets.load(config.dataset, **config.data_options)
        if config.drop_columns:
            tell(f"Note:   columns left out: {', '.join(config.drop_columns)}.")
        found = digest(data)
        data = labels.few_labels(config, data)
        adjusted = adjustment.adjusted(config, explicit, data, tell)
        loaded.append(Loaded(data, adjusted, found))
        return found

    first, *others = workers.together(strategy, read)
    for number, other in enumerate(others, start=1):
        if names := differences(first, other):
            raise ValueError(messages.other_data(strategy, number, names))
    return loaded[0]
