"""What is trained on: by name or by path, with every check on the way in."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from keras_vae.data.checks import (
    check_examples,
    check_finite,
    check_labels,
    encode_labels,
    require_numbers,
    require_size,
    to_unit,
)
from keras_vae.data.files import Arrays, read_npy, read_npz
from keras_vae.data.folder import ImageFolder, read_folder
from keras_vae.data.named import DATASETS
from keras_vae.data.tables import read_csv
from keras_vae.errors import DataError, invalid_argument
from keras_vae.naming import lookup, nearest

__all__ = ["DATASETS", "Data", "ImageFolder", "Split", "load", "to_unit"]

DATA_KINDS = ("auto", "images", "sequences", "vectors")
"""What examples can be. `auto`: three or four axes are images, two are vectors."""


@dataclass(frozen=True, eq=False)
class Split:
    """One split of a dataset: examples, and what is known of each.

    Attributes:
        x: uint8, uint16 or float32 `(n, *input_shape)`, images with an axis of
            channels. Or an object that reads or draws examples when they are asked for,
            as `ImageFolder` does: with `len`, slices, `shape` of one example, `dtype`,
            `head(n)`, `take(rows)`, and `gather(rows)` for tensors.
        y: int32 `(n,)` labels from 0, -1 where an example has none; or None.
        condition: float32 `(n, ...)` or None; uint8 and uint16 are scaled to [0, 1].
        factors: `(n, k)` numbers, the ground truth that is known of each example: the
            position along the swiss roll, the factors of `shapes`; or None.
    """

    x: Any
    y: np.ndarray | None = None
    condition: np.ndarray | None = None
    factors: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: np.ndarray) -> "Split":
        """Returns the split with only these examples, in this order."""
        x = self.x[rows] if isinstance(self.x, np.ndarray) else self.x.take(rows)
        others = (self.y, self.condition, self.factors)
        return Split(x, *(None if other is None else other[rows] for other in others))


SPLITS = {"train": "training", "validation": "validation", "test": "test"}
"""What the splits of `Data` are called in words."""


@dataclass(frozen=True, eq=False)
class Data:
    """A dataset, checked.

    Attributes:
        name: The name it was asked for, of a path the last part without its ending.
        kind: `"images"`, `"sequences"` or `"vectors"`.
        input_shape: Of one example: `(h, w, c)`, `(time, features)` or `(features,)`.
        train: What is trained on.
        validation: What is set aside to choose by, or None.
        test: What the dataset has for the end, or None.
        label_names: What the labels mean, or None where they are only numbers.
        factor_names: What the columns of `factors` are, or None.
    """

    name: str
    kind: str
    input_shape: tuple[int, ...]
    train: Split
    validation: Split | None
    test: Split | None
    label_names: tuple[str, ...] | None = None
    factor_names: tuple[str, ...] | None = None

    @property
    def splits(self) -> dict[str, Split]:
        """The splits that there are, by what they are called in words."""
        found = {words: getattr(self, name) for name, words in SPLITS.items()}
        return {words: split for words, split in found.items() if split is not None}

    @property
    def measured(self) -> tuple[str, Split]:
        """What final metrics are of: the test split, else validation, else training.

        Returns:
            What the split is called in words, and its examples.
        """
        for words, split in (("test", self.test), ("validation", self.validation)):
            if split is not None:
                return words, split
        return "training", self.train

    @property
    def monitored(self) -> tuple[str, Split | None]:
        """What training is monitored by: the validation split, else test, else nothing.

        Returns:
            What the split is called in words, and its examples.
        """
        if self.validation is not None:
            return "validation", self.validation
        return "test", self.test


def load(
    name_or_path: str | os.PathLike[str],
    *,
    data_kind: str = "auto",
    label_column: str | int | None = None,
    drop_columns: Sequence[str | int] = (),
    array_names: Mapping[str, str] | None = None,
    features_per_step: int | None = None,
    validation_fraction: float = 0.0,
    seed: int = 0,
) -> Data:
    """Loads a dataset by its name or from a file or folder, and checks all of it.

    Args:
        name_or_path: A name of `DATASETS`; or an `.npz` (`x_train`, and if there
            `y_train` and `condition_train`, and the same of `_validation` and `_test`;
            or one array), an `.npy`, a `.csv` (see `tables.read_csv`), a folder of
            images (see `folder.read_folder`).
        data_kind: One of `DATA_KINDS`. Images of three axes are grey; sequences of two
            axes have one feature; vectors are flattened from any number of axes.
        label_column: Of a `.csv`, by name or by index counted from 0.
        drop_columns: Columns of a `.csv` that are left out, in the same way.
        array_names: What an `.npz` calls an array, where that is another name:
            `{"x_train": "images"}`.
        features_per_step: Of sequences that come as one line of numbers an example: the
            features of the first step, then those of the second, and so on.
        validation_fraction: Fraction of the training examples to set aside, in [0, 1).
        seed: Of the choice of these examples.

    Returns:
        The dataset. A split that is not there is None; none is made up.

    Raises:
        ValueError: If an argument is out of range, or the data cannot be used; the
            message is a sentence that says which value and where it is.

    Example:
    ```python
    data = load("digits", validation_fraction=0.1)
    data.train.x.shape  # (1350, 8, 8, 1)
    ```
    """
    lookup("data_kind", data_kind, dict.fromkeys(DATA_KINDS))
    if not 0.0 <= validation_fraction < 1.0:
        raise invalid_argument(
            "validation_fraction", "a number in [0, 1)", validation_fraction
        )
    name, arrays = _read(name_or_path, label_column, drop_columns, array_names)
    if features_per_step is not None:
        data_kind = _in_steps(name, arrays, data_kind, features_per_step)
    data = _assemble(name, arrays, data_kind)
    if validation_fraction == 0.0:
        return data
    if data.validation is not None:
        raise invalid_argument(
            "validation_fraction",
            "0, as the dataset has a validation split",
            validation_fraction,
        )
    return _hold_out(data, validation_fraction, seed)


def _in_steps(name: str, arrays: Arrays, data_kind: str, features: int) -> str:
    """Cuts the lines of numbers of all splits into steps; returns the kind of data."""
    if features < 1 or data_kind not in ("auto", "sequences"):
        raise invalid_argument(
            "features_per_step",
            "at least 1, and sequences",
            received=f"features_per_step={features}, data_kind={data_kind!r}",
        )
    for key in [key for key in arrays if key.startswith("x_")]:
        x = arrays[key]
        if x.ndim != 2 or x.shape[1] % features:
            raise DataError(
                f"features_per_step: {key} of {name!r} has shape {tuple(x.shape)}; "
                f"expected (n, numbers) with a multiple of {features} numbers."
            )
        arrays[key] = x.reshape(len(x), -1, features)
    return "sequences"


def _read(
    name_or_path: str | os.PathLike[str],
    label_column: str | int | None,
    drop_columns: Sequence[str | int],
    array_names: Mapping[str, str] | None,
) -> tuple[str, Arrays]:
    """Returns the name of a dataset and its arrays as they come."""
    if not isinstance(name_or_path, str | os.PathLike):
        raise invalid_argument(
            "dataset",
            "a name or a path",
            received=type(name_or_path).__name__,
            advice="An array goes to `fit` as it is.",
        )
    name = os.fsdecode(name_or_path)
    given = os.path.expanduser(name)  # as text: the Path of an empty text is here
    path = Path(given)
    ending = "" if name in DATASETS else path.suffix.lower()
    for argument, value, of in (
        ("label_column", label_column, ".csv"),
        ("drop_columns", drop_columns or None, ".csv"),
        ("array_names", array_names or None, ".npz"),
    ):
        if value is not None and ending != of:
            raise invalid_argument(
                argument,
                f"none, as only a {of} file has that",
                received=f"{argument}={value!r} for {name!r}",
            )
    if name in DATASETS:
        return name, DATASETS[name]()
    if os.path.isdir(given):
        return os.path.basename(os.path.abspath(given)) or "root", read_folder(path)
    if not os.path.exists(given):
        # One sentence serves a name that is unknown and a path that is not there.
        raise DataError(
            f"dataset: {name!r} is neither one of {', '.join(DATASETS)} nor a file or "
            f"folder that is there; check the name.{nearest(name, DATASETS)}"
        )
    if not os.path.isfile(given):
        raise DataError(
            f"dataset: {name!r} is no regular file; give a file or a folder."
        )
    if ending == ".csv":
        return path.stem, read_csv(path, label_column, drop_columns)
    if ending == ".npz":
        return path.stem, read_npz(path, array_names)
    if ending == ".npy":
        return path.stem, read_npy(path)
    if ending in _SPREADSHEETS:
        raise DataError(f"dataset: {name!r} is a spreadsheet; save it as CSV.")
    raise DataError(
        f"dataset: {name!r} ends in {ending!r}; expected a file that ends in .npz, "
        ".npy or .csv, or a folder of images."
    )


_SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods")


def _assemble(name: str, arrays: Arrays, data_kind: str) -> Data:
    """Checks arrays and puts them together, examples in the shape of their kind."""
    if data_kind == "auto":
        data_kind = arrays.get("kind", "auto")
    kind = _kind(name, arrays["x_train"], data_kind)
    for part in ("validation", "test"):
        if f"x_{part}" in arrays:
            _kind(name, arrays[f"x_{part}"], data_kind)
    checked = {
        key: check_labels(f"{key} of {name!r}", values)
        for key, values in arrays.items()
        if key.startswith("y_")
    }
    labels, text_names = encode_labels(checked)
    splits: dict[str, Split | None] = {}
    for part in ("train", "validation", "test"):
        splits[part] = _split(name, arrays, labels, part, kind)
    train = splits["train"]
    if train is None:
        raise DataError(f"dataset: {name!r} has no x_train; add examples to train on.")
    for part, split in splits.items():
        if split is not None:
            _require_alike(name, part, split, train)
    return Data(
        name=name,
        kind=kind,
        input_shape=_shape(train.x),
        train=train,
        validation=splits["validation"],
        test=splits["test"],
        label_names=text_names or arrays.get("label_names"),
        factor_names=arrays.get("factor_names"),
    )


def _shape(x: Any) -> tuple[int, ...]:
    """Of one example, whether in memory or streamed."""
    return x.shape[1:] if isinstance(x, np.ndarray) else tuple(x.shape)


def _kind(name: str, x: Any, data_kind: str) -> str:
    axes = 1 + len(_shape(x)) if len(x.shape) else 0
    allowed = {
        "auto": (2, 3, 4),
        "images": (3, 4),
        "sequences": (2, 3),
        "vectors": range(2, 65),
    }
    if not isinstance(x, np.ndarray) and data_kind in ("sequences", "vectors"):
        raise invalid_argument(
            "data_kind",
            "'images' or 'auto' for images that are streamed",
            received=f"data_kind={data_kind!r} for {name!r}",
        )
    if axes not in allowed[data_kind]:
        raise DataError(
            f"dataset: {name!r} has an array of shape {x.shape}; expected images "
            "(n, height, width) or (n, height, width, channels), sequences (n, time, "
            "features) with data_kind='sequences', or vectors (n, features)."
        )
    if data_kind != "auto":
        return data_kind
    return "vectors" if axes == 2 else "images"


def _split(
    name: str, arrays: Arrays, labels: dict[str, np.ndarray], part: str, kind: str
) -> Split | None:
    x = arrays.get(f"x_{part}")
    others = {
        "y": labels.get(f"y_{part}"),
        "condition": arrays.get(f"condition_{part}"),
        "factors": arrays.get(f"factors_{part}"),
    }
    for field, values in others.items():
        rows = 0 if x is None else len(x)
        if values is not None and (values.ndim == 0 or len(values) != rows):
            raise DataError(
                f"dataset: {field}_{part} of {name!r} has shape {values.shape}, but "
                f"x_{part} has {rows} examples; give it one row for each."
            )
    if x is None:
        return None
    if others["condition"] is not None:
        where = f"condition_{part} of {name!r}"
        others["condition"] = _checked_condition(where, others["condition"])
    if others["factors"] is not None:
        others["factors"] = _checked_factors(
            f"factors_{part} of {name!r}", others["factors"]
        )
    if isinstance(x, np.ndarray):
        x = _shaped(check_examples(f"x_{part} of {name!r}", x), kind)
    else:
        require_size(f"x_{part} of {name!r}", _shape(x))
    return Split(x, **others)


def _shaped(x: np.ndarray, kind: str) -> np.ndarray:
    if kind == "vectors":
        return x.reshape(len(x), -1)
    axes = 4 if kind == "images" else 3
    return x[..., np.newaxis] if x.ndim == axes - 1 else x


def _checked_condition(where: str, condition: np.ndarray) -> np.ndarray:
    require_numbers(where, condition.dtype)
    if condition.ndim == 1:
        condition = condition[:, np.newaxis]
    return check_finite(where, to_unit(condition))


def _checked_factors(where: str, factors: np.ndarray) -> np.ndarray:
    """Returns `(n, k)`, integers where all numbers are whole."""
    require_numbers(where, factors.dtype)
    factors = factors[:, np.newaxis] if factors.ndim == 1 else factors
    if factors.dtype.kind in "iu":
        return factors
    factors = check_finite(where, factors.astype(np.float64))
    whole = np.all(factors == np.round(factors))
    return factors.astype(np.int64) if whole else factors


def _require_alike(name: str, part: str, split: Split, train: Split) -> None:
    """Raises a `DataError` if a split does not go with the training split."""
    for field in ("x", "condition"):
        one, other = getattr(train, field), getattr(split, field)
        if (one is None) != (other is None):
            raise DataError(
                f"dataset: {name!r} has {field}_train or {field}_{part} without the "
                "other; give both or none."
            )
        if one is None:
            continue
        first, second = (one.dtype, _shape(one)), (other.dtype, _shape(other))
        if first != second:
            raise DataError(
                f"dataset: {name!r} has {field}_train of {first[0]} {first[1]} and "
                f"{field}_{part} of {second[0]} {second[1]} for an example; make them "
                "alike."
            )


def _hold_out(data: Data, fraction: float, seed: int) -> Data:
    """Sets examples aside as validation split, by a permutation from the seed."""
    count = max(1, round(len(data.train) * fraction))
    if count >= len(data.train):
        raise invalid_argument(
            "validation_fraction",
            f"one that leaves some of {len(data.train)} examples for training",
            fraction,
        )
    order = np.random.default_rng(seed % 2**64).permutation(len(data.train))
    aside, rest = np.sort(order[:count]), np.sort(order[count:])
    values = {**data.__dict__, "train": data.train.take(rest)}
    return Data(**{**values, "validation": data.train.take(aside)})
