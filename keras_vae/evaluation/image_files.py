"""What files without loss make of images: the bits that a likelihood competes with."""

import io
from typing import Any

import numpy as np

from keras_vae.evaluation.examples import all_on_grid, first_in_unit, is_binary

_EXAMPLES = 2_000
_FORMATS: dict[str, tuple[str, dict[str, Any]]] = {
    "png": ("PNG", {"optimize": True}),
    "webp": ("WEBP", {"lossless": True, "quality": 100, "method": 6}),
}


def lossless_bits_per_dimension(x: Any) -> dict[str, float]:
    """Returns the bits that PNG and lossless WebP need for each number of 8-bit images.

    A file an image, headers too, as small as Pillow makes it.

    Args:
        x: (n, height, width, 1 or 3), of which the first 2,000 are taken.

    Returns:
        `png_bits_per_dimension` and `webp_bits_per_dimension`; nothing for examples
        that are no such images or are binary, and no WebP where Pillow cannot write it.
    """
    from PIL import Image, features

    unit = first_in_unit(x, _EXAMPLES)
    if unit.ndim != 4 or unit.shape[-1] not in (1, 3):
        return {}
    if is_binary(unit) or not all_on_grid(unit, 255):
        return {}
    pictures = np.rint(255.0 * unit).astype(np.uint8)
    if pictures.shape[-1] == 1:
        pictures = pictures[..., 0]
    found = {}
    for name, (kind, options) in _FORMATS.items():
        if name == "webp" and not features.check("webp"):
            continue
        size = 0
        for picture in pictures:
            file = io.BytesIO()
            Image.fromarray(picture).save(file, kind, **options)
            size += file.tell()
        found[f"{name}_bits_per_dimension"] = 8.0 * size / pictures.size
    return found
