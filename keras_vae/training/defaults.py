"""What flags are where they are not given and the data have a say in it."""

import os
from collections.abc import Mapping
from typing import Any

from keras_vae.data import splits
from keras_vae.training import choices

_HELD_OUT = 0.1
_LEAST = 10  # images, so that a tenth of them is one


def held_out(values: Mapping[str, Any]) -> dict[str, float]:
    """Returns the validation fraction where it is not given and must not be 0.

    That is where early stopping has no data to select by; and for a folder of at least
    ten images that brings no part along which is not trained on.

    Args:
        values: What is known of the flags, by name.
    """
    dataset = str(values.get("dataset", ""))
    path = "" if dataset in choices.DATASETS else os.path.expanduser(dataset)
    pairs = (pair.partition("=") for pair in values.get("array_names") or ())
    found = splits.held_out_splits(path, {name: own for name, _, own in pairs})
    if values.get("early_stopping_patience"):
        return {} if "validation" in found else {"validation_fraction": _HELD_OUT}
    if not found and os.path.isdir(path) and splits.holds_files(path, _LEAST):
        return {"validation_fraction": _HELD_OUT}
    return {}
