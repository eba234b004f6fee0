"""One style for all plots: sizes, colours, frames around pictures, files.

Figures are matplotlib's, made and written without pyplot and its global state, so that
any thread may draw.
"""

import io
import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from keras_vae.naming import lookup
from keras_vae.visualization import labels, picture_files
from keras_vae.visualization.grids import Picture
from keras_vae.visualization.palette import class_colors as class_colors

FORMATS = ("png", "svg", "pdf")
"""Endings of the files that `write_figure` makes."""

INK = "#222222"
QUIET = "#6e6e6e"
RED = "#d1281f"
BLUE = "#0072B2"
ORANGE = "#D55E00"
CONTINUOUS = "cividis"
"""Colour map of what has an order; it looks the same to colour-blind eyes."""

TEXT = 9.0  # points
TITLE = 11.0
MINUS = "\N{MINUS SIGN}"

_CRUSHED = 5.0  # times that one axis may span of the other before scales part

DPI = 160  # of a figure that is drawn; what is made of pixels keeps them one to one
_PIXEL_DPI = 100
# In pixels: the height of a line of text, the margin.
_LINE = 1.35 * TEXT * _PIXEL_DPI / 72
_EDGE = 8
_HAIR = 1e-4  # pixels


def new_figure(width: float, height: float) -> Figure:
    """Returns an empty figure of a size in inches, whose parts make room for labels."""
    figure = Figure((width, height), dpi=DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def plain(text: str) -> str:
    """Returns text from outside such that no part of it is set as a formula."""
    return text.replace("$", r"\$")


def label_axes(
    axes: Axes,
    title: str = "",
    x: str = "",
    y: str = "",
    width: float = math.inf,
) -> None:
    """Writes title and labels, and takes away what carries no information.

    The labels may hold formulas. A title wider than `width`, in points, is broken.
    """
    title = labels.wrapped(title, width, TITLE)
    axes.set_title(plain(title), fontsize=TITLE, color=INK)
    axes.set_xlabel(x, fontsize=TEXT, color=INK)
    axes.set_ylabel(y, fontsize=TEXT, color=INK)
    axes.tick_params(labelsize=TEXT - 1, colors=INK, length=3)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def framed(
    picture: Picture,
    title: str,
    *,
    rows: Sequence[str] = (),
    columns: Sequence[str] = (),
    x: str = "",
    y: str = "",
    foot: str = "",
) -> Figure:
    """Puts a title and labels around a picture, whose pixels stay as they are.

    Args:
        picture: uint8 `(height, width, 1 or 3)`, as `grids` makes them.
        title: What it shows; broken into lines where the picture is narrow.
        rows: Labels at the left, evenly spaced from the top down; may hold formulas.
        columns: Labels at the bottom, evenly spaced from left to right; broken into
            lines or shortened where they are wider than their column.
        x: What the columns are.
        y: What the rows are.
        foot: What else a reader must know, small at the bottom.

    Returns:
        The figure.
    """
    height, width = picture.shape[:2]
    # Large pictures are shown smaller, so their text is larger.
    grown = float(np.clip(max(height, width) / 900, 1.0, 1.8))
    size = TEXT * grown
    text: dict[str, Any] = {"fontsize": size, "color": INK}
    line = _LINE * grown
    columns = _fitted(columns, width * 72 / _PIXEL_DPI, size)
    below = max(map(_lines, columns), default=0) if any(columns) else 0
    left, right = _margins(width, rows, columns, size, line * bool(y))
    wide = left + width + right
    room = (wide - 2 * _EDGE) * 72 / _PIXEL_DPI
    title = plain(labels.wrapped(title, room, TITLE * grown))
    foot = plain(labels.wrapped(foot, room, size))
    lowest = int(_EDGE + line * _lines(foot))
    bottom = lowest + int(line * below + line * bool(x))
    tall = bottom + height + int(_EDGE + _lines(title) * (line * TITLE / TEXT + 2))
    figure = Figure(
        (wide / _PIXEL_DPI, tall / _PIXEL_DPI), dpi=_PIXEL_DPI, facecolor="white"
    )
    FigureCanvasAgg(figure)
    axes = _pixels(figure, picture, _position(picture, left, bottom, (wide, tall)))
    axes.set_xticks(_middles(width, len(columns)), columns, **text)
    axes.set_yticks(_middles(height, len(rows)), rows, **text)
    axes.set_xlabel(x, labelpad=2, **text)
    axes.set_ylabel(y, labelpad=4, **text)
    text |= {"ha": "center", "va": "top"}
    title_text = {**text, "fontsize": TITLE * grown, "linespacing": 1.15}
    figure.text(0.5, 1.0 - _EDGE / tall, title, **title_text)
    if foot:
        text["color"] = QUIET
        figure.text(0.5, lowest / tall, foot, **text)
    return figure


def _position(
    picture: Picture, left: int, bottom: int, size: tuple[int, int]
) -> tuple[float, float, float, float]:
    """Where the axes of a picture are in a figure of so many pixels, as fractions.

    A hair within the pixels: matplotlib before 3.11 stretches over one more what ends
    behind its border by a rounding error.
    """
    (height, width), (wide, tall) = picture.shape[:2], size
    return (
        (left + _HAIR) / wide,
        (bottom + _HAIR) / tall,
        (width - 2 * _HAIR) / wide,
        (height - 2 * _HAIR) / tall,
    )


def _fitted(columns: Sequence[str], width: float, size: float) -> list[str]:
    """Labels of columns over a width in points, none of which reaches the next."""
    filled = [column for column, text in enumerate(columns) if text]
    apart = min(np.diff(filled), default=len(columns))
    room = width * apart / max(len(columns), 1) - 3.0
    return [plain(labels.fitted(text, room, size)) for text in columns]


def _row_width(row: str, size: float) -> float:
    return labels.text_width(row, size, formulas=True)


def _margins(
    width: int, rows: Sequence[str], columns: Sequence[str], size: float, y: float
) -> tuple[int, int]:
    """Pixels left and right of a picture that its labels and a title need."""
    per_point = _PIXEL_DPI / 72
    widest = max((_row_width(row, size) for row in rows), default=0) * per_point
    left = int(_EDGE + (widest + 8 if rows else 0) + y)
    beyond = 0.0
    if columns:
        last = max(labels.text_width(line, size) for line in columns[-1].split("\n"))
        beyond = last * per_point - width / len(columns)
    right = _EDGE + max(0, round(beyond / 2))
    # A narrow picture gets room at both sides, for a title that is not in shreds.
    room = max(0, 230 - (left + width + right)) // 2
    return left + room, right + room


def _lines(text: str) -> int:
    return text.count("\n") + 1 if text else 0


def _pixels(
    figure: Figure, picture: Picture, position: tuple[float, float, float, float]
) -> Axes:
    """Shows a picture in its own pixels at a position of the figure."""
    height, width = picture.shape[:2]
    axes = figure.add_axes(position)
    axes.imshow(
        np.broadcast_to(picture, (height, width, 3)),
        interpolation="none",
        aspect="auto",
        extent=(0, width, height, 0),
    )
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, pad=3)
    return axes


def _middles(length: int, count: int) -> NDArray[np.float64]:
    return (np.arange(count) + 0.5) * length / max(count, 1)


def as_picture(figure: Figure) -> Picture:
    """Returns a figure as uint8 `(height, width, 3)`."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def write_figure(path: str | os.PathLike[str], figure: Figure) -> Path:
    """Writes a figure as the ending of `path` says; whole or not at all.

    The same figure gives the same file. Letters in a PDF are kept as type.

    Raises:
        ValueError: If the ending is not one of `FORMATS`.
        OSError: If the file cannot be written.
    """
    ending = Path(path).suffix.lstrip(".").lower()
    lookup("format", ending, dict.fromkeys(FORMATS))
    buffer = io.BytesIO()
    metadata: dict[str, Any] = {
        "png": {"Software": None},
        "svg": {"Date": None},
        "pdf": {"CreationDate": None},
    }[ending]
    options: Any = {"pdf.fonttype": 42, "svg.hashsalt": "keras_vae"}
    with matplotlib.rc_context(options):
        figure.savefig(buffer, format=ending, dpi=figure.dpi, metadata=metadata)
    return picture_files.write_bytes(path, buffer.getvalue())


def data_limits(points: ArrayLike) -> tuple[tuple[float, float], tuple[float, float]]:
    """Returns (low, high) of both axes that show points `(n, 2)` well.

    All points are inside, unless a few lie so far out that the others would be crushed.
    Both axes have one scale, unless that would crush one of them.
    """
    xy = np.asarray(points, np.float64)
    xy = xy[np.isfinite(xy).all(axis=1)]
    if not len(xy):
        return (-1.0, 1.0), (-1.0, 1.0)
    low, high = xy.min(axis=0), xy.max(axis=0)
    inner = np.quantile(xy, [0.01, 0.99], axis=0)
    slack = 0.6 * (inner[1] - inner[0])
    few = inner[1] > inner[0]  # else most points are one
    low = np.where(few, np.maximum(low, inner[0] - slack), low)
    high = np.where(few, np.minimum(high, inner[1] + slack), high)
    middle, half = (low + high) / 2, (high - low) / 2
    # A span below the precision of what was computed in float32 is none.
    half = np.where(half > 1e-6 * np.maximum(np.abs(middle), 1e-3), half, 0.0)
    half = np.where(half > 0, half, half.max() or 0.5)
    if half.max() <= _CRUSHED * half.min():
        half[:] = half.max()
    half *= 1.06
    (x0, y0), (x1, y1) = (middle - half).tolist(), (middle + half).tolist()
    return (x0, x1), (y0, y1)


def fixed_limit(values: ArrayLike) -> float:
    """Returns the half-width of a range around 0 that holds all but 1 % of values.

    It is one of a few: 4, as a standard normal needs it, or what a wider latent space
    needs. So figures of different runs have the same axes wherever that is possible.
    """
    finite = np.abs(np.asarray(values, np.float64))
    finite = finite[np.isfinite(finite)]
    needed = float(np.quantile(finite, 0.99)) if finite.size else 0.0
    steps = [k * 10.0**power for power in range(7) for k in (1, 1.5, 2, 3, 4, 6, 8)]
    return next((step for step in steps if step >= max(needed, 4.0)), needed)
