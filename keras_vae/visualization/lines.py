"""Pictures of examples that are no images: sequences as lines, vectors as bars.

All cells share one set of axes, which is what makes them quick to draw. Sequences of
many channels, as of spectra, are drawn as images.
"""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from keras_vae.errors import invalid_argument, require
from keras_vae.visualization import grids, palette
from keras_vae.visualization.grids import Picture

CELL = 160  # pixels of the longer side of a cell
_MOST_LINES = 12  # channels of a sequence, beyond which it is drawn as an image
_MOST_BARS = 12  # features of a vector, beyond which they are joined to a line

COLORS = tuple(palette.COLORS.values())[:6]  # of the channels of a sequence


def explained(shape: Sequence[int]) -> str:
    """Says what a cell of `line_grid` shows of examples of this shape."""
    count = shape[-1]
    if len(shape) == 2 and count > _MOST_LINES:
        return "Cells: time to the right, channels upwards; black is lowest"
    ends = "from its lowest to its highest value"
    if len(shape) == 1:
        bars = ", as a bar from the middle" if count <= _MOST_BARS else ""
        return f"Cells: the {count} features from left to right, each {ends}{bars}"
    names = tuple(palette.COLORS)[: min(count, len(COLORS))]
    colors = f" ({', '.join(names)})" if count > 1 else ""
    return f"Cells: time to the right; channels{colors} upwards, each {ends}"


def line_grid(
    *series: ArrayLike,
    labels: Sequence[str] = (),
    reference: ArrayLike | None = None,
    columns: int | None = None,
    titles: Sequence[str] | None = None,
    scale: float = 1.0,
) -> Picture:
    """Draws sequences or vectors as lines, one cell per example.

    A vector's features, and each channel of a sequence, are shown between their own
    lowest and highest value in `reference`, since their units may differ. Up to twelve
    features are bars from the middle of that range, more are joined to a line. Of more
    than six channels the first six are drawn. Of more than twelve all are, as an image:
    time to the right, channels upwards, the lowest value of all black and the highest
    white, and the second of two series below the first.

    Args:
        *series: One or two arrays of one shape, `(n, features)` or
            `(n, steps, channels)`; the first of two is drawn broad and pale, the second
            thin and dark over it.
        labels: A name for each of the series.
        reference: The data that set the range; by default the first of the series.
        columns: Cells per row; by default five, or as many as there are rows.
        titles: One short text per example.
        scale: Enlargement of lines and text, a cell is `CELL` pixels wide at 1.

    Returns:
        The picture, uint8 `(height, width, 3)`.

    Raises:
        ValueError: If the shapes differ or are of another rank.
    """
    arrays = [np.asarray(array, np.float32) for array in series]
    shapes = [array.shape for array in arrays]
    if len(set(shapes)) != 1 or len(shapes[0]) not in (2, 3) or 0 in shapes[0]:
        raise invalid_argument(
            "series",
            "arrays of one shape, (n, features) or (n, steps, channels)",
            received=f"shapes {shapes}",
        )
    n = shapes[0][0]
    columns = columns or max(min(n, 5), math.ceil(math.sqrt(n)))
    require(columns >= 1, "columns", "at least 1", columns)
    require(titles is None or len(titles) == n, "titles", f"{n} texts", titles)
    known = arrays[0] if reference is None else np.asarray(reference, np.float32)
    if len(shapes[0]) == 3 and shapes[0][-1] > _MOST_LINES:
        return _as_images(arrays, known, columns, titles, scale)
    middle, span = _middle_and_span(known.reshape(-1, known.shape[-1]))
    bars = len(shapes[0]) == 2 and shapes[0][1] <= _MOST_BARS
    lines = []
    for array in arrays:
        unit = np.clip((array - middle) / span + 0.5, -0.05, 1.05)
        unit = unit[..., np.newaxis] if unit.ndim == 2 else unit
        flat = unit.shape[1] == 1 and not bars
        lines.append(unit.repeat(2, axis=1) if flat else unit)
    return _draw(lines, list(labels), columns, titles, scale, bars)


def _middle_and_span(
    values: NDArray[np.float32],
) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Returns the middle of the range of each column, and how wide it is."""
    finite = np.isfinite(values)
    low = values.min(axis=0, initial=np.inf, where=finite)
    high = values.max(axis=0, initial=-np.inf, where=finite)
    low, high = np.where(finite.any(axis=0), (low, high), 0.0)  # a diverged model's
    span = np.where(high > low, high - low, np.maximum(np.abs(low), 1.0))
    return (low + high) / 2, span


def _as_images(
    arrays: list[NDArray[np.float32]],
    reference: NDArray[np.float32],
    columns: int,
    titles: Sequence[str] | None,
    scale: float,
) -> Picture:
    """Draws sequences of spectra as images, about as large as cells of lines."""
    known = reference[np.isfinite(reference)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
    span = high - low if high > low else 1.0
    images = [((array - low) / span).swapaxes(1, 2)[:, ::-1] for array in arrays]
    larger = max(1, round(CELL * scale / max(images[0].shape[1:])))
    if len(images) == 2:
        above, below = images
        return grids.reconstruction_grid(above, below, columns=columns, scale=larger)
    return grids.tile(images[0], columns=columns, titles=titles, scale=larger)


class _Cells(NamedTuple):
    """Where the cells are, one for each example; y goes down."""

    left: NDArray[np.floating]
    top: NDArray[np.floating]
    height: NDArray[np.floating]

    @property
    def middle(self) -> NDArray[np.floating]:
        """The height that half of the range is drawn at."""
        return self.top + self.height / 2


def _draw(
    lines: list[NDArray[np.float32]],
    labels: list[str],
    columns: int,
    titles: Sequence[str] | None,
    scale: float,
    bars: bool,
) -> Picture:
    """Draws `lines`, each `(n, steps, channels)` in [0, 1], in one set of axes."""
    # Imported here: whoever draws images only need not wait for matplotlib.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    n, rows = len(lines[0]), math.ceil(len(lines[0]) / columns)
    foot = 0.3 if labels else 0.0  # inches
    size = (1.6 * columns, 1.2 * rows + foot)
    figure = Figure(size, dpi=100 * scale, facecolor="white")
    canvas = FigureCanvasAgg(figure)
    bottom = foot / (1.2 * rows + foot)
    axes = figure.add_axes((0.0, bottom, 1.0, 1.0 - bottom))
    axes.set(xlim=(0, columns), ylim=(rows, 0))
    axes.set_axis_off()
    cell = np.arange(n)
    top = cell // columns + (0.2 if titles else 0.08)
    cells = _Cells(cell % columns + 0.05, top, cell // columns + 0.92 - top)
    _draw_frames(axes, cells, bars)
    styles = [(4.0, 0.35), (1.3, 1.0)] if len(lines) > 1 else [(1.3, 1.0)]
    if bars:
        styles = [(1.5 * width, alpha) for width, alpha in styles]
    for unit, (linewidth, alpha) in zip(lines, styles, strict=True):
        for channel, color in zip(range(unit.shape[-1]), COLORS, strict=False):
            look = {"color": color, "linewidth": linewidth, "alpha": alpha}
            _draw_channel(axes, cells, unit[..., channel], look, bars)
    for i, title in enumerate(titles or ()):
        at = cells.left[i] + 0.45, cells.top[i] - 0.03
        axes.text(*at, title, ha="center", va="bottom", fontsize=8)
    if labels:
        _draw_legend(figure, labels, styles)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def _draw_frames(axes: Any, cells: _Cells, bars: bool) -> None:
    """Draws the border of each cell, and where bars begin."""
    from matplotlib.collections import LineCollection

    corners = np.array([(0, 0), (0.9, 0), (0.9, 1), (0, 1), (0, 0)])
    size = np.stack([np.ones(len(cells.left)), cells.height], axis=-1)
    corner = np.stack([cells.left, cells.top], axis=-1)
    frames = corner[:, np.newaxis] + corners * size[:, np.newaxis]
    axes.add_collection(LineCollection(list(frames), colors="0.8", linewidths=0.8))
    if bars:
        start = np.stack([cells.left + 0.03, cells.middle], axis=-1)[:, np.newaxis]
        rule = start + np.array([(0.0, 0.0), (0.84, 0.0)])
        axes.add_collection(LineCollection(list(rule), colors="0.8", linewidths=0.8))


def _draw_channel(
    axes: Any,
    cells: _Cells,
    unit: NDArray[np.float32],
    look: dict[str, Any],
    bars: bool,
) -> None:
    """Draws one channel of all examples, `(n, steps)` in [0, 1]."""
    from matplotlib.collections import LineCollection

    steps = unit.shape[1]
    positions = np.linspace(0.0, 0.84, steps)
    if bars:
        positions = 0.84 * (np.arange(steps) + 0.5) / steps
    x = cells.left[:, np.newaxis] + 0.03 + positions
    share = 0.94 - 0.88 * unit
    y = cells.top[:, np.newaxis] + cells.height[:, np.newaxis] * share
    drawn = np.stack([x, y], axis=-1)
    if bars:
        foot = np.broadcast_to(cells.middle[:, np.newaxis], y.shape)
        ends = [np.stack([x, foot], axis=-1), drawn]
        drawn = np.stack(ends, axis=2).reshape(-1, 2, 2)
        # A dot at the end, so that a value in the middle is seen too.
        area = (1.6 * look["linewidth"]) ** 2
        axes.scatter(x, y, area, look["color"], alpha=look["alpha"], linewidths=0)
    axes.add_collection(LineCollection(list(drawn), **look))


def _draw_legend(
    figure: Any, labels: list[str], styles: Sequence[tuple[float, float]]
) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=COLORS[0], linewidth=width, alpha=alpha)
        for width, alpha in styles
    ]
    figure.legend(
        handles, labels, loc="lower center", ncols=2, frameon=False, fontsize=8
    )
