"""What a run's model is given of the data besides x."""

from typing import Any

import numpy as np

from keras_vae.data.datasets import Data, Split, to_unit
from keras_vae.models.conditions import REGIONS, Condition, make_condition
from keras_vae.training.config import TrainConfig
from keras_vae.training.labels import semi_supervised


def targets(config: TrainConfig, split: Split) -> np.ndarray | None:
    """Returns the condition of each example of a split, where the data hold it.

    It is None for models without, and for conditions that are cut from x itself.
    """
    by_name = {"label": split.y, "vector": split.condition}
    return by_name.get(str(config.condition))


def example_row(config: TrainConfig, split: Split, model: Any) -> np.ndarray | None:
    """Returns one row of what the model is given, for conditions that are no labels."""
    if config.condition == "vector" and split.condition is not None:
        return split.condition[:1]
    if config.condition in REGIONS:
        return np.asarray(model.region_of(to_unit(split.x[:1])))
    return None


def condition_of(config: TrainConfig, data: Data) -> Condition | None:
    """Returns what the model is conditioned on; None for models without.

    Raises:
        ValueError: If the data do not hold it.
    """
    name = config.condition
    if name is None:
        return None
    found = {part: targets(config, split) for part, split in data.splits.items()}
    options: dict[str, Any] = {}
    if name == "label":
        if not semi_supervised(config):
            for part, y in found.items():
                _require_labels(data, part, y)
        largest = max(int(y.max()) for y in found.values() if y is not None)
        names = data.label_names or ()
        options = {"num_classes": max(largest + 1, len(names))}
    elif name == "vector":
        rows = found["training"]
        if rows is None:
            raise ValueError(
                f"--condition vector: {data.name} has no vectors to condition on. Give "
                "the arrays condition_train and condition_test in the .npz, or choose "
                "another --condition."
            )
        options = {"shape": rows.shape[1:]}
    elif data.kind != "images":
        raise ValueError(
            f"--condition {name}: only images have regions, {data.name} holds "
            f"{data.kind}. Choose --condition label or vector."
        )
    return make_condition(name, data.input_shape, **options)


def _require_labels(data: Data, part: str, y: np.ndarray | None) -> None:
    if y is None:
        raise ValueError(
            f"--condition label: the {part} examples of {data.name} have no labels. "
            "Give them (y_train and y_test in the .npz, --label_column of a .csv, a "
            "folder for each class), or choose another --condition."
        )
    missing = int(np.count_nonzero(y < 0))
    if missing:
        raise ValueError(
            f"--condition label: {missing} of the {len(y)} {part} examples of "
            f"{data.name} have no label (-1). Leave them out, or choose --model m2, "
            "which learns from both."
        )
