"""Names on plots: how wide they are, short forms of them, and where they fit."""

import functools
import re
from collections.abc import Sequence

import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from numpy.typing import ArrayLike, NDArray

ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


def text_width(
    text: str, size: float, bold: bool = False, formulas: bool = False
) -> float:
    """Returns the width of a line of text in points.

    Args:
        text: The line.
        size: Of the letters, in points.
        bold: Whether they are.
        formulas: Whether text between dollars is set as such.
    """
    return _width_at_10(text, bold, formulas) * size / 10.0


@functools.lru_cache(maxsize=4096)
def _width_at_10(text: str, bold: bool, formulas: bool) -> float:
    font = FontProperties(weight="bold" if bold else "normal", size=10.0)
    formulas = formulas and text.count("$") > 1
    return float(text_to_path.get_text_width_height_descent(text, font, formulas)[0])


def shortened(text: str, width: float, size: float) -> str:
    """Returns text of at most a width in points, its middle left out if need be."""
    if text_width(text, size) <= width:
        return text
    for kept in range(len(text) - 1, 1, -1):
        head, tail = -(-kept * 2 // 3), kept * 1 // 3
        short = f"{text[:head].rstrip()}{ELLIPSIS}{text[len(text) - tail :].lstrip()}"
        if text_width(short, size) <= width:
            return short
    return text[:1]


def wrapped(text: str, width: float, size: float) -> str:
    """Breaks text into as few lines as it needs, of about equal width.

    Args:
        text: Lines are broken between its words only.
        width: Of the longest line, in points, if no word is longer.
        size: Of the letters, in points.
    """
    words = text.split()
    lines = _filled(words, width, size)
    narrowest = width
    while len(lines) > 1:
        narrowest *= 0.97
        other = _filled(words, narrowest, size)
        longest = max((text_width(line, size) for line in other), default=0.0)
        if len(other) > len(lines) or longest > narrowest:
            break
        lines = other
    return "\n".join(lines)


def _filled(words: Sequence[str], width: float, size: float) -> list[str]:
    lines: list[str] = []
    for word in words:
        if lines and text_width(f"{lines[-1]} {word}", size) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def fitted(text: str, width: float, size: float, lines: int = 3) -> str:
    """Returns text in at most so many lines of a width, shortened if need be.

    Args:
        text: Broken between words, and within them before a capital.
        width: Of a line, in points.
        size: Of the letters, in points.
        lines: The most there may be.
    """
    if text_width(text, size) <= width:
        return text
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|_", " ", text)
    broken = wrapped(words, width, size).split("\n")
    short = [shortened(line, width, size) for line in broken[:lines]]
    if len(broken) > lines:
        short[-1] = shortened(f"{short[-1]}{ELLIPSIS}", width, size)
    return "\n".join(short)


def marks(names: Sequence[str]) -> list[str]:
    """Returns one or two letters or a number for each name, all different.

    A name of at most two letters or digits is its own. Else the first two
    letters, the initials, or the first letter and another one, whichever is free.
    Where this leaves a name without a mark, all have the numbers from 0 on.
    """
    plain = ["".join(letter for letter in name if letter.isalnum()) for name in names]
    firsts = [name[:2] for name in plain]
    if len(set(firsts)) == len(firsts) and all(firsts):
        return firsts
    taken: dict[str, int] = {}
    found = [""] * len(names)
    # Who has no choice comes first.
    for index in sorted(range(len(names)), key=lambda k: (len(plain[k]) > 2, k)):
        mark = next((m for m in _candidates(names[index]) if m not in taken), "")
        if not mark:
            return [str(number) for number in range(len(names))]
        taken[mark], found[index] = index, mark
    return found


def _candidates(name: str) -> list[str]:
    words = re.findall(r"[A-Z]?[^\W_A-Z\d]+|[A-Z]+|\d+", name)
    letters = "".join(words)
    if len(letters) <= 2:
        return [letters] if letters else []
    initials = [words[0][0] + word[0] for word in words[1:]]
    return [letters[:2], *initials, *(letters[0] + other for other in letters[2:])]


def placed(
    anchors: ArrayLike,
    sizes: ArrayLike,
    low: ArrayLike,
    high: ArrayLike,
    obstacles: ArrayLike = (),
    reach: float = 64.0,
    spared: ArrayLike = (),
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Finds positions for labels that overlap neither each other nor the edge.

    One label after the other takes the free position that is nearest to its anchor.

    Args:
        anchors: Middles of the labels where nothing is in the way, `(n, 2)`.
        sizes: Width and height of each, `(n, 2)`, in the same unit.
        low: The lower corner of the box that all must lie in, `(2,)`.
        high: Its upper corner, `(2,)`.
        obstacles: Points that no label may cover, `(m, 2)`.
        reach: How far from its anchor a label may be.
        spared: Points that no label covers if there is another position, `(l, 2)`.

    Returns:
        The middles, `(n, 2)`, and which of the labels have found a position, `(n,)`.
    """
    size = np.asarray(sizes, np.float64)
    positions = np.array(anchors, np.float64)
    found = np.zeros(len(positions), bool)
    offsets = _spiral(reach)
    points, seen = (
        np.reshape(np.asarray(some, np.float64), (-1, 2))
        for some in (obstacles, spared)
    )
    for k, anchor in enumerate(positions):
        tried = anchor + offsets
        inside = (tried - size[k] / 2 >= low) & (tried + size[k] / 2 <= high)
        tried = tried[inside.all(axis=1)]
        middles = np.concatenate([positions[found], points])
        least = np.concatenate([(size[found] + size[k]) / 2, points * 0 + size[k] / 2])
        tried = tried[~_near(tried, middles, least)]
        clear = tried[~_near(tried, seen, size[k] / 2)]
        if len(tried):
            positions[k], found[k] = (clear if len(clear) else tried)[0], True
    return positions, found


def _near(
    tried: NDArray[np.float64],
    middles: NDArray[np.float64],
    least: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """Which of some points `(n, 2)` are nearer to any middle than `least`, `(m, 2)`."""
    between = np.abs(tried[:, np.newaxis] - middles)
    return np.asarray(np.any(np.all(between < least, axis=-1), axis=1))


def _spiral(reach: float) -> NDArray[np.float64]:
    """Offsets `(n, 2)` of at most a length, the shortest first."""
    steps = np.arange(-np.floor(reach / 2), np.floor(reach / 2) + 1) * 2.0
    grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
    length = np.linalg.norm(grid, axis=1)
    nearest = np.argsort(length, kind="stable")
    return grid[nearest[: int((length <= reach).sum())]]
