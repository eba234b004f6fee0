"""Every plot of a run by its name, and the program that writes them."""

import csv
import math
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keras_vae.naming import lookup
from keras_vae.reporting import (
    example_plots,
    hierarchy_plots,
    latent_plots,
    structure,
    task_plots,
)
from keras_vae.reporting.catalogue import PLOTS as ABOUT
from keras_vae.reporting.drawings import Animation, Drawing, Drawings
from keras_vae.reporting.runs import Run, load_run
from keras_vae.reporting.subject import LeftOut, Subject
from keras_vae.visualization import curves, graph, picture_files, style

Say = Callable[[str], None]


def training_curves(subject: Subject) -> Drawings:
    """Draws loss, reconstruction and KL over the epochs."""
    file = subject.run.path / "history.csv"
    if not file.is_file():
        raise LeftOut(f"{file} is not there")
    held_out, _ = subject.run.data.monitored
    return {"curves": curves.training_curves(read_history(file), held_out)}


def read_history(path: str | os.PathLike[str]) -> dict[str, list[float]]:
    """Returns the columns of a `history.csv`; NaN where a field is empty.

    Raises:
        ValueError: If a field is no number.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        names = rows[0].keys() if rows else ()
        return {
            name: [float(row[name]) if row[name] else math.nan for row in rows]
            for name in names
        }
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise ValueError(f"{path} is not a table of numbers: {error}.") from error


def model_graph(subject: Subject) -> Drawings:
    """Draws the layers of the model."""
    model = subject.model
    c = ",c" if subject.condition is not None else ""
    stacked = hasattr(model, "upper_encoder")  # z₁ of x, and z of z₁
    # Where the encoder is of x alone, it has an output for each value of c.
    alone = getattr(model.encoder, "input_shape", None) == (None, *subject.shape)
    text = "x" if alone else f"x{c}"
    x = graph.Block(text, structure.shape_text(subject.shape))
    inferred, decoded = ("z₁" + c, "z₁") if stacked else ("x" + c, "z" + c)
    likelihood = graph.Block(f"p(x|{decoded}): {type(model.likelihood).__name__}")
    encoder = [x, *structure.shifted(structure.blocks(model.encoder), 1)]
    flow = getattr(model, "flow", None)
    if flow is not None:
        encoder.append(_flow(flow, encoder))
    decoder = structure.blocks(model.decoder)
    if groups := model.latent_groups:
        way = [
            graph.Block(
                f"z, {group.name}", structure.shape_text(group.shape), None, True
            )
            for group in groups
        ]
        decoder = way + structure.shifted(decoder, len(way))
    if stacked:
        encoder.append(graph.Block("q(z₁|x): N(mean, variance)"))
        upper = structure.blocks(model.upper_encoder)
        encoder += structure.shifted(upper, len(encoder))
        upper = structure.blocks(model.upper_decoder)
        upper.append(graph.Block(f"p(z₁|z{c}): N(mean, variance)"))
        decoder = upper + structure.shifted(decoder, len(upper))
    count = f"{structure.weights_text(model)}{_condition(subject)}"
    size = f"{subject.latent_dim} numbers" if subject.latent_dim > 1 else "a number"
    if groups:
        size = f"{groups.z_dim:,} numbers in {len(groups)} groups"
    normal = "N(mean, variance)" if flow is None else "flow of a normal"
    figure = graph.model_graph(
        encoder,
        [*decoder, likelihood],
        f"q(z|{inferred}): {normal}" if subject.has_kl else "mean",
        _prior(subject),
        f"z, {size}{'; c' if c else ''}",
        f"{type(model).__name__} of {subject.run.data.name}, {count}",
        noise="ε ~ N(0, I)" if subject.has_kl else "",
        classifier=_classifier(subject, "z₁" if stacked else "x"),
        loss=f"reconstruction loss: {style.MINUS}log p(x|{decoded})",
    )
    return {"model_graph": figure}


def _flow(flow: Any, encoder: list[graph.Block]) -> graph.Block:
    """Returns the block of a posterior's flow, behind moments and context."""
    last = len(encoder) - 1
    two = encoder[-1].inputs not in (None, (last - 1,))  # boxes, neither of the other
    title = f"{flow.title.capitalize()}, {flow.steps} steps"
    shape = structure.shape_text((flow.latent_dim,))
    inputs = (last - 1, last) if two else None
    return graph.Block(title, shape, inputs, bool(flow.weights))


def _prior(subject: Subject) -> str:
    """Says what the prior is; empty for a model without."""
    if not subject.has_kl:
        return ""
    network = getattr(subject.model, "prior_network", None)
    if network is not None:
        return f"p(z|c): network of c, {structure.weights_text(network)}"
    if subject.prior_is_standard:
        return "p(z): N(0, I)"
    if subject.model.latent_groups:
        return "p(z): each group given those above"
    return f"p(z): {type(subject.model.prior).__name__}"


def _classifier(subject: Subject, seen: str) -> str:
    """Says what infers c from what is `seen`; empty for a model without."""
    classifier = getattr(subject.model, "classifier", None)
    if classifier is None:
        return ""
    return f"q(c|{seen}): classifier, {structure.weights_text(classifier)}"


def _condition(subject: Subject) -> str:
    """Says what the model is given besides x and z."""
    if subject.condition is None:
        return ""
    return f"; c is the {'label' if subject.is_given_labels else 'condition'}"


def forward_reverse_kl(subject: Subject) -> Drawings:
    """Draws one Gaussian on two humps, by either KL; the same for every run."""
    return {"forward_reverse_kl": curves.forward_and_reverse()}


PLOTS: dict[str, Callable[[Subject], Drawings]] = {
    "overview": example_plots.overview,
    "grids": example_plots.grid_3x3,
    "pairs": example_plots.pairs,
    "interpolation": example_plots.interpolation,
    "all_pairs": example_plots.all_pairs,
    "expected_reconstruction": example_plots.expected_reconstruction,
    "completions": task_plots.completions,
    "denoising": task_plots.denoising,
    "movement": task_plots.movement,
    "scatter": latent_plots.scatter,
    "tsne": latent_plots.tsne,
    "arrow": latent_plots.arrow,
    "manifold": latent_plots.manifold,
    "walks": latent_plots.walks,
    "traversals": latent_plots.traversals,
    "kl_per_dimension": latent_plots.kl_per_dimension,
    "prior_and_aggregate": latent_plots.prior_and_aggregate,
    "kl_per_group": hierarchy_plots.kl_per_group,
    "levels": hierarchy_plots.levels,
    "temperatures": hierarchy_plots.temperatures,
    "curves": training_curves,
    "model_graph": model_graph,
    "swiss_roll": latent_plots.swiss_roll,
    "swiss_roll_turning": latent_plots.swiss_roll_turning,
    "forward_reverse_kl": forward_reverse_kl,
}
"""What draws each plot. `catalogue.PLOTS` says what each is."""


def draw(subject: Subject, name: str) -> Drawings:
    """Draws one plot.

    Returns:
        Its files, by their names without ending.

    Raises:
        ValueError: If there is no plot of this name.
        LeftOut: If it makes no sense for this run.
    """
    return lookup("plots", name, PLOTS)(subject)


def write(folder: Path, drawings: Drawings, ending: str) -> list[Path]:
    """Writes the files of a plot; what moves becomes a GIF whatever the ending."""
    return [_write(folder, name, drawing, ending) for name, drawing in drawings.items()]


def _write(folder: Path, name: str, drawing: Drawing, ending: str) -> Path:
    if isinstance(drawing, Animation):
        return picture_files.write_gif(folder / f"{name}.gif", *drawing)
    return style.write_figure(folder / f"{name}.{ending}", drawing)


def visualize(
    path: str | os.PathLike[str],
    plots: Sequence[str] = ("all",),
    ending: str = "png",
    from_label: str | None = None,
    to_label: str | None = None,
    say: Say | None = None,
) -> list[Path]:
    """Writes plots of a finished run to its `images/`.

    Args:
        path: The folder of the run.
        plots: Names in `PLOTS`, or "all".
        ending: Of still pictures: one of `style.FORMATS`.
        from_label: The class that arrow and interpolation start from; see `Subject`.
        to_label: The class that they end at.
        say: Takes the lines a person should read, one at a time.

    Returns:
        The files.

    Raises:
        ValueError: If there is no finished run, a name is unknown, or none of the
            plots makes sense for the run.
    """
    for name in plots:
        lookup("plots", name, {"all": "", **ABOUT})
    lookup("format", ending, dict.fromkeys(style.FORMATS))
    say = say or (lambda line: None)
    wanted = [name for name in PLOTS if "all" in plots or name in plots]
    say(f"Loading {path}")
    run = load_run(path)
    subject = Subject(run, from_label, to_label)
    began = time.perf_counter()
    files: list[Path] = []
    reasons: dict[str, str] = {}
    for number, name in enumerate(wanted, 1):
        start = time.perf_counter()
        try:
            made = write(run.path / "images", draw(subject, name), ending)
        except LeftOut as reason:
            reasons[name] = str(reason)
            outcome = f"left out: {reason}"
        else:
            files += made
            names = ", ".join(file.name for file in made)
            outcome = f"{names} ({time.perf_counter() - start:.1f} s)"
        say(f"[{number:2}/{len(wanted)}] {name}: {outcome}")
    if not files:
        raise ValueError(
            "--plots: none of these makes sense for this run: "
            + "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
            + "."
        )
    say(_summary(run, files, reasons, time.perf_counter() - began))
    return files


def _summary(
    run: Run, files: list[Path], reasons: dict[str, str], seconds: float
) -> str:
    stills = sum(file.suffix != ".gif" for file in files)
    moving = len(files) - stills
    counts = [(stills, "picture"), (moving, "GIF")]
    made = " and ".join(f"{n} {word}{'s' * (n != 1)}" for n, word in counts if n)
    left = f"; left out: {', '.join(reasons)}" if reasons else ""
    return f"Wrote {made} to {run.path / 'images'} in {seconds:.1f} s{left}."
