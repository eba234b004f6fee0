"""What a model's methods are given, checked and brought to the forms that they know."""

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.errors import invalid_argument

_DATASETS = (tf.data.Dataset, tf.distribute.DistributedDataset, keras.utils.PyDataset)
_ACCEPTED = (
    "an array, a tf.data.Dataset, a keras.utils.PyDataset or a generator of batches"
)


def is_array(x: Any) -> bool:
    """Whether it is all examples at once, in memory or read when asked for."""
    return isinstance(x, np.ndarray | tf.Tensor) or hasattr(x, "gather")


def as_data(x: Any, data_shape: tuple[int, ...]) -> Any:
    """Returns arrays of any make as NumPy's, and iterators as generators of tuples.

    Datasets come back as they are.

    Args:
        x: What a method was given.
        data_shape: Of one example. Lists of such examples are arrays.

    Raises:
        ValueError: If x is neither examples nor batches of examples.
    """
    if is_array(x) or isinstance(x, _DATASETS):
        return x
    if hasattr(x, "__array__"):
        return np.asarray(x)
    if isinstance(x, list | tuple) and x and np.shape(_first(x)) == data_shape:
        return _stacked(x)
    if hasattr(x, "__next__"):
        return _tuples(x)
    if not hasattr(x, "__iter__") or isinstance(x, str | bytes | dict):
        raise invalid_argument("x", _ACCEPTED, received=type(x).__name__)
    return x


def _first(x: Any) -> Any:
    try:
        return np.asarray(x[0])
    except ValueError:  # lists of several lengths
        return None


def _stacked(examples: Any) -> np.ndarray:
    try:
        return np.asarray(examples)
    except ValueError as error:
        raise invalid_argument(
            "x",
            "examples of one shape",
            received=f"a {type(examples).__name__} of several",
        ) from error


def _tuples(batches: Iterator[Any]) -> Iterator[tuple[Any, ...]]:
    """Yields batches as Keras takes them from generators."""
    for batch in batches:
        yield tuple(batch) if isinstance(batch, tuple | list) else (batch,)


def refuse_lists_of_arrays(x: Any) -> Any:
    """Returns what `as_data` returned.

    Raises:
        ValueError: For several arrays, of which Keras would make several inputs.
    """
    if isinstance(x, list | tuple):
        raise invalid_argument(
            "x",
            _ACCEPTED,
            received=f"a {type(x).__name__} of {len(x)} arrays",
            advice="Join them, np.concatenate(x).",
        )
    return x


def without_optionals(batch: Any) -> Any:
    """Returns a batch with None where Keras' adapters put an empty `Optional`."""

    def plain(part: Any) -> Any:
        absent = isinstance(part, tf.experimental.Optional | tf.OptionalSpec)
        return None if absent else part

    return keras.tree.map_structure(plain, batch)


def check_numbers(argument: str, values: Any) -> None:
    """Raises a ValueError for an array or tensor of text, objects, times or complex."""
    dtype = getattr(values, "dtype", None)
    if isinstance(values, tf.RaggedTensor | tf.SparseTensor) or dtype is None:
        received, advice = f"a {type(values).__name__}", ""
    elif isinstance(dtype, tf.DType):
        if dtype.is_floating or dtype.is_integer or dtype.is_bool:
            return
        received, advice = f"the type {dtype.name}", "Convert it to float32."
    elif dtype.kind not in "OSUMmc":
        return
    else:
        received, advice = f"the type {dtype}", "Convert it to float32."
    raise invalid_argument(
        argument, "an array of real numbers", received=received, advice=advice
    )


def check_shape(shape: Any, data_shape: tuple[int, ...]) -> None:
    """Raises a ValueError unless a batch of that shape holds examples of `data_shape`.

    Args:
        shape: Of the batch; sizes that are not known yet are None.
        data_shape: Of one example.
    """
    shape = tf.TensorShape(shape)
    if shape.rank is None or shape[1:].is_compatible_with(data_shape):
        return
    raise invalid_argument(
        "x",
        "a batch of examples of the shape the model was made for, "
        f"(n, {str(data_shape)[1:]}",
        received=f"shape {tuple(shape)}",
        advice=_shape_hint(tuple(shape), data_shape),
    )


def _shape_hint(shape: tuple[Any, ...], data_shape: tuple[int, ...]) -> str:
    if shape == data_shape:
        return (
            "It is one example: batch a dataset with dataset.batch(128), give an "
            "array as x[np.newaxis]."
        )
    if None in shape[1:] or math.prod(shape[1:]) != math.prod(data_shape):
        return ""
    if len(shape) == 4 and (*shape[2:], shape[1]) == data_shape:
        return "Its channels come first: give np.moveaxis(x, 1, -1)."
    return f"Give x.reshape({str((-1, *data_shape))[1:-1]})."


def check_weights(weight: Any, n: int) -> np.ndarray:
    """Returns the weights of n examples as float32 `(n,)`.

    Args:
        weight: `(n,)` or `(n, 1)`, finite numbers of at least 0.
        n: Number of examples.

    Raises:
        ValueError: If they are something else.
    """
    weight = np.asarray(weight)
    check_numbers("sample_weight", weight)
    check_weights_shape(weight.shape)
    if len(weight) != n:
        raise _weights_refused(f"{len(weight)} weights for {n} examples")
    weight = weight.reshape(-1).astype(np.float32)
    wrong = ~(np.isfinite(weight) & (weight >= 0.0))
    if wrong.any():
        row = int(wrong.argmax())
        raise _weights_refused(f"{weight[row]:g} in row {row}")
    return weight


def check_weights_shape(shape: Any) -> None:
    """Raises a ValueError unless weights of that shape are one for each example."""
    shape = tf.TensorShape(shape)
    if shape.rank not in (None, 1) and (shape.rank != 2 or shape[1] not in (None, 1)):
        raise _weights_refused(f"shape {tuple(shape)}")


def weights_fit(weight: tf.Tensor, n: tf.Tensor) -> tf.Tensor:
    """Whether the weights of a batch, (n,) and float32, pass `check_weights`."""
    fits = (tf.reduce_min(weight) >= 0.0) & tf.math.is_finite(tf.reduce_max(weight))
    return tf.equal(tf.size(weight), n) & (fits | tf.equal(n, 0))


def _weights_refused(received: str) -> ValueError:
    return invalid_argument(
        "sample_weight",
        "one finite number of at least 0 for each example, shape (n,)",
        received=received,
    )


def refuse_class_weight(class_weight: Any) -> None:
    """Raises a ValueError where class weights are given."""
    if class_weight is not None:
        raise invalid_argument(
            "class_weight",
            "None, since the loss is that of x",
            received=type(class_weight).__name__,
            advice="Give the weight of each example, "
            "sample_weight=[class_weight[label] for label in y].",
        )


def refuse_losses(loss: Any, loss_weights: Any, metrics: Any, weighted: Any) -> None:
    """Raises a ValueError where `compile` is given what a model has by itself."""
    for argument, value, reason in (
        (
            "loss",
            loss,
            "the model's likelihood is its loss; choose it with `likelihood`",
        ),
        ("loss_weights", loss_weights, "there is one loss; see `beta` for the KL's"),
        ("metrics", metrics, "the model reports the terms of its loss"),
        ("weighted_metrics", weighted, "the terms of the loss are weighted"),
    ):
        if value is not None and value != []:
            raise invalid_argument(argument, f"None, since {reason}", value)


def cardinality(x: Any) -> int | None:
    """Returns the number of batches, None where it is not known or has no end."""
    if not isinstance(x, tf.data.Dataset):
        return len(x) if hasattr(x, "__len__") else None
    count = int(x.cardinality())
    return count if count >= 0 else None


def split_off(x: Any, y: Any, weight: Any, fraction: Any) -> tuple[Any, Any]:
    """Returns the first examples for training and the last `fraction` for validation.

    As many as Keras takes: the training split is rounded down.

    Raises:
        ValueError: If the fraction is out of range, leaves one part empty, or x is no
            array.
    """
    n = len(x) if is_array(x) else 0
    number = isinstance(fraction, int | float | np.number)
    first = math.floor(n * (1.0 - fraction)) if number and 0 <= fraction < 1 else 0
    received = f"validation_split={fraction!r}"
    if is_array(x) and not 0 < first < n:
        raise invalid_argument(
            "validation_split",
            "a number between 0 and 1 that leaves examples for training and for "
            "validation",
            received=f"{received} with {n} examples",
        )
    if not is_array(x):
        raise invalid_argument(
            "validation_split",
            "0 with data that is no array",
            received=received,
            advice="Give `validation_data` instead.",
        )

    def cut(part: Any) -> tuple[Any, Any]:
        if part is None:
            return None, None
        if hasattr(part, "gather"):
            return part.take(np.arange(first)), part.take(np.arange(first, n))
        return part[:first], part[first:]

    (x, val_x), (y, val_y), (weight, val_weight) = cut(x), cut(y), cut(weight)
    return (x, y, weight), (val_x, val_y, val_weight)
