"""Models as files that other programs run: SavedModel, ONNX, LiteRT."""

import os
from collections.abc import Callable
from typing import Any

from keras_vae.errors import invalid_argument
from keras_vae.export import litert, onnx, saved_model
from keras_vae.naming import lookup

FORMATS: dict[str, Callable[..., None]] = {
    "tf_saved_model": saved_model.write,
    "onnx": onnx.write,
    "litert": litert.write,
}
"""What writes each format, by Keras' name of it."""


def export(
    model: Any,
    path: str | os.PathLike[str],
    format: str = "tf_saved_model",
    calibration: Any = None,
) -> None:
    """Writes a model for programs that have not got this package.

    `tf_saved_model` is a SavedModel with named signatures; see `export.saved_model`.
    `onnx` and `litert` are folders with the networks as files, `encoder`, `decoder` and
    `generate`, of which the last takes noise in place of a seed; see
    `export.portable`. For ONNX the packages onnx and tf2onnx are needed, which `pip
    install 'keras_vae[onnx]'` brings.

    Args:
        model: A built `VAE`.
        path: A folder; one that is there is replaced once the new one is complete.
        format: A name in `FORMATS`.
        calibration: For `litert`, an array of examples, or the pair of it and
            their condition: weights and activations are 8-bit integers then, on scales
            that suit these examples. None keeps float32.

    Raises:
        ValueError: If the format is not known, takes no calibration or cannot hold this
            model.
        ImportError: If a package that the format needs is not installed.
        OSError: If the folder cannot be written.
    """
    write = lookup("format", format, FORMATS)
    if calibration is None:
        write(model, path)
    elif format == "litert":
        write(model, path, calibration)
    else:
        raise invalid_argument(
            "calibration", f"None with the format {format!r}", type(calibration)
        )
