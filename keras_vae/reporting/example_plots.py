"""Plots of examples: what the model makes of them, and of points between them."""

import math
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from keras_vae.data.pipeline import as_unit
from keras_vae.noise import Domain, RowNoise
from keras_vae.reporting.drawings import (
    LARGE,
    Animation,
    Drawings,
    at_ends,
    block,
    cells,
    framed,
    spread,
    walk,
)
from keras_vae.reporting.subject import LeftOut, Subject
from keras_vae.visualization import grids, style

_DRAWS = 200  # of the posterior, for the expected reconstruction
_NUMBERS = 2**26  # that these may decode to, where examples are large
_STEPS = 81  # of the interpolation between two examples
_MONTAGE = 800  # pixels that the montage may have a side, where it can
_SEED = 0


def overview(subject: Subject) -> Drawings:
    """Draws originals, reconstructions, the way from the first to the second."""
    condition, rows = subject.condition, subject.varied(10)
    x = subject.examples.x[rows]
    reconstructed = subject.model.reconstruct(x, subject.rows_of(condition, rows))
    first, last = rows[0], rows[min(1, len(rows) - 1)]
    z = _line(subject.z[first], subject.z[last], len(rows))
    way = subject.decode(z, at_ends(first, last, len(rows)))
    title = f"{subject.split.capitalize()} examples, and the way from first to second"
    title += subject.given_at_ends
    labels = ("original", "reconstruction", "first to second")
    return {"overview": block(subject, [x, reconstructed, way], title, labels)}


def grid_3x3(subject: Subject) -> Drawings:
    """Draws 3x3 training and test examples, their reconstructions, and samples."""
    drawings: Drawings = {}
    parts = {"train": "train"}
    if subject.run.held_out != "train":
        parts[subject.run.held_out] = "examples"
    for name, attribute in parts.items():
        split = getattr(subject, attribute)
        rows = spread(len(split), 9)
        given = subject.rows_of(subject.run.condition(split), rows)
        x = split.x[rows]
        title = {"train": "Training examples"}.get(
            name, f"{name.capitalize()} examples"
        )
        pictures = {
            name: (x, title),
            f"{name}_reconstructed": (
                subject.model.reconstruct(x, given),
                f"{title}, reconstructed",
            ),
        }
        for key, (values, text) in pictures.items():
            picture = cells(subject, values, 3, side=LARGE)
            drawings[key] = framed(subject, picture, text)
    drawings["sampled"] = _sampled(subject)
    return drawings


def _sampled(subject: Subject) -> Figure:
    model, rows = subject.model, spread(len(subject.examples), 9)
    given = subject.rows_of(subject.condition, np.resize(rows, 9))
    if subject.has_kl or getattr(model, "aggregate", None) is not None:
        x = model.sample(9, seed=_SEED, condition=given)
        source = "prior" if subject.has_kl else "density of the latents"
    else:
        covariance = np.atleast_2d(np.cov(subject.z_train, rowvar=False))
        z = np.random.default_rng(_SEED).multivariate_normal(
            subject.z_train.mean(axis=0), covariance, 9
        )
        x = model.decode(z, given)
        source = "normal fitted to the latents"
    title = f"Samples from the {source}"
    return framed(subject, cells(subject, x, 3, side=LARGE), title)


def pairs(subject: Subject) -> Drawings:
    """Draws rows of input and reconstruction."""
    rows = subject.varied(30)
    rows = rows[: max(10 * (len(rows) // 10), min(len(rows), 10))]
    x = subject.examples.x[rows]
    made = subject.model.reconstruct(x, subject.rows_of(subject.condition, rows))
    columns = ["input", "output"] * -(-len(rows) // 10)
    title = f"{subject.split.capitalize()} examples and their reconstructions"
    if subject.is_image:
        picture = grids.pairs_grid(x, made)
    else:
        picture = _line_pairs(subject, x, made)
    return {"pairs": framed(subject, picture, title, columns=columns)}


def _line_pairs(subject: Subject, x: np.ndarray, made: np.ndarray) -> grids.Picture:
    """Ten rows; further pairs go on to the right, as `grids.pairs_grid` has it."""
    n = len(x) // 10 * 10 or len(x)
    both = np.stack([x[:n], made[:n]], axis=1)
    height = min(10, n)
    in_rows = both.reshape(-1, height, *both.shape[1:]).swapaxes(0, 1)
    return cells(subject, in_rows.reshape(-1, *x.shape[1:]), 2 * n // height)


def interpolation(subject: Subject) -> Drawings:
    """Draws the way between two examples in 9x9 steps, and as a GIF."""
    first, last = subject.pair
    t = np.linspace(0.0, 1.0, _STEPS)
    line = _line(subject.z[first], subject.z[last], _STEPS)
    x = subject.decode(line, at_ends(first, last, _STEPS))
    titles = [f"t={value:.2f}" for value in t]
    way = subject.way
    formula = f"decoded (1 {style.MINUS} t) a + t b"
    title = f"{way[0].upper()}{way[1:]}: {formula}{subject.given_at_ends}"
    figure = framed(subject, cells(subject, x, 9, titles), title)
    return {"interpolation": figure, "interpolation_walk": walk(subject, x, titles)}


def _line(a: np.ndarray, b: np.ndarray, steps: int) -> np.ndarray:
    """The straight line between two latents, both ends included, `(steps, dim)`."""
    t = np.linspace(0.0, 1.0, steps, dtype=np.float32)[:, np.newaxis]
    return np.asarray((1.0 - t) * a + t * b)


def all_pairs(subject: Subject) -> Drawings:
    """Draws every class walking to every other, as a GIF that loops."""
    if not subject.is_image:
        raise LeftOut("a montage is of images")
    most = int(np.clip(_MONTAGE // max(subject.shape[:2]), 3, 10))
    rows = subject.typical[subject.typical >= 0][:most]
    steps, count = 12, len(rows)
    # A pause at the ends, and slower near them: t goes as a cosine does.
    t = (0.5 - 0.5 * np.cos(np.linspace(0.0, np.pi, steps)))[:, np.newaxis]
    z = subject.z[rows]
    ways = (1.0 - t) * z[:, np.newaxis, np.newaxis] + t * z[:, np.newaxis]
    given = at_ends(rows[:, np.newaxis, np.newaxis], rows[:, np.newaxis], steps)
    x = subject.decode(ways.reshape(-1, subject.latent_dim), given.ravel())
    frames = grids.montage_frames(x.reshape(count, count, steps, *subject.shape))
    return {"all_pairs": Animation(frames, 90)}


def _draws_of_z(
    subject: Subject, rows: np.ndarray, given: Any, count: int
) -> np.ndarray:
    """Draws from the posteriors of some examples, (count, rows, latent_dim)."""
    if getattr(subject.model, "flow", None) is not None:  # no normal
        x = as_unit(subject.examples.x[rows])
        by_row = RowNoise(_SEED, domain=Domain.EVALUATION)
        return np.asarray(subject.model.draw_posterior(x, count, by_row, given)[0])
    z_mean, z_log_var = (part[rows] for part in subject.posterior)
    noise = np.random.default_rng(_SEED).standard_normal((count, *z_mean.shape))
    return np.asarray(z_mean + np.exp(0.5 * z_log_var) * noise.astype(np.float32))


def expected_reconstruction(subject: Subject) -> Drawings:
    """Draws the mean reconstruction over draws of z and that from the mean."""
    if not subject.has_kl:
        raise LeftOut("this model draws no z: it has one for each example")
    rows = subject.varied(10)
    count = int(np.clip(_NUMBERS // (len(rows) * math.prod(subject.shape)), 10, _DRAWS))
    given = subject.rows_of(subject.condition, rows)
    z = _draws_of_z(subject, rows, given, count)
    repeated = None if given is None else np.concatenate([given] * count)
    draws = subject.model.decode(z.reshape(-1, subject.latent_dim), repeated)
    draws = draws.reshape(count, len(rows), *subject.shape)
    figure = block(
        subject,
        [
            subject.examples.x[rows],
            subject.model.decode(subject.z[rows], given),
            draws.mean(axis=0),
            draws[0],
        ],
        f"Reconstructions of {subject.split} examples",
        (
            "original",
            "at the mean of q(z|x)",
            f"mean over {count} draws",
            "at one draw of q(z|x)",
        ),
    )
    return {"expected_reconstruction": figure}
