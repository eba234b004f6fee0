"""Latents and the true factors of the same examples, as the scores take them."""

import numpy as np

from keras_vae.errors import invalid_argument

RandomState = int | np.random.Generator

_EPSILON = 1e-6


def checked_factors(factors: np.ndarray) -> np.ndarray:
    """Returns the factors that vary, their values renumbered from 0, `(n, k)`."""
    factors = np.asarray(factors)
    if factors.ndim != 2 or not np.issubdtype(factors.dtype, np.integer):
        raise invalid_argument(
            "factors",
            "integers of shape (n, k)",
            received=f"{factors.dtype} of shape {factors.shape}",
        )
    columns = [np.unique(column, return_inverse=True)[1] for column in factors.T]
    varying = [column for column in columns if column.size and column.any()]
    if len(varying) < 2:
        raise invalid_argument(
            "factors",
            "at least two columns that vary, to tell factors apart",
            received=f"{len(varying)}",
        )
    return np.stack(varying, axis=1)


def checked(latents: np.ndarray, factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the latents that vary, standardised, and the factors that vary."""
    values = checked_factors(factors)
    z = np.asarray(latents, np.float64)
    if z.ndim != 2 or len(z) != len(values):
        raise invalid_argument(
            "latents",
            f"shape ({len(values)}, d), as many examples as `factors` has",
            received=f"shape {z.shape}",
        )
    if not np.isfinite(z).all():
        raise invalid_argument(
            "latents",
            "finite numbers",
            received=f"{int(np.sum(~np.isfinite(z)))} that are NaN or infinite",
            advice="Look at the model that made them.",
        )
    # Relative to its size, so that the rounding of a float32 constant is no variance.
    largest = np.abs(z).max(axis=0)
    z = z[:, np.ptp(z, axis=0) > _EPSILON * largest]
    z = z / np.abs(z).max(axis=0)
    return (z - z.mean(axis=0)) / z.std(axis=0), values


def majority_share(values: np.ndarray) -> np.ndarray:
    """Computes the share of the most frequent value of each column, `(k,)`."""
    return np.array([np.bincount(column).max() / len(column) for column in values.T])
