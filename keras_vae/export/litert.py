"""A folder of LiteRT (TensorFlow Lite) files, for phones and small machines."""

import os
import tempfile
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from keras_vae.data.pipeline import as_unit
from keras_vae.errors import invalid_argument
from keras_vae.export import portable
from keras_vae.noise import Domain, RowNoise

_MOST = 500  # examples that calibration looks at


def write(model: Any, path: str | os.PathLike[str], calibration: Any = None) -> None:
    """Writes `encoder.tflite`, `decoder.tflite`, `generate.tflite` and `model.json`.

    Each has one signature, of the file's name; see `export.portable` for its inputs.

    Args:
        model: A built `VAE`.
        path: A folder; one that is there is replaced once the new one is complete.
        calibration: Examples, or the pair of them and their condition, by whose range
            weights and activations become 8-bit integers; inputs and outputs stay
            float32. `model.json` then has the error on these examples, `int8_error`:
            the largest and the mean absolute difference from float32 of each output.
            None keeps float32 everywhere.

    Raises:
        ValueError: If the model has an operation that LiteRT has not.
    """
    inputs = None if calibration is None else _Calibration(model, calibration)
    errors: dict[str, Any] = {}
    about = {} if inputs is None else {"int8_error": errors}
    with (
        portable.written(model, path, "litert", **about) as (folder, functions),
        tempfile.TemporaryDirectory() as source,
    ):
        module = tf.Module()
        module.state = [variable.value for variable in model.variables]
        tf.saved_model.save(module, source, signatures=functions)
        for name, function in functions.items():
            examples = None if inputs is None else inputs.of(function)
            content = _converted(source, name, examples)
            (folder / f"{name}.tflite").write_bytes(content)
            if examples is not None:
                errors[name] = _error(name, content, function, examples)


class _Calibration:
    """What the functions are called with to see the range of their values."""

    def __init__(self, model: Any, given: Any) -> None:
        pair = isinstance(given, tuple | list) and len(given) == 2
        x, condition = given if pair else (given, None)
        shape = tuple(getattr(x, "shape", ()))
        if len(shape) != 1 + len(model.data_shape) or not shape[0]:
            raise invalid_argument(
                "calibration",
                "an array of examples, or the pair of one and their condition",
                received=f"{type(x).__name__} of shape {shape}",
            )
        x = np.asarray(x)[:_MOST]
        if condition is not None:
            condition = np.asarray(condition)[:_MOST]
        z_mean, z_log_var = model.posterior(x, condition)
        random = np.random.default_rng(0)
        draw = random.standard_normal(z_mean.shape, np.float32)
        self._random, self._rows, x = random, len(x), as_unit(x)
        noise = RowNoise(model.seed, domain=Domain.EVALUATION)
        of = model.condition_on(x, model.check_condition(condition, len(x)), noise)
        z = z_mean + np.exp(0.5 * z_log_var) * draw
        self._known = {"x": x, "z": z, "condition": of}

    def of(self, function: Any) -> list[dict[str, np.ndarray]]:
        """Returns the inputs of a function, example by example."""
        columns = {}
        for spec in function.input_signature:
            if spec.name in self._known:
                values = self._known[spec.name]
            elif spec.name == "noise":
                shape = (self._rows, spec.shape[1])
                values = self._random.standard_normal(shape, np.float32)
            else:
                values = self._random.random((self._rows, spec.shape[1]), np.float32)
            columns[spec.name] = np.asarray(values)
        return [
            {name: values[row : row + 1] for name, values in columns.items()}
            for row in range(self._rows)
        ]


def _converted(source: str, name: str, examples: Any) -> bytes:
    converter = tf.lite.TFLiteConverter.from_saved_model(source, [name])
    if examples is not None:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: _of_signature(name, examples)
    return bytes(converter.convert())


def _of_signature(name: str, examples: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    for example in examples:
        yield name, example


def _error(name: str, content: bytes, function: Any, examples: Any) -> dict[str, Any]:
    """The difference from float32 of each output, in its own units."""
    runner = interpreter(content).get_signature_runner(name)
    batch = {
        key: np.concatenate([example[key] for example in examples])
        for key in examples[0]
    }
    found = [runner(**example) for example in examples]
    errors = {}
    for key, value in function(**batch).items():
        differences = np.abs(np.concatenate([each[key] for each in found]) - value)
        errors[key] = {
            "largest": float(np.max(differences)),
            "mean": float(np.mean(differences)),
        }
    return errors


def interpreter(content: bytes) -> Any:
    """Returns an interpreter of a LiteRT file, that of TensorFlow."""
    with warnings.catch_warnings():  # TensorFlow's own says that it moves elsewhere
        warnings.simplefilter("ignore")
        return tf.lite.Interpreter(model_content=content)
