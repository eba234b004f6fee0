"""Pictures of a trained model that a run writes at its end."""

from typing import Any, NamedTuple

import numpy as np

from keras_vae.models.conditions import Label, Part
from keras_vae.probability.priors import VampPrior
from keras_vae.training.folder import RunFolder
from keras_vae.visualization import grids, lines

_MOST = 100  # pseudo-inputs in one picture
_SAMPLES = 64  # in a picture, or a few more for whole columns
_WIDEST = 16  # classes that have a column each


class Conditions(NamedTuple):
    """What the pictures made in training are conditioned on; nothing for most models.

    Attributes:
        of_examples: A row for each example, or None.
        of_first: The first of them, or None.
        of_samples: Arguments of `SampleImages`.
    """

    of_examples: Any
    of_first: Any
    of_samples: dict[str, Any]


def conditions(model: Any, x: np.ndarray, given: np.ndarray | None) -> Conditions:
    """Chooses them: of labels each has a column of samples, of vectors those given.

    Args:
        model: The model, built.
        x: The examples that are shown.
        given: The conditions of more examples, these first; or None.
    """
    if completes(model):
        return Conditions(None, model.part_of(x[:1]), {})
    labelled = isinstance(getattr(model, "condition", None), Label)
    if given is None and not labelled:
        return Conditions(None, None, {})
    samples: dict[str, Any] = {}
    if given is not None:
        samples = {"num": len(given), "condition": given}
    if labelled:
        classes = model.condition.num_classes
        columns = classes if classes <= _WIDEST else None
        num = -(-_SAMPLES // columns) * columns if columns else _SAMPLES
        labels = np.arange(num) % classes
        samples = {"num": num, "condition": labels, "columns": columns}
    if given is None:  # a model that infers the labels
        return Conditions(None, None, samples)
    return Conditions(given[: len(x)], given[:1], samples)


def completes(model: Any) -> bool:
    """Whether a model completes images of which a part is given."""
    return isinstance(getattr(model, "condition", None), Part)


def write_final(folder: RunFolder, model: Any) -> None:
    """Writes what there is to see of a model's parts: the pseudo-inputs of a VampPrior.

    Args:
        folder: The run's.
        model: Its model, trained.
    """
    if isinstance(model.prior, VampPrior):
        x = model.prior.pseudo_inputs().numpy()[:_MOST]
        picture = grids.tile(x) if x.ndim == 4 else lines.line_grid(x)
        grids.write_png(folder.images / "pseudo_inputs.png", picture)
