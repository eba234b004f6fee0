"""Draws whether the aggregate posterior is where the prior is."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from keras_vae.visualization import style

_BINS = 40


def prior_and_aggregate(
    z: ArrayLike, prior: ArrayLike, order: ArrayLike, title: str
) -> Figure:
    """Draws how far from 0 both lie, and mean and spread of each latent dimension.

    Args:
        z: Draws of the aggregate posterior, `(n, latent_dim)`.
        prior: Draws of the prior, `(m, latent_dim)`.
        order: `(latent_dim,)`, the dimensions in the order in which they are drawn.
        title: What is shown.
    """
    z, prior = np.asarray(z, np.float64), np.asarray(prior, np.float64)
    dims = np.asarray(order)
    figure = style.new_figure(8.0, 3.2)
    figure.suptitle(title, fontsize=style.TITLE)
    left, right = figure.subplots(1, 2)
    radii = [np.linalg.norm(draws, axis=1) for draws in (z, prior)]
    edges = np.linspace(0.0, float(max(map(np.max, radii))) * 1.02, _BINS + 1)
    names = "latents of examples", "draws of the prior"
    for radius, name, colour in zip(
        radii, names, (style.BLUE, style.ORANGE), strict=True
    ):
        weights = np.full(len(radius), 1.0 / len(radius))
        left.hist(radius, edges, weights=weights, alpha=0.6, color=colour, label=name)
    style.label_axes(left, "Distance from 0", "|z|", "share of draws")
    left.legend(frameon=False, fontsize=style.TEXT)
    positions = np.arange(len(dims))
    mean, spread = (f(z, axis=0)[dims] for f in (np.mean, np.std))
    right.axhspan(-1.0, 1.0, color=style.ORANGE, alpha=0.25, linewidth=0)
    right.errorbar(positions, mean, spread, fmt="o", markersize=3, color=style.BLUE)
    style.label_axes(
        right,
        "Mean and standard deviation",
        "latent dimension, largest KL first",
        "z",
    )
    step = max(1, len(dims) // 10)
    right.set_xticks(positions[::step], [str(dim) for dim in dims[::step]])
    return figure
