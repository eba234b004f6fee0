"""The command that trains a run again."""

import dataclasses
from typing import Any

from keras_vae.commands import command
from keras_vae.training.config import TrainConfig


def training_command(config: TrainConfig) -> str:
    """Returns the shell command of another run with this configuration.

    Flags at their defaults are left out, and so are those that do not change the
    result, such as where the files go.
    """
    words: list[str] = []
    for name, value in _needed(config).items():
        if isinstance(value, bool):
            words.append(f"--{name}" if value else f"--no{name}")
        else:
            many = isinstance(value, tuple)
            words += [f"--{name}", ",".join(map(str, value)) if many else str(value)]
    return command("train", *words)


def _needed(config: TrainConfig) -> dict[str, Any]:
    """Returns the values by which `TrainConfig.resolve` comes to a configuration."""
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    given = {"dataset": config.dataset}
    for name in ("model", "preset"):  # what others' defaults depend on
        if getattr(config, name) != defaults[name]:
            given[name] = getattr(config, name)
    while True:
        differences = TrainConfig.resolve(given).differences(config)
        missing = {
            name: wanted
            for name, (_, wanted) in differences.items()
            if name not in given and wanted is not None and not config.unused(name)
        }
        if not missing:
            return given
        given |= missing
