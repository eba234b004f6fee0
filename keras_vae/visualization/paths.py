"""Pictures of motion in a plane: what a pen has drawn, and the arm that held it."""

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.collections import LineCollection
from numpy.typing import ArrayLike, NDArray

from keras_vae.errors import require
from keras_vae.visualization import style
from keras_vae.visualization.grids import Picture

_CELL = 1.5  # inches
_CAPTION = 0.22  # inches


def path_grid(
    paths: ArrayLike,
    second: ArrayLike | None = None,
    *,
    arms: ArrayLike | None = None,
    columns: int | None = None,
    titles: Sequence[str] | None = None,
    limits: tuple[ArrayLike, ArrayLike] | None = None,
) -> Picture:
    """Draws paths in the plane, one cell each, all on one scale.

    Args:
        paths: `(n, steps, 2)`; +y is up.
        second: More paths to draw over them in another colour, reconstructions say.
        arms: `(n, joints, 2)`, the joints of an arm in one pose; drawn in grey.
        columns: Cells per row; by default five, or as many as there are rows.
        titles: One short text per path.
        limits: The lowest and the highest point, (x, y) each, that a cell has room for;
            None takes those of what is drawn and the origin.

    Returns:
        The picture, uint8 `(height, width, 3)`.

    Raises:
        ValueError: If a shape is another.
    """
    pen = np.asarray(paths, np.float64)
    others = [
        np.asarray(more, np.float64) for more in (second, arms) if more is not None
    ]
    for array in (pen, *others):
        plane = array.ndim == 3 and array.shape[-1] == 2 and len(array) == len(pen) > 0
        require(plane, "paths", "arrays (n, steps, 2) of one n", array.shape)
    n = len(pen)
    columns = columns or max(min(n, 5), math.ceil(math.sqrt(n)))
    require(titles is None or len(titles) == n, "titles", f"{n} texts", titles)
    rows, top = math.ceil(n / columns), _CAPTION / _CELL if titles else 0.0
    center, span = _scale_of([pen, *others], limits)
    row, column = np.divmod(np.arange(n), columns)
    middle = np.stack([column + 0.5, (row + 0.5) * (1 + top)], axis=-1)
    figure = style.new_figure(_CELL * columns, _CELL * rows * (1 + top))
    figure.set_layout_engine("none")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0, columns), ylim=(rows * (1 + top), 0))
    axes.set_axis_off()
    looks = [(pen, style.BLUE, 2.2, 1.0 if second is None else 0.45)]
    if second is not None:
        looks.append((others[0], style.ORANGE, 1.2, 1.0))
    if arms is not None:
        looks.insert(0, (others[-1], style.QUIET, 2.5, 0.6))
    for array, color, width, alpha in looks:
        unit = (array - center) / span * 0.9 * np.array([1.0, -1.0])
        placed = unit + middle[:, np.newaxis] + np.array([0.0, top / 2])
        lines = LineCollection(
            list(placed), colors=color, linewidths=width, alpha=alpha
        )
        axes.add_collection(lines)
    for (x, y), title in zip(middle, titles or (), strict=False):
        axes.text(x, y - 0.5 + top / 2, title, ha="center", va="center", fontsize=9)
    return style.as_picture(figure)


def _scale_of(
    arrays: Sequence[NDArray[np.float64]], limits: tuple[ArrayLike, ArrayLike] | None
) -> tuple[NDArray[np.float64], float]:
    """Returns the middle of what a cell has room for, and how wide that is."""
    positions = np.concatenate([array.reshape(-1, 2) for array in arrays])
    positions = positions[np.isfinite(positions).all(axis=1)]  # a diverged model's
    low, high = positions.min(axis=0, initial=0.0), positions.max(axis=0, initial=0.0)
    if limits is not None:
        low, high = (np.asarray(position, np.float64) for position in limits)
    return (low + high) / 2, max(float((high - low).max()), 1e-9)
