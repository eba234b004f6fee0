"""The whole state of a run at one step, in one file that is there or not.

Noise, order of the data and schedules are functions of the step, so the arrays of the
model, its optimizer and its running metrics, and a little JSON for what lives in
Python, are all there is to continue exactly.
"""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_vae import files

_FILE = "state.npz"


def variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Returns everything of a compiled, built model that changes in training."""
    groups = {
        "model": model.variables,
        "optimizer": [v for optimizer in model.optimizers for v in optimizer.variables],
        "metric": [v for metric in model.metrics for v in metric.variables],
    }
    named = {
        f"{group}/{index:04d}/{variable.path}": variable
        for group, members in groups.items()
        for index, variable in enumerate(members)
    }
    return named


def snapshot(model: keras.Model) -> dict[str, np.ndarray]:
    """Returns the values of `variables`."""
    return {name: _value(variable) for name, variable in variables(model).items()}


def restore(model: keras.Model, arrays: dict[str, np.ndarray]) -> None:
    """Sets the values of `variables`.

    Raises:
        ValueError: If the arrays are not those of this model.
    """
    table = variables(model)
    missing = sorted(table.keys() - arrays.keys())
    if missing:
        raise ValueError(
            f"The checkpoint lacks {missing[0]}, so it is of another model: train with "
            "--overwrite, or in another --output_dir."
        )
    for name, variable in table.items():
        variable.assign(arrays[name])


def save(folder: Path, arrays: dict[str, np.ndarray], state: dict[str, Any]) -> None:
    """Writes the file aside and renames it, so that a complete one is always there."""
    buffer = io.BytesIO()
    text = np.frombuffer(json.dumps(state).encode(), np.uint8)
    np.savez(buffer, **arrays, **{"state.json": text})
    files.write_bytes(folder / _FILE, buffer.getbuffer())


def load(folder: Path) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """Returns the arrays and the state, or None where no checkpoint was written.

    Raises:
        ValueError: If the file is damaged.
    """
    path = folder / _FILE
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = dict(content)
        state = json.loads(arrays.pop("state.json").tobytes())
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"The checkpoint {path} is damaged ({error}): train with --overwrite, or "
            "in another --output_dir."
        ) from error
    return arrays, state


def _value(variable: keras.Variable) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(variable))
