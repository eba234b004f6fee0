"""What a conditional model is given: a label, a vector, or a region of an image.

A condition comes as rows, one for each example: that is how people and files hold it.
Networks take its code, float32. Regions of an image are cut from the image itself; the
model then completes it.
"""

import math
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae.data.pipeline import as_unit
from keras_vae.errors import invalid_argument
from keras_vae.naming import lookup
from keras_vae.noise import RowNoise
from keras_vae.units import to_unit

_SMALLEST_BOX = 0.2  # of a side, of the boxes that random masks are made of


class Condition:
    """Base of the conditions.

    Args:
        name: As the user knows it.
        shape: Of one row.
        code_shape: Of its code.
    """

    dtype = "float32"

    def __init__(
        self, name: str, shape: tuple[int, ...], code_shape: tuple[int, ...]
    ) -> None:
        self.name = name
        self.shape = tuple(shape)
        self.code_shape = tuple(code_shape)
        self.expected = f"numbers of shape {_batch(self.shape)}"

    def check(self, argument: str, values: Any, n: int) -> np.ndarray:
        """Returns the rows for n examples; one row is taken for all of them.

        Raises:
            ValueError: If the values cannot be that.
        """
        rows = np.asarray(values)
        if rows.dtype.kind not in "buif":
            raise self.refused(argument, f"dtype {rows.dtype}")
        rows = np.asarray(to_unit(rows), np.float32)
        if self.shape == (1,) and rows.ndim == 1:
            rows = rows[:, np.newaxis]
        if rows.shape == self.shape:
            rows = rows[np.newaxis]
        if rows.shape[1:] != self.shape or len(rows) not in (1, n):
            raise self.refused(argument, f"shape {rows.shape} for {n} examples")
        if not np.isfinite(rows).all():
            raise self.refused(argument, "NaN or infinity")
        return np.broadcast_to(rows, (n, *self.shape))

    def read(self, y: Any) -> tf.Tensor:
        """Returns the rows that a batch of a dataset holds as its y."""
        rows = as_unit(y)
        if rows.shape[1:] != self.shape:
            raise self.refused("y", f"shape {rows.shape}")
        return rows

    def fits(self, rows: tf.Tensor) -> tf.Tensor:
        """Whether what `read` returned passes `check`, a boolean scalar in a graph."""
        return tf.reduce_all(tf.math.is_finite(rows))

    def code(self, rows: tf.Tensor) -> tf.Tensor:
        """Returns what networks are given, (batch, *code_shape)."""
        return tf.reshape(rows, [-1, *self.code_shape])

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of a `CVAE` that make this condition."""
        return {"condition": self.name}

    @property
    def encoder_shape(self) -> tuple[int, ...] | None:
        """Of what an encoder takes besides x; None: nothing."""
        return self.code_shape

    def for_encoder(self, code: tf.Tensor) -> tf.Tensor:
        """What an encoder takes besides x."""
        return code

    def refused(self, argument: str, received: str) -> ValueError:
        """Returns the error that says what was expected."""
        return invalid_argument(argument, self.expected, received=received)


class Label(Condition):
    """A class, an integer from 0; its code is one-hot."""

    dtype = "int32"

    def __init__(self, num_classes: int) -> None:
        super().__init__("label", (), (num_classes,))
        self.num_classes = num_classes
        self.expected = f"labels, integers from 0 to {num_classes - 1}, of shape (n,)"

    @property
    def arguments(self) -> dict[str, Any]:
        """See `Condition.arguments`."""
        return {"condition": self.name, "num_classes": self.num_classes}

    def check(self, argument: str, values: Any, n: int) -> np.ndarray:
        """See `Condition.check`."""
        rows = np.asarray(values)
        if rows.ndim == 2 and rows.shape[1] == 1:
            rows = rows[:, 0]
        if rows.ndim == 2:
            hint = "; of one-hot rows give rows.argmax(axis=1)"
            raise self.refused(argument, f"shape {rows.shape}{hint}")
        if rows.dtype.kind not in "iu":
            raise self.refused(argument, f"dtype {rows.dtype}")
        rows = np.atleast_1d(rows)
        if rows.ndim != 1 or len(rows) not in (1, n):
            raise self.refused(argument, f"shape {rows.shape} for {n} examples")
        wrong = rows[(rows < 0) | (rows >= self.num_classes)]
        if len(wrong):
            raise self.refused(argument, f"the label {wrong[0]}")
        return np.broadcast_to(rows.astype(np.int32), (n,))

    def read(self, y: Any) -> tf.Tensor:
        """See `Condition.read`."""
        y = tf.convert_to_tensor(y)
        if y.shape.rank not in (1, 2) or y.shape[1:].num_elements() not in (1, None):
            raise self.refused("y", f"shape {y.shape}")
        return tf.reshape(tf.cast(y, tf.int32), [-1])

    def fits(self, rows: tf.Tensor) -> tf.Tensor:
        """See `Condition.fits`."""
        return self._from(rows, least=0)

    def _from(self, rows: tf.Tensor, least: int) -> tf.Tensor:
        return tf.reduce_all((rows >= least) & (rows < self.num_classes))

    def code(self, rows: tf.Tensor) -> tf.Tensor:
        """One-hot, (batch, num_classes); a label out of range is an error."""
        return self.one_hot(rows, least=0)

    def one_hot(self, rows: tf.Tensor, least: int) -> tf.Tensor:
        """Returns rows of one 1 each, or none for labels from `least` to -1.

        Raises:
            tf.errors.InvalidArgumentError: If a label is out of range. Under XLA, which
                knows no errors, its row is NaN.
        """
        wrong = (rows < least) | (rows >= self.num_classes)
        ends = [tf.reduce_min(rows), "to", tf.reduce_max(rows)]
        right = tf.debugging.Assert(
            tf.logical_not(tf.reduce_any(wrong)),
            [f"Expected {self.expected}. Received: labels from", *ends],
        )
        with tf.control_dependencies([right] if right is not None else []):
            # In 8-bit integers, which exported models may have, `tf.one_hot` is wrong
            # and a constant NaN has no scale; a table of codes and sqrt(-1) do well.
            none = tf.zeros([1, self.num_classes])
            table = tf.concat([tf.eye(self.num_classes), none], axis=0)
            code = tf.gather(
                table, tf.where(wrong | (rows < 0), self.num_classes, rows)
            )
        return code + tf.sqrt(-tf.cast(wrong, code.dtype))[..., tf.newaxis]


class Vector(Condition):
    """Numbers of any shape, (n, *shape)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        code_shape = shape if 1 <= len(shape) <= 3 else (math.prod(shape),)
        super().__init__("vector", shape, code_shape)

    @property
    def arguments(self) -> dict[str, Any]:
        """See `Condition.arguments`."""
        return {"condition": self.name, "condition_shape": list(self.shape)}


class Region(Condition):
    """Base of the regions of images that are given; the model completes the rest."""

    def cut(self, x: tf.Tensor, noise: RowNoise) -> tf.Tensor:
        """Returns the rows of images (batch, height, width, channels)."""
        raise NotImplementedError

    def given(self, rows: tf.Tensor) -> tf.Tensor:
        """1 where a pixel is given and 0 where not, (batch or 1, height, width, 1)."""
        raise NotImplementedError

    def picture(self, rows: tf.Tensor) -> tf.Tensor:
        """The images that are given, the rest of them 0."""
        raise NotImplementedError

    def merge_observed(self, rows: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
        """Puts the given region in its place in x, (..., batch, *data_shape)."""
        return tf.where(self.given(rows) > 0.5, self.picture(rows), x)


class Half(Region):
    """A half of the image is given: (height, width // 2, channels) for the left.

    Of an odd number of columns (rows) the left (upper) half has one less.
    """

    def __init__(self, name: str, data_shape: tuple[int, ...]) -> None:
        axis = 1 if name in ("left_half", "right_half") else 0
        middle, size = data_shape[axis] // 2, data_shape[axis]
        if middle < 1:
            raise invalid_argument(
                "condition",
                f"a region of images of shape {data_shape}, which have no half",
                name,
            )
        first, last = (
            (0, middle) if name in ("left_half", "top_half") else (middle, size)
        )
        self._axis, self._first, self._last = axis + 1, first, last
        self._data_shape = data_shape
        shape = list(data_shape)
        shape[axis] = last - first
        super().__init__(name, tuple(shape), tuple(shape))
        where = f"[:, :, {first}:{last}]" if axis else f"[:, {first}:{last}]"
        self.expected = f"x{where}, of shape {_batch(self.shape)}"

    @property
    def encoder_shape(self) -> None:
        """The encoder sees all of x."""
        return None

    def cut(self, x: tf.Tensor, noise: RowNoise | None = None) -> tf.Tensor:
        """See `Region.cut`."""
        if self._axis == 1:
            return x[:, self._first : self._last]
        return x[:, :, self._first : self._last]

    def given(self, rows: tf.Tensor) -> tf.Tensor:
        """See `Region.given`."""
        mask = np.zeros((1, *self._data_shape[:2], 1), np.float32)
        self.cut(mask)[:] = 1.0
        return tf.constant(mask)

    def picture(self, rows: tf.Tensor) -> tf.Tensor:
        """See `Region.picture`."""
        pads = [[0, 0]] * 4
        size = self._data_shape[self._axis - 1]
        pads[self._axis] = [self._first, size - self._last]
        return tf.pad(rows, pads)


class Mask(Region):
    """Any region of the image is given, (height, width, channels + 1).

    The last channel is 1 where a pixel is given and 0 where not; what the others hold
    there is not looked at. In training the region is drawn at random (as in Ivanov et
    al. 2019): single pixels, as many as comes, or all but a box, or a box alone.
    """

    def __init__(self, data_shape: tuple[int, ...]) -> None:
        *sides, channels = data_shape
        shape = (*sides, channels + 1)
        super().__init__("mask", shape, shape)
        self.expected = (
            "images whose last channel more is 1 where a pixel is given and 0 "
            f"elsewhere, of shape {_batch(shape)}"
        )

    def check(self, argument: str, values: Any, n: int) -> np.ndarray:
        """See `Condition.check`."""
        rows = super().check(argument, values, n)
        if not np.isin(rows[..., -1], (0.0, 1.0)).all():
            raise self.refused(argument, "a last channel that is not 0 or 1")
        return rows

    def fits(self, rows: tf.Tensor) -> tf.Tensor:
        """See `Condition.fits`."""
        mask = rows[..., -1]
        return super().fits(rows) & tf.reduce_all((mask == 0.0) | (mask == 1.0))

    @property
    def encoder_shape(self) -> tuple[int, ...]:
        """The encoder takes which pixels are given, besides x."""
        return (*self.shape[:-1], 1)

    def for_encoder(self, code: tf.Tensor) -> tf.Tensor:
        """See `Condition.for_encoder`."""
        return code[..., -1:]

    def code(self, rows: tf.Tensor) -> tf.Tensor:
        """The given pixels, the others 0, and which they are."""
        return self.with_mask(rows[..., :-1], rows[..., -1:])

    def with_mask(self, x: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Returns the rows of images x of which those pixels are given."""
        return tf.concat([x * mask, tf.broadcast_to(mask, tf.shape(x[..., :1]))], -1)

    def cut(self, x: tf.Tensor, noise: RowNoise) -> tf.Tensor:
        """See `Region.cut`."""
        height, width, _ = self.shape
        return self.with_mask(x, random_mask(tf.shape(x)[0], height, width, noise))

    def given(self, rows: tf.Tensor) -> tf.Tensor:
        """See `Region.given`."""
        return rows[..., -1:]

    def picture(self, rows: tf.Tensor) -> tf.Tensor:
        """See `Region.picture`."""
        return rows[..., :-1] * rows[..., -1:]


def random_mask(rows: Any, height: int, width: int, noise: RowNoise) -> tf.Tensor:
    """Draws which pixels are given, (rows, height, width, 1) of 0 and 1; see `Mask`."""
    numbers = tf.unstack(noise.uniform(rows, (6,), "mask")[..., tf.newaxis], axis=1)
    centre_y, centre_x, side_y, side_x, share, kind = numbers

    def within(centre: tf.Tensor, side: tf.Tensor, size: int) -> tf.Tensor:
        reach = 0.5 * (_SMALLEST_BOX + (1.0 - _SMALLEST_BOX) * side)
        positions = tf.constant((np.arange(size) + 0.5) / size, tf.float32)
        return tf.abs(positions - centre) < reach

    in_rows = within(centre_y, side_y, height)[:, :, tf.newaxis]
    box = tf.logical_and(in_rows, within(centre_x, side_x, width)[:, tf.newaxis])
    pixels = noise.uniform(rows, (height, width), "mask_pixels")
    scattered = pixels < share[..., tf.newaxis]
    kind = kind[..., tf.newaxis]
    given = tf.where(kind < 1 / 3, scattered, tf.where(kind < 2 / 3, ~box, box))
    return tf.cast(given, tf.float32)[..., tf.newaxis]


REGIONS = ("left_half", "right_half", "top_half", "bottom_half", "mask")
"""The regions of an image that can be given: that half, or any region."""
CONDITIONS = ("label", "vector", *REGIONS)
"""What a model can be conditioned on."""


def make_condition(
    name: str,
    data_shape: tuple[int, ...],
    num_classes: int | None = None,
    shape: tuple[int, ...] | None = None,
) -> Condition:
    """Returns the condition of a name.

    Args:
        name: One of `CONDITIONS`.
        data_shape: Of one example.
        num_classes: How many labels there are; for "label" alone.
        shape: Of one condition; for "vector" alone.

    Raises:
        ValueError: If these do not go together.
    """
    lookup("condition", name, dict.fromkeys(CONDITIONS))
    for argument, value, user in (
        ("num_classes", num_classes, "label"),
        ("condition_shape", shape, "vector"),
    ):
        if (value is not None) != (name == user):
            wanted = "a value" if name == user else "None"
            raise invalid_argument(argument, f"{wanted} with condition={name!r}", value)
    if name == "label":
        if isinstance(num_classes, bool) or not num_classes >= 1:  # type: ignore[operator]
            raise invalid_argument("num_classes", "at least 1", num_classes)
        return Label(int(num_classes))  # type: ignore[arg-type]
    if name == "vector":
        sizes = tuple(int(size) for size in np.atleast_1d(shape))  # type: ignore[arg-type]
        if not sizes or min(sizes) < 1:
            raise invalid_argument("condition_shape", "sizes of at least 1", shape)
        return Vector(sizes)
    if len(data_shape) != 3:
        raise invalid_argument(
            "condition",
            f"'label' or 'vector' for examples of shape {tuple(data_shape)}, since "
            "only images (height, width, channels) have regions",
            name,
        )
    if name == "mask":
        return Mask(tuple(data_shape))
    return Half(name, tuple(data_shape))


def joined_shape(
    data_shape: tuple[int, ...], encoder_shape: tuple[int, ...] | None, flat: bool
) -> tuple[int, ...]:
    """The shape of what `joined` returns, without batch."""
    if encoder_shape is None:
        return tuple(data_shape)
    if flat or len(data_shape) == 1:
        return (math.prod(data_shape) + math.prod(encoder_shape),)
    *sides, channels = data_shape
    aligned = tuple(sides) == tuple(encoder_shape[:-1])
    more = encoder_shape[-1] if aligned else math.prod(encoder_shape)
    return (*sides, channels + more)


def joined(x: tf.Tensor, code: tf.Tensor, flat: bool) -> tf.Tensor:
    """Appends `code`, (batch or 1, ...), to x as more features or channels.

    Channels are constant over the positions of x unless there is one value for each.
    """
    rows = tf.shape(x)[0]
    if flat or x.shape.rank == 2:
        x = tf.reshape(x, [rows, math.prod(x.shape[1:])])
    if x.shape[1:-1] != code.shape[1:-1]:
        size = math.prod(code.shape[1:])
        code = tf.reshape(code, [-1, *[1] * (x.shape.rank - 2), size])
    shape = tf.concat([tf.shape(x)[:-1], tf.shape(code)[-1:]], axis=0)
    return tf.concat([x, tf.cast(tf.broadcast_to(code, shape), x.dtype)], axis=-1)


def _batch(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, ('n', *shape)))})"
