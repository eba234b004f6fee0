"""What is promised of a model's configuration and of its files."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.evaluation.samplers import fit_aggregate
from keras_vae.loading import load_model
from keras_vae.testing.candidate import (
    BATCH_SIZE,
    EPOCHS,
    MANY,
    Candidate,
    known_labels,
    require_same,
    require_same_metrics,
)
from keras_vae.units import to_unit

_NOT_IMPORTED = 3  # exit code of a process that cannot import the class


def config(candidate: Candidate) -> None:
    """`from_config(get_config())` is the same model, and its configuration is JSON."""
    model = candidate.untrained
    again = type(model).from_config(model.get_config())
    again.compile(steps_per_execution=1)
    again.ensure_built()
    mine, its = (
        keras.saving.serialize_keras_object(each)["config"] for each in (model, again)
    )
    for name, value in mine.items():
        texts = [json.dumps(each, sort_keys=True) for each in (its.get(name), value)]
        if texts[0] != texts[1]:
            raise AssertionError(
                f"{name} of the new configuration is {texts[0]}; expected {texts[1]}."
            )
    again.set_weights(model.get_weights())
    how = "with the same weights and the same configuration"
    require_same_metrics(candidate.evaluated(again), candidate.evaluated(model), how)


def saving(candidate: Candidate) -> None:
    """A saved model is the same in a process of its own, if that can import the class.

    A class that is defined in a function or in `__main__` is loaded in this process.
    """
    model, n = candidate.reference.model, EPOCHS[1]
    arrays, y = {"x": candidate.x(n)}, candidate.y(n)
    if y is not None:
        arrays["y"] = y
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model.keras")
        np.savez(Path(folder) / "examples.npz", allow_pickle=False, **arrays)
        found = _measured_elsewhere(folder, candidate.kind)
        if found is None:
            found = measured_loaded(folder, candidate.kind)
    for name, value in _measured(model, arrays).items():
        require_same(found[name], value, f"in the loaded model, {name}")


def _measured(model: Any, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Returns metrics and posteriors."""
    x, y = arrays["x"], arrays.get("y")
    metrics: dict[str, Any] = model.evaluate(
        x, y, batch_size=BATCH_SIZE, verbose=0, return_dict=True
    )
    z_mean, z_log_var = model.posterior(x, known_labels(model, y))
    return {**metrics, "z_mean": z_mean, "z_log_var": z_log_var}


def measured_loaded(folder: str, kind: type) -> dict[str, Any]:
    """Returns what is measured of the model in a folder, on the examples beside it."""
    path = Path(folder)
    model = load_model(path / "model.keras", custom_objects={kind.__name__: kind})
    with np.load(path / "examples.npz", allow_pickle=False) as arrays:
        return _measured(model, arrays)


_CHILD = """
import importlib, sys
import numpy as np
folder, module, name = sys.argv[1:]
try:
    kind = getattr(importlib.import_module(module), name)
except (ImportError, AttributeError):
    sys.exit(%d)
from keras_vae import testing
np.savez(f"{folder}/measured.npz", **testing.files.measured_loaded(folder, kind))
"""


def _measured_elsewhere(folder: str, kind: type) -> dict[str, Any] | None:
    """Returns it as a new process measures it; None if it cannot import the class."""
    if kind.__module__ == "__main__" or "." in kind.__qualname__:
        return None
    result = subprocess.run(
        [
            *(sys.executable, "-c", _CHILD % _NOT_IMPORTED),
            *(folder, kind.__module__, kind.__name__),
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    if result.returncode == _NOT_IMPORTED:
        return None
    if result.returncode:
        raise AssertionError(
            f"a new process cannot load the model: {result.stderr.strip()[-1000:]}"
        )
    with np.load(Path(folder) / "measured.npz", allow_pickle=False) as found:
        return dict(found)


def export(candidate: Candidate) -> None:
    """Each signature of the SavedModel gives what the method of its name gives."""
    model = candidate.model()
    fit_aggregate(model, candidate.x(MANY), candidate.known(model, MANY))
    with tempfile.TemporaryDirectory() as folder:
        model.export(folder)
        signatures = tf.saved_model.load(folder).signatures
    for name, (inputs, expected) in _called(candidate, model).items():
        if name not in signatures:
            raise AssertionError(f"there is no signature {name}.")
        given = {key: tf.constant(value) for key, value in inputs.items()}
        found = signatures[name](**given)
        for output, value in expected.items():
            require_same(found[output], value, f"{output} of the signature {name}")


def _called(candidate: Candidate, model: Any) -> dict[str, tuple[dict[str, Any], Any]]:
    """Returns inputs and outputs of each signature, by the methods of the model."""
    n, seed = 5, 7
    x = candidate.x(n)
    given = candidate.conditions(model, n)
    z_mean, z_log_var = model.posterior(x, given)
    key = np.array([seed, 0], np.int32)
    beyond = model.aggregate_sample(n, tf.constant(key), given).numpy()
    ends = None if given is None else given[:2]
    path = model.interpolate(x[0], x[1], 4, condition=ends)
    drawn = {"num": np.int32(n), "seed": key}
    seen = {"x": to_unit(x)}
    a, b = seen["x"][:2]
    walk = {"a": a, "b": b, "steps": np.int32(4)}
    calls: dict[str, tuple[dict[str, Any], Any, Any]] = {
        "generate": (drawn, given, {"x": model.sample(n, seed, condition=given)}),
        "generate_draws": (drawn, given, {"x": model.sample(n, seed, True, given)}),
        "generate_from_aggregate": (drawn, given, {"x": model.decode(beyond, given)}),
        "decode": ({"z": z_mean}, given, {"x": model.decode(z_mean, given)}),
        "encode": (seen, given, {"z_mean": z_mean, "z_log_var": z_log_var}),
        "reconstruct": (seen, given, {"x": model.reconstruct(x, given)}),
        "interpolate": (walk, ends, {"x": path}),
    }
    if hasattr(model, "predict_label"):
        labels = {"probabilities": model.predict_label(x)}
        calls["predict_label"] = (seen, None, labels)
    return {
        name: (inputs if rows is None else {**inputs, "condition": rows}, outputs)
        for name, (inputs, rows, outputs) in calls.items()
    }
