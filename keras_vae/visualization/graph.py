"""The graph of a model as a block diagram: the encoder down, the decoder up again."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from keras_vae.errors import invalid_argument
from keras_vae.visualization import style


class Block(NamedTuple):
    """A box of the diagram.

    Attributes:
        text: What it does.
        shape: Of what it gives, without the batch; empty to show none.
        inputs: Indices in the list of blocks that it takes its input from; None is the
            block before it.
        learns: Whether it has weights; these boxes are coloured.
    """

    text: str
    shape: str = ""
    inputs: tuple[int, ...] | None = None
    learns: bool = False


# Lengths are inches: one unit of the axes is one inch.
_BOX = (2.35, 0.34)
_STEP = 0.56
_COLUMN = 4.3  # from the middle of one column to that of the other
_TINTS = {True: "#d6e6f4", False: "#f1f1f1"}
_LATENT = "#fbe3cf"


class _Positions(NamedTuple):
    """Where things are: the middles of columns, and heights."""

    left: float
    middle: float
    right: float
    lowest: float
    """Of the boxes that stand below q(z|x), z and the way to the decoder."""
    low: float
    """Of these three."""
    bottom: float
    """Of the lowest blocks of the networks."""
    top: float


def model_graph(
    encoder: Sequence[Block],
    decoder: Sequence[Block],
    posterior: str,
    prior: str,
    latent: str,
    title: str,
    *,
    noise: str = "",
    classifier: str = "",
    loss: str = "",
) -> Figure:
    """Draws a variational autoencoder.

    Args:
        encoder: From x to the parameters of q(z|x), in order.
        decoder: From z to the parameters of p(x|z), in order.
        posterior: What q(z|x) is.
        prior: What p(z) is; empty for a model without.
        latent: The text in the box of z.
        title: What is shown.
        noise: What z is drawn with; empty where it is not drawn.
        classifier: What infers a label for the decoder; empty for a model without.
        loss: What the output is compared with x by; empty to leave it out.

    Returns:
        The figure; it is as tall as the longer network needs.

    Raises:
        ValueError: If a network has no block.
    """
    if not encoder or not decoder:
        raise invalid_argument(
            "decoder" if encoder else "encoder",
            "at least one block",
            received="none",
        )
    low = 1.22 if prior or noise or classifier else 0.5
    bottom = low + 0.78
    top = bottom + (max(len(encoder), len(decoder)) - 1) * _STEP
    width, height = _COLUMN + _BOX[0] + 2.3, top + 1.3
    left, right = (width - _COLUMN) / 2, (width + _COLUMN) / 2
    positions = _Positions(left, width / 2, right, low - 0.72, low, bottom, top)
    figure = Figure((width, height), dpi=style.DPI, facecolor="white")
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(0.0, width), ylim=(0.0, height))
    axes.set_axis_off()
    _column(axes, encoder, left, _spread(len(encoder), top, bottom), side=-1)
    _column(axes, decoder, right, _spread(len(decoder), bottom, top), side=1)
    _draw_latent(axes, positions, posterior, latent)
    _draw_below(axes, positions, noise, classifier, prior)
    if loss:
        up = top + _BOX[1] / 2, top + 0.45
        line = [(left, up[0]), (left, up[1]), (right, up[1]), (right, up[0])]
        _compared(axes, line, (width / 2, top + 0.56), loss, "center")
    for x, name, align in ((left, "Encoder", "right"), (right, "Decoder", "left")):
        at = x - 0.12 if align == "right" else x + 0.12
        axes.text(at, top + 0.29, name, ha=align, **_words(style.QUIET))
    axes.text(width / 2, height - 0.3, title, ha="center", **_words(style.INK, 2))
    return figure


def _draw_latent(
    axes: Axes, positions: _Positions, posterior: str, latent: str
) -> None:
    """Draws q(z|x) and z, between the encoder and the decoder."""
    left, middle, right = positions.left, positions.middle, positions.right
    low, half = positions.low, _BOX[1] / 2
    _box(axes, left, low, Block(posterior), "white")
    _box(axes, middle, low, Block(latent), _LATENT, wide=1.35)
    _arrow(axes, (left, positions.bottom - half), (left, low + half))
    _arrow(axes, (left + _BOX[0] / 2, low), (middle - 0.7, low))
    axes.plot([middle + 0.68, right], [low, low], color=style.INK, linewidth=1)
    _arrow(axes, (right, low), (right, positions.bottom - half))


def _draw_below(
    axes: Axes, positions: _Positions, noise: str, classifier: str, prior: str
) -> None:
    """Draws what z is drawn with, the classifier and p(z), each where there is one."""
    left, middle, right, lowest, low, *_ = positions
    half = _BOX[1] / 2
    if noise:
        _box(axes, middle, lowest, Block(noise), _LATENT, wide=1.35)
        _arrow(axes, (middle, lowest + half), (middle, low - half))
    if classifier:
        _box(axes, right, lowest, Block(classifier), _TINTS[True])
        _arrow(axes, (right, lowest + half), (right, low))
    if prior:
        _box(axes, left, lowest, Block(prior), "white")
        line = [(left, low - half), (left, lowest + half)]
        _compared(axes, line, (left + 0.1, (low + lowest) / 2), "KL(q ‖ p)", "left")


def _compared(
    axes: Axes,
    line: Sequence[tuple[float, float]],
    at: tuple[float, float],
    text: str,
    align: str,
) -> None:
    """Joins two boxes by a term of the loss."""
    axes.plot(*zip(*line, strict=True), color=style.RED, linewidth=1, linestyle="--")
    axes.text(*at, text, ha=align, va="center", **_words(style.RED))


def _spread(count: int, first: float, last: float) -> list[float]:
    """The heights of a column's blocks; a short one is spread out evenly."""
    step = (last - first) / max(count - 1, 1)
    return [first + step * index for index in range(count)]


def _words(color: str, larger: float = 0.0) -> dict[str, Any]:
    return {"fontsize": style.TEXT + larger, "color": color, "parse_math": False}


def _column(
    axes: Axes, blocks: Sequence[Block], x: float, heights: Sequence[float], side: int
) -> None:
    """Draws blocks and the arrows between them; skips go around at the outer side."""
    for index, (block, y) in enumerate(zip(blocks, heights, strict=True)):
        _box(axes, x, y, block, _TINTS[block.learns])
        if block.shape:
            at = x - side * (_BOX[0] / 2 + 0.08)
            align = "left" if side < 0 else "right"
            axes.text(at, y, block.shape, ha=align, va="center", **_words("#666666"))
        sources = block.inputs
        if sources is None:
            sources = (index - 1,) if index else ()
        for source in sources:
            towards = 1 if heights[source] < y else -1
            if source == index - 1:
                start = heights[source] + towards * _BOX[1] / 2
                _arrow(axes, (x, start), (x, y - towards * _BOX[1] / 2))
            else:
                edge = x + side * _BOX[0] / 2
                _arrow(axes, (edge, heights[source]), (edge, y), around=side)


def _box(
    axes: Axes, x: float, y: float, block: Block, tint: str, wide: float = _BOX[0]
) -> None:
    corner = (x - wide / 2, y - _BOX[1] / 2)
    axes.add_patch(
        FancyBboxPatch(
            corner,
            wide,
            _BOX[1],
            boxstyle="round,pad=0,rounding_size=0.07",
            facecolor=tint,
            edgecolor="0.45",
            linewidth=0.9,
        )
    )
    shrink = min(1.0, 30 * wide / _BOX[0] / max(len(block.text), 1))
    axes.text(
        x,
        y,
        block.text,
        ha="center",
        va="center",
        fontsize=style.TEXT * shrink,
        color=style.INK,
        parse_math=False,
    )


def _arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], around: int = 0
) -> None:
    connection = "arc3,rad=0"
    if around:
        # A bracket: out by the arm's length in points, along, and back in.
        connection = f"bar,fraction={0.28 / max(abs(end[1] - start[1]), 0.3):.3f}"
        if (end[1] < start[1]) == (around > 0):
            connection = connection.replace("fraction=", "fraction=-")
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>,head_length=5,head_width=2.4",
            connectionstyle=connection,
            shrinkA=0,
            shrinkB=0,
            color=style.INK,
            linewidth=1.0,
        )
    )
