"""Where the batches of Keras' loops come from: arrays, checked whole, and datasets."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_vae.arguments import in_range
from keras_vae.data import pipeline
from keras_vae.engine.inputs import cardinality, check_weights, is_array
from keras_vae.engine.model import StepModel

_BATCH_SIZE = 128


class Feed(NamedTuple):
    """What a loop of Keras takes its batches from."""

    x: Any
    """Batches; those of arrays are distributed, with their y and weights in them."""
    y: Any
    sample_weight: Any
    steps: int | None
    """How many batches a pass takes; None: as many as there are."""
    checked: bool
    """Whether all batches were checked before, so that none need be."""
    batches_from: Callable[[int], Any] | None = None
    """Makes the batches of arrays from one on; batches are counted over epochs."""
    first: int = 0
    """The batch that x begins with."""

    @property
    def data(self) -> Any:
        """The same as `validation_data` takes it."""
        alone = self.y is None and self.sample_weight is None
        return self.x if alone else (self.x, self.y, self.sample_weight)

    @property
    def num_batches(self) -> int | None:
        """The batches of a pass, None where nobody knows."""
        return self.steps or cardinality(self.x)


def training_feed(
    model: StepModel,
    x: Any,
    y: Any,
    sample_weight: Any,
    *,
    batch_size: int,
    shuffle: bool,
    initial_epoch: int,
    steps_per_epoch: int | None,
) -> Feed:
    """Returns the batches of `fit`; those of arrays go on with the model's next epoch.

    Raises:
        ValueError: If arrays do not fit the model.
    """
    checked = _checked_whole(model, x)
    if not is_array(x):
        x = x if checked else _made_ahead(model, x)
        return Feed(x, y, sample_weight, steps_per_epoch, checked)
    y, weight = _checked_arrays(model, x, y, sample_weight)
    rows = model.rows_of_epoch(y)
    taken = len(x) if rows is None else len(rows)
    steps = steps_per_epoch or pipeline.num_batches(taken, batch_size)
    epoch = math.ceil(int(model.step.numpy()) / max(1, steps))
    first = max(epoch, initial_epoch) * steps

    def batches_from(first: int) -> Any:
        return pipeline.distributed(
            model.distribute_strategy,
            x,
            y,
            sample_weight=weight,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=model.seed,
            start_step=first,
            rows=rows,
        )

    return Feed(batches_from(first), None, None, steps, checked, batches_from, first)


def _made_ahead(model: StepModel, x: Any) -> Any:
    """Returns a dataset whose next batches are made while a step is."""
    # What is cut up for replicas is read ahead by TensorFlow.
    alone = model.distribute_strategy.num_replicas_in_sync == 1
    return x.prefetch(2) if isinstance(x, tf.data.Dataset) and alone else x


def evaluation_feed(
    model: StepModel,
    x: Any,
    y: Any,
    sample_weight: Any,
    *,
    batch_size: int | None,
    steps: int | None,
) -> Feed:
    """Returns the batches of `evaluate`, in the order of x.

    Raises:
        ValueError: If arrays do not fit the model.
    """
    checked = _checked_whole(model, x)
    if not is_array(x):
        return Feed(x, y, sample_weight, steps, checked)
    size = checked_batch_size(batch_size)
    steps = steps or pipeline.num_batches(len(x), size)
    y, weight = _checked_arrays(model, x, y, sample_weight)
    batches = pipeline.distributed(
        model.distribute_strategy,
        x,
        y,
        sample_weight=weight,
        batch_size=size,
        shuffle=False,
    )
    return Feed(batches, None, None, steps, checked)


def checked_batch_size(batch_size: Any, default: int = _BATCH_SIZE) -> int:
    """Returns the number of examples in a batch.

    Raises:
        ValueError: If it is no whole number of at least 1.
    """
    if batch_size is None:
        return default
    return int(in_range("batch_size", batch_size, 1, whole=True))


def _checked_arrays(
    model: StepModel, x: Any, y: Any, sample_weight: Any
) -> tuple[Any, Any]:
    """Returns y and the weights of all examples as steps take them."""
    model.check_examples(x)
    if sample_weight is not None:
        sample_weight = check_weights(sample_weight, len(x))
    return model.check_targets(y, len(x)), sample_weight


def _checked_whole(model: StepModel, x: Any) -> bool:
    """Whether `check_examples` reads all of x, not its shape alone, or nobody need."""
    return isinstance(x, np.ndarray | tf.Tensor) or not model.checks_batches
