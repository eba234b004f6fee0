"""Images that a person brings, made into examples like those a model was trained on."""

import io
import warnings
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from keras_vae.data.binarized import binarized
from keras_vae.data.image_files import FORMATS
from keras_vae.errors import DataError
from keras_vae.reporting.runs import Run
from keras_vae.units import is_scaled, to_unit

MOST_BYTES = 2**24
"""Of a file."""

_MOST_PIXELS = 50_000_000
_MODES = {1: "L", 3: "RGB"}  # by the number of channels


def example(content: bytes, run: Run, swap: bool = False) -> tuple[np.ndarray, str]:
    """Makes an example of an image file, in the size and the units of a run's data.

    The image is turned upright, laid on black where it is transparent, made grey or
    coloured, cropped around its middle to the ratio of the sides, resized (by averages
    over areas where it shrinks), and binarised if the data were.

    Args:
        content: Of a PNG, JPEG, BMP or GIF file.
        run: The run.
        swap: Whether black becomes white, and each colour its opposite.

    Returns:
        float32 `(1, height, width, channels)`, and what was done to it in words.

    Raises:
        DataError: If it is no such file or too large, or the data are no images that a
            file can hold.
    """
    if run.data.kind != "images":
        raise DataError(
            f"image: this model is of {run.data.kind} and takes no image files."
        )
    height, width, channels = run.data.input_shape
    if channels not in _MODES:
        raise DataError(
            f"image: this model's images have {channels} channels; only grey images "
            "and those of red, green and blue can be read from a file."
        )
    image = _opened(content)
    before = image.size
    image = _in_mode(image, _MODES[channels])
    done = [] if before == (width, height) else [_resizing(before, (width, height))]
    shrinks = before[0] >= width and before[1] >= height
    kind = Image.Resampling.BOX if shrinks else Image.Resampling.BICUBIC
    image = ImageOps.fit(image, (width, height), kind)
    pixels = np.asarray(image).reshape(1, height, width, channels)
    if swap:
        pixels = 255 - pixels
        done.append("black and white swapped")
    binarize = run.config.get("binarize", "none")
    if binarize != "none":
        pixels = binarized(pixels, binarize)
        done.append("made black or white, as the data were")
    x, low, high = to_unit(pixels), *_range(run)
    if (low, high) != (0.0, 1.0):
        x = low + x * (high - low)
        done.append(f"black taken as {low:.3g} and white as {high:.3g}, as in the data")
    words = ", ".join(done) or "taken as it is"
    return x.astype(np.float32), f"{words[0].upper()}{words[1:]}."


def _opened(content: bytes) -> Image.Image:
    """Returns the image in a file, upright."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            image: Image.Image = Image.open(io.BytesIO(content), formats=FORMATS)
            if image.width * image.height > _MOST_PIXELS:
                raise DataError(_too_large(f"{image.width} x {image.height} pixels"))
            image.load()
            return ImageOps.exif_transpose(image)
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(_too_large("too many pixels")) from error
    except Exception as error:  # whatever a parser meets in a damaged file
        raise DataError(
            "image: this file is no PNG, JPEG, BMP or GIF that can be read; choose "
            "another, or save it as PNG."
        ) from error


def _too_large(size: str) -> str:
    return (
        f"image: it has {size}, more than the {_MOST_PIXELS:,} that are read; make it "
        "smaller."
    )


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if image.mode.startswith("I"):  # 16 bits, which Pillow would cut off at 255
        levels = np.clip(np.asarray(image).astype(np.int64) // 257, 0, 255)
        image = Image.fromarray(levels.astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), image)
    return image.convert(mode)


def _resizing(before: tuple[int, int], after: tuple[int, int]) -> str:
    words = f"resized from {_times(before)} to {_times(after)} pixels"
    if before[0] * after[1] != before[1] * after[0]:
        return f"cropped around the middle and {words}"
    return words


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]}\N{MULTIPLICATION SIGN}{size[1]}"


def _range(run: Run) -> tuple[float, float]:
    """Returns what black and white are in the units of the data."""
    x: Any = run.data.train.x
    if is_scaled(np.dtype(x.dtype)):
        return 0.0, 1.0
    low, high = float(np.min(x[:])), float(np.max(x[:]))
    return (0.0, 1.0) if low >= 0.0 and high <= 1.0 else (low, high)
