"""Whether a batch is worked on in pieces side by side, on the cores of a CPU.

One operation after the other, each cut up for all cores, leaves cores waiting at the
end of each. Two halves of a batch, each with its own chain of operations, fill these
gaps; their gradients are summed, so the update is that of the whole batch.
"""

import os
from typing import Any

import keras
import tensorflow as tf

from keras_vae.probability.priors import GaussianMixture, StandardNormal

_PIECES = 2
_LEAST_ROWS = (
    128  # of a batch; the sums of gradients cost small ones more than they win
)
_ROWWISE = (
    keras.layers.InputLayer,
    keras.layers.Dense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Activation,
    keras.layers.LeakyReLU,
    keras.layers.Add,
    keras.layers.Concatenate,
    keras.layers.Flatten,
    keras.layers.Reshape,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
)
"""Layers, beside this package's own, that take each example by itself."""


def pieces_by_default(model: Any, rows: int) -> int:
    """Returns into how many pieces a step cuts the batch of a model, 1 for none.

    Two where one CPU of several cores trains on batches that are not small, and it is
    known that nothing in the model but the sum of the loss takes examples together. Not
    with XLA, which lays out the whole step by itself.

    Args:
        model: A compiled `ChunkedTrainer`.
        rows: Examples of a batch.
    """
    alone = model.distribute_strategy.num_replicas_in_sync == 1
    gpu = bool(tf.config.list_logical_devices("GPU"))
    if rows < _LEAST_ROWS or not alone or gpu or _cores() < 2:
        return 1
    if model.jit_compile or model.run_eagerly:
        return 1
    if (
        model.couples_examples
        or not _of_this_package(model)
        or type(model.prior) not in (StandardNormal, GaussianMixture)
    ):
        return 1
    networks = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    return _PIECES if all(map(_takes_rows, networks)) else 1


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _takes_rows(network: keras.Model) -> bool:
    """Whether each example goes through a network by itself, as far as is known."""
    operations = getattr(network, "operations", None)  # of functional models
    return operations is not None and all(
        type(operation) in _ROWWISE
        or type(operation).__name__ == "Split"
        or _of_this_package(operation)
        for operation in operations
    )


def _of_this_package(part: Any) -> bool:
    return type(part).__module__.startswith("keras_vae.")
