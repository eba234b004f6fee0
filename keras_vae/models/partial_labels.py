"""Labels that few examples have, and the network that infers the others."""

from typing import Any

import keras
import numpy as np

from keras_vae import networks
from keras_vae.models.conditions import Label
from keras_vae.naming import lookup
from keras_vae.networks.blocks import default_filters

NO_LABEL = -1
"""What stands for a label that is not known."""

LABELLED_SHARE = 0.25
"""Part of the examples of an epoch that have a label, by default."""


class PartialLabel(Label):
    """A class where it is known: y may hold `NO_LABEL` in some places."""

    def __init__(self, num_classes: int) -> None:
        super().__init__(num_classes)
        self._labels = self.expected
        self._or_none = f"{self.expected}, or -1 for none"

    def check(self, argument: str, values: Any, n: int) -> np.ndarray:
        """See `Condition.check`; only of `y` may some be unknown."""
        self.expected = self._or_none if argument == "y" else self._labels
        rows = np.asarray(values)
        unknown = np.reshape(rows == NO_LABEL, [-1]) & (argument == "y")
        if not unknown.any():
            return super().check(argument, rows, n)
        known = np.where(rows == NO_LABEL, 0, rows)
        checked = super().check(argument, known, n)
        return np.where(unknown, NO_LABEL, checked).astype(np.int32)


def label_classifier(
    name: str, shape: tuple[int, ...], num_classes: int, **options: Any
) -> keras.Model:
    """Returns a network from examples to logits of labels.

    Args:
        name: In `networks.ENCODERS`, whose hidden layers it has.
        shape: Of what it is given, one example.
        num_classes: Number of labels.
        **options: Of the network. By default dropout is 0.2, and "conv" has half of its
            filters and dense units.
    """
    options = {"dropout": 0.2, "activation": "relu", "name": "classifier", **options}
    if name == "conv" and "filters" not in options:
        filters = tuple(count // 2 for count in default_filters(shape[:2]))
        options = {"filters": filters, "hidden_units": (128,), **options}
    body = lookup("classifier", name, networks.ENCODERS)(shape, 1, **options)
    last = body.get_layer(f"{body.name}_head").input
    logits = keras.layers.Dense(num_classes, name="logits")(last)
    return keras.Model(body.input, logits, name=body.name)


def rows_for_labels(y: Any, labelled_share: float) -> np.ndarray | None:
    """Returns the examples of an epoch: all once, those with a label again and again.

    Args:
        y: (n,) labels, `NO_LABEL` where there is none.
        labelled_share: Part of the rows that have a label, about.

    Returns:
        Row numbers, or None where all examples are shown once.
    """
    labelled = np.flatnonzero(np.asarray(y) != NO_LABEL)
    others = len(y) - len(labelled)
    if not len(labelled) or not others:
        return None
    wanted = labelled_share / (1.0 - labelled_share) * others
    more = round(wanted / len(labelled)) - 1
    if more < 1:
        return None
    return np.concatenate([np.arange(len(y)), np.tile(labelled, more)])
