"""A folder of ONNX files, for onnxruntime and everything else that reads them."""

import logging
import os
from typing import Any

from keras_vae.export import portable

OPSET = 18
"""Version of ONNX' operators; onnxruntime has it since 1.14."""


def write(model: Any, path: str | os.PathLike[str]) -> None:
    """Writes `encoder.onnx`, `decoder.onnx`, `generate.onnx` and `model.json`.

    See `export.portable` for their inputs.

    Args:
        model: A built `VAE`.
        path: A folder; one that is there is replaced once the new one is complete.

    Raises:
        ImportError: If onnx or tf2onnx is not installed.
        ValueError: If the model has an operation that ONNX has not.
    """
    onnx, tf2onnx = _converter()
    with portable.written(model, path, "onnx", opset=OPSET) as (folder, functions):
        for name, function in functions.items():
            converted, _ = tf2onnx.convert.from_function(
                function, input_signature=function.input_signature, opset=OPSET
            )
            onnx.checker.check_model(converted)
            onnx.save(converted, folder / f"{name}.onnx")


def _converter() -> tuple[Any, Any]:
    try:
        import onnx
        import tf2onnx
    except ImportError as error:
        raise ImportError(
            "The format 'onnx' needs the packages onnx and tf2onnx: pip install "
            "'keras_vae[onnx]'."
        ) from error
    logging.getLogger("tf2onnx").setLevel(logging.CRITICAL)  # it raises as well
    return onnx, tf2onnx
