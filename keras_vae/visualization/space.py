"""Pictures in three dimensions: latents in space, and the swiss roll unrolled."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike

from keras_vae.visualization import latents, legends, palette, style

_SIZE = (5.8, 5.4)  # inches
AZIMUTH = -72.0
"""From where rolled data are seen, in degrees about the axis upwards."""


def scatter_3d(
    points: ArrayLike,
    labels: ArrayLike | None = None,
    names: Sequence[str] = (),
    *,
    title: str,
    axes_labels: tuple[str, str, str],
) -> Figure:
    """Draws points in space, coloured by class.

    Args:
        points: `(n, 3)`; all axes have one scale, which holds all of them.
        labels: `(n,)`, int from 0, or -1 where an example has none.
        names: Of the classes.
        title: What is shown.
        axes_labels: Of the three axes.
    """
    xyz = np.asarray(points, np.float64)
    figure = style.new_figure(*_SIZE)
    axes: Any = figure.add_subplot(projection="3d")
    _style(axes, title, axes_labels)
    if labels is None:
        axes.scatter(*xyz.T, color=style.BLUE, s=9, linewidths=0)
    else:
        colors = palette.class_colors(len(names))
        markers = palette.class_markers(len(names), every=True)
        latents.draw_classes(axes, xyz, np.asarray(labels), colors, markers, 14)
        legends.class_legend(figure, colors, names, markers)
    middle = (xyz.min(axis=0) + xyz.max(axis=0)) / 2
    reach = max(float(np.ptp(xyz, axis=0).max()) / 2, 1e-6)
    for name, at in zip("xyz", middle, strict=True):
        axes.set(**{f"{name}lim": (at - reach, at + reach)})
    return figure


def _style(axes: Any, title: str, labels: tuple[str, str, str]) -> None:
    """Writes title and labels on axes in space, before quiet walls."""
    axes.set_title(style.plain(title), fontsize=style.TITLE, color=style.INK)
    for axis, label in zip((axes.xaxis, axes.yaxis, axes.zaxis), labels, strict=True):
        axis.set_label_text(label, fontsize=style.TEXT)
        axis.set_tick_params(labelsize=style.TEXT - 2)
        axis.set_pane_color((0.97, 0.97, 0.97, 1.0))
        axis._axinfo["grid"].update(color="0.88", linewidth=0.6)
    axes.set_box_aspect(None, zoom=0.88)  # else the label upwards is cut off


def rolled_and_unrolled(
    x: ArrayLike,
    z: ArrayLike,
    position: ArrayLike,
    *,
    axes_labels: tuple[str, str],
    position_label: str,
) -> Figure:
    """Draws data on a rolled sheet next to their latents.

    Args:
        x: `(n, 3)`, the data.
        z: `(n, 2)`, their latents, or one latent and the position for a model of one.
        position: `(n,)`, along the roll; colours both.
        axes_labels: Of the latents' axes.
        position_label: What the position is, with unit.
    """
    figure = style.new_figure(9.4, 4.3)
    rolled: Any = figure.add_subplot(1, 2, 1, projection="3d")
    _style(rolled, "Data: a rolled sheet", ("$x_0$", "$x_1$", "$x_2$"))
    look: dict[str, Any] = {
        "c": np.asarray(position),
        "cmap": style.CONTINUOUS,
        "linewidths": 0,
        "rasterized": True,
        "s": 7,
    }
    rolled.scatter(*np.asarray(x).T, **look)
    rolled.view_init(elev=8, azim=AZIMUTH)
    rolled.yaxis.set_major_locator(MaxNLocator(2))  # it is seen from its end
    flat = figure.add_subplot(1, 2, 2)
    style.label_axes(flat, "Latents of the same points", *axes_labels)
    drawn = flat.scatter(*np.asarray(z).T, **look)
    bar = figure.colorbar(drawn, ax=flat, pad=0.02)
    bar.set_label(position_label, fontsize=style.TEXT)
    bar.ax.tick_params(labelsize=style.TEXT - 1)
    return figure
