"""When to look: Keras callbacks that save pictures during `fit`.

Each takes any model with the method it draws with: `reconstruct`, `interpolate`,
`sample`. Images become tiles; sequences and vectors are drawn as lines. The examples
and the noise are the same every time, so that the pictures compare.
"""

import os
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike, NDArray

from keras_vae.engine import workers
from keras_vae.errors import invalid_argument
from keras_vae.units import to_unit
from keras_vae.visualization import grids, lines, picture_files

MOST = 256  # examples in one picture


def _whole_number(argument: str, value: int, least: int, most: int | None) -> int:
    """Returns `value` as an int, or says what was expected of it."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if whole and value >= least and (most is None or value <= most):
        return int(value)
    limit = "" if most is None else f" and at most {most}"
    raise invalid_argument(
        argument, f"a whole number of at least {least}{limit}", value
    )


def _numbers(argument: str, value: ArrayLike) -> NDArray[np.float32]:
    """Returns a float32 copy of `value` in the data's units, all of it finite."""
    x = np.asarray(value)
    if x.dtype.kind not in "buif":
        raise invalid_argument(argument, "an array of numbers", x.dtype.name)
    if not np.isfinite(x).all():
        raise invalid_argument(
            argument,
            "finite numbers",
            received="NaN or infinity",
            advice="Take other examples or clean the data.",
        )
    return np.array(to_unit(x))


def _given(condition: ArrayLike | None) -> dict[str, NDArray]:
    """The argument `condition` of a model's methods, if there is one."""
    return {} if condition is None else {"condition": np.asarray(condition)}


def _make_writable(argument: str, folder: Path) -> None:
    """Makes the folder and tries it out: better refused now than after an epoch."""
    try:
        picture_files.write_bytes(folder / ".writable", b"")
        (folder / ".writable").unlink()
    except OSError as error:
        raise invalid_argument(
            argument,
            "a folder that can be written to",
            received=f"{argument}={str(folder)!r} ({error.strerror})",
            advice="Choose another.",
        ) from error


def _check_shape(argument: str, x: NDArray, model: keras.Model, batch: bool) -> None:
    """Compares the shape of examples with the one the model was made for.

    Raises:
        ValueError: If they differ; the message has both shapes and what may be meant.
    """
    shape = tuple(getattr(model, "data_shape", x.shape[int(batch) :]))
    if x.shape[int(batch) :] == shape:
        return
    expected = f"({', '.join(map(str, ('n', *shape) if batch else shape))})"
    hint = f"The model was made for examples of shape {shape}."
    if batch and x.shape == shape:
        hint = "That is one example: give several, such as x[:10]."
    elif not batch and x.shape[1:] == shape:
        hint = "That is a batch: give one example, such as x[0]."
    elif shape[-1] == 1 and x.shape[int(batch) :] == shape[:-1]:
        hint = "The channel axis is missing: give x[..., np.newaxis]."
    raise invalid_argument(
        argument, f"shape {expected}", received=f"shape {x.shape}", advice=hint
    )


class PictureCallback(keras.callbacks.Callback):
    """Saves a picture every so many epochs, as `epoch_0001.png`, `epoch_0002.png`, ...

    Under a `tf.distribute` strategy of several workers all of them draw, because a
    model may hold variables that are read by all together, and the chief alone writes.

    With `log_dir` the pictures go to TensorBoard too, as a run of their own next to
    those of `keras.callbacks.TensorBoard`: in the sub-folder, and under the tag, that
    is named like the last part of `path`. Steps are epochs, the first of them 1.

    Example:
        ```python
        def axes(model):
            return grids.tile(model.decode(3.0 * np.eye(model.latent_dim)))


        vae.fit(x, callbacks=[PictureCallback("out/axes", axes, every=5)])
        ```

    Args:
        path: The folder for the pictures, made at the start of training.
        draw: Takes the model and returns a uint8 picture `(height, width, 1 or 3)`.
        every: Epochs from one picture to the next; the first is made after epoch
            `every`.
        log_dir: TensorBoard's folder, or None.

    Raises:
        ValueError: If `every` is below 1; at the start of training, if a folder cannot
            be written to.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        draw: Callable[[keras.Model], grids.Picture],
        every: int = 1,
        log_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__()
        self.path = Path(path)
        self.draw = draw
        self.every = _whole_number("every", every, 1, None)
        self.log_dir = None if log_dir is None else Path(log_dir)
        self._writer: tf.summary.SummaryWriter | None = None
        self._chief = True

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Prepares the folders, and draws once: this compiles, and fails early."""
        self.on_train_end()
        self._chief = workers.is_chief(self.model.distribute_strategy)
        if self._chief:
            _make_writable("path", self.path)
            if self.log_dir is not None:
                _make_writable("log_dir", self.log_dir / self.tag)
                self._writer = tf.summary.create_file_writer(
                    str(self.log_dir / self.tag)
                )
        picture_files.encode_png(self.draw(self.model))

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Draws and saves the picture when its epoch has come."""
        if (epoch + 1) % self.every:
            return
        picture = self.draw(self.model)
        if not self._chief:
            return
        png = picture_files.encode_png(picture)
        picture_files.write_bytes(self.path / f"epoch_{epoch + 1:04d}.png", png)
        if self._writer is not None:
            _write_summary(self._writer, self.tag, png, picture, epoch + 1)

    def on_train_end(self, logs: dict | None = None) -> None:
        """Closes TensorBoard's file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    @property
    def tag(self) -> str:
        """The name of these pictures in TensorBoard."""
        return self.path.absolute().name or "pictures"


def _write_summary(
    writer: tf.summary.SummaryWriter,
    tag: str,
    png: bytes,
    picture: grids.Picture,
    step: int,
) -> None:
    """Writes what `tf.summary.image` would, without encoding the picture again."""
    height, width = picture.shape[:2]
    metadata = tf.compat.v1.SummaryMetadata(
        plugin_data={"plugin_name": "images"},
        data_class="DATA_CLASS_BLOB_SEQUENCE",
    )
    with writer.as_default(), tf.summary.record_if(True):
        tf.summary.write(
            tag, tf.constant([str(width), str(height), png]), step, metadata
        )
    writer.flush()


class ReconstructionImages(PictureCallback):
    """Saves examples above their reconstructions from the posterior mean.

    See `PictureCallback` for what all pictures have in common.

    Args:
        path: The folder for the pictures.
        x: The examples, `(n, *input_shape)`, 1 to 256 of them, in the data's own units
            or as uint8.
        every: Epochs from one picture to the next.
        log_dir: TensorBoard's folder, or None.
        condition: For conditional models, a row for each example or one for all.

    Raises:
        ValueError: If an argument is out of its range; at the start of training, if the
            model takes examples of another shape or a folder cannot be written to.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        x: ArrayLike,
        every: int = 1,
        log_dir: str | os.PathLike[str] | None = None,
        condition: ArrayLike | None = None,
    ) -> None:
        super().__init__(path, self._draw, every, log_dir)
        self.given = _given(condition)
        self.x = _numbers("x", x)
        if self.x.ndim < 2 or not 1 <= len(self.x) <= MOST:
            raise invalid_argument(
                "x",
                f"1 to {MOST} examples, of shape (n, *input_shape)",
                received=f"shape {self.x.shape}",
                advice="Give some of them, such as x[:10].",
            )

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Checks the examples against the model, then prepares to draw."""
        _check_shape("x", self.x, self.model, batch=True)
        super().on_train_begin(logs)

    def _draw(self, model: keras.Model) -> grids.Picture:
        reconstructions = model.reconstruct(self.x, **self.given)
        if self.x.ndim == 4:
            return grids.reconstruction_grid(self.x, reconstructions)
        labels = ("original", "reconstruction")
        return lines.line_grid(self.x, reconstructions, labels=labels)


class InterpolationImages(PictureCallback):
    """Saves the way from one example's latent to another's, ends included.

    See `PictureCallback` for what all pictures have in common.

    Args:
        path: The folder for the pictures.
        a: The example to start from, `input_shape`, in the data's own units or uint8.
        b: The example to end at.
        steps: Images from the first to the last, 2 to 256.
        spherical: Whether the direction turns evenly (slerp) while the norm goes
            linearly, instead of a straight line.
        every: Epochs from one picture to the next.
        log_dir: TensorBoard's folder, or None.
        condition: For conditional models, one row for the whole way, or two, of a and
            of b; then each picture has that of the end that it is nearer to.

    Raises:
        ValueError: If an argument is out of its range; at the start of training, if the
            model takes examples of another shape or a folder cannot be written to.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        a: ArrayLike,
        b: ArrayLike,
        steps: int = 10,
        spherical: bool = False,
        every: int = 1,
        log_dir: str | os.PathLike[str] | None = None,
        condition: ArrayLike | None = None,
    ) -> None:
        super().__init__(path, self._draw, every, log_dir)
        self.given = _given(condition)
        self.a, self.b = _numbers("a", a), _numbers("b", b)
        if self.a.shape != self.b.shape or self.a.ndim == 0:
            raise invalid_argument(
                "b",
                f"an example of the shape of `a`, {self.a.shape}, such as x[1]",
                received=f"shape {self.b.shape}",
            )
        self.steps = _whole_number("steps", steps, 2, MOST)
        self.spherical = bool(spherical)

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Checks the examples against the model, then prepares to draw."""
        _check_shape("a", self.a, self.model, batch=False)
        super().on_train_begin(logs)

    def _draw(self, model: keras.Model) -> grids.Picture:
        way = {"spherical": self.spherical, **self.given}
        x = model.interpolate(self.a, self.b, self.steps, **way)
        t = np.linspace(0.0, 1.0, self.steps)
        if self.a.ndim == 3:
            return grids.interpolation_grid(x, t)
        ends = np.stack([self.a, self.b])
        return lines.line_grid(x, reference=ends, titles=grids.t_titles(t))


class SampleImages(PictureCallback):
    """Saves likelihood means of z drawn from the prior, the same draws every time.

    Where the prior itself is learned, the same noise is carried to where the prior now
    is. See `PictureCallback` for what all pictures have in common.

    Args:
        path: The folder for the pictures.
        num: How many, 1 to 256.
        seed: Of the draws.
        every: Epochs from one picture to the next.
        log_dir: TensorBoard's folder, or None.
        condition: For conditional models, `num` rows or one for all.
        columns: Images in a row; by default the picture is as square as it gets.

    Raises:
        ValueError: If an argument is out of its range; at the start of training, if a
            folder cannot be written to.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        num: int = 64,
        seed: int = 0,
        every: int = 1,
        log_dir: str | os.PathLike[str] | None = None,
        condition: ArrayLike | None = None,
        columns: int | None = None,
    ) -> None:
        super().__init__(path, self._draw, every, log_dir)
        self.num = _whole_number("num", num, 1, MOST)
        self.seed = _whole_number("seed", seed, 0, None)
        self.given = _given(condition)
        self.columns = columns

    def _draw(self, model: keras.Model) -> grids.Picture:
        x = np.asarray(model.sample(self.num, seed=self.seed, **self.given))
        if x.ndim == 4:
            return grids.tile(x, columns=self.columns)
        return lines.line_grid(x, columns=self.columns)


class CompletionImages(PictureCallback):
    """Saves images of which a part is given: that part, completions, the whole.

    For models that complete images, `CVAE` with a part of x as its condition. The part
    and the noise of the completions are the same every time. See `PictureCallback` for
    what all pictures have in common.

    Args:
        path: The folder for the pictures.
        x: The images, `(n, height, width, channels)`.
        count: Completions of each, at least 1; with n at most 256 in all.
        seed: Of the completions.
        every: Epochs from one picture to the next.
        log_dir: TensorBoard's folder, or None.

    Raises:
        ValueError: If an argument is out of its range; at the start of training, if the
            model takes images of another shape or a folder cannot be written to.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        x: ArrayLike,
        count: int = 5,
        seed: int = 0,
        every: int = 1,
        log_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        super().__init__(path, self._draw, every, log_dir)
        self.x = _numbers("x", x)
        self.count = _whole_number("count", count, 1, MOST // max(1, len(self.x)))
        self.seed = _whole_number("seed", seed, 0, None)

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Checks the images against the model, then prepares to draw."""
        _check_shape("x", self.x, self.model, batch=True)
        super().on_train_begin(logs)

    def _draw(self, model: keras.Model) -> grids.Picture:
        part = model.region_of(self.x)
        each = np.repeat(part, self.count, axis=0)
        made = model.sample(len(each), seed=self.seed, condition=each)
        made = made.reshape(len(part), self.count, *made.shape[1:])
        return grids.completion_grid(self.x, model.condition.given(part), made)
