"""Pictures of a latent space: scatters, t-SNE, KL. Arrays in, figures out.

A scatter lies in a plane: two latent dimensions, principal components, t-SNE. Who has
one latent dimension spreads the examples out by `strip`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from keras_vae.visualization import style
from keras_vae.visualization.grids import require

_SIZE = (6.5, 5.6)  # inches; the axes are about square beside a colour bar
_MOST_GLYPHS = 1000  # markers that are text take a while each
_NAME = 12  # letters of a class name that are written into a scatter


def principal_plane(z: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns the two directions in which latents vary most.

    Args:
        z: `(n, latent_dim)`, n and latent_dim at least 2.

    Returns:
        Orthonormal axes `(2, latent_dim)`, each signed so that its largest part is
        positive, and the share of the variance along each, `(2,)`.
    """
    values = np.asarray(z, np.float64)
    covariance = np.atleast_2d(np.cov(values, rowvar=False))
    variance, vectors = np.linalg.eigh(covariance)
    axes = vectors[:, ::-1][:, :2].T
    largest = np.abs(axes).argmax(axis=1)
    axes = axes * np.sign(axes[np.arange(2), largest])[:, np.newaxis]
    return axes, variance[::-1][:2] / max(variance.sum(), np.finfo(float).tiny)


def strip(
    z: ArrayLike, labels: ArrayLike | None = None, seed: int = 0
) -> NDArray[np.float64]:
    """Spreads one latent dimension out into a plane, a row for each class.

    Args:
        z: `(n,)`.
        labels: `(n,)`, int from 0; None puts all into row 0.
        seed: Of the scatter within a row.

    Returns:
        `(n, 2)`: z, and the row plus a random part of at most 0.35.
    """
    values = np.asarray(z, np.float64)
    rows = np.zeros(len(values)) if labels is None else np.asarray(labels)
    jitter = np.random.default_rng(seed).uniform(-0.35, 0.35, len(values))
    return np.stack([values, rows + jitter], axis=1)


def tsne(z: ArrayLike, dims: int = 2, seed: int = 0) -> NDArray[np.float64]:
    """Lays latents out so that neighbours stay near (van der Maaten and Hinton 2008).

    Args:
        z: `(n, latent_dim)`, n at least 5.
        dims: 2 or 3.
        seed: Of the optimisation.

    Returns:
        `(n, dims)`, centred, in units of its standard deviation: t-SNE has no scale.
    """
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    values = np.asarray(z, np.float32)
    require(len(values) >= 5, "z", "at least 5 latents", len(values))
    start: Any = "pca" if values.shape[1] >= dims else "random"
    layout = TSNE(
        dims,
        perplexity=min(30.0, (len(values) - 1) / 4),
        init=start,
        random_state=seed,
    )
    # Of several threads each waits for the others after every short step: on a busy
    # machine that takes ten times as long.
    with threadpool_limits(1):
        embedding = layout.fit_transform(values)
    centred = np.asarray(embedding, np.float64) - embedding.mean(axis=0)
    return np.asarray(centred / (centred.std() or 1.0))


def class_means(
    points: ArrayLike, labels: ArrayLike, count: int
) -> NDArray[np.float64]:
    """Returns the mean of each class `(count, dims)`; NaN where a class is empty."""
    values, classes = np.asarray(points, np.float64), np.asarray(labels)
    means = np.full((count, values.shape[1]), np.nan)
    for label in range(count):
        if (classes == label).any():
            means[label] = values[classes == label].mean(axis=0)
    return means


def scatter(
    points: ArrayLike,
    labels: ArrayLike | None = None,
    names: Sequence[str] = (),
    *,
    title: str,
    axes_labels: tuple[str, str],
    limits: tuple[Any, Any] | None = None,
    values: ArrayLike | None = None,
    values_label: str = "",
    arrow: ArrayLike | None = None,
) -> Figure:
    """Draws latents as points, coloured by class, each class named at its mean.

    Args:
        points: `(n, 2)`.
        labels: `(n,)`, int from 0 to len(names) - 1, or -1 where an example has none.
        names: Of the classes.
        title: What is shown.
        axes_labels: Of both axes, with units.
        limits: (low, high) of both axes; None takes -L to L, see `style.fixed_limit`.
        values: `(n,)`, numbers that colour the points instead of classes.
        values_label: What the values are, with units.
        arrow: `(2, 2)`, a point to start from and one to point at, drawn in red.

    Returns:
        The figure.
    """
    xy = np.asarray(points, np.float64)
    figure = style.new_figure(*_SIZE)
    axes = figure.add_subplot()
    style.label_axes(axes, title, *axes_labels)
    _limit(axes, xy, limits)
    size = float(np.clip(9000 / max(len(xy), 1), 3, 22))
    look: dict[str, Any] = {"s": size, "linewidths": 0, "rasterized": True}
    if values is not None:
        look |= {"c": np.asarray(values), "cmap": style.CONTINUOUS, "alpha": 0.8}
        drawn = axes.scatter(*xy.T, **look)
        bar = figure.colorbar(drawn, ax=axes, pad=0.02)
        bar.set_label(values_label, fontsize=style.TEXT)
        bar.ax.tick_params(labelsize=style.TEXT - 1)
    elif labels is None:
        axes.scatter(*xy.T, color=style.BLUE, alpha=0.5, **look)
    else:
        classes = np.asarray(labels)
        colors = style.class_colors(len(names))
        axes.scatter(*xy[classes < 0].T, color="0.85", zorder=1, **look)
        known = np.flatnonzero(classes >= 0)
        tint = [colors[label] for label in classes[known]]
        axes.scatter(*xy[known].T, **{**look, "c": tint, "alpha": 0.7, "zorder": 2})
        class_bar(figure, axes, colors, names)
        _name_centres(axes, class_means(xy, classes, len(names)), names)
    if arrow is not None:
        _draw_arrow(axes, np.asarray(arrow, np.float64))
    return figure


def glyph_scatter(
    points: ArrayLike,
    labels: ArrayLike,
    names: Sequence[str],
    *,
    title: str,
    axes_labels: tuple[str, str],
    limits: tuple[Any, Any] | None = None,
) -> Figure:
    """Draws each example as the name of its class, as a digit for digits.

    Arguments are those of `scatter`. Of names longer than two letters, the first two
    are drawn, or the label where these are not told apart. Of more than 1,000 examples
    that many are drawn, evenly chosen.
    """
    xy, classes = np.asarray(points, np.float64), np.asarray(labels)
    keep = np.flatnonzero(classes >= 0)
    if len(keep) > _MOST_GLYPHS:
        title = f"{title} ({_MOST_GLYPHS:,} drawn)"
        keep = keep[np.linspace(0, len(keep) - 1, _MOST_GLYPHS).astype(int)]
    figure = style.new_figure(*_SIZE)
    axes = figure.add_subplot()
    style.label_axes(axes, title, *axes_labels)
    _limit(axes, xy[keep], limits)
    colors = style.class_colors(len(names))
    glyphs = _glyphs(names)
    for label in range(len(names)):
        here = keep[classes[keep] == label]
        look: dict[str, Any] = {
            "marker": f"$\\mathrm{{{glyphs[label]}}}$",
            "s": 34 * max(1, len(glyphs[label])),
            "color": colors[label],
            "linewidths": 0.2,
        }
        axes.scatter(*xy[here].T, **look)
    shown = [
        name if glyph == name else f"{glyph}  {name}"
        for glyph, name in zip(glyphs, names, strict=True)
    ]
    class_bar(figure, axes, colors, shown)
    return figure


def _glyphs(names: Sequence[str]) -> list[str]:
    """One or two letters or a number for each class, all different."""
    plain = ["".join(letter for letter in name if letter.isalnum()) for name in names]
    short = [name[:2] for name in plain]
    if all(short) and len(set(short)) == len(short):
        return short
    return [str(label) for label in range(len(names))]


def _limit(axes: Axes, xy: NDArray[Any], limits: tuple[Any, Any] | None) -> None:
    if limits is None:
        bound = style.fixed_limit(xy)
        limits = ((-bound, bound), (-bound, bound))
    axes.set_xlim(*limits[0])
    axes.set_ylim(*limits[1])
    if limits[0] == limits[1]:
        axes.set_aspect("equal")
    inside = np.ones(len(xy), bool)
    for column, ends in enumerate(limits):
        low, high = sorted(ends)  # an axis may go downwards
        inside &= (xy[:, column] >= low) & (xy[:, column] <= high)
    if beyond := int(len(xy) - inside.sum()):
        axes.text(
            0.99,
            0.01,
            f"{beyond} of {len(xy):,} lie outside",
            transform=axes.transAxes,
            ha="right",
            va="bottom",
            fontsize=style.TEXT - 2,
            color=style.QUIET,
        )


def class_bar(
    figure: Figure, axes: Axes, colors: list[Any], names: Sequence[str]
) -> None:
    """Adds a colour bar with a box for each class; of very many some have a name."""
    from matplotlib.cm import ScalarMappable

    edges = np.arange(len(names) + 1) - 0.5
    mappable = ScalarMappable(
        BoundaryNorm(edges, len(names)), ListedColormap(colors, "classes")
    )
    step = max(1, len(names) // 20)
    ticks = range(0, len(names), step)
    bar = figure.colorbar(mappable, ax=axes, ticks=list(ticks), pad=0.02)
    bar.ax.set_yticklabels([style.plain(names[tick]) for tick in ticks])
    bar.ax.tick_params(labelsize=style.TEXT - 1, length=0)
    bar.ax.minorticks_off()
    bar.ax.invert_yaxis()
    bar.set_label("class", fontsize=style.TEXT)
    bar.outline.set_linewidth(0.4)


def _name_centres(axes: Axes, means: NDArray[Any], names: Sequence[str]) -> None:
    known = np.flatnonzero(np.isfinite(means).all(axis=1))
    if len(known) > 40:
        return
    low, high = np.array([axes.get_xlim(), axes.get_ylim()]).T
    places = apart((means[known] - low) / (high - low), 0.045)
    for place, label in zip(places, known, strict=True):
        name = names[int(label)]
        axes.annotate(
            style.plain(name[:_NAME]),
            tuple(low + place * (high - low)),
            ha="center",
            va="center",
            fontsize=14 if len(name) <= 2 else 9,
            fontweight="bold",
            color=style.INK,
            zorder=4,
            annotation_clip=True,
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )


def apart(points: ArrayLike, least: float) -> NDArray[np.float64]:
    """Moves points that are too near each other apart, as little as need be.

    Args:
        points: `(n, 2)`.
        least: The distance that any two shall have at the end.
    """
    moved = np.array(points, np.float64)
    for _ in range(100):
        between = moved[:, np.newaxis] - moved
        distance = np.linalg.norm(between, axis=-1)
        np.fill_diagonal(distance, np.inf)
        if distance.min(initial=np.inf) >= least:
            break
        # Equal points part along a direction of their own.
        turn = np.arange(len(moved)) * 2.4
        same = distance < 1e-9
        between[same] = np.stack([np.cos(turn), np.sin(turn)], 1)[np.nonzero(same)[0]]
        lack = np.maximum(0.0, 1.02 * least - distance) / 2
        length = np.maximum(np.linalg.norm(between, axis=-1), 1e-12)
        moved += (between * (lack / length)[..., np.newaxis]).sum(axis=1)
    return moved


def _draw_arrow(axes: Axes, ends: NDArray[np.float64]) -> None:
    axes.annotate(
        "",
        xy=tuple(ends[1]),
        xytext=tuple(ends[0]),
        zorder=3,
        arrowprops={
            "arrowstyle": "-|>,head_length=0.7,head_width=0.35",
            "color": style.RED,
            "linewidth": 2.2,
            "shrinkA": 0,
            "shrinkB": 9,  # else the name at the mean would hide the tip
        },
    )


def kl_bars(kl: ArrayLike, order: ArrayLike, title: str, label: str) -> Figure:
    """Draws the KL of each latent dimension, largest first.

    Args:
        kl: `(latent_dim,)`, in nats.
        order: `(latent_dim,)`, the dimensions in the order of the bars.
        title: What is shown.
        label: Of the axis upwards, with unit.
    """
    values, dims = np.asarray(kl, np.float64), np.asarray(order)
    figure = style.new_figure(float(np.clip(1.8 + 0.27 * len(dims), 3.6, 9.0)), 3.0)
    axes = figure.add_subplot()
    style.label_axes(axes, title, "latent dimension, largest KL first", label)
    places = np.arange(len(dims))
    axes.bar(
        places, values[dims], width=0.75 if len(dims) > 3 else 0.4, color=style.BLUE
    )
    step = max(1, len(dims) // 25)
    axes.set_xticks(places[::step], [str(dim) for dim in dims[::step]])
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.7, len(dims) - 0.3)
    axes.set_ylim(0.0, max(1.0, 1.08 * float(values.max(initial=0.0))))
    axes.grid(axis="y", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure
