"""A folder of images, read from disk as they are needed."""

import copy
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from keras_vae.data.checks import require_size
from keras_vae.data.image_files import Headers, find_images
from keras_vae.data.splits import SPLITS
from keras_vae.errors import DataError

if TYPE_CHECKING:
    import tensorflow as tf

_PARALLEL = 16  # images of a batch that are decoded at the same time
_CHUNK = 256  # images held twice while they are copied into one array
_CONTENT = 2**20  # bytes of a file that tell it from another


class ImageFolder:
    """The images below a folder, all of one size, decoded only when they are asked for.

    Files are PNG, JPEG, BMP or GIF, in the order of their names; hidden ones are left
    out, and so is a folder that a link leads to a second time. On opening only the
    headers are read. The images are grey, `(h, w, 1)`, if all files are, else colour,
    `(h, w, 3)`. Of 16 bits the upper 8 are taken, of an animation the first picture;
    what is transparent is laid on black, and photographs are turned upright as their
    EXIF orientation says.

    Args:
        path: The folder.

    Attributes:
        root: The folder, absolute.
        files: The files, relative to `root`.
        shape: `(h, w, c)` of one image.
        dtype: `"uint8"`.

    Raises:
        ValueError: If there is no image, one cannot be read, or sizes differ; the
            message names the file.

    Example:
    ```python
    folder = ImageFolder("tiles")
    first = folder.head(10)  # uint8 (10, h, w, c)
    ```
    """

    dtype = "uint8"

    def __init__(self, path: str | os.PathLike[str]):
        self.root = os.path.abspath(path)
        self.files: tuple[str, ...] = tuple(find_images(self.root))
        headers = Headers(self.root, self.files)
        self.shape = (headers.height, headers.width, 1 if headers.grey else 3)
        self._plain = headers.plain
        self._orientations = headers.orientations
        self._paths: tf.Tensor | None = None
        self._reader: Any = None
        require_size(f"folder {self.root!r}", self.shape)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, key: Any) -> np.ndarray:
        """Returns uint8 `(n, h, w, c)` for a slice or array, `(h, w, c)` for a number.

        Raises:
            ValueError: If an image cannot be decoded; the message names its file.
        """
        import tensorflow as tf

        rows = np.arange(len(self))[key]
        images = np.empty((rows.size, *self.shape), np.uint8)
        with self.naming_files(rows.ravel()), tf.device("CPU:0"):
            for first in range(0, rows.size, _CHUNK):
                chunk = rows.ravel()[first : first + _CHUNK]
                part = self.gather(tf.constant(chunk, tf.int64))
                images[first : first + _CHUNK] = part
        return images.reshape(*rows.shape, *self.shape)

    def head(self, n: int) -> np.ndarray:
        """Returns the first `n` images, uint8 `(n, h, w, c)`; fewer if there are."""
        return self[:n]

    def take(self, rows: Sequence[int] | np.ndarray) -> "ImageFolder":
        """Returns the folder with only these of its images, in this order."""
        part = copy.copy(self)
        part.files = tuple(self.files[int(row)] for row in rows)
        part._orientations = self._orientations[np.asarray(rows, np.int64)]
        part._paths = part._reader = None
        return part

    def file_contents(self, rows: Sequence[int] | np.ndarray) -> Iterator[bytes]:
        """Yields the names of all files and what some of them begin with.

        Args:
            rows: Which files are read, up to a mebibyte of each.

        Raises:
            ValueError: If a file cannot be read; the message names it.
        """
        yield from (os.fsencode(file) + b"\0" for file in self.files)
        for row in rows:
            path = os.path.join(self.root, self.files[int(row)])
            try:
                with open(path, "rb") as file:
                    yield file.read(_CONTENT)
            except OSError as error:
                raise DataError(
                    f"dataset: image {path!r} cannot be read ({error.strerror}); put "
                    "it back."
                ) from error

    def gather(self, rows: "tf.Tensor") -> "tf.Tensor":
        """Reads several images at a time, in a graph; fit for `tf.data`'s `map`.

        Args:
            rows: int64 `(n,)`.

        Returns:
            uint8 `(n, h, w, c)`.
        """
        import tensorflow as tf

        if tf.executing_eagerly():  # only a graph decodes several at a time
            if self._reader is None:
                spec = tf.TensorSpec([None], tf.int64)
                # Called as it is, since TensorFlow warns of a function that is traced
                # for each of many folders.
                graph = tf.function(self._gather, autograph=False)
                self._reader = graph.get_concrete_function(spec)
            return self._reader(tf.cast(rows, tf.int64))
        # AutoGraph would warn that it cannot read the source of what lists the paths.
        return tf.autograph.experimental.do_not_convert(self._gather)(rows)

    def _gather(self, rows: "tf.Tensor") -> "tf.Tensor":
        import tensorflow as tf

        if self._paths is None:
            paths = [os.fsencode(os.path.join(self.root, file)) for file in self.files]
            with tf.init_scope(), tf.device("CPU:0"):
                self._paths = tf.constant(paths)
        return tf.map_fn(
            lambda file: self._upright(*file),
            (tf.gather(self._paths, rows), tf.gather(self._orientations, rows)),
            parallel_iterations=_PARALLEL,
            fn_output_signature=tf.TensorSpec(self.shape, tf.uint8),
        )

    @contextmanager
    def naming_files(
        self, rows: Sequence[int] | np.ndarray | None = None
    ) -> Iterator[None]:
        """Turns an error in reading images, raised by TensorFlow, into a sentence.

        An operation of the graph does not say which file it failed on. So if one fails
        inside of this context, the files are tried one by one.

        Args:
            rows: Where to look; everywhere if not given.

        Raises:
            ValueError: If there was such an error; the message names the file.
        """
        import tensorflow as tf

        try:
            yield
        except tf.errors.OpError as error:
            sentence = self.first_broken(rows)
            if sentence is None:
                raise
            raise DataError(sentence) from error

    def first_broken(
        self, rows: Sequence[int] | np.ndarray | None = None
    ) -> str | None:
        """Returns a sentence on the first file that cannot be decoded, or None."""
        import tensorflow as tf

        decode = tf.function(
            self._upright,
            input_signature=[tf.TensorSpec([], tf.string), tf.TensorSpec([], tf.uint8)],
            autograph=False,
        )
        for row in range(len(self)) if rows is None else rows:
            path = os.path.join(self.root, self.files[int(row)])
            try:
                decode(os.fsencode(path), self._orientations[int(row)])
            except tf.errors.NotFoundError:
                return f"dataset: image {path!r} is no longer there; put it back."
            except tf.errors.OpError:
                return (
                    f"dataset: image {path!r} cannot be decoded: it is cut off, "
                    "damaged or was changed while in use; replace or remove it."
                )
        return None

    def _upright(self, path: "tf.Tensor", orientation: "tf.Tensor") -> "tf.Tensor":
        """Reads one file; its orientation is 1 to 8, as in EXIF."""
        import tensorflow as tf

        image = self._decode(tf.io.read_file(path))
        if np.all(self._orientations == 1):
            return tf.ensure_shape(image, self.shape)

        def applied(to: tuple[int, ...], change: Any, image: "tf.Tensor") -> Any:
            needed = tf.reduce_any(tf.equal(orientation, tf.constant(to, tf.uint8)))
            return tf.cond(needed, lambda: change(image), lambda: image)

        image = applied((5, 6, 7, 8), lambda im: tf.transpose(im, [1, 0, 2]), image)
        image = applied((2, 3, 6, 7), lambda im: tf.reverse(im, [1]), image)
        image = applied((3, 4, 7, 8), lambda im: tf.reverse(im, [0]), image)
        return tf.ensure_shape(image, self.shape)

    def _decode(self, contents: "tf.Tensor") -> "tf.Tensor":
        """Returns the pixels as they are stored, in the channels that are wanted."""
        import tensorflow as tf

        channels = self.shape[-1]
        if self._plain:
            image = tf.io.decode_image(contents, channels, expand_animations=False)
            return tf.ensure_shape(image, (None, None, channels))
        image = tf.io.decode_image(contents, 0, expand_animations=False)
        image = tf.ensure_shape(image, (None, None, None))
        transparent = tf.shape(image)[-1] % 2 == 0
        image = tf.cond(transparent, lambda: _on_black(image), lambda: image)
        return tf.broadcast_to(image, tf.concat([tf.shape(image)[:2], [channels]], 0))


def broken_file(*examples: Any) -> DataError | None:
    """Returns an error that names the first file that cannot be decoded, or None.

    For whoever met an error of TensorFlow while such examples were read.

    Args:
        *examples: Arrays, or examples that are streamed.
    """
    for x in examples:
        look = getattr(x, "first_broken", None)
        sentence = None if look is None else look()
        if sentence is not None:
            return DataError(sentence)
    return None


def _on_black(image: "tf.Tensor") -> "tf.Tensor":
    import tensorflow as tf

    colour, alpha = image[..., :-1], image[..., -1:]
    product = tf.cast(colour, tf.float32) * tf.cast(alpha, tf.float32)
    return tf.cast(tf.round(product / 255.0), tf.uint8)


def read_folder(path: Path) -> dict[str, Any]:
    """Opens a folder of images as `x_train`, with labels where it has sub-folders.

    The label of an image is the sub-folder of the first level it is in; one in none of
    them has none, -1. If there is a sub-folder `train`, and besides it only
    `test`, `validation` or `val`, these are the splits, each labelled in this way.

    Raises:
        ValueError: As `ImageFolder`.
    """
    folder = ImageFolder(path)
    steps = [Path(file).parts for file in folder.files]
    parts = {step[0] if len(step) > 1 else "" for step in steps}
    if "train" not in parts or len(parts) == 1 or parts - SPLITS.keys():
        return {"x_train": folder, **_labels("train", steps)}
    arrays: dict[str, Any] = {}
    for part in sorted({SPLITS[name] for name in parts}):
        rows = [row for row, step in enumerate(steps) if SPLITS[step[0]] == part]
        arrays[f"x_{part}"] = folder.take(rows)
        arrays |= _labels(part, [steps[row][1:] for row in rows])
    return arrays


def _text(name: str) -> str:
    """A file's name as text that can be written: bytes that are no UTF-8 as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _labels(part: str, steps: Sequence[tuple[str, ...]]) -> dict[str, np.ndarray]:
    names = [_text(step[0]) if len(step) > 1 else "" for step in steps]
    return {f"y_{part}": np.array(names)} if any(names) else {}
