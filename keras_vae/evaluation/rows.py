"""Examples in chunks, and graphs of these: what every measurement goes through."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae.data.checks import to_unit
from keras_vae.data.pipeline import as_unit
from keras_vae.errors import invalid_argument
from keras_vae.noise import RowNoise

# Numbers that the decoder gives in one call. A few MB stay in the caches of a CPU.
_NUMBERS_PER_CALL = {"CPU": 2**21, "GPU": 2**26}
_GRID_TOLERANCE = 1e-3  # rounding of 8-bit values that were scaled, in steps of 1/255


def chunks(
    model: Any, x: Any, condition: Any, samples: int, bound: bool = False
) -> Iterator[tuple[int, tf.Tensor, Any]]:
    """Yields the first row, examples as float32, and their condition.

    As many as can be decoded at once with `samples` latents for each. With `bound` the
    condition is what the model's `bound_terms` and `log_weights` take.

    Raises:
        ValueError: If there are no examples, or they or the condition do not fit.
    """
    if not len(x):
        raise invalid_argument("x", "at least one example", received="none")
    device = "GPU" if tf.config.list_logical_devices("GPU") else "CPU"
    numbers = samples * numbers_per_sample(model)
    rows = max(1, _NUMBERS_PER_CALL[device] // numbers)
    condition = model.check_condition(condition, len(x))
    for first in range(0, len(x), rows):
        last = min(first + rows, len(x))
        given = None if condition is None else tf.constant(condition[first:last])
        values = _rows(x, first, last)
        model.check_input(values)
        # A random region of x that a model is given is the one that `evaluate` draws.
        noise = RowNoise(model.seed, 0, first, "evaluation")
        condition_of = model.bound_condition if bound else model.condition_on
        yield first, values, condition_of(values, given, noise)


def numbers_per_sample(model: Any) -> int:
    """How many numbers a sample of z of one example takes at its widest.

    What the decoder gives, or the distances to all components of a mixture prior.
    """
    params = math.prod(model.likelihood.params_shape(model.data_shape))
    components = int(getattr(model.prior, "components", 1))
    return int(max(model.decodings * params, components * model.latent_dim))


def traced(
    model: Any,
    name: str,
    function: Callable[..., Any],
    scalars: list[tf.DType],
    vectors: Sequence[tf.DType] = (),
) -> Callable[..., Any]:
    """Returns the graph of a function of (x, condition, *scalars, *vectors).

    It is traced once for a model, which keeps it by its name.
    """
    graphs: dict[str, Callable[..., Any]] = model.__dict__.setdefault(
        "_evaluation_graphs", {}
    )
    if name in graphs:
        return graphs[name]
    x = tf.TensorSpec([None, *model.data_shape], tf.float32)
    numbers = [tf.TensorSpec([], dtype) for dtype in scalars]
    rows = [tf.TensorSpec([None], dtype) for dtype in vectors]
    graphs[name] = tf.function(function, autograph=False).get_concrete_function(
        x, model.condition_spec, *numbers, *rows
    )
    return graphs[name]


def first_examples(x: Any, condition: Any, count: int) -> tuple[Any, Any]:
    """Returns the first examples and the condition of these."""
    if len(x) <= count:
        return x, condition
    if condition is not None and len(condition) == len(x):
        condition = condition[:count]
    x = x.take(np.arange(count)) if hasattr(x, "gather") else x[:count]
    return x, condition


def first_in_unit(x: Any, count: int) -> np.ndarray:
    """Returns the first examples as float32, whole numbers scaled to [0, 1]."""
    return to_unit(x.head(count) if hasattr(x, "head") else x[:count])


def _rows(x: Any, first: int, last: int) -> tf.Tensor:
    if hasattr(x, "gather"):
        return as_unit(x.gather(tf.range(first, last, dtype=tf.int64)))
    return as_unit(x[first:last])


def is_binary(x: Any) -> bool:
    """Whether all numbers of x are 0 or 1, or 0 or 255 in bytes."""
    return all_on_grid(x, 1)


def all_on_grid(x: Any, steps: int) -> bool:
    """Whether the numbers of x are multiples of 1/steps in [0, 1]."""
    rows = max(1, 2**22 // math.prod(x.shape[-3:]))
    for first in range(0, len(x), rows):
        level = _rows(x, first, min(first + rows, len(x))).numpy() * steps
        if np.any(np.abs(level - np.rint(level)) > _GRID_TOLERANCE):
            return False
    return True
