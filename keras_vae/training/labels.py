"""Which labels a semi-supervised run learns from, and how long its epochs are."""

import dataclasses

import numpy as np

from keras_vae.data.datasets import Data, Split
from keras_vae.errors import invalid_flag
from keras_vae.models import registry
from keras_vae.models.partial_labels import (
    LABELLED_SHARE,
    NO_LABEL,
    rows_for_labels,
)
from keras_vae.training.config import TrainConfig


def few_labels(config: TrainConfig, data: Data) -> Data:
    """Returns the data with `--num_labels` labels left in the training split.

    The same number of each class, chosen by the seed; the others are `NO_LABEL`. Models
    that do not use the flag get the data as they are.

    Raises:
        ValueError: If the data do not have these labels.
    """
    if not semi_supervised(config):
        return data
    y = data.train.y
    if y is None or not np.any(y != NO_LABEL):
        raise ValueError(
            f"--model {config.model}: the training examples of {data.name} have no "
            "labels. Give some (y_train in the .npz, -1 where there is none, "
            "--label_column of a .csv, a folder for each class), or choose --model vae."
        )
    if not config.num_labels:
        return data
    classes = np.unique(y[y != NO_LABEL])
    each, rest = divmod(config.num_labels, len(classes))
    if rest or not each:
        raise invalid_flag(
            "num_labels",
            f"a multiple of {len(classes)}, the number of classes in {data.name}, for "
            "the same number of each",
            config.num_labels,
        )
    random = np.random.default_rng(config.seed)
    kept = np.full(len(y), NO_LABEL, np.int32)
    for label in classes:
        rows = np.flatnonzero(y == label)
        if len(rows) < each:
            raise ValueError(
                f"--num_labels: {config.num_labels} are {each} of each class, but "
                f"{data.name} has only {len(rows)} training examples with the label "
                f"{label}. Give at most {len(classes) * len(rows)}, or 0 for all."
            )
        kept[random.permutation(rows)[:each]] = label
    return dataclasses.replace(data, train=dataclasses.replace(data.train, y=kept))


def semi_supervised(config: TrainConfig) -> bool:
    """Whether the model learns from examples with and without a label."""
    return registry.MODELS[config.model].semi_supervised


def examples_of_epoch(config: TrainConfig, train: Split) -> int:
    """Returns how many examples an epoch has: some with a label again and again."""
    semi = semi_supervised(config)
    taken = rows_for_labels(train.y, LABELLED_SHARE) if semi else None
    return len(train) if taken is None else len(taken)


def all_known(y: np.ndarray | None) -> np.ndarray | None:
    """Returns what examples are conditioned on, or None where labels are missing."""
    if y is not None and y.dtype.kind == "i" and np.any(y == NO_LABEL):
        return None
    return y
