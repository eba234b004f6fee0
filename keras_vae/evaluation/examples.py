"""What is asked of examples: the first of them, and which values they have."""

import math
from typing import Any

import numpy as np

from keras_vae.data.checks import to_unit
from keras_vae.data.pipeline import as_unit
from keras_vae.engine.chunks import slices
from keras_vae.errors import invalid_argument

_GRID_TOLERANCE = 1e-3  # rounding of 8-bit values that were scaled, in steps of 1/255


def check_any(x: Any) -> None:
    """Raises a ValueError where there are no examples to measure."""
    if not len(x):
        raise invalid_argument("x", "at least one example", received="none")


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


def is_binary(x: Any) -> bool:
    """Whether all numbers of x are 0 or 1, or 0 or 255 in bytes."""
    return all_on_grid(x, 1)


def all_on_grid(x: Any, steps: int) -> bool:
    """Whether the numbers of x are multiples of 1/steps in [0, 1]."""
    for rows in slices(len(x), max(1, 2**22 // math.prod(x.shape[-3:]))):
        some = x.gather(np.arange(len(x))[rows]) if hasattr(x, "gather") else x[rows]
        level = as_unit(some).numpy() * steps
        if np.any(np.abs(level - np.rint(level)) > _GRID_TOLERANCE):
            return False
    return True
