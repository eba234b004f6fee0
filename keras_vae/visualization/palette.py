"""Colours and markers that tell classes apart, for all eyes.

The ten colours were found by a search: each has a contrast of at least 3:1 on white,
and any two differ by at least 0.13 in OKLab as most people see them, and by at least
0.08 under simulated protanopia, deuteranopia and tritanopia (Machado et al. 2009). So
dark and light ones alternate, which no sequence of equal lightness can do.
"""

from typing import NamedTuple

COLORS = {
    "blue": "#5f57e6",
    "orange": "#ff5e0a",
    "brown": "#72250a",
    "navy": "#352e5f",
    "red": "#c9270b",
    "purple": "#9c34ad",
    "moss": "#769e52",
    "pink": "#d46bd3",
    "teal": "#0d8da0",
    "green": "#236b4e",
}
"""Colours by name, in an order in which the first few differ most."""

UNKNOWN = "#949494"
"""Of examples without a class: a grey, which none of the classes has."""

_DARKEST = 0.45  # share of the light that the last of many classes keeps


class Marker(NamedTuple):
    """A marker of matplotlib, and what its size must be multiplied by.

    With it markers of all shapes have about the same area.
    """

    shape: str
    factor: float


_MARKERS = (
    Marker("o", 1.0),
    Marker("^", 1.35),
    Marker("s", 0.8),
    Marker("D", 0.72),
    Marker("v", 1.35),
    Marker("P", 1.25),
    Marker("X", 1.2),
    Marker("*", 1.9),
    Marker("<", 1.35),
    Marker(">", 1.35),
)


def class_colors(n: int) -> list[str]:
    """Returns a colour for each of n classes, as `#rrggbb`.

    Of more than ten classes each further ten repeat the colours, darker than those
    before; markers of their own tell them apart, see `class_markers`.
    """
    colors, groups = list(COLORS.values()), -(-n // len(COLORS))
    shades = []
    for k in range(n):
        group = k // len(colors)
        light = 1.0 - (1.0 - _DARKEST) * group / max(groups - 1, 3)
        levels = bytes.fromhex(colors[k % len(colors)][1:])
        shades.append("#" + bytes(round(light * level) for level in levels).hex())
    return shades


def class_markers(n: int, every: bool = False) -> list[Marker]:
    """Returns a marker for each of n classes.

    Args:
        n: How many classes.
        every: Whether each class has a shape of its own, up to ten, instead of each ten
            classes; for markers that are large enough to see their shape.
    """
    tens = n > len(COLORS)
    indices = (k // len(COLORS) if tens else k if every else 0 for k in range(n))
    return [_MARKERS[index % len(_MARKERS)] for index in indices]
