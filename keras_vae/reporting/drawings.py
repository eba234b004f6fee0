"""What a plot of a run is made of: cells with examples, still or moving."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from keras_vae.reporting.subject import Subject
from keras_vae.visualization import grids, lines, style
from keras_vae.visualization.grids import Picture


class Animation(NamedTuple):
    """Frames of a GIF."""

    frames: list[Picture]
    duration_ms: int = 80


Drawing = Figure | Animation
Drawings = dict[str, Drawing]
"""The files of a plot, by their names without ending."""

LARGE = 112
"""Pixels of a cell where there are few."""

_LARGEST = 224  # and where there is one


def cells(
    subject: Subject,
    x: np.ndarray,
    columns: int,
    titles: Sequence[str] | None = None,
    side: int | None = None,
) -> Picture:
    """Draws examples: images as tiles, sequences and vectors as lines.

    Args:
        subject: Where the examples are from; its data fix the range of lines.
        x: `(n, *input_shape)`.
        columns: Cells per row.
        titles: One for each example, or None.
        side: Pixels that the longer side of a small cell is enlarged to; if None 64 of
            an image and 160 of lines.
    """
    if not subject.is_image:
        return lines.line_grid(
            x,
            reference=subject.train.x[:1000],
            columns=columns,
            titles=titles,
            scale=1.0 if side is None else max(1.0, side / lines.CELL),
        )
    scale = None if side is None else max(1, math.ceil(side / max(x.shape[1:3])))
    return grids.tile(x, columns, scale=scale, titles=titles)


def block(
    subject: Subject,
    rows: Sequence[np.ndarray],
    title: str,
    labels: Sequence[str] = (),
    titles: Sequence[str] | None = None,
) -> Figure:
    """Frames rows of equally many examples, each row with its label."""
    picture = cells(subject, np.concatenate(list(rows)), len(rows[0]), titles)
    return framed(subject, picture, title, rows=labels)


def framed(subject: Subject, picture: Picture, title: str, **labels: Any) -> Figure:
    """Frames a picture as `style.framed` does; under lines it says what they are."""
    explained = "" if subject.is_image else lines.explained(subject.shape)
    foot = ". ".join(filter(None, (explained, labels.pop("foot", ""))))
    return style.framed(picture, title, foot=foot, **labels)


def walk(
    subject: Subject, x: np.ndarray, titles: Sequence[str], bounce: bool = True
) -> Animation:
    """Makes a GIF of examples one after the other, there and back again."""
    frames = [
        cells(subject, x[step : step + 1], 1, [titles[step]], side=_LARGEST)
        for step in range(len(x))
    ]
    return Animation(frames + frames[-2:0:-1] if bounce else frames)


def spread(n: int, count: int) -> np.ndarray:
    """Returns `count` rows of n, or all of them, evenly chosen."""
    return np.linspace(0, n - 1, min(n, count)).astype(np.int64)


def at_ends(first: ArrayLike, last: ArrayLike, steps: int) -> np.ndarray:
    """Returns the row of the nearer end for each step of a way; the first's for t=0.5.

    Args:
        first: Row of the example that the way starts from; `(..., 1)` for many ways.
        last: Of the one that it ends at.
        steps: Both ends included.
    """
    return np.where(2 * np.arange(steps) >= steps, last, first)
