"""Pictures of a trained model that a run writes at its end."""

from typing import Any, NamedTuple

import numpy as np

from keras_vae.data import motion
from keras_vae.data.datasets import Data
from keras_vae.models.conditions import Label, Region
from keras_vae.probability.priors import VampPrior
from keras_vae.training.folder import RunFolder
from keras_vae.visualization import grids, lines, paths, picture_files

_MOST = 100  # pseudo-inputs in one picture
_PATHS = 10  # drawings of one kind
_SAMPLES = 64  # in a picture, or a few more for whole columns
_WIDEST = 16  # classes that have a column each


class Conditions(NamedTuple):
    """What the pictures made in training are conditioned on; nothing for most models.

    Attributes:
        of_examples: A row for each example, or None.
        of_ends: Those of the two examples that a way goes between; or None.
        of_samples: Arguments of `SampleImages`.
    """

    of_examples: Any
    of_ends: Any
    of_samples: dict[str, Any]


def ends(y: np.ndarray | None, count: int) -> tuple[int, int]:
    """Returns rows of two examples to go between: the first, and one unlike it.

    Args:
        y: Classes of the examples, `(n,)`, or None.
        count: How many examples there are to choose from, at least 1.
    """
    other = min(1, count - 1)
    if y is None or np.ndim(y) != 1:
        return 0, other
    differ = np.flatnonzero(np.asarray(y)[:count] != y[0])
    return 0, int(differ[0]) if len(differ) else other


def conditions(
    model: Any,
    x: np.ndarray,
    given: np.ndarray | None,
    between: tuple[int, int] = (0, 0),
) -> Conditions:
    """Chooses them: of labels each has a column of samples, of vectors those given.

    Args:
        model: The model, built.
        x: The examples that are shown.
        given: The conditions of more examples, these first; or None.
        between: Rows of the examples that a way goes between, see `ends`.
    """
    if completes(model):
        return Conditions(None, model.region_of(x[list(between)]), {})
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
    return Conditions(given[: len(x)], given[list(between)], samples)


def completes(model: Any) -> bool:
    """Whether a model completes images of which a part is given."""
    return isinstance(getattr(model, "condition", None), Region)


def write_final(folder: RunFolder, model: Any, data: Data) -> None:
    """Writes what only some runs have to show.

    `pseudo_inputs.png` of a VampPrior; `motion.png` of the dataset of that name: what
    the pen draws.

    Args:
        folder: The run's.
        model: Its model, trained.
        data: What it was trained on.
    """
    if isinstance(model.prior, VampPrior):
        x = model.prior.pseudo_inputs().numpy()[:_MOST]
        picture = grids.tile(x) if x.ndim == 4 else lines.line_grid(x)
        picture_files.write_png(folder.images / "pseudo_inputs.png", picture)
    if data.name == "motion":
        picture_files.write_png(
            folder.images / "motion.png", drawn_figures(model, data)
        )


def drawn_figures(model: Any, data: Data) -> grids.Picture:
    """Draws what the pen of `data.motion` does, a row each of ten paths.

    Examples with their reconstructions over them; the way from the first to the next,
    of its class where the model is conditioned on it; and generated figures, then of
    each class in turn.

    Args:
        model: A model of the dataset `motion`.
        data: The dataset.
    """
    _, split = data.measured
    names = data.label_names or motion.FIGURES
    x, y = split.x[:_PATHS], np.asarray(split.y)[:_PATHS]
    labelled = isinstance(getattr(model, "condition", None), Label)
    classes = np.arange(_PATHS) % len(names)
    given, way, wanted = (y, y[:1], classes) if labelled else (None, None, None)
    generated = model.sample(_PATHS, seed=0, condition=wanted)
    like = np.flatnonzero(y == y[0])[1:] if labelled else np.arange(1, len(x))
    end = x[like[0]] if len(like) else x[0]
    walk = model.interpolate(x[0], end, _PATHS, condition=way)
    shown = np.concatenate([x, walk, generated])
    over = np.concatenate([model.reconstruct(x, given), walk, generated])
    elbow, pen = motion.arm_places(shown)
    arms = np.stack([np.zeros_like(pen[:, 0]), elbow[:, -1], pen[:, -1]], axis=1)
    titles = [names[label] for label in y]
    titles += grids.t_titles(np.linspace(0.0, 1.0, _PATHS)) or []
    titles += [names[c] if labelled else "sample" for c in classes]
    return paths.path_grid(
        pen, motion.arm_places(over)[1], arms=arms, columns=_PATHS, titles=titles
    )
