"""Which data a likelihood can be of, asked of whole arrays and of batches in a graph.

Both ask the same. An array's check says in a sentence what is wrong; a graph's is one
boolean, cheap enough for every step.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae.units import is_scaled, to_unit

_CHUNK = 1 << 20  # elements of an array that are checked at a time
_RANGE_TOLERANCE = 1e-6  # rounding of data that was scaled or resized
_GRID_TOLERANCE = 1e-3  # the same, in steps of 1/255
_BINARISED = 16  # that many examples of 0 and 1 alone are no chance


def chunks(x: Any) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (first row, rows in float32), stored images scaled to [0, 1]."""
    rows = max(1, _CHUNK // max(1, math.prod(np.shape(x[:1])[1:])))
    for first in range(0, len(x), rows):
        with np.errstate(over="ignore"):  # what float32 cannot hold counts as infinite
            yield first, to_unit(x[first : first + rows])


def check_range(x: Any, likelihood: str, unit_interval: bool) -> None:
    """Raises a ValueError unless `x` holds finite numbers, in [0, 1] if it has to.

    Args:
        x: (n, ...), as stored.
        likelihood: What asks for it, for the message.
        unit_interval: Whether x has to lie in [0, 1].
    """
    dtype = np.dtype(x.dtype)
    if dtype.kind not in "buif":
        raise ValueError(f"`x` must hold numbers, but its dtype is {dtype}.")
    if is_scaled(dtype):
        return
    low, high = _range(x)
    outside = low < -_RANGE_TOLERANCE or high > 1.0 + _RANGE_TOLERANCE
    if unit_interval and outside:
        bytes_ = 0.0 <= low and high <= 255.0
        remedy = "divide by 255" if bytes_ else "scale it to [0, 1]"
        raise ValueError(
            f"`x` must lie in [0, 1] for the likelihood {likelihood}, but "
            f"goes from {low:g} to {high:g}: {remedy}, or take a Gaussian one."
        )


def _range(x: Any) -> tuple[float, float]:
    """Returns the least and the largest value; `ValueError` for NaN and infinity."""
    low, high = math.inf, -math.inf
    for first, values in chunks(x):
        # A NaN passes through min and max, so that no second array is needed.
        chunk_low, chunk_high = float(values.min()), float(values.max())
        if not (math.isfinite(chunk_low) and math.isfinite(chunk_high)):
            bad = ~np.isfinite(values).reshape(len(values), -1).all(axis=1)
            raise ValueError(
                "`x` must be finite, but holds NaN or infinity (in float32) in row "
                f"{first + int(bad.argmax())}: remove or replace such values."
            )
        low, high = min(low, chunk_low), max(high, chunk_high)
    return low, high


def check_levels(x: Any, likelihood: str) -> None:
    """Raises a ValueError unless all of `x`, in [0, 1], are multiples of 1/255."""
    if np.dtype(x.dtype) == np.uint8:
        return
    for first, values in chunks(x):
        levels = values * np.float32(255.0)
        off = np.abs(levels - np.rint(levels)) > _GRID_TOLERANCE
        if off.any():
            row = first + int(np.argwhere(off)[0, 0])
            raise ValueError(
                "`x` must hold multiples of 1/255 for the likelihood "
                f"{likelihood}, but holds {values[off][0]:g} in row {row}: "
                "use 8-bit images, or take a Gaussian likelihood."
            )


def check_grey(x: Any, likelihood: str) -> None:
    """Raises a ValueError if all of `x` are 0 or 1, and both occur."""
    at_ends = np.zeros(2, np.int64)
    for _, values in chunks(x):
        found = [np.count_nonzero(values == end) for end in (0.0, 1.0)]
        if sum(found) < values.size:
            return
        at_ends += found
    if at_ends.all():  # an array of one value, a black image say, decides nothing
        raise ValueError(
            f"`x` must hold grey values for the likelihood {likelihood}, but "
            "all are 0 or 1: take Bernoulli for binarised data."
        )


def is_in_range(x: tf.Tensor, unit_interval: bool) -> tf.Tensor:
    """Whether a batch, float32, passes `check_range`, a boolean scalar."""
    # A NaN passes through both, and they cost a third of comparing each number.
    low, high = tf.reduce_min(x), tf.reduce_max(x)
    if not unit_interval:
        fits = tf.math.is_finite(low) & tf.math.is_finite(high)
    else:
        fits = (low >= -_RANGE_TOLERANCE) & (high <= 1.0 + _RANGE_TOLERANCE)
    return fits | tf.equal(tf.size(x), 0)  # of no numbers they are infinite


def on_levels(x: tf.Tensor) -> tf.Tensor:
    """Whether a batch, float32 in [0, 1], passes `check_levels`, a boolean scalar."""
    levels = 255.0 * x
    off = tf.abs(levels - tf.round(levels))
    return tf.reduce_all(off <= _GRID_TOLERANCE)


def is_grey(x: tf.Tensor) -> tf.Tensor:
    """Whether a batch, float32 in [0, 1], passes `check_grey`, a boolean scalar.

    So does one of a few examples, which may be black and white by chance.
    """
    ends = [tf.reduce_all(x < 1.0), tf.reduce_all(x > 0.0)]  # one of them is missing
    between = tf.reduce_any((x > 0.0) & (x < 1.0))
    return between | ends[0] | ends[1] | (tf.shape(x)[0] < _BINARISED)
