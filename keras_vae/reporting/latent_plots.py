"""Plots of the latent space: maps of it, and what the decoder makes of its points."""

import math
from statistics import NormalDist
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from keras_vae.evaluation import agreement
from keras_vae.reporting.drawings import (
    Animation,
    Drawings,
    at_ends,
    cells,
    framed,
    spread,
    walk,
)
from keras_vae.reporting.subject import LeftOut, Subject
from keras_vae.visualization import agreement as plot_agreement
from keras_vae.visualization import grids, latents, legends, space, style
from keras_vae.visualization.grids import Picture
from keras_vae.visualization.labels import marks

_LATTICE = 25  # cells a side of the manifold,
_WIDEST = 3200  # fewer where it would have more pixels than this,
_LINES = 9  # and this many where cells are lines
_REACH = 2.0  # of manifold and walks, in standard deviations of the prior
_STEPS = 31  # of a walk
_TRAVERSAL = 3.0  # to either side, in standard deviations of the prior
_COLUMNS = 11  # steps of a traversal
_ROW_NAMES = 40  # of classes, as labels of their rows
_ROWS = 20  # dimensions that are traversed
_FRAMES = 10  # along the arrow
_CAPTION = 9  # letters of a class name below a frame
_NEIGHBOURS = 5
_TURN_FRAMES = 24  # of the swiss roll, once around
_TURN_DPI = 72
UNROLLED = (
    "--dataset swiss_roll --latent_dim 2 --init_latents isomap --hidden_units 128,128 "
    "--kl_schedule linear --kl_warmup_epochs 50 --epochs 80 --batch_size 100"
)
"""Flags of `keras-vae train` with which the swiss roll comes to lie flat."""
_EMBEDDED = 1000  # examples that t-SNE lays out in the plane,
_EMBEDDED_3D = 500  # and in space


def scatter(subject: Subject) -> Drawings:
    """Draws latents by class; and with the names of the classes as markers."""
    classes = subject.shown_classes
    points = subject.on_map(subject.z, classes)
    title = _of_map(subject, f"Latents of {len(points):,} {subject.split} examples")
    common: dict[str, Any] = {
        "title": title,
        "axes_labels": subject.map.labels,
        "limits": _rows_alone(subject),
    }
    factor = _factor(subject)
    if classes is None and factor is not None:
        values, name = factor
        common |= {"values": values, "values_label": name}
    names = subject.names
    drawings: Drawings = {"scatter": latents.scatter(points, classes, names, **common)}
    if classes is not None:
        drawings["scatter_digits"] = latents.glyph_scatter(
            points, classes, names, **common
        )
        for figure in drawings.values():
            _name_rows(subject, figure)
    return drawings


def _rows_alone(subject: Subject) -> tuple[Any, Any] | None:
    """Limits of a map: those of rows if it has any; all else follows the points."""
    return (None, subject.map_limits[1]) if subject.latent_dim == 1 else None


def _name_rows(subject: Subject, figure: Any) -> None:
    """Names the classes whose rows are what a single latent is spread over."""
    if subject.latent_dim == 1 and subject.names:
        texts = legends.class_marks(subject.names)
        every = range(0, len(texts), -(-len(texts) // _ROW_NAMES))
        shown = [style.plain(texts[row]) for row in every]
        figure.axes[0].set_yticks(every, shown)


def _of_map(subject: Subject, title: str) -> str:
    return f"{title}, {subject.map.note}" if subject.map.note else title


def _factor(subject: Subject) -> tuple[np.ndarray, str] | None:
    """A number known of each example that can colour a point, and its name."""
    factors, names = subject.examples.factors, subject.run.data.factor_names
    if factors is None or not names:
        return None
    return factors[:, 0], names[0]


def tsne(subject: Subject) -> Drawings:
    """Draws t-SNE of the latents: digits in the plane, points in space."""
    if len(subject.examples) < 20:
        raise LeftOut("t-SNE needs at least 20 examples")
    drawings: Drawings = {}
    classes, names = subject.shown_classes, subject.names
    for name, dims, most in (("tsne", 2, _EMBEDDED), ("tsne_3d", 3, _EMBEDDED_3D)):
        rows = spread(len(subject.examples), most)
        points = latents.tsne(subject.z[rows], dims)
        title = (
            f"t-SNE of the {subject.latent_dim}-dimensional latents of {len(rows):,} "
            f"{subject.split} examples"
        )
        known = None if classes is None else classes[rows]
        if dims == 3:
            labels = ("t-SNE 1", "t-SNE 2", "t-SNE 3")
            drawings[name] = space.scatter_3d(
                points, known, names, title=title, axes_labels=labels
            )
            continue
        common: dict[str, Any] = {
            "title": title,
            "axes_labels": tuple(f"t-SNE {k} (standard deviations)" for k in (1, 2)),
        }
        drawings[name] = (
            latents.scatter(points, **common)
            if known is None
            else latents.glyph_scatter(points, known, names, **common)
        )
    return drawings


def arrow(subject: Subject) -> Drawings:
    """Draws an arrow between two class means, and what is decoded along it."""
    subject.need_classes()
    start, end = subject.ends
    classes = subject.classes(subject.examples)
    means = latents.class_means(subject.z, classes, len(subject.names))
    for index in (start, end):
        if not np.isfinite(means[index]).all():
            raise LeftOut(f"no {subject.split} example is of {subject.names[index]}")
    points = subject.on_map(subject.z, classes)
    tips = subject.map.place(means[[start, end]])
    if tips.shape[1] == 1:
        tips = np.stack([tips[:, 0], [start, end]], axis=1)
    names = subject.names[start], subject.names[end]
    figure = latents.scatter(
        points,
        classes,
        subject.names,
        title=f"From the mean of class {names[0]} to the mean of class {names[1]}",
        axes_labels=subject.map.labels,
        limits=_rows_alone(subject),
        arrow=tips,
    )
    t = np.linspace(0.0, 1.0, _FRAMES)[:, np.newaxis]
    z = ((1.0 - t) * means[start] + t * means[end]).astype(np.float32)
    x = subject.decode(z, at_ends(*subject.pair, _FRAMES))
    # Where the class is given, z does not hold it: what is decoded is looked at.
    of_latents = subject.condition is None
    seen, key = _captions(
        subject, neighbours_say(subject, z if of_latents else x, of_latents)
    )
    picture = cells(subject, x, _FRAMES)
    what = "latents" if of_latents else "examples"
    title = (
        f"Along the arrow from {names[0]} to {names[1]}, with the class of the "
        f"5 nearest training {what}{subject.given_at_ends}"
    )
    frames = framed(subject, picture, title, columns=seen, foot=key)
    _name_rows(subject, figure)
    return {"arrow": figure, "arrow_frames": frames}


def _captions(subject: Subject, seen: list[str]) -> tuple[list[str], str]:
    """Returns captions of frames, short ones for long names, and what these mean."""
    if max(map(len, seen)) <= _CAPTION:
        return seen, ""
    short = dict(zip(subject.names, marks(subject.names), strict=True))
    key = "; ".join(f"{short[name]} is {name}" for name in dict.fromkeys(seen))
    return [short[name] for name in seen], f"Classes: {key}"


def neighbours_say(
    subject: Subject, values: np.ndarray, of_latents: bool = True
) -> list[str]:
    """Returns the class that the 5 nearest training examples vote for.

    Args:
        subject: Whose training examples vote.
        values: Latents `(n, latent_dim)`, or examples `(n, *input_shape)`.
        of_latents: Whether they are latents.

    Returns:
        The name of a class for each of the values.
    """
    from sklearn.neighbors import KNeighborsClassifier

    classes = subject.classes(subject.train)
    known = np.flatnonzero(classes >= 0)
    if not len(known):
        raise LeftOut("it needs training examples with class labels")
    among = subject.z_train if of_latents else subject.train.x
    voters = KNeighborsClassifier(min(_NEIGHBOURS, len(known)))
    voters.fit(among[known].reshape(len(known), -1), classes[known])
    votes = voters.predict(values.reshape(len(values), -1))
    return [subject.names[index] for index in votes]


def manifold(subject: Subject) -> Drawings:
    """Draws the decoder over a lattice, evenly spaced and by quantiles of a normal."""
    count = _LINES
    if subject.is_image:
        count = int(np.clip(_WIDEST // max(subject.shape[:2]), 5, _LATTICE))
        count -= 1 - count % 2  # an odd number has a cell at the centre
    even = np.linspace(-_REACH, _REACH, count)
    quantiles = [NormalDist().inv_cdf((k + 0.5) / count) for k in range(count)]
    return {
        "manifold": _manifold(subject, even, "evenly spaced"),
        "manifold_quantiles": _manifold(
            subject, np.array(quantiles), "at quantiles of a normal"
        ),
    }


def _manifold(subject: Subject, ticks: np.ndarray, how: str) -> Figure:
    plane = subject.decoder_plane
    flat = len(plane.axes) == 1
    up = np.zeros(1) if flat else ticks
    points = ticks[:, np.newaxis] if flat else grids.lattice(ticks, up)
    x = subject.decode(plane.latent(points))
    # The ends of a conditional model's way have conditions of their own: no path here.
    path = None
    if subject.condition is None:
        path = plane.place(subject.z[list(subject.pair)])
    if flat and path is not None:
        path = np.concatenate([path, np.zeros_like(path)], axis=1)
    picture = _lattice_picture(subject, x, ticks, up, path)
    every = max(1, (len(ticks) - 1) // 4)
    labels = [_tick(v) if not k % every else "" for k, v in enumerate(ticks)]
    title = f"The decoder over the latent {'line' if flat else 'plane'}, {how}"
    if plane.note:
        title += f"; {plane.note}"
    title += subject.given()
    if subject.is_image and path is not None:
        beyond = int((np.abs(path) > np.abs(ticks).max()).any(axis=1).sum())
        ends = ("", "; one end lies outside", "; both ends lie outside")[beyond]
        title += f". Red: {subject.way}{ends}"
    return framed(
        subject,
        picture,
        title,
        columns=labels,
        rows=[] if flat else labels[::-1],
        x=plane.labels[0],
        y=plane.labels[1],
    )


def _lattice_picture(
    subject: Subject,
    x: np.ndarray,
    ticks: np.ndarray,
    up: np.ndarray,
    path: np.ndarray | None,
) -> Picture:
    if subject.is_image:
        return grids.manifold(x, ticks, up, path)
    upwards = x.reshape(len(up), len(ticks), *x.shape[1:])[::-1]
    return cells(subject, upwards.reshape(x.shape), len(ticks))


def _tick(value: float) -> str:
    return f"{value + 0.0:.2g}".replace("-", style.MINUS)


def _briefly_given(subject: Subject) -> str:
    """What the caption of a cell says of the condition of all of them."""
    if subject.condition is None or subject.is_given_labels:
        return subject.given().replace("given class", "given")
    return f", given example {subject.pair[0]}"


def walks(subject: Subject) -> Drawings:
    """Makes GIFs of walks along the axes and the diagonals of the latent plane."""
    plane = subject.decoder_plane
    t = np.linspace(-_REACH, _REACH, _STEPS)
    still = np.zeros_like(t)
    ways = {"walk_axis_1": (t, still)}
    if len(plane.axes) == 2:
        ways |= {
            "walk_axis_2": (still, t),
            "walk_diagonal_up": (t, t),
            "walk_diagonal_down": (t, -t),
        }
    drawings: Drawings = {}
    for name, way in ways.items():
        points = np.stack(way, axis=1)[:, : len(plane.axes)]
        titles = [
            f"{plane.names} = {', '.join(_tick(round(c, 1)) for c in point)}"
            f"{_briefly_given(subject)}"
            for point in points
        ]
        x = subject.decode(plane.latent(points))
        drawings[name] = walk(subject, x, titles)
    return drawings


def traversals(subject: Subject) -> Drawings:
    """Draws one latent dimension after the other, from one example, ordered by KL."""
    dims = subject.order[:_ROWS]
    t = np.linspace(-_TRAVERSAL, _TRAVERSAL, _COLUMNS)
    z = traversal(subject, dims, t)
    picture = cells(subject, subject.decode(z, 0), _COLUMNS)
    labels = [f"$z_{{{dim}}}$" for dim in dims]
    order = "by variance"
    if subject.has_kl:
        labels = [f"$z_{{{dim}}}$  {subject.kl[dim]:.2f}" for dim in dims]
        order = "by KL in nats"
    kind = "prior's" if subject.prior_is_standard else "latents'"
    figure = framed(
        subject,
        picture,
        f"One latent dimension at a time, {order}, from {subject.split} example 0"
        f"{subject.given(0) if subject.is_given_labels else ''}",
        rows=labels,
        columns=[_tick(value) for value in t],
        x=f"value of the dimension, in the {kind} standard deviations",
    )
    return {"traversals": figure}


def traversal(subject: Subject, dims: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Returns the latents of a traversal, `(len(dims) * len(t), latent_dim)`.

    A row for each dimension: the latent of the first shown example with that dimension
    set to t, in standard deviations of the prior about its mean.
    """
    z = np.tile(subject.z[0].astype(np.float64), (len(dims), len(t), 1))
    for row, dim in enumerate(dims):
        z[row, :, dim] = subject.centre[dim] + t * subject.unit[dim]
    return z.reshape(-1, subject.latent_dim).astype(np.float32)


def kl_per_dimension(subject: Subject) -> Drawings:
    """Draws the KL of each latent dimension."""
    total = float(np.sum(subject.kl))
    if not math.isfinite(total):
        raise LeftOut("the KL is not finite: the model has diverged")
    title = f"KL of each dimension, {total:.1f} nats in all"
    label = "KL(q ‖ p), nats"
    if not subject.prior_is_standard:
        label = "KL to a normal of the same moments, nats"
    if getattr(subject.model, "flow", None) is not None:
        label = "KL of normals of the same moments, nats"
    return {
        "kl_per_dimension": latents.kl_bars(subject.kl, subject.order, title, label)
    }


def prior_and_aggregate(subject: Subject) -> Drawings:
    """Draws where latents of examples lie and where draws of the prior do."""
    if not subject.has_kl:
        raise LeftOut("this model has no prior")
    model, (mean, log_var) = subject.model, subject.posterior
    noise = np.random.default_rng(0).standard_normal(mean.shape)
    z = mean + np.exp(0.5 * log_var) * noise
    if not np.isfinite(z).all():
        raise LeftOut("z is not finite: the model has diverged")
    if not subject.prior_is_standard:
        given = subject.condition
        given = None if given is None else np.asarray(given)
        z = np.asarray(model.to_aggregate(z.astype(np.float32), given))
    prior = agreement.prior_draws(model, len(z), subject.condition)
    what = "the top latents" if subject.model.latent_groups else "latents"
    title = f"{what.capitalize()} of {len(z):,} {subject.split} examples and the prior"
    figure = plot_agreement.prior_and_aggregate(z, prior, subject.order, title)
    return {"prior_and_aggregate": figure}


def swiss_roll(subject: Subject) -> Drawings:
    """Draws the swiss roll and its latents, coloured by the position along it."""
    return {"swiss_roll": _rolled(subject)}


def swiss_roll_turning(subject: Subject) -> Drawings:
    """Makes a GIF of the same with the roll turning."""
    figure = _rolled(subject)
    figure.set_dpi(_TURN_DPI)
    frames = [style.as_picture(figure)]
    figure.set_layout_engine("none")
    rolled: Any = figure.axes[0]
    for step in range(1, _TURN_FRAMES):
        rolled.view_init(elev=8, azim=space.AZIMUTH + step * 360 / _TURN_FRAMES)
        frames.append(style.as_picture(figure))
    return {"swiss_roll_turning": Animation(frames, 120)}


def _rolled(subject: Subject) -> Figure:
    factor = _factor(subject)
    if subject.shape != (3,) or factor is None:
        raise LeftOut(f"it is of the swiss roll: train with {UNROLLED}")
    position, name = factor
    if subject.latent_dim == 1:
        points = np.stack([subject.z[:, 0], position], axis=1)
        labels = "$z_0$", f"{name} along the roll (radians)"
    else:
        points, labels = subject.map.place(subject.z), subject.map.labels
    return space.rolled_and_unrolled(
        subject.examples.x,
        points,
        position,
        axes_labels=labels,
        position_label=f"{name} along the roll (radians)",
    )
