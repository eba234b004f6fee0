"""Legends and names of classes, laid out so that none lies on another."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.path import Path
from matplotlib.patheffects import withStroke
from matplotlib.textpath import TextPath
from numpy.typing import ArrayLike, NDArray

from keras_vae.visualization import labels, palette, style

_NAME = 12  # letters of the longest class name that is written into a scatter,
_NAMES = 12  # and how many such names; else short marks, which the legend explains
_FULL = 190.0  # points of a name in a legend of up to
_FEW = 30  # classes
_SHORT = 118.0  # and of more
_ROWS = 25  # of a legend next to the axes
_BESIDE = 250.0  # points of the widest legend there
_BELOW = 470.0  # and below
_HANDLE = 30.0  # points of a legend's marker and of the gaps about it
_LOST = 64.0  # points that a name may be moved; half of it where there are many
_BRIEF = 40.0  # points of a line that other names would hide
_FAR = 16.0  # points that a name is moved before a line joins it to its position


def class_legend(
    figure: Figure,
    colors: Sequence[Any],
    names: Sequence[str],
    markers: Sequence[palette.Marker] = (),
    glyphs: Sequence[Path] = (),
) -> None:
    """Adds a legend of classes outside of the axes; the figure grows by its size.

    It is at the right, or below where it is wide. Long names are shortened.

    Args:
        figure: Its layout is constrained.
        colors: One for each class.
        names: Of the classes.
        markers: One for each class; circles if not given.
        glyphs: Letters to show in place of markers, as `glyph` makes them.
    """
    few = len(names) <= _FEW
    size = style.TEXT - (1 if few else 2)
    texts = [labels.shortened(name, _FULL if few else _SHORT, size) for name in names]
    column = max(labels.text_width(text, size) for text in texts) + _HANDLE
    columns = math.ceil(len(texts) / _ROWS)
    beside = columns * column <= _BESIDE
    if not beside:
        columns = max(1, int(_BELOW // column))
    legend = figure.legend(
        _handles(colors, markers or palette.class_markers(len(names)), glyphs),
        [style.plain(text) for text in texts],
        loc="outside right upper" if beside else "outside lower center",
        ncols=min(columns, len(texts)),
        fontsize=size,
        title="class" if beside else None,
        title_fontsize=size,
        alignment="left",
        frameon=False,
        borderpad=0.2,
        labelspacing=0.35,
        handlelength=1.4,
        handletextpad=0.5,
        columnspacing=1.2,
    )
    box = legend.get_window_extent()
    width, height = box.width / figure.dpi, box.height / figure.dpi
    if beside:
        tall = max(figure.get_figheight(), height + 0.3)
        figure.set_size_inches(figure.get_figwidth() + width, tall)
    else:
        wide = max(figure.get_figwidth(), width + 0.2)
        figure.set_size_inches(wide, figure.get_figheight() + height)
    # Axes of a fixed shape take two rounds of the layout; the second is at saving.
    figure.draw_without_rendering()


def _handles(
    colors: Sequence[Any], markers: Sequence[palette.Marker], glyphs: Sequence[Path]
) -> list[Line2D]:
    looks: list[tuple[Any, float]] = [
        (glyph, glyph_size(glyph) ** 0.5) for glyph in glyphs
    ] or [(marker.shape, 6.0 * marker.factor**0.5) for marker in markers]
    return [
        Line2D([], [], linestyle="", color=color, marker=look, markersize=size, mew=0)
        for color, (look, size) in zip(colors, looks, strict=True)
    ]


def glyph(text: str, size: float) -> Path:
    """Returns text of a size in points as a marker about its middle."""
    path = TextPath((0, 0), style.plain(text), size=size)
    box = path.get_extents()
    middle = np.array([box.x0 + box.x1, box.y0 + box.y1]) / 2
    return Path(path.vertices - middle, path.codes)


def glyph_size(glyph: Path) -> float:
    """Returns the `s` of `Axes.scatter` at which a glyph has the size it was made of.

    Matplotlib brings every marker to one extent, which makes long texts small.
    """
    return float((2.0 * np.abs(glyph.vertices).max()) ** 2)


def class_marks(names: Sequence[str]) -> list[str]:
    """Returns the text of each class on a scatter: its name, or a short mark."""
    longest = max(map(len, names), default=0)
    short = longest <= (_NAME if len(names) <= _NAMES else 3)
    return list(names) if short else labels.marks(names)


def explained(marks: Sequence[str], names: Sequence[str]) -> list[str]:
    """Returns the names of a legend, each after its mark where that is another."""
    pairs = zip(marks, names, strict=True)
    return [name if mark == name else f"{mark}  {name}" for mark, name in pairs]


def name_places(
    figure: Figure,
    axes: Axes,
    positions: ArrayLike,
    marks: Sequence[str],
    line: ArrayLike | None = None,
    points: ArrayLike = (),
) -> int:
    """Writes marks at positions of axes, none over another; a line joins those far off.

    Beside a short line only the marks at its ends are written.

    Args:
        figure: That of the axes, at its final size.
        axes: Whose limits are set.
        positions: `(n, 2)`, in data; what is NaN is left out.
        marks: `(n,)`, the texts.
        line: `(2, 2)`, ends of a line that no text shall lie on, in data, or None.
        points: `(m, 2)`, in data, that no text shall lie on if that can be.

    Returns:
        How many marks found no place.
    """
    figure.draw_without_rendering()  # what is in points needs the layout
    data = np.asarray(positions, np.float64)
    ends = None if line is None else _in_points(axes, np.asarray(line, np.float64))
    known = np.flatnonzero(np.isfinite(data).all(axis=1))
    known = _at_ends(known, _in_points(axes, data[known]), ends)
    starts = _in_points(axes, data[known])
    texts = [marks[int(k)] for k in known]
    size = _mark_size(texts)
    boxes = [(labels.text_width(t, size, bold=True) + 4, 1.1 * size + 2) for t in texts]
    sizes = np.reshape(boxes, (-1, 2))
    anchors, obstacles = starts, np.zeros((0, 2))
    if ends is not None:
        anchors, obstacles = _beyond(starts, sizes, ends), _along(ends)
    box = axes.get_window_extent()
    low, high = (np.asarray(corner) * 72.0 / style.DPI for corner in (box.min, box.max))
    moved, kept = labels.placed(
        anchors,
        sizes,
        low + 2,
        high - 2,
        obstacles,
        _LOST if len(texts) <= _NAMES else _LOST / 2,
        _in_points(axes, np.reshape(np.asarray(points, np.float64), (-1, 2))),
    )
    kept &= ((starts >= low - 1) & (starts <= high + 1)).all(axis=1)
    for k in np.flatnonzero(kept):
        _write(axes, texts[k], size, data[known[k]], moved[k] - starts[k])
    return int(len(texts) - kept.sum())


def _at_ends(
    known: NDArray[np.intp],
    points: NDArray[np.float64],
    ends: NDArray[np.float64] | None,
) -> NDArray[np.intp]:
    """Returns which marks to write: all, or of a short line those at its ends."""
    if ends is None or not len(known) or np.linalg.norm(ends[1] - ends[0]) >= _BRIEF:
        return known
    distance = np.linalg.norm(points[:, np.newaxis] - ends, axis=-1)
    return known[np.unique(distance.argmin(axis=0))]


def _along(ends: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points on a line, near enough to each other that no text fits between."""
    count = int(np.linalg.norm(ends[1] - ends[0]) // 5) + 2
    share = np.linspace(0.0, 1.0, count)[:, np.newaxis]
    return np.asarray((1 - share) * ends[0] + share * ends[1])


def _write(
    axes: Axes,
    text: str,
    size: float,
    position: NDArray[np.float64],
    offset: NDArray[np.float64],
) -> None:
    """Writes one mark some points away from its position in data."""
    arrow = None
    if np.linalg.norm(offset) > _FAR:
        arrow = {"arrowstyle": "-", "color": style.INK, "linewidth": 0.7}
        arrow |= {"shrinkA": 0, "shrinkB": 0}
    axes.annotate(
        style.plain(text),
        xy=tuple(position),
        xytext=tuple(offset),
        textcoords="offset points",
        ha="center",
        va="center",
        fontsize=size,
        fontweight="bold",
        color=style.INK,
        zorder=4,
        annotation_clip=True,
        arrowprops=arrow,
        path_effects=[withStroke(linewidth=2.5, foreground="white")],
    )


def _mark_size(texts: Sequence[str]) -> float:
    """Points of letters that leave room for all texts."""
    if max(map(len, texts), default=0) > 3:
        return 9.0
    return float(np.interp(len(texts), [10, 30, 100], [13.0, 10.0, 7.5]))


def _beyond(
    anchors: NDArray[np.float64], sizes: NDArray[np.float64], ends: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Moves the marks at both ends of a line to where it does not pass."""
    way = ends[1] - ends[0]
    length = float(np.linalg.norm(way))
    way = way / length if length > 1e-6 else np.array([1.0, 0.0])
    moved = anchors.copy()
    for end, sign in zip(ends, (-1.0, 1.0), strict=True):
        if len(anchors):
            k = int(np.linalg.norm(anchors - end, axis=1).argmin())
            reach = np.abs(way) @ sizes[k] / 2 + 5.0
            moved[k] = end + sign * reach * way
    return moved


def _in_points(axes: Axes, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Positions in data as points from the lower left corner of the figure."""
    return np.asarray(axes.transData.transform(values)) * 72.0 / style.DPI
