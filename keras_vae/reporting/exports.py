"""Writes the model of a finished run for programs without this package."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_vae.reporting.runs import load_run

Say = Callable[[str], None]

_CALIBRATION = 500  # training examples that 8-bit integers are made to suit


def export_run(
    path: str | os.PathLike[str],
    format: str,
    out: str | os.PathLike[str] | None = None,
    int8: bool = False,
    say: Say | None = None,
) -> Path:
    """Exports a run's model; see `keras_vae.export.export`.

    Args:
        path: The folder of a finished run.
        format: "tf_saved_model", "onnx" or "litert".
        out: The folder to write; None: one of the format's name in the run's folder.
        int8: With "litert": 8-bit integers, on scales that suit training examples.
        say: Takes the lines a person should read, one at a time.

    Returns:
        The folder.

    Raises:
        ValueError: If there is no finished run, the format cannot hold its model, or
            `out` is something else than an export.
        ImportError: If a package that the format needs is not installed.
        OSError: If the folder cannot be written.
    """
    say = say or (lambda line: None)
    run = load_run(path)
    name = f"{format}_int8" if int8 else format
    folder = run.path / name if out is None else Path(out)
    _check_folder(folder)
    say(f"Exporting the model of {run.path}")
    calibration: Any = None
    if int8:
        split = run.examples("train", _CALIBRATION)
        condition = None if run.model.infers_condition else run.condition(split)
        calibration = split.x if condition is None else (split.x, condition)
    run.model.export(folder, format, calibration)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    names = ", ".join(sorted(file.name for file in folder.iterdir()))
    say(f"Wrote {folder}: {names}; {size / 2**20:.1f} MiB.")
    if int8:
        say(_error(folder))
    return folder


def _check_folder(folder: Path) -> None:
    """Refuses a folder that holds something else, which an export would replace."""
    if folder.is_dir() and any(folder.iterdir()):
        names = {file.name for file in folder.iterdir()}
        if not names & {"saved_model.pb", "generate.onnx", "generate.tflite"}:
            raise ValueError(
                f"--out: {folder} holds something else than an exported model, which "
                "would be replaced: name a new folder."
            )
    elif folder.exists() and not folder.is_dir():
        raise ValueError(f"--out: {folder} is a file; name a folder.")


def _error(folder: Path) -> str:
    errors = json.loads((folder / "model.json").read_text())["int8_error"]
    means = ", ".join(
        f"{name} of {file} {error['mean']:.2g}"
        for file, outputs in errors.items()
        for name, error in outputs.items()
    )
    return f"Mean difference from float32 on training examples: {means}."
