"""What stored numbers mean. Their type decides it, never their values.

uint8 and uint16 represent 0 to 1 and are divided by 255 and 65,535 before use. All
other numbers, whole ones too, are taken as they are.
"""

from typing import Any

import numpy as np


def is_scaled(dtype: Any) -> bool:
    """Whether numbers of a NumPy type, of either byte order, represent 0 to 1."""
    dtype = np.dtype(dtype)
    return dtype.kind == "u" and dtype.itemsize <= 2


def to_unit(x: np.ndarray) -> np.ndarray:
    """Returns `x` as float32: uint8 divided by 255, uint16 by 65,535, others as is."""
    x = np.asarray(x)
    if is_scaled(x.dtype):
        # A product, as in the pipeline, so that both give the same bits.
        return x.astype(np.float32) * np.float32(1.0 / np.iinfo(x.dtype).max)
    return x.astype(np.float32)
