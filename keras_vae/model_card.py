"""The model card of a run: what a model is, of what, how good, and what it is not for.

After Mitchell et al. 2019, "Model cards for model reporting". It is kept with the model
and names files as they lie there, so that it stays true when the folder is moved.
"""

import html
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from keras_vae import files
from keras_vae.commands import command
from keras_vae.models import registry

_METRICS = {
    "neg_elbo": ("-ELBO, an upper bound of the NLL", "nats"),
    "reconstruction_loss": ("Reconstruction, -log p(x given z)", "nats"),
    "kl_loss": ("KL of posterior and prior", "nats"),
    "importance_weighted_nll": ("NLL by importance sampling", "nats"),
    "accuracy": ("Accuracy of labels", ""),
    "active_units": ("Active latent dimensions", ""),
    "sample_precision": ("Precision of samples", ""),
    "sample_recall": ("Recall of samples", ""),
    "sample_density": ("Density of samples", ""),
    "sample_coverage": ("Coverage of samples", ""),
    "sample_kernel_distance": ("Kernel distance of samples", ""),
    "samples_nearer_to_training": (
        "Share of samples nearer to training examples than to as many others",
        "",
    ),
}


class Code(NamedTuple):
    """A few lines that a person can copy."""

    title: str
    language: str
    lines: str


def write(
    path: str | os.PathLike[str],
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    model: Any,
    data: Any,
) -> None:
    """Writes `model_card.md` into the folder of a run.

    Args:
        path: The folder.
        config: Every flag by name, and `environment`.
        metrics: What `metrics.json` holds.
        model: The model, built.
        data: The `datasets.Data` that it was trained on.

    Raises:
        OSError: If the file cannot be written.
    """
    path = Path(path)
    card = text(path, config, metrics, model, data)
    files.write_text(path / "model_card.md", card)


def renew_metrics(
    path: str | os.PathLike[str],
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    model: Any,
) -> None:
    """Writes the section "Metrics" of the `model_card.md` of a run anew.

    All else stays, since people edit their cards, and so does a card without it.

    Args:
        path: The folder.
        config: Every flag by name.
        metrics: What `metrics.json` holds.
        model: The model, built.

    Raises:
        OSError: If the file cannot be read or written.
    """
    file = Path(path) / "model_card.md"
    if not file.is_file():
        return
    card = file.read_bytes()
    before, head, rest = card.partition(b"\n## Metrics\n")
    _, following, after = rest.partition(b"\n## ")
    if head:
        section = f"\n{_metrics(config, metrics, model)}\n".encode()
        files.write_bytes(file, before + head + section + following + after)


def text(
    path: str | os.PathLike[str],
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    model: Any,
    data: Any,
) -> str:
    """Returns a model card in Markdown. Arguments are those of `write`."""
    name = Path(path).absolute().name
    codes = [
        f"{code.title}:\n\n```{code.language}\n{code.lines}\n```"
        for code in loading(path, model)
    ]
    parts = {
        f"Model card: {escaped(name)}": escaped(summary(config, metrics, model, data)),
        "Data": _bullets(data_facts(config, data)),
        "Model": _bullets(model_facts(config, model)),
        "Training": _bullets(training_facts(config, metrics)),
        "Metrics": _metrics(config, metrics, model),
        "Intended use": escaped(_use(data, model)),
        "Limits": _list(_limits(metrics, model)),
        "How to load": "\n\n".join(codes),
    }
    sections = [
        f"{'#' if index == 0 else '##'} {title}\n\n{content}"
        for index, (title, content) in enumerate(parts.items())
    ]
    return "\n\n".join(sections) + "\n"


def escaped(text: str) -> str:
    """Returns Markdown that shows a text as it is: on one line, without HTML."""
    words = html.escape(" ".join(text.split()), quote=False)
    marks = r"[\\`*\[\]|~]|(?<![^\W_])_|_(?![^\W_])"  # an underscore in a word is none
    return re.sub(marks, lambda mark: f"\\{mark[0]}", words)


def summary(
    config: Mapping[str, Any], metrics: Mapping[str, Any], model: Any, data: Any
) -> str:
    """Returns the model in one or two sentences."""
    entry = registry.MODELS.get(str(config.get("model")))
    kind = type(model).__name__ if entry is None else entry.title
    article = "An" if kind[0].lower() in "aeiou" else "A"
    d = model.latent_dim
    first = (
        f"{article} {kind} of {data.name} ({data.kind} of {_shape(data.input_shape)}) "
        f"with {d} latent dimension{'s' * (d != 1)}."
    )
    if "neg_elbo" not in metrics:
        return first
    return (
        f"{first} On the {metrics.get('part', 'test')} split its -ELBO is "
        f"{metrics['neg_elbo']:.2f} nats an example."
    )


def data_facts(config: Mapping[str, Any], data: Any) -> dict[str, str]:
    """Returns what there is to know of the data, by name."""
    counts = [f"{len(split):,} {part}" for part, split in data.splits.items()]
    facts = {
        "Dataset": data.name,
        "Examples": f"{', '.join(counts)}; {data.kind} of {_shape(data.input_shape)}",
    }
    if data.label_names is not None:
        shown = ", ".join(data.label_names[:12])
        facts["Classes"] = shown + ", ..." * (len(data.label_names) > 12)
    for flag, name in (("binarize", "Binarised"), ("augment", "Augmented")):
        if config.get(flag, "none") != "none":
            facts[name] = str(config[flag])
    return facts


def model_facts(config: Mapping[str, Any], model: Any) -> dict[str, str]:
    """Returns what there is to know of the model, by name."""
    facts = {"Class": f"keras_vae {type(model).__name__}"}
    if groups := model.latent_groups:
        names = ", ".join(group.name for group in groups)
        facts["Latent dimensions"] = f"{model.z_dim:,} in {len(groups)} groups: {names}"
        facts["Networks"] = f"{model.count_params():,} parameters"
    else:
        facts["Latent dimensions"] = str(model.latent_dim)
        for part in ("encoder", "decoder"):
            parameters = getattr(model, part).count_params()
            facts[part.capitalize()] = f"{config.get(part)}, {parameters:,} parameters"
    facts["Likelihood"] = type(model.likelihood).__name__
    if model.has_kl:
        learned = "normals, each group given those above it"
        facts["Prior"] = learned if groups else type(model.prior).__name__
        facts["Posterior"] = learned if groups else _posterior(model)
    if model.condition_spec is not None:
        facts["Conditioned on"] = str(config.get("condition"))
    return facts


def _posterior(model: Any) -> str:
    if model.flow is None:
        return f"normal, {model.posterior_family}"
    return f"normal, moved by {model.flow.steps} steps: {model.flow.title}"


def training_facts(
    config: Mapping[str, Any], metrics: Mapping[str, Any]
) -> dict[str, str]:
    """Returns how it was trained, by name."""
    facts = {
        "Epochs": str(metrics.get("epochs", config.get("epochs"))),
        "Batch size": str(config.get("batch_size")),
        "Optimizer": f"Adam, learning rate {config.get('learning_rate')}, "
        f"{config.get('learning_rate_schedule')}",
        "Seed": str(config.get("seed")),
    }
    if config.get("preset", "none") != "none":
        facts["Preset"] = str(config["preset"])
    if "seconds" in metrics:
        facts["Time"] = f"{metrics['seconds']:,.0f} s"
    environment = config.get("environment") or {}
    for key in ("date", "hardware"):
        if key in environment:
            facts[key.capitalize()] = str(environment[key])
    versions = [
        f"{name} {environment[name]}"
        for name in ("keras_vae", "tensorflow", "keras", "python")
        if name in environment
    ]
    if versions:
        facts["Versions"] = ", ".join(versions)
    if environment.get("devices"):
        facts["Devices"] = ", ".join(map(str, environment["devices"]))
    return facts


def loading(path: str | os.PathLike[str], model: Any) -> list[Code]:
    """Returns the ways to use the model of a run.

    Args:
        path: The run's folder.
        model: Its model.
    """
    spec = model.condition_spec
    given: str = ""
    flag: list[str] = []
    if spec is not None and spec.dtype.is_integer:
        given, flag = ", condition=tf.constant([0])", ["--label", "0"]
    elif spec is not None:
        shape = [1, *spec.shape[1:].as_list()]
        given = f", condition=tf.zeros({shape})"
        flag = ["--condition", os.fspath(Path(path) / "condition.npy")]
    return [
        Code(
            "With this package, in this folder, everything",
            "python",
            "import keras_vae\n\n"
            'model = keras_vae.load_model("model.keras")\n'
            "# model.encode(x), .decode(z), .reconstruct(x), .sample(n), ...",
        ),
        Code(
            "With TensorFlow alone, in this folder, generation, encoding and decoding",
            "python",
            "import tensorflow as tf\n\n"
            'model = tf.saved_model.load("saved_model")\n'
            'generate = model.signatures["generate"]\n'
            "x = generate(num=tf.constant(16), seed=tf.constant([0, 1])"
            f'{given})["x"]',
        ),
        Code(
            "From the command line, where the model was trained",
            "sh",
            command(
                *("generate", "--saved_model", Path(path) / "saved_model"),
                *("--num", "64", "--out", "grid.png", *flag),
            ),
        ),
    ]


def _metrics(config: Mapping[str, Any], metrics: Mapping[str, Any], model: Any) -> str:
    rows = []
    for name, (words, unit) in _METRICS.items():
        if metrics.get(name) is None:
            continue
        value = metrics[name]
        decimals = ".2f" if unit else ".3g"
        shown = f"{value:,}" if isinstance(value, int) else f"{value:,{decimals}}"
        error = metrics.get(f"{name}_standard_error_over_examples")
        if error is not None:
            shown += f" ± {error:.2f}"
        if name == "active_units":
            shown += f" of {config.get('latent_dim')}"
        rows.append(f"| {words} | {shown} {unit}".rstrip() + " |")
    count = metrics.get("num_examples")
    head = f"{metrics.get('part', 'test')} split" + (
        f", {count:,} examples" if count else ""
    )
    table = [f"| On the {head} | |", "|---|---|", *rows]
    notes = ["Means over examples, summed over all elements of an example."]
    bernoulli = type(model.likelihood).__name__ == "Bernoulli"
    if bernoulli and config.get("binarize", "none") == "none":
        notes.append(
            "Grey values count as probabilities; such numbers do not compare with "
            "those of binarised images."
        )
    if "num_importance_samples" in metrics:
        notes.append(
            f"{metrics['num_importance_samples']:,} importance samples an example."
        )
    if "sample_features" in metrics:
        compared = escaped(str(metrics["sample_features"]))
        notes.append(f"Samples are compared with examples in: {compared}.")
    return "\n".join(table) + "\n\n" + " ".join(notes)


def _use(data: Any, model: Any) -> str:
    verbs = "encode examples, reconstruct them, and generate new ones"
    if model.condition_spec is not None:
        verbs += " under a condition"
    return (
        f"To {verbs} like those of {data.name}, for research and teaching: to look at "
        "the latent space, to compare models, to make features for other models. Not "
        "for decisions about people, and not to pass generated examples off as real."
    )


def _limits(metrics: Mapping[str, Any], model: Any) -> list[str]:
    limits = [
        f"It takes examples of shape {_shape(model.data_shape)} in the units of its "
        "training data, and says nothing reliable of others.",
        "It repeats what its training data are biased towards, and may come close to "
        "single examples of them.",
        "What it generates by default are the means of the likelihood, which are "
        "smoother than real examples.",
    ]
    if metrics.get("part") == "training":
        limits.append(
            "There was no test split: the metrics are of what it was trained on."
        )
    if metrics.get("part") == "validation":
        limits.append(
            "There was no test split: the metrics are of the validation data, by which "
            "the best epoch was chosen."
        )
    active = metrics.get("active_units", model.latent_dim)
    if active < model.latent_dim and not model.latent_groups:
        limits.append(
            f"Only {active} of its {model.latent_dim} latent dimensions carry anything."
        )
    return limits


def _shape(shape: Any) -> str:
    return "x".join(map(str, shape))


def _bullets(facts: Mapping[str, str]) -> str:
    return _list([f"{name}: {escaped(value)}" for name, value in facts.items()])


def _list(lines: list[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
