"""The folder of a run: which one, whose it is, and whether it is complete."""

import fcntl
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from keras_vae import files
from keras_vae.errors import as_flag, invalid_flag
from keras_vae.training import extension
from keras_vae.training.config import TrainConfig

ROOT = Path("saved_models")
"""Where runs go without `--output_dir`."""

_LEAVINGS = (
    "metrics.json",  # first: without it the run is not complete
    "checkpoint",
    "model.keras",
    "saved_model",
    "history.csv",
    "condition.npy",
    "images",
    "logs",
    "model_card.md",
    "report.html",
    "latents.csv",
    "features.keras",
)


_STRAY = re.compile(
    r"history\.csv|metrics\.json|condition\.npy|model\.keras|model_card\.md"
    r"|checkpoint/state(\.previous)?\.npz|saved_model/.*"
    r"|(images|logs)/(.*/)?(epoch_\d+\.png|pseudo_inputs\.png|motion\.png"
    r"|events\.out\.tfevents\..*|projector_config\.pbtxt|(latents|labels)\.tsv"
    r"|thumbnails\.png|\.writable)"
    r"|(.*/)?\.[^/]+\.\d+\.(partial(\.[^/]+)?|old)(/.*)?"
)
"""Files that a run writes after its configuration, by their path in its folder."""


class FolderLost(OSError):
    """The folder of a run is there no longer."""


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
        self.condition = self.path / "condition.npy"
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
        """Whether the run here has come to its end; its metrics are written last."""
        return self.is_run and self.metrics.is_file()

    def read_config(self) -> TrainConfig:
        """Returns the configuration of the run here.

        Raises:
            ValueError: If it cannot be read as one.
        """
        try:
            text = self.config.read_text(encoding="utf-8")
            config = TrainConfig.from_json(text)
            if "dataset" not in json.loads(text):  # every run writes every flag
                raise ValueError("it does not say which data it is of.")
            return config
        except (ValueError, OSError) as error:
            raise ValueError(
                f"{self.config} cannot be read as a run's configuration: {error} "
                "Choose another --output_dir."
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

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Makes the folder and keeps other processes out meanwhile.

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
        with self._lock:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise ValueError(
                    f"Another process is training in {self.path}: wait for it, or "
                    "choose another --output_dir."
                ) from error
            files.sweep(self.path)
            yield

    def require(self) -> None:
        """Raises `FolderLost` if the claimed folder is there no longer."""
        if self._lock is None:  # another worker of the job has it
            return
        try:
            there = os.stat(self.path / ".lock")
            if os.path.samestat(there, os.fstat(self._lock.fileno())):
                return
        except FileNotFoundError:
            self._remove_strays()
        raise FolderLost(
            f"The folder {self.path} was removed while the run was training in it, so "
            "training has stopped. The same command starts anew."
        )

    def _remove_strays(self) -> None:
        """Removes what the run wrote there after its folder had gone."""
        found = [
            path.relative_to(self.path).as_posix()
            for path in self.path.rglob("*")
            if not path.is_dir()
        ]
        if all(_STRAY.fullmatch(path) for path in found):
            # Whoever removes the folder may still be at it.
            shutil.rmtree(self.path, ignore_errors=True)

    def clear(self) -> None:
        """Throws away what the run left here, and nothing that is not a run's."""
        for name in _LEAVINGS:
            path = self.path / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def reopen(self) -> None:
        """Makes a complete run one that is not: it goes on for more epochs."""
        self.metrics.unlink(missing_ok=True)


def find(config: TrainConfig, root: Path = ROOT) -> RunFolder:
    """Returns the folder that a configuration trains in.

    With `output_dir` that one; else the newest unfinished run of the same configuration
    under `root`, else a new name.

    Raises:
        ValueError: As `check`.
    """
    if config.output_dir is not None:
        folder = RunFolder(config.output_dir)
        check(config, folder)
        return folder
    first = RunFolder(root / config.run_name)
    taken = _numbered(first.path)
    if config.overwrite:
        check(config, first)
        return first
    for number in sorted(taken, reverse=True):
        folder = RunFolder(taken[number])
        if folder.is_run and not folder.is_complete and _is_same(folder, config):
            return folder
    free = next(n for n in range(1, len(taken) + 2) if n not in taken)
    return RunFolder(_name(first.path, free))


def check(config: TrainConfig, folder: RunFolder) -> None:
    """Raises a ValueError if a configuration cannot train in a folder.

    It holds a run of another configuration, files that are no run's, or is no folder.
    More epochs for a complete run are no other configuration.
    """
    path = folder.path
    if path.exists() and not path.is_dir():
        raise invalid_flag(
            "output_dir", "a folder", f"the file {path}", "Choose another."
        )
    if not path.exists() or all(p.name == ".lock" for p in path.iterdir()):
        return
    if not folder.is_run:
        raise ValueError(
            f"{path} holds files but no config.json, so it is no run's folder: choose "
            "a new or an empty one as --output_dir."
        )
    there = folder.read_config()
    if extension.is_of(there, config) and not config.overwrite:
        extension.check(path, there, config, folder.is_complete)
        return
    differences = {} if config.overwrite else config.differences(there)
    if differences:
        named = ", ".join(
            f"--{name} {as_flag(theirs)} there, {as_flag(ours)} now"
            for name, (ours, theirs) in differences.items()
        )
        raise ValueError(
            f"{path} holds a run with other flags ({named}): choose another "
            "--output_dir, or --overwrite to throw that run away."
        )


def _name(first: Path, number: int) -> Path:
    return first if number == 1 else first.with_name(f"{first.name}-{number}")


def _numbered(first: Path) -> dict[int, Path]:
    """Returns what is there of `name`, `name-2`, `name-3`, ... by number."""
    found = {1: first} if first.exists() else {}
    if first.parent.is_dir():
        for path in first.parent.iterdir():
            match = re.fullmatch(re.escape(first.name) + r"-([1-9]\d{0,8})", path.name)
            if match and int(match[1]) > 1:
                found[int(match[1])] = path
    return found


def _is_same(folder: RunFolder, config: TrainConfig) -> bool:
    try:
        return not config.differences(folder.read_config())
    except ValueError:
        return False
