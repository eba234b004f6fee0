"""One page that says what a run is and what came of it: `report.html` in its folder.

Everything is in the file, pictures too, and nothing is asked of any network.
"""

import datetime
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from string import Template
from typing import Any

from matplotlib.figure import Figure

import keras_vae
from keras_vae import files, model_card
from keras_vae.commands import command
from keras_vae.evaluation import summary
from keras_vae.reporting import markup, pages, plots
from keras_vae.reporting.runs import Run, load_run
from keras_vae.reporting.subject import LeftOut, Subject
from keras_vae.training.config import TrainConfig
from keras_vae.training.rerun import training_command
from keras_vae.visualization import curves

Say = Callable[[str], None]


def _silent(line: str) -> None:
    del line


SHOWN: dict[str, tuple[str, ...]] = {
    "Examples": (
        "overview",
        "grids",
        "completions",
        "denoising",
        "expected_reconstruction",
    ),
    "Latent space": (
        "scatter",
        "kl_per_dimension",
        "prior_and_aggregate",
        "manifold",
        "traversals",
    ),
    "Groups of latents": ("kl_per_group", "levels", "temperatures"),
    "From one to another": ("interpolation", "arrow"),
    "Swiss roll": ("swiss_roll",),
    "The model": ("model_graph",),
}
"""Plots of the report by heading; t-SNE and GIFs take too long or too much."""

_FIRST: dict[str, tuple[str, ...]] = {
    "Examples": ("overview", "sampled", "completions", "denoising"),
    "Latent space": (
        "scatter",
        "manifold",
        "kl_per_dimension",
        "kl_per_group",
        "swiss_roll",
    ),
}
"""Figures, by the names of their files, that come before the appendix."""


def report(path: str | os.PathLike[str], say: Say = _silent) -> Path:
    """Writes the report of a finished run.

    Args:
        path: The folder of the run.
        say: Takes the lines a person should read, one at a time.

    Returns:
        The file, `report.html` in the folder.

    Raises:
        ValueError: If there is no finished run.
        OSError: If the file cannot be written.
    """
    began = time.perf_counter()
    say(f"Loading {path}")
    run = load_run(path)
    file = run.path / "report.html"
    files.require_file("--run", file, ".html")
    files.write_text(file, page(run, say))
    size, seconds = file.stat().st_size / 2**20, time.perf_counter() - began
    say(f"Wrote {file}, {size:.1f} MiB, in {seconds:.0f} s. It opens in any browser.")
    return file


def page(run: Run, say: Say = _silent) -> str:
    """Returns the report of a run as HTML."""
    name = run.path.resolve().name
    figures = _figures(run, say)
    sections = {
        "Run": _run(run),
        "Training": _curves(run),
        **{title: _first(title, figures) for title in _FIRST},
        "Evaluation": _evaluation(run),
    }
    appendix = {
        "More plots": _more(figures),
        "How to load": _loading(run),
        "All flags": _flags(run),
    }
    today = datetime.datetime.now(datetime.UTC).date()
    return Template(pages.read("report.html")).substitute(
        title=markup.text(name),
        style=pages.read("report.css"),
        lead=markup.text(
            model_card.summary(run.config, run.metrics, run.model, run.data)
        ),
        contents=_links(sections) + _links({"Appendix": "."}, appendix),
        numbers=_numbers(run),
        sections=_sections(sections, "h2"),
        appendix=_sections(appendix, "h3"),
        footer=f"Made by keras_vae {keras_vae.__version__} on {today}.",
    )


def _sections(contents: Mapping[str, str], heading: str) -> str:
    return "\n".join(
        f'<section id="{markup.anchor(title)}"><{heading}>{markup.text(title)}'
        f"</{heading}>{content}</section>"
        for title, content in contents.items()
        if content
    )


def _links(*contents: Mapping[str, str]) -> str:
    """Returns an item of the contents for each section, those below behind theirs."""
    first, *below = (
        [
            f'<a href="#{markup.anchor(title)}">{markup.text(title)}</a>'
            for title, content in sections.items()
            if content
        ]
        for sections in contents
    )
    if below:
        return f"<li>{first[0]}: {', '.join(below[0])}</li>"
    return "".join(f"<li>{link}</li>" for link in first)


# Parts of the page.


def _numbers(run: Run) -> str:
    """The few numbers that matter most, large."""
    metrics, part = run.metrics, run.metrics.get("part", "test")
    shown = []
    for key, words in (
        ("neg_elbo", f"−ELBO of the {part} split"),
        ("importance_weighted_nll", "NLL by importance sampling"),
        ("reconstruction_loss", "reconstruction"),
        ("kl_loss", "KL"),
    ):
        if metrics.get(key) is not None:
            shown.append((f"{metrics[key]:.2f}", "nats", words))
    if "active_units" in metrics:
        of = f"of {run.model.latent_dim}"
        shown.append((str(metrics["active_units"]), of, "active latent dimensions"))
    if "seconds" in metrics:
        words = f"training, {metrics.get('epochs', run.config.get('epochs'))} epochs"
        shown.append((*_duration(metrics["seconds"]), words))
    items = (
        f"<li><b>{markup.text(value)} <small>{markup.text(unit)}</small></b>"
        f"<span>{markup.text(words)}</span></li>"
        for value, unit, words in shown
    )
    return f'<ul class="numbers">{"".join(items)}</ul>'


def _duration(seconds: float) -> tuple[str, str]:
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f}", unit
    return f"{seconds:.0f}", "s"


def _curves(run: Run) -> str:
    file = run.path / "history.csv"
    history = plots.read_history(file) if file.is_file() else {}
    parts = []
    for name in curves.PANELS:
        panel = {
            column: values
            for column, values in history.items()
            if column in ("epoch", name, f"val_{name}")
        }
        if name in panel and panel.get("epoch"):
            held_out, _ = run.data.monitored
            parts.append(markup.figure(curves.training_curves(panel, held_out)))
    if not parts:
        return ""
    return f'<div class="figures small">{"".join(parts)}</div>' + _progress(run)


def _progress(run: Run) -> str:
    """What the model made of the same examples early and late."""
    found = sorted((run.path / "images" / "reconstruction").glob("epoch_*.png"))
    if len(found) < 2:
        return ""
    parts = []
    for file in (found[0], found[len(found) // 2], found[-1]):
        epoch = int(file.stem.rpartition("_")[2])
        parts.append(markup.picture(file.read_bytes(), f"After epoch {epoch}"))
    part, split = run.data.monitored
    part = "training" if split is None else part
    return (
        f"<h3>{part.capitalize()} examples above their reconstructions, while it "
        "trained</h3>"
        f'<div class="figures small">{"".join(parts)}</div>'
    )


def _figures(run: Run, say: Say) -> dict[str, dict[str, str]]:
    """Draws all plots; returns their figures as HTML, by heading and name of file."""
    subject = Subject(run)
    count = sum(map(len, SHOWN.values()))
    number = 0
    figures: dict[str, dict[str, str]] = {}
    for heading, names in SHOWN.items():
        made = figures[heading] = {}
        for name in names:
            number += 1
            began = time.perf_counter()
            try:
                drawn = plots.draw(subject, name)
            except LeftOut as reason:
                say(f"[{number:2}/{count}] {name}: left out: {reason}")
                continue
            for key, still in drawn.items():
                if isinstance(still, Figure):
                    made[key] = markup.figure(still)
            seconds = time.perf_counter() - began
            say(f"[{number:2}/{count}] {name} ({seconds:.1f} s)")
    return figures


def _first(title: str, figures: Mapping[str, Mapping[str, str]]) -> str:
    made = {key: still for group in figures.values() for key, still in group.items()}
    stills = [made[key] for key in _FIRST[title] if key in made]
    kind = f"figures first {markup.anchor(title)}"
    return f'<div class="{kind}">{"".join(stills)}</div>' if stills else ""


def _more(figures: Mapping[str, Mapping[str, str]]) -> str:
    """Returns the figures that have not come yet."""
    before = {key for keys in _FIRST.values() for key in keys}
    sections = []
    for heading, made in figures.items():
        stills = [still for key, still in made.items() if key not in before]
        if stills:
            sections.append(
                f"<h4>{markup.text(heading)}</h4>"
                f'<div class="figures">{"".join(stills)}</div>'
            )
    return "".join(sections)


def _evaluation(run: Run) -> str:
    rows = summary.rows(run.metrics)
    if not rows:
        return ""
    cells = (
        f'<tr><th scope="row"{" class=part" * words.startswith(" ")}>'
        f"{markup.text(words.strip())}</th>"
        f'<td class="number">{markup.text(shown)}</td><td>{markup.text(unit)}</td></tr>'
        for words, shown, unit in rows
    )
    count, part = run.metrics.get("num_examples"), run.metrics.get("part", "test")
    lead = f"On the {part} split" + (f", {count:,} examples." if count else ".")
    if "importance_weighted_nll" not in run.metrics:
        lead += f" To measure more: {command('evaluate', '--run', run.path)}"
    return (
        f"<p>{markup.text(lead)}</p>{markup.table(cells)}"
        f"{_by_class(run.metrics.get('by_class', {}))}"
    )


def _by_class(by_class: Mapping[str, Mapping[str, float]]) -> str:
    names = list(dict.fromkeys(name for row in by_class.values() for name in row))
    if not names:
        return ""
    heads = "".join(
        f'<th class="number">{markup.text(name.replace("_", " "))}</th>'
        for name in names
    )
    rows = (
        f"<tr><td>{markup.text(label)}</td>"
        + "".join(f'<td class="number">{_number(row.get(name))}</td>' for name in names)
        + "</tr>"
        for label, row in by_class.items()
    )
    return f"<h3>By class</h3>{markup.table(rows, f'<tr><th>class</th>{heads}</tr>')}"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"


def _run(run: Run) -> str:
    """What was trained, when, where, and by which command."""
    groups = {
        "Data": model_card.data_facts(run.config, run.data),
        "Model": model_card.model_facts(run.config, run.model),
        "Training": model_card.training_facts(run.config, run.metrics),
    }
    facts = "".join(
        f"<div><h3>{title}</h3>{markup.pairs(group)}</div>"
        for title, group in groups.items()
    )
    config = TrainConfig.from_json(json.dumps(run.config))
    return (
        f'<div class="facts">{facts}</div><h3>To train it again</h3>'
        f"<pre>{markup.text(training_command(config))}</pre>"
    )


def _flags(run: Run) -> str:
    flags = {
        f"--{name}": "" if value is None else _flag(value)
        for name, value in run.config.items()
        if name != "environment"
    }
    return f"<details><summary>Show</summary>{markup.pairs(flags)}</details>"


def _flag(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _loading(run: Run) -> str:
    codes = (
        f"<p>{markup.text(code.title)}:</p><pre>{markup.text(code.lines)}</pre>"
        for code in model_card.loading(run.path, run.model)
    )
    return "".join(codes)
