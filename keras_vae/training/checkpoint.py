"""The whole state of a run at one step, in one file that is there or not.

Noise, order of the data and schedules are functions of the step, so the arrays of the
model, its optimizers and its running metrics, and a little JSON for what lives in
Python, are all there is to continue exactly.
"""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_vae import files
from keras_vae.data.checks import one_line

_FILE = "state.npz"
_STATE = "state.json"

Arrays = dict[str, np.ndarray]


def metric_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Returns the running figures of an epoch, by name."""
    members = [v for metric in model.metrics for v in metric.variables]
    return _named("metric", members)


def variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Returns everything of a compiled, built model that changes in training.

    Names are places in lists, since Keras numbers layers anew in each process.
    """
    optimizers = [v for optimizer in model.optimizers for v in optimizer.variables]
    return {
        **_named("model", model.variables),
        **_named("optimizer", optimizers),
        **metric_variables(model),
    }


def snapshot(table: dict[str, keras.Variable]) -> Arrays:
    """Returns the values of variables."""
    return {
        name: np.asarray(keras.ops.convert_to_numpy(variable))
        for name, variable in table.items()
    }


def restore(table: dict[str, keras.Variable], arrays: Arrays) -> None:
    """Sets the values of variables.

    Raises:
        ValueError: If the arrays are not those of these variables.
    """
    for name, variable in table.items():
        if name not in arrays or arrays[name].shape != tuple(variable.shape):
            raise ValueError(
                "The checkpoint is of another model: train with --overwrite, or in "
                "another --output_dir."
            )
    for name, variable in table.items():
        variable.assign(arrays[name])


def is_in(folder: Path) -> bool:
    """Whether there is a checkpoint in a folder."""
    return (folder / _FILE).is_file()


def save(folder: Path, arrays: Arrays, state: dict[str, Any]) -> None:
    """Writes the file aside and renames it, so that a complete one is always there."""
    text = np.frombuffer(json.dumps(state).encode(), np.uint8)
    content: dict[str, Any] = {**arrays, _STATE: text}
    with files.written_aside(folder / _FILE) as aside:
        np.savez(aside, **content)


def load(folder: Path) -> tuple[Arrays, dict[str, Any]] | None:
    """Returns the arrays and the state, or None where no checkpoint was written.

    Raises:
        ValueError: If the file is damaged.
    """
    if not is_in(folder):
        return None
    path = folder / _FILE
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = dict(content)
        state = json.loads(arrays.pop(_STATE).tobytes())
    except Exception as error:  # a damaged archive can raise nearly anything
        raise damaged(folder, one_line(error)) from error
    if not isinstance(state, dict):
        raise damaged(folder, "it holds no state")
    return arrays, state


def damaged(folder: Path, reason: str) -> ValueError:
    """Returns the error to raise for a checkpoint that cannot be continued from."""
    return ValueError(
        f"The checkpoint {folder / _FILE} is damaged ({reason}): train with "
        "--overwrite, or in another --output_dir."
    )


def _named(group: str, members: list[keras.Variable]) -> dict[str, keras.Variable]:
    return {f"{group}/{index:04d}": member for index, member in enumerate(members)}
