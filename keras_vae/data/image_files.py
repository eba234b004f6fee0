"""The files of a folder of images: which there are, and what their headers say."""

import os
import stat
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image, UnidentifiedImageError

from keras_vae.data.checks import one_line
from keras_vae.errors import DataError

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif")
"""The files of a folder that are examples, in any case of letters."""

_OTHER_ENDINGS = (".webp", ".tif", ".tiff", ".jp2", ".avif", ".heic", ".ppm", ".pgm")
FORMATS = ("PNG", "JPEG", "BMP", "GIF")
_GREY_MODES = ("1", "L", "LA", "I;16", "I")
_COLOUR_MODES = ("P", "PA", "RGB", "RGBA", "CMYK")


def find_images(root: str) -> list[str]:
    """Returns the image files below `root`, relative to it, sorted.

    Raises:
        DataError: If there is none, one is of a kind that is not read, or a folder may
            not be read.
    """
    found: list[str] = []
    seen: set[tuple[int, int]] = set()

    def refuse(error: OSError) -> None:
        raise DataError(
            f"dataset: folder {error.filename!r} may not be read "
            f"({error.strerror}); change its permissions or remove it."
        )

    for folder, subfolders, files in os.walk(root, onerror=refuse, followlinks=True):
        here = os.stat(folder)
        if (here.st_dev, here.st_ino) in seen:  # a link back, perhaps without an end
            subfolders.clear()
            continue
        seen.add((here.st_dev, here.st_ino))
        subfolders[:] = sorted(name for name in subfolders if _visible(name))
        for name in filter(_visible, files):
            path = os.path.join(folder, name)
            if name.lower().endswith(_OTHER_ENDINGS):
                raise DataError(
                    f"dataset: {path!r} is an image of a kind that is not read; "
                    "convert it to PNG, or remove it."
                )
            if name.lower().endswith(ENDINGS):
                found.append(os.path.relpath(path, root))
    if not found:
        raise DataError(
            f"dataset: folder {root!r} has no images; put files in it that end in "
            f"{', '.join(ENDINGS)}."
        )
    return sorted(found)


def _visible(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"


class _Header(NamedTuple):
    size: tuple[int, int]  # once it is upright
    orientation: int
    grey: bool
    plain: bool  # the decoder makes it grey or coloured by itself


class Headers:
    """What the headers of all files say together.

    Attributes:
        height: Of every image, in pixels.
        width: Of every image, in pixels.
        grey: No image has colours.
        plain: The decoder of each gives the wanted channels by itself.
        orientations: uint8 `(n,)`, how the stored pixels of each lie, as EXIF counts
            it: 1 upright, 3 upside down, 6 and 8 on one side, the others mirrored.

    Raises:
        DataError: If a file is no usable image, or sizes differ.
    """

    def __init__(self, root: str, files: Sequence[str]):
        first: tuple[str, tuple[int, int]] | None = None
        self.grey = self.plain = True
        self.orientations = np.ones(len(files), np.uint8)
        with warnings.catch_warnings():
            # Of the size of an image; `require_size` has a limit of its own.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            for row, file in enumerate(files):
                path = os.path.join(root, file)
                header = _header(path)
                self.orientations[row] = header.orientation
                first = first or (path, header.size)
                if header.size != first[1]:
                    raise DataError(
                        "dataset: images must have one size, but "
                        f"{first[0]!r} has {_times(first[1])} pixels and {path!r} has "
                        f"{_times(header.size)}; crop or resize them."
                    )
                self.grey &= header.grey
                self.plain &= header.plain
        self.width, self.height = first[1] if first else (0, 0)


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _header(path: str) -> _Header:
    """Reads the header of one file; raises a `DataError` if it is no usable image."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise DataError(f"dataset: {path!r} is no regular file; remove it.")
        with Image.open(path, formats=FORMATS) as image:
            mode, kind = image.mode, image.format
            grey = mode in _GREY_MODES
            if not grey and mode not in _COLOUR_MODES:
                raise DataError(
                    f"dataset: image {path!r} has pixels of a kind that is not read, "
                    f"{mode}; convert it to RGB."
                )
            if kind == "BMP" and _raw_mode(image) not in ("BGR", "L"):
                raise DataError(
                    f"dataset: image {path!r} is a BMP file that is neither grey nor "
                    "of 24 bits; convert it to PNG."
                )
            # BMP and GIF decoders refuse a wish for channels, others drop transparency.
            transparent = mode in ("LA", "PA", "RGBA") or "transparency" in image.info
            plain = kind not in ("BMP", "GIF") and not transparent
            orientation = _orientation(image)
            size = image.size[::-1] if orientation >= 5 else image.size
            return _Header(size, orientation, grey, plain)
    except DataError:
        raise
    except OSError as error:
        if isinstance(error, UnidentifiedImageError):
            reason = "it is cut off, damaged or no PNG, JPEG, BMP or GIF"
        else:
            reason = error.strerror or one_line(error)
    except Exception as error:  # whatever a parser meets in a damaged file
        reason = one_line(error)
    raise DataError(
        f"dataset: image {path!r} cannot be read ({reason}); replace or remove it."
    )


def _orientation(image: Any) -> int:
    """Returns how the stored pixels lie, 1 to 8 as in EXIF; 1, upright, if not said."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged metadata is no reason to refuse them
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _raw_mode(image: Any) -> str | None:
    codec, _, _, arguments = image.tile[0]
    return arguments[0] if codec == "raw" else None
