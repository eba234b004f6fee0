"""A finished run, opened again: its flags, its model, and what it was trained on."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from keras_vae.data import binarized, datasets
from keras_vae.data.checks import one_line
from keras_vae.data.datasets import Data, Split
from keras_vae.loading import load_model
from keras_vae.naming import nearest
from keras_vae.training.config import TrainConfig


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """A finished run.

    Attributes:
        path: The folder.
        config: Every flag by name, and `environment`.
        metrics: What `metrics.json` holds.
        model: The model, ready to use and not compiled.
        data: The data as they are stored; `examples` gives them as the model saw them.
    """

    path: Path
    config: dict[str, Any]
    metrics: dict[str, Any]
    model: Any
    data: Data

    @property
    def held_out(self) -> str:
        """The split that was not trained on: "test", "validation", or else "train"."""
        for name in ("test", "validation"):
            if getattr(self.data, name) is not None:
                return name
        return "train"

    def examples(self, split_name: str, count: int | None = None) -> Split:
        """Returns examples in memory, binarised as in training.

        Args:
            split_name: "train", "validation" or "test".
            count: How many at most, taken evenly from the whole split, since files may
                be in the order of their classes; None takes all.

        Raises:
            ValueError: If the data have no such split.
        """
        split: Split | None = getattr(self.data, split_name)
        if split is None:
            raise ValueError(f"The data of {self.path} have no {split_name} split.")
        seed = binarized.SEED if split_name != "train" else self.config.get("seed", 0)
        binarize = self.config.get("binarize", "none")
        split = dataclasses.replace(
            split, x=binarized.binarized(split.x, binarize, seed)
        )
        if count is not None and count < len(split):
            split = split.take(np.linspace(0, len(split) - 1, count).astype(np.int64))
        return dataclasses.replace(split, x=split.x[:])

    def condition(self, split: Split) -> np.ndarray | None:
        """Returns what a conditional model is given for examples, else None.

        Labels that are missing are inferred where the model can.

        Raises:
            ValueError: If the data do not have it.
        """
        spec = self.model.condition_spec
        if spec is None:
            return None
        if self.completes:
            return np.asarray(self.model.region_of(split.x))
        given = split.y if spec.dtype.is_integer else split.condition
        if self.model.infers_condition and (given is None or np.any(given < 0)):
            likely = self.model.predict_label(split.x).argmax(axis=1)
            given = likely if given is None else np.where(given < 0, likely, given)
        if given is None:
            what = "labels" if spec.dtype.is_integer else "a condition for each example"
            raise ValueError(
                f"--run: the model in {self.path} needs {what}, which its data "
                f"{self.config['dataset']!r} do not have."
            )
        return given

    @property
    def completes(self) -> bool:
        """Whether the model is given a region of x itself, and completes it."""
        from keras_vae.models.conditions import REGIONS

        condition = getattr(self.model, "condition", None)
        return getattr(condition, "name", None) in REGIONS


def load_run(path: str | os.PathLike[str]) -> Run:
    """Opens the folder of a finished run.

    Args:
        path: The folder, as `keras-vae train` left it.

    Returns:
        The run. The model is read in Keras' safe mode: nothing in it is executed.

    Raises:
        ValueError: If there is no finished run, a file of it cannot be read, or its
            data are gone or have changed; one plain sentence.
    """
    path = Path(path)
    config = _config(path)
    metrics = _metrics(path / "metrics.json")
    data = _data(path, config)
    model = _model(path)
    if tuple(model.data_shape) != tuple(data.input_shape):
        raise ValueError(
            f"--run: the model in {path} takes examples of shape {model.data_shape}, "
            f"but the data {config['dataset']!r} now have shape {data.input_shape}: "
            "put the data back that it was trained on."
        )
    return Run(path, config, metrics, model, data)


def _config(path: Path) -> dict[str, Any]:
    if not path.exists():
        parent = path.absolute().parent
        names = [entry.name for entry in parent.iterdir()] if parent.is_dir() else []
        raise ValueError(
            f"--run: there is no folder {path}; name one that train.py wrote, "
            f"as saved_models/digits-vae-z20.{nearest(path.name, names)}"
        )
    for name, reason in (
        ("config.json", "it is no run's folder; name one that train.py wrote"),
        ("model.keras", "its training has not come to an end; train.py continues it"),
        ("metrics.json", "its training has not come to an end; train.py continues it"),
    ):
        if not (path / name).is_file():
            raise ValueError(f"--run: {path} has no {name}: {reason}.")
    config = read_json(path / "config.json")
    if not isinstance(config.get("dataset"), str):
        raise ValueError(
            f"--run: {path / 'config.json'} does not name the dataset of a run."
        )
    try:
        TrainConfig.from_json(json.dumps(config))
    except ValueError as error:
        raise ValueError(
            f"--run: {path / 'config.json'} is not what train.py wrote: {error}"
        ) from error
    return config


def _metrics(path: Path) -> dict[str, Any]:
    metrics = read_json(path)
    for name, value in metrics.items():
        kind = dict if name in _TABLES else int | float
        if name in (*_TABLES, *_METRICS) and not isinstance(value, kind | None):
            raise ValueError(
                f"--run: {path} has {one_line(repr(value))} as {name}, which is not "
                "what train.py or evaluate.py wrote; put that back."
            )
    return metrics


_TABLES = ("by_class", "compared_with", "disentanglement", "other_datasets")
_METRICS = (
    "active_units",
    "epochs",
    "importance_weighted_nll",
    "kl_loss",
    "neg_elbo",
    "num_examples",
    "reconstruction_loss",
    "seconds",
)


def read_json(path: Path) -> dict[str, Any]:
    """Returns the dictionary in a file, or raises a ValueError that names the file."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise ValueError(f"--run: {path} cannot be read: {error}.") from error
    if not isinstance(content, dict):
        raise ValueError(f"--run: {path} is not a JSON object.")
    return content


def _data(path: Path, config: dict[str, Any]) -> Data:
    options = TrainConfig.from_json(json.dumps(config)).data_options
    try:
        return datasets.load(config["dataset"], **options)
    except (ValueError, TypeError, OSError) as error:
        raise ValueError(
            f"--run: the data that {path} was trained on cannot be loaded: {error}"
        ) from error


def _model(path: Path) -> Any:
    try:
        model = load_model(path / "model.keras", compile=False)
    except ValueError as error:
        raise ValueError(f"--run: {error}") from error
    model.ensure_built()
    return model
