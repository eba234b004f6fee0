"""Curves: what training did, and what the two directions of the KL ask for."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from keras_vae.errors import invalid_argument
from keras_vae.visualization import style

PANELS = {
    "loss": "loss",
    "reconstruction_loss": "reconstruction",
    "kl_loss": "KL",
    "penalty_loss": "penalty",
}
"""Columns of a history that are drawn, and what they are called."""


def training_curves(
    history: Mapping[str, Sequence[float]], held_out: str = "held out"
) -> Figure:
    """Draws loss, reconstruction and KL over the epochs, training and held out.

    Args:
        history: Columns of equal length: `epoch`, some of `PANELS`, and the same with
            `val_` in front. What is not finite is left out.
        held_out: What those with `val_` in front are of, as the legend has it.

    Raises:
        ValueError: If there is nothing to draw.
    """
    names = [name for name in PANELS if name in history]
    if not names or not len(history.get("epoch", ())):
        raise invalid_argument(
            "history",
            f"the columns `epoch` and some of {', '.join(PANELS)}, with a row an epoch",
            received=f"the columns {', '.join(history) or 'none'}",
        )
    epoch = np.asarray(history["epoch"], np.float64)
    figure = style.new_figure(3.1 * len(names), 3.0)
    for index, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), index + 1)
        unit = "nats per example" if index == 0 else ""
        style.label_axes(axes, PANELS[name].capitalize(), "epoch", unit)
        if name == "kl_loss":
            axes.set_title("KL", fontsize=style.TITLE)
        for column, label, color, dashes in (
            (name, "training", style.BLUE, "-"),
            (f"val_{name}", held_out, style.ORANGE, "--"),
        ):
            if column not in history:
                continue
            values = np.asarray(history[column], np.float64)
            marker = "o" if len(epoch) == 1 else ""
            axes.plot(epoch, values, dashes, color=color, label=label, marker=marker)
        axes.grid(color="0.92", linewidth=0.8)
        if len(epoch) > 10:  # most happens in the first epochs
            axes.set_xscale("log")
            ticks = [k * 10**power for power in range(7) for k in (1, 3)]
            shown = [tick for tick in ticks if epoch.min() <= tick <= epoch.max()]
            axes.set_xticks(shown, [f"{tick:,}" for tick in shown])
            axes.minorticks_off()
        if index == 0:
            axes.legend(fontsize=style.TEXT - 1, frameon=False)
    return figure


class Normal(NamedTuple):
    """A normal density on the line."""

    mean: float
    scale: float

    def log_density(self, x: ArrayLike) -> NDArray[np.float64]:
        """Returns log N(x; mean, scale^2) in nats."""
        standard = (np.asarray(x, np.float64) - self.mean) / self.scale
        return -0.5 * standard**2 - np.log(self.scale * np.sqrt(2.0 * np.pi))


def forward_fit(x: ArrayLike, density: ArrayLike) -> Normal:
    """Returns the normal q of least KL(p || q): it has p's mean and variance.

    Args:
        x: `(n,)`, evenly spaced.
        density: p at x, `(n,)`; normalised here.
    """
    points, p = np.asarray(x, np.float64), np.asarray(density, np.float64)
    p = p / p.sum()
    mean = float(p @ points)
    return Normal(mean, float(np.sqrt(p @ (points - mean) ** 2)))


def reverse_fit(x: ArrayLike, density: ArrayLike) -> Normal:
    """Returns the normal q of least KL(q || p), by search: it sits on one hump of p.

    Args:
        x: `(n,)`, evenly spaced, wide enough for p and q.
        density: p at x, `(n,)`, above 0; normalised here.
    """
    points, p = np.asarray(x, np.float64), np.asarray(density, np.float64)
    step = points[1] - points[0]
    log_p = np.log(p / (p.sum() * step))
    means = np.linspace(points[0], points[-1], 61)
    spread = points[-1] - points[0]
    scales = np.geomspace(4 * step, spread / 3, 41)
    for _ in range(4):  # each time around the best, ten times finer
        best, least = Normal(means[0], scales[0]), np.inf
        for scale in scales:
            log_q = np.stack(
                [Normal(mean, scale).log_density(points) for mean in means]
            )
            kl = (np.exp(log_q) * (log_q - log_p)).sum(axis=1) * step
            if kl.min() < least:
                best, least = Normal(float(means[kl.argmin()]), float(scale)), kl.min()
        half, ratio = 2 * (means[1] - means[0]), (scales[1] / scales[0]) ** 2
        means = np.linspace(best.mean - half, best.mean + half, 41)
        scales = np.geomspace(best.scale / ratio, best.scale * ratio, 41)
    return best


def two_humps(x: ArrayLike) -> NDArray[np.float64]:
    """Returns the density that `forward_and_reverse` is about, at x."""
    log_humps = [
        np.log(weight) + Normal(mean, scale).log_density(x)
        for weight, mean, scale in ((0.6, -2.0, 0.8), (0.4, 2.5, 0.6))
    ]
    return np.asarray(np.exp(np.logaddexp(*log_humps)))


def forward_and_reverse() -> Figure:
    """Draws one normal on a density with two humps, by both directions of the KL.

    KL(p || q), as maximum likelihood has it, covers both; KL(q || p), as the ELBO's
    posterior has it, takes one (Bishop 2006, section 10.1.2).
    """
    x = np.linspace(-12.0, 12.0, 1201)
    p = two_humps(x)
    figure = style.new_figure(8.0, 3.2)
    first = None
    for index, (title, fit, color) in enumerate(
        (
            ("Forward KL(p ‖ q): q covers both humps", forward_fit, style.BLUE),
            ("Reverse KL(q ‖ p): q takes one hump", reverse_fit, style.ORANGE),
        )
    ):
        axes = figure.add_subplot(1, 2, index + 1, sharey=first)
        first = first or axes
        style.label_axes(axes, title, "x", "" if index else "density")
        q = fit(x, p)
        axes.fill_between(x, p, color="0.85", label="p, two humps")
        name = f"q = N({q.mean:.2f}, {q.scale:.2f}²)".replace("-", style.MINUS)
        axes.plot(x, np.exp(q.log_density(x)), color=color, linewidth=2, label=name)
        axes.set(xlim=(-6.0, 6.0), ylim=(0.0, 0.56))
        axes.legend(fontsize=style.TEXT - 1, frameon=False, loc="upper right")
    return figure
