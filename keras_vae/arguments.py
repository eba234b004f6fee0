"""Checks of the arguments of models."""

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from keras_vae.errors import invalid_argument


def in_range(
    argument: str,
    value: Any,
    minimum: float,
    maximum: float = math.inf,
    whole: bool = False,
) -> Any:
    """Returns a finite number from `minimum` to `maximum`, a float unless `whole`.

    Raises:
        ValueError: If the value is no such number.
    """
    kind: type = numbers.Integral if whole else numbers.Real
    number = isinstance(value, kind) and not isinstance(value, bool)
    if not number or not minimum <= value <= maximum or value == math.inf:
        upper = "" if maximum == math.inf else f" and at most {maximum:g}"
        raise invalid_argument(
            argument,
            f"a {'whole ' if whole else ''}number of at least {minimum:g}{upper}",
            value,
        )
    return int(value) if whole else float(value)


def auto_or_count(argument: str, value: Any) -> int | str:
    """Returns "auto", or a whole number of at least 1.

    Raises:
        ValueError: If the value is neither.
    """
    if isinstance(value, str) and value == "auto":
        return "auto"
    whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not whole or value < 1:
        raise invalid_argument(
            argument, "'auto' or a whole number of at least 1", value
        )
    return int(value)


def checked_shape(input_shape: Any) -> tuple[int, ...]:
    """Returns the shape of one example as a tuple.

    Raises:
        ValueError: If it is none.
    """
    sizes = np.atleast_1d(input_shape)
    whole = all(isinstance(size, numbers.Integral) for size in sizes)
    shape = tuple(int(size) for size in sizes) if whole else ()
    if not 1 <= len(shape) <= 3 or min(shape) < 1:
        raise invalid_argument(
            "input_shape",
            "(height, width, channels), (time, features) or (features,), each at "
            "least 1",
            input_shape,
        )
    return shape


def refuse_unused(
    kind: str, unused: Sequence[str], options: Mapping[str, tuple[Any, Any]]
) -> None:
    """Raises a ValueError where an argument that has no effect was given.

    Args:
        kind: Of the model.
        unused: Names of its arguments that have no effect.
        options: Value and default of each argument by name.
    """
    for name in unused:
        value, default = options[name]
        if value != default:
            raise invalid_argument(
                name,
                f"it left out, since the objective of {kind} has no place for it",
                value,
            )
