"""A digest of a dataset: short texts that differ where the data do.

It is for noticing that the workers of a job, or two starts of a run, read other data.
Of the examples 1,000 are read, spread over all; labels are read whole.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from keras_vae.data.datasets import Data, Split

_EXAMPLES = 1_000  # that are read of a split, at most
_BYTES = 2**26  # of examples that are held at a time


def digest(data: Data) -> dict[str, str]:
    """Returns what identifies a dataset, by the name of each thing.

    The same data give the same texts on every machine. A folder of images is looked at
    by the names of its files and the bytes of some, without decoding them.

    Args:
        data: The dataset.

    Returns:
        Texts of 60 characters at most by what they are of: "training examples",
        "training labels", "training conditions", the same of the other splits that are
        there, "names of classes".

    Raises:
        ValueError: If examples that are streamed cannot be read.
    """
    found = {"names of classes": _hash(repr(data.label_names).encode())}
    for part, split in data.splits.items():
        found |= {f"{part} {name}": text for name, text in _of(split).items()}
    return found


def differences(one: Mapping[str, str], other: Mapping[str, str]) -> list[str]:
    """Returns which things of two digests differ, the weightiest first."""
    return sorted(
        (name for name in {**one, **other} if one.get(name) != other.get(name)),
        key=lambda name: (not name.endswith("examples"), name == "names of classes"),
    )


def _of(split: Split) -> dict[str, str]:
    rows = np.unique(np.linspace(0, len(split) - 1, _EXAMPLES).astype(np.int64))
    found = {"examples": f"{len(split)} {_hash(*_examples(split.x, rows))}"}
    if split.y is not None:
        found["labels"] = _hash(np.ascontiguousarray(split.y))
    if split.condition is not None:
        found["conditions"] = _hash(*_examples(split.condition, rows))
    return found


def _examples(x: Any, rows: np.ndarray) -> Iterator[Any]:
    """Yields the bytes of some examples, a few at a time."""
    if hasattr(x, "file_contents"):
        yield from x.file_contents(rows)
        return
    one = x[:1]
    yield f"{one.dtype.name} {one.shape[1:]}".encode()
    step = max(1, _BYTES // max(1, one.nbytes))
    for first in range(0, len(rows), step):
        yield np.ascontiguousarray(x[rows[first : first + step]])


def _hash(*contents: Any) -> str:
    found = hashlib.sha256()
    for content in contents:
        found.update(content)
    return found.hexdigest()[:16]
