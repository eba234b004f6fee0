"""The whole state of a run at one step, in one file that is there or not.

The file before it is kept, in case that the newest is damaged. Noise, order of the data
and schedules are functions of the step, so the arrays of the model, its optimizers and
its running metrics, and a little JSON for what lives in Python, are all there is to
continue exactly.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_vae import files
from keras_vae.data.checks import one_line
from keras_vae.naming import shortened

_FILE = "state.npz"
_PREVIOUS = "state.previous.npz"
_STATE = "state.json"

Arrays = dict[str, np.ndarray]


class DamagedCheckpoint(ValueError):
    """A checkpoint holds what no run wrote.

    Attributes:
        reason: What is wrong with it.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(
            f"The checkpoint {path} is damaged ({reason}): train with --overwrite, or "
            "in another --output_dir."
        )
        self.reason = reason


def metric_variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Returns the running metrics of an epoch, by name."""
    members = [v for metric in model.metrics for v in metric.variables]
    return _named("metric", members)


def variables(model: keras.Model) -> dict[str, keras.Variable]:
    """Returns everything of a compiled, built model that changes in training.

    Names are indices in lists, since Keras numbers layers anew in each process.
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
        array = arrays.get(name)
        fits = array is not None and array.shape == tuple(variable.shape)
        if not fits or (array is not None and array.dtype.kind not in "fiub"):
            raise ValueError(
                "The checkpoint is of another model: train with --overwrite, or in "
                "another --output_dir."
            )
    for name, variable in table.items():
        variable.assign(arrays[name])


def is_in(folder: Path) -> bool:
    """Whether there is a checkpoint in a folder."""
    return any((folder / name).is_file() for name in (_FILE, _PREVIOUS))


def save(folder: Path, arrays: Arrays, state: dict[str, Any]) -> None:
    """Writes the file aside and renames it, so that a complete one is always there.

    The one that was there is kept as the previous one.
    """
    text = np.frombuffer(json.dumps(state).encode(), np.uint8)
    content: dict[str, Any] = {**arrays, _STATE: text}
    with files.written_aside(folder / _FILE, keeps=folder / _PREVIOUS) as aside:
        np.savez(aside, **content)


def load(folder: Path) -> tuple[Arrays, dict[str, Any]] | None:
    """Returns the arrays and the state, or None where no checkpoint was written.

    Raises:
        DamagedCheckpoint: If the file is damaged.
    """
    if not is_in(folder):
        return None
    path = _newest(folder)
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = dict(content)
        state = json.loads(arrays.pop(_STATE).tobytes())
    except Exception as error:  # a damaged archive can raise nearly anything
        raise damaged(folder, one_line(error)) from error
    if not isinstance(state, dict):
        raise damaged(folder, "it holds no state")
    return arrays, state


def drop_newest(folder: Path) -> bool:
    """Puts the previous checkpoint in the place of the newest; says if there is one."""
    newest, previous = folder / _FILE, folder / _PREVIOUS
    if not (newest.is_file() and previous.is_file()):
        return False
    previous.replace(newest)
    return True


def typed(
    state: Any, kinds: Mapping[str, tuple[type, ...]], where: str = ""
) -> dict[str, Any]:
    """Returns a part of a state if it holds these keys, of these types.

    A boolean is no number, a number that is not finite is none either.

    Raises:
        ValueError: If it does not; the message says which.
    """
    if not isinstance(state, dict):
        raise ValueError(f"{where or 'the state'} is no object")
    for name, kind in kinds.items():
        value = state.get(name)
        right = name in state and isinstance(value, kind)
        if isinstance(value, bool):
            right = bool in kind
        elif isinstance(value, float):
            right = right and math.isfinite(value)
        if not right:
            found = "missing" if value is None else shortened(value)
            raise ValueError(f"{where}{name} is {found}")
    return state


def damaged(folder: Path, reason: str) -> DamagedCheckpoint:
    """Returns the error to raise for a checkpoint that cannot be continued from."""
    return DamagedCheckpoint(_newest(folder), reason)


def _newest(folder: Path) -> Path:
    newest = folder / _FILE
    return newest if newest.is_file() else folder / _PREVIOUS


def _named(group: str, members: list[keras.Variable]) -> dict[str, keras.Variable]:
    return {f"{group}/{index:04d}": member for index, member in enumerate(members)}
