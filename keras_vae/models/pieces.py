"""Into how many pieces a batch is cut, to be worked on in turn or side by side.

In turn saves memory. Side by side saves time on the cores of a CPU: one operation after
the other, each cut up for all cores, leaves cores waiting at the end of each, and two
halves of a batch, each with its own chain of operations, fill these gaps. Gradients are
summed, so the update is that of the whole batch.
"""

import os
from typing import Any

import keras
import tensorflow as tf

from keras_vae.models.arguments import auto_or_count, in_range
from keras_vae.probability.priors import VampPrior

_PIECES = 2
_LEAST_ROWS = 128  # the sums of gradients cost smaller batches more than they win
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
"""Layers, beside this package's own, that take each example by itself: those classes
alone, since what is derived of them may do anything."""


def checked_pieces(
    model: Any, accumulate_steps: Any, parallel_pieces: Any
) -> tuple[int, int | str]:
    """Returns both numbers of pieces if a batch of the model can be cut like that.

    Raises:
        ValueError: If not.
    """
    in_turn = in_range("accumulate_steps", accumulate_steps, 1, whole=True)
    at_once = auto_or_count("parallel_pieces", parallel_pieces)
    for name, pieces in (("accumulate_steps", in_turn), ("parallel_pieces", at_once)):
        if model.couples_examples and pieces not in (1, "auto"):
            raise ValueError(
                f"Invalid value for argument `{name}`. Expected 1, since the objective "
                f"takes the examples of a batch together. Received: {name}={pieces!r}. "
                "Leave it out."
            )
    if in_turn > 1 and at_once not in (1, "auto"):
        raise ValueError(
            "Invalid value for argument `parallel_pieces`. Expected 1, since "
            "`accumulate_steps` cuts the batch up already. Received: "
            f"parallel_pieces={at_once!r}. Leave one of them out."
        )
    return in_turn, at_once


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
    if rows < _LEAST_ROWS or not alone or gpu or cores() < 2:
        return 1
    if model.jit_compile or model.run_eagerly:
        return 1
    if (
        model.couples_examples
        or not _of_this_package(model)
        or not _of_this_package(model.likelihood)
        or not _of_this_package(model.prior)
        or isinstance(model.prior, VampPrior)  # it calls the encoder in each piece
    ):
        return 1
    networks = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    return _PIECES if all(map(_takes_rows, networks)) else 1


def cores() -> int:
    """Returns how many cores of the machine this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _takes_rows(network: keras.Model) -> bool:
    """Whether each example goes through a network by itself, as far as is known."""
    operations = getattr(network, "operations", None)  # of functional models
    return (
        operations is not None
        and type(network).__module__.startswith("keras.")  # with no `call` of its own
        and all(map(_is_rowwise, operations))
    )


def _is_rowwise(operation: Any) -> bool:
    if isinstance(operation, keras.Model):
        return _takes_rows(operation)
    known = type(operation) in _ROWWISE or _of_this_package(operation)
    # Keras sums what the outputs of a batch cost, where all else is a mean.
    penalised = getattr(operation, "activity_regularizer", None) is not None
    return (
        (known or _is_split(operation))
        and not penalised
        and _is_known(getattr(operation, "activation", None))
        and all(axis == -1 or axis > 0 for axis in _axes(operation))
    )


def _is_split(operation: Any) -> bool:
    kind = type(operation)
    return kind.__name__ == "Split" and kind.__module__.startswith("keras.src.ops.")


def _is_known(activation: Any) -> bool:
    """Whether an activation is one of Keras', all of which take rows by themselves."""
    if isinstance(activation, keras.layers.Layer):
        return _is_rowwise(activation)
    module = str(getattr(activation, "__module__", ""))  # it may be None
    return activation is None or module.startswith("keras.src.activations.")


def _axes(operation: Any) -> list[int]:
    axis = getattr(operation, "axis", None)
    if axis is None:
        return []
    return list(axis) if isinstance(axis, list | tuple) else [axis]


def _of_this_package(part: Any) -> bool:
    return type(part).__module__.startswith("keras_vae.")
