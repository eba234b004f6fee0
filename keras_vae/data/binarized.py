"""Examples as evaluation and plots see them: binarised once for all, or not at all."""

from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae.data.folder import broken_file
from keras_vae.data.pipeline import BINARIZE, as_unit, binarize_once, binarized_rows
from keras_vae.naming import lookup

SEED = 1
"""Of the binarisation of validation and test examples, the same for every run."""


def binarized(x: Any, binarize: str, seed: int = SEED) -> Any:
    """Returns examples binarised once and for all, as evaluation sees them.

    Args:
        x: An array `(n, ...)`, or examples that are streamed (`datasets.Streamed`).
        binarize: One of `BINARIZE`; "static" and "dynamic" are the same here.
        seed: Of the draw. That of an example depends on its row in `x` alone.

    Returns:
        `x` itself for "none"; else an array of uint8 0 and 255, or streamed examples
        that are binarised when they are read.

    Raises:
        ValueError: If `binarize` is unknown.
    """
    lookup("binarize", binarize, dict.fromkeys(BINARIZE))
    if binarize == "none":
        return x
    if not isinstance(x, np.ndarray):
        return _Binarized(x, binarize, seed, np.arange(len(x)))
    if binarize != "threshold":
        return binarize_once(x, seed)
    half = np.iinfo(x.dtype).max / 2 if x.dtype.kind == "u" else 0.5
    return np.where(x >= half, np.uint8(255), np.uint8(0))


class _Binarized:
    """Streamed examples that are binarised when they are read."""

    dtype = "uint8"

    def __init__(self, x: Any, binarize: str, seed: int, positions: np.ndarray) -> None:
        self.shape = tuple(x.shape)
        self._x, self._positions = x, positions
        self._binarize, self._seed = binarize, seed

    def __len__(self) -> int:
        return len(self._x)

    def __getitem__(self, key: Any) -> np.ndarray:
        rows = np.arange(len(self))[key]
        try:
            return self.gather(tf.constant(rows, tf.int64)).numpy()
        except tf.errors.OpError as error:
            broken = broken_file(self)
            if broken is None:
                raise
            raise broken from error

    def first_broken(self) -> str | None:
        look = getattr(self._x, "first_broken", None)
        return None if look is None else look()

    def head(self, n: int) -> np.ndarray:
        return self[:n]

    def take(self, rows: np.ndarray) -> "_Binarized":
        x = self._x.take(rows)
        return _Binarized(x, self._binarize, self._seed, self._positions[rows])

    def gather(self, rows: tf.Tensor) -> tf.Tensor:
        grey = as_unit(self._x.gather(rows))
        if self._binarize == "threshold":
            on = grey >= 0.5
        else:
            positions = tf.gather(tf.constant(self._positions, tf.int64), rows)
            on = binarized_rows(grey, positions, self._seed)
        return tf.where(on, tf.constant(255, tf.uint8), tf.constant(0, tf.uint8))
