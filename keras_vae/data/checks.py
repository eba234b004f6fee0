"""What is asked of every array at the door, whatever file it came from."""

import math
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from keras_vae.data import memory
from keras_vae.errors import DataError as DataError
from keras_vae.units import is_scaled
from keras_vae.units import to_unit as to_unit

MAX_VALUES = 2**24
"""Values in one example; beyond this even one dense layer outgrows a machine."""

MAX_MAGNITUDE = 1e18
"""Squares of larger numbers leave float32, so training would end in NaN."""

MAX_LABEL = 99_999
"""Labels count classes from 0; larger ones are ids or measurements."""

_CHUNK = 2**22  # values looked at together: what a check adds to memory is this small


def memory_limit() -> int | None:
    """Returns how many bytes of data may be read: half of what is free now.

    The other half is for the copy that training makes and for training itself. None
    where the system does not say.
    """
    free = memory.available()
    return None if free is None else free // 2


def require_memory(where: str, nbytes: int) -> None:
    """Raises a `DataError` if `nbytes` do not fit into `memory_limit()`."""
    limit = memory_limit()
    if limit is not None and nbytes > limit:
        raise DataError(
            f"dataset: {where} needs {nbytes / 2**30:,.1f} GiB and this machine has "
            f"{limit / 2**30:,.1f} GiB for data; make it smaller, or use a folder of "
            "images, which is streamed."
        )


def require_numbers(where: str, dtype: np.dtype) -> None:
    """Raises a `DataError` if arrays of `dtype` are not plain real numbers."""
    if dtype.hasobject:
        raise DataError(
            f"dataset: {where} holds Python objects, which are never unpickled; save "
            "it as an array of numbers, all examples of one shape."
        )
    if dtype.kind not in "buif":
        raise DataError(
            f"dataset: {where} must hold real numbers, but its type is {dtype}; "
            "convert it to uint8 or float32."
        )


def check_examples(where: str, x: np.ndarray) -> np.ndarray:
    """Returns the examples as they are stored: uint8, uint16 or float32.

    Booleans become 0 and 255. All other types become float32 with the same values.

    Args:
        where: What the array is called in messages.
        x: `(n, ...)`.

    Raises:
        DataError: If the array is empty, holds something other than finite numbers of
            at most `MAX_MAGNITUDE`, or bytes that mean 0 and 1.
    """
    require_numbers(where, x.dtype)
    if x.size == 0:
        raise DataError(f"dataset: {where} is empty, of shape {x.shape}; add examples.")
    require_size(where, x.shape[1:])
    if x.dtype == bool:
        return x.astype(np.uint8) * np.uint8(255)
    if x.dtype == np.uint8 and x.max() == 1:
        raise DataError(
            f"dataset: {where} is uint8 with no value above 1, which divided by 255 is "
            "black; multiply it by 255, or save it as bool or float32."
        )
    if is_scaled(x.dtype):
        return np.ascontiguousarray(x, x.dtype.newbyteorder("="))
    return check_finite(where, x)


def require_size(where: str, shape: tuple[int, ...]) -> None:
    """Raises a `DataError` if one example of `shape` has over `MAX_VALUES` values."""
    if math.prod(shape) > MAX_VALUES:
        raise DataError(
            f"dataset: one example of {where} has shape {shape}, more than the "
            f"{MAX_VALUES:,} values that are possible; make it smaller."
        )


def check_finite(where: str, x: np.ndarray) -> np.ndarray:
    """Returns `x` as float32.

    Raises:
        DataError: If a number is NaN, infinite or beyond `MAX_MAGNITUDE`; the message
            names the row and the position in it.
    """
    ready = x.dtype == np.dtype("=f4") and x.flags.c_contiguous
    checked = x if ready else np.empty(x.shape, np.float32)
    for rows in chunks(x):
        if not ready:
            with np.errstate(over="ignore", invalid="ignore"):
                checked[rows] = x[rows]
        bad = first_unusable(checked[rows])
        if bad is not None:
            row, at = rows.start + bad[0], bad[1:]
            named = f", column {at[0]}" if len(at) == 1 else f", position {at}"
            raise DataError(
                f"dataset: {where} has {x[(row, *at)]} at row {row}"
                f"{named if at else ''} (counted from 0); {USABLE}"
            )
    return checked


USABLE = (
    f"numbers must be finite and at most {MAX_MAGNITUDE:g}: repair, rescale or drop it."
)
"""The end of a message about a number that cannot be used."""


def first_unusable(x: np.ndarray) -> tuple[int, ...] | None:
    """Returns the index of the first NaN, infinite or huge number, or None."""
    usable = np.abs(x) <= MAX_MAGNITUDE  # False for NaN
    if usable.all():
        return None
    return tuple(int(i) for i in np.argwhere(~usable)[0])


def chunks(x: np.ndarray) -> Iterator[slice]:
    """Yields slices of rows that together are `x`, each of a bounded size."""
    rows = max(1, _CHUNK // max(1, math.prod(x.shape[1:])))
    for first in range(0, len(x), rows):
        yield slice(first, first + rows)


def check_labels(where: str, y: np.ndarray) -> np.ndarray:
    """Returns labels as int32 `(n,)`, or as text `(n,)` where they are text.

    Args:
        where: What the array is called in messages.
        y: `(n,)` or `(n, 1)`; whole numbers from -1 (no label) to `MAX_LABEL` of any
            type, or text.

    Raises:
        DataError: If it holds anything else; the message names the row.
    """
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise DataError(
            f"dataset: {where} must hold one label for each example, but its shape is "
            f"{y.shape}; save whole numbers of shape (n,), of one-hot rows the argmax."
        )
    if y.dtype.kind == "S":
        return np.char.decode(y, "utf-8", "replace")
    if y.dtype.kind == "U":
        return y
    require_numbers(where, y.dtype)
    with np.errstate(invalid="ignore"):
        good = (y >= -1) & (y <= MAX_LABEL) & (y == np.floor(y))
    if not good.all():
        row = int(np.argmin(good))
        raise DataError(
            f"dataset: {where} has label {y[row]} at row {row} (counted from 0); "
            f"labels are whole numbers from 0 to {MAX_LABEL}, or -1 for none."
        )
    return y.astype(np.int32)


def encode_labels(
    labels: dict[str, np.ndarray],
) -> tuple[dict[str, np.ndarray], tuple[str, ...] | None]:
    """Numbers text labels by their sorted names; empty text is -1, no label.

    Args:
        labels: What `check_labels` returned, by split.

    Returns:
        int32 `(n,)` by split, and the names, None where the labels are numbers.

    Raises:
        DataError: If text and numbers are mixed, or there are too many names.
    """
    text = [y.dtype.kind == "U" for y in labels.values()]
    if not any(text):
        return labels, None
    if not all(text):
        raise DataError(
            f"dataset: {' and '.join(labels)} mix text and numbers; use one of them."
        )
    names = np.unique(np.concatenate([np.strings.strip(y) for y in labels.values()]))
    names = names[names != ""]
    if len(names) > MAX_LABEL + 1:
        raise DataError(
            f"dataset: {' and '.join(labels)} have {len(names):,} different labels, "
            f"more than {MAX_LABEL + 1:,}; choose a column of classes."
        )
    codes = {}
    for part, y in labels.items():
        y = np.strings.strip(y)
        codes[part] = np.where(y == "", -1, np.searchsorted(names, y)).astype(np.int32)
    return codes, tuple(str(name) for name in names)


def one_line(error: Any) -> str:
    """Returns what an error of another library says, as part of one sentence."""
    text = " ".join(str(error).split()) or type(error).__name__
    text = re.sub(r"<[\w.]*?(\w+) object at 0x\w+>", r"\1", text)
    return text if len(text) <= 120 else text[:117] + "..."


def first_line(error: Exception) -> str:
    """Returns the first line of what it says, as part of one sentence."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return one_line(lines[0]).rstrip(".")
