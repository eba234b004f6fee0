"""A flat map of a latent space."""

import dataclasses

import numpy as np


@dataclasses.dataclass(frozen=True)
class Plane:
    """A flat map of the latent space.

    Attributes:
        origin: The latent at (0, 0), `(latent_dim,)`.
        axes: Steps in latent space for one unit to the right and up,
            `(1 or 2, latent_dim)`, orthogonal.
        labels: Of the axes.
        note: What else a reader should know; may be empty.
        names: Of the axes, as plain and short text.
    """

    origin: np.ndarray
    axes: np.ndarray
    labels: tuple[str, str]
    note: str = ""
    names: str = ""

    def place(self, z: np.ndarray) -> np.ndarray:
        """Returns where latents `(n, latent_dim)` lie, `(n, number of axes)`."""
        lengths = np.square(self.axes).sum(axis=1)
        return np.asarray((z - self.origin) @ self.axes.T / lengths)

    def latent(self, points: np.ndarray) -> np.ndarray:
        """Returns the latents `(n, latent_dim)` at points of the plane."""
        return np.asarray(self.origin + points @ self.axes, np.float32)
