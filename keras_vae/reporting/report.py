"""One page that says what a run is and what came of it: `report.html` in its folder.

Everything is in the file, pictures too, and nothing is asked of any network.
"""

import base64
import html
import io
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
from keras_vae.reporting import pages, plots
from keras_vae.reporting.runs import Run, load_run
from keras_vae.reporting.subject import LeftOut, Subject
from keras_vae.visualization import curves, style

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

_WIDE = 760  # pixels from which a picture has a row of its own
_PER_INCH = 96  # pixels of a page
_DENSE = 2  # pixels of a plot for one on the page, for screens of today


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
    place = run.path / "report.html"
    files.require_file("--run", place, ".html")
    files.write_text(place, page(run, say))
    size, seconds = place.stat().st_size / 2**20, time.perf_counter() - began
    say(f"Wrote {place}, {size:.1f} MiB, in {seconds:.0f} s. It opens in any browser.")
    return place


def page(run: Run, say: Say = _silent) -> str:
    """Returns the report of a run as HTML."""
    name = run.path.resolve().name
    sections = {
        "Training": _curves(run),
        "Plots": _plots(run, say),
        "Evaluation": _evaluation(run),
        "Configuration": _configuration(run),
        "How to load": _loading(run),
    }
    sections = {title: content for title, content in sections.items() if content}
    links = (f'<a href="#{_anchor(title)}">{_text(title)}</a>' for title in sections)
    return Template(pages.read("report.html")).substitute(
        title=_text(name),
        style=pages.read("report.css"),
        lead=_text(model_card.summary(run.config, run.metrics, run.model, run.data)),
        links="\n".join(links),
        sections=_numbers(run)
        + "\n".join(
            f'<section id="{_anchor(title)}"><h2>{_text(title)}</h2>{content}</section>'
            for title, content in sections.items()
        ),
        footer=f"Made by keras_vae {keras_vae.__version__}.",
    )


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
        f"<li><b>{_text(value)} <small>{_text(unit)}</small></b>"
        f"<span>{_text(words)}</span></li>"
        for value, unit, words in shown
    )
    return f'<ul class="numbers">{"".join(items)}</ul>'


def _duration(seconds: float) -> tuple[str, str]:
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f}", unit
    return f"{seconds:.0f}", "s"


def _curves(run: Run) -> str:
    place = run.path / "history.csv"
    history = plots.read_history(place) if place.is_file() else {}
    parts = []
    for name in curves.PANELS:
        panel = {
            column: values
            for column, values in history.items()
            if column in ("epoch", name, f"val_{name}")
        }
        if name in panel and panel.get("epoch"):
            held_out, _ = run.data.monitored
            parts.append(_figure(curves.training_curves(panel, held_out)))
    if not parts:
        return ""
    return f'<div class="figures small">{"".join(parts)}</div>' + _progress(run)


def _progress(run: Run) -> str:
    """What the model made of the same examples early and late."""
    found = sorted((run.path / "images" / "reconstruction").glob("epoch_*.png"))
    if len(found) < 2:
        return ""
    parts = []
    for place in (found[0], found[len(found) // 2], found[-1]):
        epoch = int(place.stem.rpartition("_")[2])
        parts.append(_picture(place.read_bytes(), f"After epoch {epoch}"))
    part, split = run.data.monitored
    part = "training" if split is None else part
    return (
        f"<h3>{part.capitalize()} examples above their reconstructions, while it "
        "trained</h3>"
        f'<div class="figures small">{"".join(parts)}</div>'
    )


def _plots(run: Run, say: Say) -> str:
    subject = Subject(run)
    count = sum(map(len, SHOWN.values()))
    number, sections = 0, []
    for heading, names in SHOWN.items():
        groups = []
        for name in names:
            number += 1
            began = time.perf_counter()
            try:
                drawn = plots.draw(subject, name).values()
            except LeftOut as reason:
                say(f"[{number:2}/{count}] {name}: left out: {reason}")
                continue
            stills = [_figure(still) for still in drawn if isinstance(still, Figure)]
            kind = "figures tiny" if len(stills) > 2 else "figures"
            groups.append(f'<div class="{kind}">{"".join(stills)}</div>')
            seconds = time.perf_counter() - began
            say(f"[{number:2}/{count}] {name} ({seconds:.1f} s)")
        if groups:
            sections.append(f"<h3>{_text(heading)}</h3>{''.join(groups)}")
    return "".join(sections)


def _evaluation(run: Run) -> str:
    rows = summary.rows(run.metrics)
    if not rows:
        return ""
    cells = (
        f"<tr><td{' class=part' * words.startswith(' ')}>{_text(words.strip())}</td>"
        f'<td class="number">{_text(shown)}</td><td>{_text(unit)}</td></tr>'
        for words, shown, unit in rows
    )
    count, part = run.metrics.get("num_examples"), run.metrics.get("part", "test")
    lead = f"On the {part} split" + (f", {count:,} examples." if count else ".")
    if "importance_weighted_nll" not in run.metrics:
        lead += f" To measure more: {command('evaluate', '--run', run.path)}"
    return (
        f"<p>{_text(lead)}</p>{_table(cells)}"
        f"{_by_class(run.metrics.get('by_class', {}))}"
    )


def _by_class(by_class: Mapping[str, Mapping[str, float]]) -> str:
    names = list(dict.fromkeys(name for row in by_class.values() for name in row))
    if not names:
        return ""
    heads = "".join(
        f'<th class="number">{_text(name.replace("_", " "))}</th>' for name in names
    )
    rows = (
        f"<tr><td>{_text(label)}</td>"
        + "".join(f'<td class="number">{_number(row.get(name))}</td>' for name in names)
        + "</tr>"
        for label, row in by_class.items()
    )
    return f"<h3>By class</h3>{_table(rows, f'<tr><th>class</th>{heads}</tr>')}"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"


def _configuration(run: Run) -> str:
    groups = {
        "Data": model_card.data_facts(run.config, run.data),
        "Model": model_card.model_facts(run.config, run.model),
        "Training": model_card.training_facts(run.config, run.metrics),
    }
    facts = "".join(
        f"<div><h3>{title}</h3>{_pairs(group)}</div>" for title, group in groups.items()
    )
    flags = {
        f"--{name}": "" if value is None else _flag(value)
        for name, value in run.config.items()
        if name != "environment"
    }
    return (
        f'<div class="facts">{facts}</div>'
        f"<details><summary>All flags</summary>{_pairs(flags)}</details>"
    )


def _flag(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _pairs(facts: Mapping[str, str]) -> str:
    return _table(
        f'<tr><td>{_text(name)}</td><td class="value">{_text(value)}</td></tr>'
        for name, value in facts.items()
    )


def _loading(run: Run) -> str:
    codes = (
        f"<p>{_text(code.title)}:</p><pre>{_text(code.lines)}</pre>"
        for code in model_card.loading(run.path, run.model)
    )
    return "".join(codes)


# HTML.


def _figure(drawn: Figure) -> str:
    """Embeds a figure as wide as it was drawn."""
    buffer = io.BytesIO()
    # What is made of pixels, such as tiles, keeps them one to one.
    of_pixels = drawn.dpi < style.DPI
    per_inch = drawn.dpi if of_pixels else _PER_INCH
    dpi = per_inch if of_pixels else _DENSE * per_inch
    drawn.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    titles = [text.get_text() for text in drawn.texts]
    titles += [axes.get_title() for axes in drawn.axes]
    title = " ".join(next(filter(None, titles), "").split())
    width = round(drawn.get_figwidth() * per_inch)
    return _picture(buffer.getvalue(), title, width)


def _picture(png: bytes, caption: str, width: int | None = None) -> str:
    """Embeds a picture; one with a width has its caption as a title in itself.

    On a narrow screen that title is too small to read, and the caption is shown.
    """
    coded = base64.b64encode(png).decode()
    size = "" if width is None else f' width="{width}"'
    kind = " wide" if (width or 0) > _WIDE else ""
    titled = "" if width is None else " titled"
    return (
        f'<figure class="{(kind + titled).strip()}"><img alt="{_text(caption)}" '
        f'src="data:image/png;base64,{coded}"{size}>'
        f"<figcaption>{_text(caption)}</figcaption></figure>"
    )


def _table(rows: Any, head: str = "") -> str:
    head = f"<thead>{head}</thead>" if head else ""
    body = "".join(rows)
    return f'<div class="scroll"><table>{head}<tbody>{body}</tbody></table></div>'


def _anchor(title: str) -> str:
    return title.lower().replace(" ", "-")


def _text(text: str) -> str:
    return html.escape(str(text))
