"""Pictures as files: PNG, and GIF for what moves; whole or not there."""

import io
import math
import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from keras_vae import files
from keras_vae.errors import invalid_argument, require
from keras_vae.visualization.grids import Picture


def encode_png(image: Picture) -> bytes:
    """Returns the bytes of a PNG file.

    Args:
        image: uint8, `(height, width)` or `(height, width, 1, 3 or 4)`.

    Raises:
        ValueError: If it is not such an array.
    """
    buffer = io.BytesIO()
    _as_pillow(image).save(buffer, "PNG", compress_level=4)
    return buffer.getvalue()


def _as_pillow(image: Picture) -> Image.Image:
    x = np.asarray(image)
    if x.ndim == 3 and x.shape[-1] == 1:
        x = x[..., 0]
    if x.dtype != np.uint8 or not (x.ndim == 2 or x.shape[2:] in ((3,), (4,))):
        raise invalid_argument(
            "image",
            "a uint8 array of shape (height, width) or (height, width, 1, 3 or 4)",
            received=f"{x.dtype} of shape {np.shape(image)}",
            advice="`tile` makes one.",
        )
    return Image.fromarray(x)


def write_png(path: str | os.PathLike[str], image: Picture) -> Path:
    """Writes a picture as PNG, whole or not at all; makes the folders above it.

    Returns:
        The path written.

    Raises:
        ValueError: If `image` is not a picture, as in `encode_png`.
        OSError: If the file cannot be written.
    """
    return write_bytes(path, encode_png(image))


def encode_gif(frames: Iterable[Picture], duration_ms: int = 80) -> bytes:
    """Returns the bytes of a GIF that loops for ever.

    Colour frames share one palette of 256 colours, so that nothing flickers.

    Args:
        frames: Pictures of one shape.
        duration_ms: How long each is shown; GIFs count in hundredths of a second.

    Raises:
        ValueError: If there are no frames, they differ in shape, or the duration is
            below 20 ms, which browsers slow down.
    """
    pictures = [_as_pillow(frame) for frame in frames]
    require(len(pictures) > 0, "frames", "at least one picture", "none")
    shapes = {(picture.size, picture.mode) for picture in pictures}
    require(len(shapes) == 1, "frames", "pictures of one shape", sorted(shapes))
    require(duration_ms >= 20, "duration_ms", "at least 20", duration_ms)
    if pictures[0].mode != "L":
        pictures = _with_one_palette([picture.convert("RGB") for picture in pictures])
    buffer = io.BytesIO()
    pictures[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=duration_ms,
        loop=0,
    )
    return buffer.getvalue()


def write_gif(
    path: str | os.PathLike[str], frames: Iterable[Picture], duration_ms: int = 80
) -> Path:
    """Writes `encode_gif` of frames to a file, whole or not at all.

    Returns:
        The path written; the folders above it are made.

    Raises:
        ValueError: As `encode_gif`.
        OSError: If the file cannot be written.
    """
    return write_bytes(path, encode_gif(frames, duration_ms))


def _with_one_palette(pictures: list[Image.Image]) -> list[Image.Image]:
    some = pictures[:: math.ceil(len(pictures) / 8)]
    stacked = np.concatenate([np.asarray(picture) for picture in some])
    palette = Image.fromarray(stacked).quantize(256)
    return [
        picture.quantize(palette=palette, dither=Image.Dither.NONE)
        for picture in pictures
    ]


def write_bytes(path: str | os.PathLike[str], data: bytes) -> Path:
    """Writes a file aside and renames it, so that nobody ever reads half of it.

    Returns:
        The path written; the folders above it are made.

    Raises:
        OSError: If the file cannot be written.
    """
    with files.written_aside(path, synced=False) as aside:
        aside.write_bytes(data)
    return Path(path)
