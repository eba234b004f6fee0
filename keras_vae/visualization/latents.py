"""Pictures of a latent space: scatters, t-SNE, KL. Arrays in, plots out.

A scatter lies in a plane: two latent dimensions, principal components, t-SNE. Who has
one latent dimension spreads the examples out by `strip`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from numpy.typing import ArrayLike, NDArray

from keras_vae.errors import require
from keras_vae.visualization import labels as text
from keras_vae.visualization import legends, palette, style

_SIZE = (5.6, 5.6)  # inches, without a legend or a colour bar
_BAR = 0.7  # inches of a colour bar
_TITLE = 370.0  # points of a line of the title
_SPARED = 200  # points that names do not cover where they are so few
_SHAPED = 10.0  # size of markers whose shape can be seen, in square points
_MOST_GLYPHS = 1000  # markers that are text take a while each


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

    Long names, and those of many classes, are replaced by short marks, which the legend
    explains. More than ten classes have markers of several shapes.

    Args:
        points: `(n, 2)`.
        labels: `(n,)`, int from 0 to len(names) - 1, or -1 where an example has none.
        names: Of the classes.
        title: What is shown.
        axes_labels: Of both axes, with units.
        limits: (low, high) of both axes. None, for both or for one of them, follows the
            points, see `style.data_limits`.
        values: `(n,)`, numbers that colour the points instead of classes.
        values_label: What the values are, with units.
        arrow: `(2, 2)`, a point to start from and one to point at, drawn in red.

    Returns:
        The figure.
    """
    xy = np.asarray(points, np.float64)
    figure, axes, notes = _axes(xy, title, axes_labels, limits)
    known = len(xy) if labels is None else int((np.asarray(labels) >= 0).sum())
    size = float(np.clip(12000 / max(known, 1), 4, 26))
    look: dict[str, Any] = {"s": size, "linewidths": 0, "rasterized": True}
    if values is not None:
        look |= {"c": np.asarray(values), "cmap": style.CONTINUOUS}
        _draw_color_bar(figure, axes, axes.scatter(*xy.T, **look), values_label)
    elif labels is None:
        axes.scatter(*xy.T, color=style.BLUE, alpha=0.8, **look)
    else:
        notes += _draw_named(figure, axes, xy, np.asarray(labels), names, size, arrow)
    if arrow is not None:
        figure.draw_without_rendering()  # its length in points needs the layout
        notes += _draw_arrow(axes, np.asarray(arrow, np.float64))
    _write_notes(axes, notes)
    return figure


def _draw_color_bar(figure: Figure, axes: Axes, drawn: Any, label: str) -> None:
    figure.set_figwidth(figure.get_figwidth() + _BAR)
    bar = figure.colorbar(drawn, ax=axes, pad=0.02)
    bar.set_label(label, fontsize=style.TEXT)
    bar.ax.tick_params(labelsize=style.TEXT - 1)


def _draw_named(
    figure: Figure,
    axes: Axes,
    points: NDArray[np.float64],
    labels: NDArray[Any],
    names: Sequence[str],
    size: float,
    arrow: ArrayLike | None,
) -> list[str]:
    """Draws classes with their names and a legend; returns notes on what is missing."""
    colors = palette.class_colors(len(names))
    markers = palette.class_markers(len(names), every=size >= _SHAPED)
    pale = 1.0 if arrow is None else 0.5
    draw_classes(axes, points, labels, colors, markers, size, pale)
    marks = legends.class_marks(names)
    legends.class_legend(figure, colors, legends.explained(marks, names), markers)
    means = class_means(points, labels, len(names))
    few = points if len(points) <= _SPARED else ()
    lost = legends.name_places(figure, axes, means, marks, arrow, few)
    return [f"{lost} of {len(names)} names left out: too close"] if lost else []


def draw_classes(
    axes: Any,
    points: ArrayLike,
    labels: ArrayLike,
    colors: Sequence[Any],
    markers: Sequence[palette.Marker],
    size: float,
    alpha: float = 1.0,
) -> None:
    """Draws points, those without a class in grey below the others.

    Args:
        axes: In the plane or in space.
        points: `(n, 2 or 3)`.
        labels: `(n,)`, int from 0, or -1 where a point has no class.
        colors: One for each class.
        markers: One for each class.
        size: Of the markers, in square points.
        alpha: Opacity of the markers.
    """
    xy, classes = np.asarray(points, np.float64), np.asarray(labels)
    # A thin edge in white keeps markers apart where they lie on each other.
    look: dict[str, Any] = {"linewidths": 0.3 if size > 8 else 0.0, "rasterized": True}
    look |= {"edgecolors": "white", "alpha": alpha}
    unknown = xy[classes < 0]
    small = min(size, 4.0) if len(unknown) > len(xy) / 2 else size
    axes.scatter(*unknown.T, c=palette.UNKNOWN, s=small, zorder=1, **look)
    for marker in dict.fromkeys(markers):
        members = [index for index, other in enumerate(markers) if other == marker]
        rows = np.flatnonzero(np.isin(classes, members))
        tint = [colors[label] for label in classes[rows]]
        look |= {"marker": marker.shape, "s": size * marker.factor}
        axes.scatter(*xy[rows].T, c=tint, zorder=2, **look)


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

    Arguments are those of `scatter`. Of names longer than two letters short marks are
    drawn, see `labels.marks`. Of more than 1,000 examples that many are drawn, evenly
    chosen.
    """
    xy, classes = np.asarray(points, np.float64), np.asarray(labels)
    keep = np.flatnonzero(classes >= 0)
    if len(keep) > _MOST_GLYPHS:
        title = f"{title} ({_MOST_GLYPHS:,} drawn)"
        keep = keep[np.linspace(0, len(keep) - 1, _MOST_GLYPHS).astype(int)]
    figure, axes, notes = _axes(xy[keep], title, axes_labels, limits)
    colors = palette.class_colors(len(names))
    marks = text.marks(names)
    size = float(np.interp(len(keep), [200, 1000], [8.0, 6.0]))
    glyphs = [legends.glyph(mark, size) for mark in marks]
    for label, glyph in enumerate(glyphs):
        here = xy[keep[classes[keep] == label]]
        look: dict[str, Any] = {"color": colors[label], "linewidths": 0.15}
        look |= {"marker": glyph, "s": legends.glyph_size(glyph)}
        axes.scatter(*here.T, **look)
    glyphs = [legends.glyph(mark, style.TEXT) for mark in marks]
    if marks == list(names):
        glyphs = []
    legends.class_legend(figure, colors, names, glyphs=glyphs)
    _write_notes(axes, notes)
    return figure


def _axes(
    xy: NDArray[np.float64],
    title: str,
    axes_labels: tuple[str, str],
    limits: tuple[Any, Any] | None,
) -> tuple[Figure, Axes, list[str]]:
    """Makes a figure for points in the plane; returns its axes and notes on them."""
    figure = style.new_figure(*_SIZE)
    axes = figure.add_subplot()
    style.label_axes(axes, title, *axes_labels, width=_TITLE)
    x, y = style.data_limits(xy)
    if limits is not None:  # an axis that follows the points has a scale of its own
        alone = (
            style.data_limits(column.repeat(2, axis=1))[0]
            for column in np.hsplit(xy, 2)
        )
        x, y = (own or other for own, other in zip(limits, alone, strict=True))
    axes.set_xlim(*x)
    axes.set_ylim(*y)
    spans = sorted(abs(high - low) for low, high in (x, y))
    notes = []
    if np.isclose(spans[0], spans[1]):
        axes.set_aspect("equal")
    elif limits is None:
        notes.append("the axes differ in scale")
    inside = np.ones(len(xy), bool)
    for column, ends in enumerate((x, y)):
        low, high = sorted(ends)  # an axis may go downwards
        inside &= (xy[:, column] >= low) & (xy[:, column] <= high)
    if beyond := int(len(xy) - inside.sum()):
        notes.append(f"{beyond} of {len(xy):,} lie outside")
    return figure, axes, notes


def _write_notes(axes: Axes, notes: Sequence[str]) -> None:
    """Writes what a reader must know of the axes, small below them."""
    if notes:
        axes.annotate(
            "; ".join(notes),
            (1.0, 0.0),
            (0.0, -4.2 * style.TEXT),
            xycoords="axes fraction",
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=style.TEXT - 2,
            color=style.QUIET,
        )


def _draw_arrow(axes: Axes, ends: NDArray[np.float64]) -> list[str]:
    """Draws an arrow over all else; returns a note where it has hardly a length."""
    pixels = axes.transData.transform(ends)
    length = float(np.linalg.norm(pixels[1] - pixels[0])) * 72 / style.DPI
    width = float(np.clip(length / 12, 0.9, 2.4))
    white = [withStroke(linewidth=width + 2.4, foreground="white")]
    look: dict[str, Any] = {"color": style.RED, "edgecolors": "white", "s": 22}
    axes.scatter(*ends[0], linewidths=0.8, zorder=5, **look)
    axes.annotate(
        "",
        xy=tuple(ends[1]),
        xytext=tuple(ends[0]),
        zorder=5,
        arrowprops={
            "arrowstyle": "-|>,head_length=0.7,head_width=0.35",
            "mutation_scale": float(np.clip(length / 2.5, 6, 15)),
            "color": style.RED,
            "linewidth": width,
            "shrinkA": 0,
            "shrinkB": 0,
            "path_effects": white,
        },
    )
    return [] if length > 8 else ["both ends of the arrow lie on one place"]


def group_bars(
    kl: ArrayLike,
    names: Sequence[str],
    title: str,
    label: str,
    resolutions: Mapping[str, Sequence[int]],
) -> Figure:
    """Draws the KL of each group of latents, from the top.

    Args:
        kl: `(groups,)`, in nats.
        names: Of the groups.
        title: What is shown.
        label: Of the axis along the bars, with unit.
        resolutions: The numbers of the groups of each, which have one colour and whose
            sums the legend gives.
    """
    values = np.asarray(kl, np.float64)
    figure = style.new_figure(6.0, float(np.clip(1.4 + 0.45 * len(values), 2.2, 14.0)))
    axes = figure.add_subplot()
    style.label_axes(axes, title, label, "")
    positions = np.arange(len(values))
    colors = palette.class_colors(len(resolutions))
    for (name, groups), color in zip(resolutions.items(), colors, strict=True):
        of, total = list(groups), values[list(groups)].sum()
        axes.barh(of, values[of], 0.7, color=color, label=f"{name}: {total:.1f} nats")
    axes.legend(fontsize=8, frameon=False, loc="best")
    axes.set_yticks(positions, list(names), fontsize=8)
    axes.set_ylim(len(values) - 0.4, -0.6)
    axes.set_xlim(0.0, max(1.0, 1.12 * float(values.max(initial=0.0))))
    for position, value in zip(positions, values, strict=True):
        axes.annotate(
            f"{value:.1f}",
            (value, position),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
        )
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure


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
    positions = np.arange(len(dims))
    axes.bar(
        positions, values[dims], width=0.75 if len(dims) > 3 else 0.4, color=style.BLUE
    )
    step = max(1, len(dims) // 25)
    axes.set_xticks(positions[::step], [str(dim) for dim in dims[::step]])
    axes.tick_params(axis="x", length=0)
    axes.set_xlim(-0.7, len(dims) - 0.3)
    axes.set_ylim(0.0, max(1.0, 1.08 * float(values.max(initial=0.0))))
    axes.grid(axis="y", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    return figure
