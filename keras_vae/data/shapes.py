"""Sprites with known ground-truth factors, drawn on the fly.

One white sprite on black, after dSprites (Matthey et al. 2017,
https://github.com/google-deepmind/dsprites-dataset), drawn here from formulas, so that
there is no file to fetch. Every combination of five factors is one picture:

| factor | values | meaning |
|---|---|---|
| `shape` | 3 | square, ellipse, heart; of equal area at equal scale |
| `scale` | 6 | 0.5, 0.6, ..., 1.0 of the largest |
| `orientation` | 10 | 0, 9, ..., 81 degrees, counter-clockwise |
| `x` | 32 | position of the centre, left to right, a step is 1/64 of the width |
| `y` | 32 | position of the centre, top to bottom, a step is 1/64 of the height |

Orientation and symmetry: a square looks the same after a quarter turn and an ellipse
after a half turn, so a full circle of orientations, as in dSprites, gives several
factor values one picture and no representation can tell them apart. The range here is
the quarter turn, its end left out: all 184,320 pictures are different. One thing
remains: for the square, and for it alone, the range is a closed circle, so its last
orientation (81) is as near to its first (0) as to the one before (72).

Pictures are antialiased: a pixel is the covered fraction of its area, on a grid of
8 x 8 points a pixel, times 255. A 32 x 32 picture is the 2 x 2 mean of the 64 x 64 one.
Nothing is random.
"""

import functools
import math
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae.errors import invalid_argument

FACTOR_NAMES = ("shape", "scale", "orientation", "x", "y")
FACTOR_SIZES = (3, 6, 10, 32, 32)
SHAPE_NAMES = ("square", "ellipse", "heart")
IMAGE_SIZES = (32, 64)

# Lengths are pixels of the 64 x 64 picture. The sprite's centre is at 16.5 + k for
# position k, so that a patch of 33 pixels around it starts at pixel k. No sprite
# reaches further than 14.5 from its centre: a patch has a border of two empty pixels.
_PATCH = 33
_POINTS = 8
_SQUARE_HALF_SIDE = 9.0
_ELLIPSE_SEMI_AXES = (14.4, 7.162)
# (x^2 + y^2 - 1)^3 <= x^2 y^3 has area 3.662 and its centroid at y = 0.2935.
_HEART_UNIT = 9.406
_HEART_CENTROID = 0.2935


class Shapes:
    """The sprites as a lazy array of pictures; a picture exists when it is asked for.

    Row r of the whole dataset has the factor values
    `np.unravel_index(r, FACTOR_SIZES)`: y changes fastest, shape slowest. Parts for
    training and testing are made with `take`.

    Args:
        size: Height and width of a picture in pixels, 32 or 64.

    Attributes:
        shape: `(size, size, 1)`, the shape of one picture.
        dtype: `"uint8"`.
        factor_names: Names of the factors, in the order of the columns of `factors`.
        factor_sizes: Number of values of each factor.

    Raises:
        ValueError: If `size` is neither 32 nor 64.

    Example:
        >>> sprites = Shapes(32)
        >>> len(sprites), sprites.shape
        (184320, (32, 32, 1))
        >>> sprites.factors([0, 33])
        array([[0, 0, 0, 0, 0],
               [0, 0, 0, 1, 1]], dtype=int32)
    """

    dtype = "uint8"
    factor_names = FACTOR_NAMES
    factor_sizes = FACTOR_SIZES

    def __init__(self, size: int = 64) -> None:
        if size not in IMAGE_SIZES:
            raise invalid_argument(
                "size", "32 or 64, the sizes that the sprites are drawn in", size
            )
        self.shape = (int(size), int(size), 1)
        self._rows = np.arange(math.prod(FACTOR_SIZES), dtype=np.int64)

    def __len__(self) -> int:
        """Number of pictures."""
        return len(self._rows)

    def __getitem__(self, key: Any) -> np.ndarray:
        """Draws pictures by numpy indexing along the first axis.

        Args:
            key: An int, a slice, an array of ints or of booleans.

        Returns:
            uint8 `(n, size, size, 1)`, for an int `(size, size, 1)`.

        Raises:
            IndexError: If a row is not there.
        """
        rows = np.arange(len(self))[key]
        images = self.gather(np.atleast_1d(rows)).numpy()
        return images if np.ndim(rows) else images[0]

    def take(self, rows: np.ndarray) -> "Shapes":
        """Makes a dataset of some of the rows, in the given order.

        Args:
            rows: Int or boolean array, or a slice, that selects rows of this dataset.

        Returns:
            A dataset whose row i is row `rows[i]` of this one.
        """
        part = Shapes(self.shape[0])
        part._rows = self._rows[rows]
        return part

    def head(self, n: int) -> np.ndarray:
        """Draws the first n pictures, or all where there are fewer.

        Args:
            n: Number of pictures.

        Returns:
            uint8 `(min(n, len(self)), size, size, 1)`.
        """
        return self[:n]

    def factors(self, rows: Any = None) -> np.ndarray:
        """Gives the factor values of rows, each counted from 0.

        Args:
            rows: Anything that indexes an array along its first axis; None is all rows.

        Returns:
            int32 `(n, 5)`, columns in the order of `factor_names`.
        """
        chosen = self._rows if rows is None else np.atleast_1d(self._rows[rows])
        values = np.unravel_index(chosen, FACTOR_SIZES)
        return np.stack(values, axis=-1).astype(np.int32)

    def gather(self, rows: tf.Tensor) -> tf.Tensor:
        """Draws pictures by TensorFlow operations, also inside `tf.data` maps.

        Args:
            rows: int64 `(n,)`, rows of this dataset.

        Returns:
            uint8 `(n, size, size, 1)`.
        """
        size = self.shape[0]
        patches = _patches(size)
        step = 64 // size
        whole = tf.cast(tf.gather(self._rows, rows), tf.int32)
        sprite, position = whole // 32**2, whole % 32**2
        left, top = position // 32, position % 32
        phase = (top % step) * step + left % step
        # A pixel outside the patch takes the nearest one on its border, which is empty.
        pixels = tf.range(size)[None, :]
        last = patches.shape[-1] - 1
        row = tf.clip_by_value(pixels - top[:, None] // step, 0, last)
        column = tf.clip_by_value(pixels - left[:, None] // step, 0, last)
        first = (sprite * step**2 + phase)[:, None] * (last + 1)
        index = ((first + row) * (last + 1))[:, :, None] + column[:, None, :]
        return tf.gather(patches.ravel(), index)[..., None]


def _inside(name: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Tells which points, with y upwards, lie in the upright sprite at scale 1."""
    if name == "square":
        return np.maximum(np.abs(x), np.abs(y)) <= _SQUARE_HALF_SIDE
    if name == "ellipse":
        return (x / _ELLIPSE_SEMI_AXES[0]) ** 2 + (y / _ELLIPSE_SEMI_AXES[1]) ** 2 <= 1
    x, y = x / _HEART_UNIT, y / _HEART_UNIT + _HEART_CENTROID
    return (x * x + y * y - 1) ** 3 <= x * x * y**3


@functools.cache
def _patches(size: int) -> np.ndarray:
    """Draws every sprite once for each offset of its patch from the pixel grid.

    Args:
        size: 32 or 64.

    Returns:
        uint8 `(sprites, offsets, side, side)`. Sprites are numbered as the first three
        factors. There is one offset at 64 pixels; at 32, where a step of the position
        is half a pixel, there are four: (down, right) = (0, 0), (0, 1), (1, 0), (1, 1).
    """
    step = 64 // size
    coverage = _coverage()
    if step == 1:
        shifted = coverage[:, None]
    else:
        padded = [
            np.pad(coverage, [(0, 0), (down, 1 - down), (right, 1 - right)])
            for down in range(step)
            for right in range(step)
        ]
        blocks = np.stack(padded, axis=1)
        side = blocks.shape[-1] // step
        blocks = blocks.reshape(*blocks.shape[:2], side, step, side, step)
        shifted = blocks.mean(axis=(3, 5))
    return np.rint(255 * shifted).astype(np.uint8)


def _coverage() -> np.ndarray:
    """Computes the covered fraction of each pixel, float64 `(sprites, 33, 33)`."""
    num_points = _PATCH * _POINTS
    line = ((np.arange(num_points) + 0.5) / num_points - 0.5) * _PATCH
    x, y = np.meshgrid(line, -line)
    coverage = []
    for sprite in range(math.prod(FACTOR_SIZES[:3])):
        shape, scale, orientation = np.unravel_index(sprite, FACTOR_SIZES[:3])
        angle = np.deg2rad(9.0 * orientation)
        unit = 0.5 + 0.1 * scale
        u = (x * np.cos(angle) + y * np.sin(angle)) / unit
        v = (y * np.cos(angle) - x * np.sin(angle)) / unit
        points = _inside(SHAPE_NAMES[shape], u, v)
        coverage.append(
            points.reshape(_PATCH, _POINTS, _PATCH, _POINTS).mean(axis=(1, 3))
        )
    return np.stack(coverage)
