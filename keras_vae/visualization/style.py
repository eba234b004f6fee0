"""One style for all figures: sizes, colours, frames around pictures, files.

Figures are matplotlib's, made and written without pyplot and its global state, so that
any thread may draw.
"""

import io
import os
import re
import textwrap
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
from keras_vae.visualization import picture_files
from keras_vae.visualization.grids import Picture

FORMATS = ("png", "svg", "pdf")
"""Endings of the files that `write_figure` makes."""

INK = "#222222"
QUIET = "#8a8a8a"
RED = "#d1281f"
BLUE = "#0072B2"
ORANGE = "#D55E00"
CONTINUOUS = "cividis"
"""Colour map of what has an order; it looks the same to colour-blind eyes."""

# Ten colours that people with and without colour vision deficiency tell apart
# (Petroff 2021, "Accessible color sequences for data visualization", table 1).
_TEN_COLORS = (
    "#3f90da",
    "#ffa90e",
    "#bd1f01",
    "#94a4a2",
    "#832db6",
    "#a96b59",
    "#e76300",
    "#b9ac70",
    "#717581",
    "#92dadd",
)

TEXT = 9.0  # points
TITLE = 11.0
MINUS = "\N{MINUS SIGN}"

DPI = 160  # of a figure that is drawn; what is made of pixels keeps them one to one
_PIXEL_DPI = 100
# In pixels: the height of a line of text, about the width of a letter, the margin.
_LINE = 1.35 * TEXT * _PIXEL_DPI / 72
_LETTER = 0.58 * TEXT * _PIXEL_DPI / 72
_EDGE = 8


def class_colors(n: int) -> list[Any]:
    """Returns a colour for each of n classes.

    Of more than ten classes neighbouring ones look alike; names must tell them apart.
    """
    if n <= len(_TEN_COLORS):
        return list(_TEN_COLORS[:n])
    return list(matplotlib.colormaps[CONTINUOUS](np.linspace(0.0, 1.0, n)))


def new_figure(width: float, height: float) -> Figure:
    """Returns an empty figure of a size in inches, whose parts make room for labels."""
    figure = Figure((width, height), dpi=DPI, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def plain(text: str) -> str:
    """Returns text from outside such that no part of it is set as a formula."""
    return text.replace("$", r"\$")


def label_axes(axes: Axes, title: str = "", x: str = "", y: str = "") -> None:
    """Writes title and labels, and takes away what carries no information.

    The labels may hold formulas.
    """
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
        rows: Labels at the left, evenly spaced from the top down.
        columns: Labels at the bottom, evenly spaced from left to right.
        x: What the columns are.
        y: What the rows are.
        foot: What else a reader must know, small at the bottom.

    Returns:
        The figure.
    """
    height, width = picture.shape[:2]
    # Large pictures are shown smaller, so their text is larger.
    grown = float(np.clip(max(height, width) / 900, 1.0, 1.8))
    text: dict[str, Any] = {"fontsize": TEXT * grown, "color": INK}
    line, letter = _LINE * grown, _LETTER * grown
    left, right = _margins(width, rows, columns, letter, line * bool(y))
    wide = left + width + right
    letters = int((wide - 2 * _EDGE) / (letter * TITLE / TEXT))
    title = _wrapped(title, max(letters, 12))
    foot = _wrapped(foot, max(letters, 12))
    lowest = int(_EDGE + line * _lines(foot))
    bottom = lowest + int(line * bool(columns) + line * bool(x))
    tall = bottom + height + int(_EDGE + _lines(title) * (line * TITLE / TEXT + 2))
    figure = Figure(
        (wide / _PIXEL_DPI, tall / _PIXEL_DPI), dpi=_PIXEL_DPI, facecolor="white"
    )
    FigureCanvasAgg(figure)
    place = (left / wide, bottom / tall, width / wide, height / tall)
    axes = _pixels(figure, picture, place)
    axes.set_xticks(_middles(width, len(columns)), columns, **text)
    axes.set_yticks(_middles(height, len(rows)), rows, **text)
    axes.set_xlabel(x, labelpad=2, **text)
    axes.set_ylabel(y, labelpad=4, **text)
    figure.text(
        0.5,
        1.0 - _EDGE / tall,
        plain(title),
        ha="center",
        va="top",
        linespacing=1.15,
        **{**text, "fontsize": TITLE * grown},
    )
    if foot:
        text["color"] = QUIET
        figure.text(0.5, lowest / tall, foot, ha="center", va="top", **text)
    return figure


def _margins(
    width: int, rows: Sequence[str], columns: Sequence[str], letter: float, y: float
) -> tuple[int, int]:
    """Pixels left and right of a picture that its labels and a title need."""
    widest = max((len(re.sub(r"[$_{}]", "", row)) for row in rows), default=0)
    left = int(_EDGE + (widest * letter + 8 if rows else 0) + y)
    beyond = letter * len(columns[-1]) - width / len(columns) if columns else 0
    right = _EDGE + max(0, round(beyond / 2))
    # A narrow picture gets room at both sides, for a title that is not in shreds.
    room = max(0, 230 - (left + width + right)) // 2
    return left + room, right + room


def _lines(text: str) -> int:
    return text.count("\n") + 1 if text else 0


def _wrapped(title: str, letters: int) -> str:
    """Breaks a title into as few lines as it needs, of about equal length."""
    lines = textwrap.wrap(title, letters)
    for narrower in range(letters - 1, 0, -1):
        other = textwrap.wrap(title, narrower, break_long_words=False)
        if len(other) > len(lines):
            break
        lines = other
    return "\n".join(lines)


def _pixels(
    figure: Figure, picture: Picture, place: tuple[float, float, float, float]
) -> Axes:
    """Shows a picture in its own pixels at a place of the figure."""
    height, width = picture.shape[:2]
    axes = figure.add_axes(place)
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
