"""The folder of a run: which one, whose it is, and whether it is complete."""

import fcntl
import json
import os
import shutil
from pathlib import Path
from typing import Any

from keras_vae import files
from keras_vae.training.config import TrainConfig

ROOT = Path("saved_models")
"""Where runs go without `--output_dir`."""


class RunFolder:
    """The files of one run.

    Args:
        path: The folder; made when the run is claimed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.config = self.path / "config.json"
        self.model = self.path / "model.keras"
        self.saved_model = self.path / "saved_model"
        self.history = self.path / "history.csv"
        self.metrics = self.path / "metrics.json"
        self.images = self.path / "images"
        self.logs = self.path / "logs"
        self.checkpoint = self.path / "checkpoint"
        self._lock: Any = None

    @property
    def is_run(self) -> bool:
        """Whether there is a run here, complete or not."""
        return self.config.is_file()

    @property
    def is_complete(self) -> bool:
        """Whether the run here has come to its end."""
        return self.is_run and self.metrics.is_file() and not self.checkpoint.exists()

    def read_config(self) -> TrainConfig:
        """Returns the configuration of the run here.

        Raises:
            ValueError: If it cannot be read as one.
        """
        try:
            return TrainConfig.from_json(self.config.read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            raise ValueError(
                f"{self.config} cannot be read as a run's configuration: {error} Take "
                "another --output_dir, or --overwrite."
            ) from error

    def read_metrics(self) -> dict[str, Any]:
        """Returns what `metrics.json` holds; nothing where it is not there."""
        if not self.metrics.is_file():
            return {}
        metrics: dict[str, Any] = json.loads(self.metrics.read_text(encoding="utf-8"))
        return metrics

    def write_metrics(self, metrics: dict[str, Any]) -> None:
        """Writes `metrics.json`."""
        files.write_text(self.metrics, json.dumps(metrics, indent=2) + "\n")

    def claim(self) -> None:
        """Makes the folder and keeps other processes out until this one ends.

        Raises:
            ValueError: If another process is training here, or the folder cannot be
                written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = (self.path / ".lock").open("w")
        except OSError as error:
            raise ValueError(
                f"The folder {self.path} cannot be written ({error.strerror}): choose "
                "another --output_dir."
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._lock.close()
            raise ValueError(
                f"Another process is training in {self.path}: wait for it, or choose "
                "another --output_dir."
            ) from error

    def release(self) -> None:
        """Lets other processes in."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def clear(self) -> None:
        """Throws away what the run left here, and nothing that is not a run's."""
        for name in (
            "config.json",
            "checkpoint",
            "metrics.json",
            "model.keras",
            "saved_model",
            "history.csv",
            "images",
            "logs",
            "model_card.md",
            "report.html",
            "latents.csv",
        ):
            place = self.path / name
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)

    def finish(self) -> None:
        """Removes what a run resumes from: the run is complete."""
        if self.checkpoint.exists():
            gone = self.path / ".checkpoint.gone"
            shutil.rmtree(gone, ignore_errors=True)
            self.checkpoint.rename(gone)
            shutil.rmtree(gone, ignore_errors=True)


def find(config: TrainConfig, root: Path = ROOT) -> RunFolder:
    """Returns the folder that a configuration trains in.

    With `output_dir` that one; else the newest unfinished run of the same configuration
    under `root`, else a new name.

    Raises:
        ValueError: If `output_dir` holds a run of another configuration, or files that
            are no run's.
    """
    if config.output_dir is not None:
        return _given(config, RunFolder(config.output_dir))
    taken = [RunFolder(root / config.run_name)]
    while taken[-1].path.exists():
        taken.append(RunFolder(root / f"{config.run_name}-{len(taken) + 1}"))
    if config.overwrite:
        return _given(config, taken[0])
    for folder in reversed(taken):
        if folder.is_run and not folder.is_complete and _same(folder, config):
            return folder
    return taken[-1]


def _same(folder: RunFolder, config: TrainConfig) -> bool:
    try:
        return not config.differences(folder.read_config())
    except ValueError:
        return False


def _given(config: TrainConfig, folder: RunFolder) -> RunFolder:
    path = folder.path
    if path.exists() and not path.is_dir():
        raise ValueError(
            f"--output_dir: expected a folder, got the file {path}. Choose another."
        )
    if not path.exists() or not any(p.name != ".lock" for p in path.iterdir()):
        return folder
    if not folder.is_run:
        raise ValueError(
            f"--output_dir: {path} holds files but no config.json, so it is no run's "
            "folder: choose a new or an empty one."
        )
    if config.overwrite:
        return folder
    differences = config.differences(folder.read_config())
    if differences:
        named = ", ".join(
            f"--{name} {there!r} there, {here!r} now"
            for name, (here, there) in differences.items()
        )
        raise ValueError(
            f"{path} holds a run with other flags ({named}): choose another "
            "--output_dir, or --overwrite to throw that run away."
        )
    return folder
