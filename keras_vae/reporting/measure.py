"""Measures a finished run: metrics for its `metrics.json`, its latents as a table."""

import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from keras_vae import files, model_card
from keras_vae.data import datasets
from keras_vae.evaluation import comparison, latents, summary
from keras_vae.evaluation.features import load as load_features
from keras_vae.evaluation.likelihood import ElboTerms, elbo_terms
from keras_vae.evaluation.summary import Examples
from keras_vae.reporting.runs import Run, load_run
from keras_vae.training.config import TrainConfig

_TRAINING_EXAMPLES = 10_000  # that principal components and probes learn from

Say = Callable[[str], None]


def evaluate_run(
    path: str | os.PathLike[str],
    dataset: str | None = None,
    num_importance_samples: int = 5000,
    say: Say | None = None,
    features: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Measures the model of a run on its test split, or on other data.

    The metrics go to the run's `metrics.json`, and those of its own data to the model
    card; those of other data under the name of these, in `other_datasets`.

    Args:
        path: The folder of a finished run.
        dataset: A name or path in the place of the data that the run was trained on;
            they are binarised in the same way.
        num_importance_samples: Samples of the posterior for each example.
        say: Takes the lines a person should read, one at a time.
        features: A Keras model or SavedModel in whose output samples are compared with
            data; None: what is learned from the training examples, kept in the folder
            unless `dataset` is given (see `evaluation.features`).

    Returns:
        The metrics.

    Raises:
        ValueError: If there is no finished run, the data do not fit its model, or
            `features` is no model that takes them.
    """
    say = say or (lambda line: None)
    run = _opened(path, dataset)
    split = run.held_out
    train = _examples(run, "train", _TRAINING_EXAMPLES)
    # The very same object where there is no other split: `evaluate` looks for that.
    test = train if split == "train" else _examples(run, split)
    run.model.check_examples(test.split.x)
    chosen = None if features is None else load_features(features, run.data.input_shape)
    say(
        f"Measuring {run.path} on {len(test.split):,} {split} examples of "
        f"{run.data.name}, {num_importance_samples:,} importance samples for each"
    )
    began = time.perf_counter()
    folder = run.path if dataset is None else None
    measured = summary.evaluate(
        *(run.model, train, test, num_importance_samples, ProgressLine()),
        features=chosen,
        folder=folder,
    )
    measured = _with_label_names(measured, run.data.label_names)
    measured = {"part": datasets.SPLITS[split], **measured}
    measured["evaluation_seconds"] = round(time.perf_counter() - began, 2)
    kept = measured
    if dataset is not None:
        others = run.metrics.get("other_datasets", {})
        kept = {"other_datasets": {**others, run.data.name: measured}}
    file = _write_metrics(run, {**run.metrics, **kept})
    say(summary.table(measured))
    say(f"Wrote {file} in {measured['evaluation_seconds']:.0f} s.")
    return measured


def compare_runs(
    path: str | os.PathLike[str],
    other: str | os.PathLike[str],
    num_importance_samples: int = 5000,
    say: Say | None = None,
) -> dict[str, Any]:
    """Measures what one run's model gains over another's, paired by example.

    The result goes to the first run's `metrics.json`, under the other's path in
    `compared_with`.

    Args:
        path: The folder of a finished run.
        other: The folder of another, whose held-out examples are the same ones.
        num_importance_samples: Samples of the posterior for each example.
        say: Takes the lines a person should read, one at a time.

    Returns:
        For -ELBO and the importance-weighted NLL the mean of both models, the gain of
        the first and its standard error over examples, in nats.

    Raises:
        ValueError: If there is no finished run, a model has no likelihood, or the runs
            hold out different examples.
    """
    say = say or (lambda line: None)
    runs = [load_run(path), load_run(other)]
    split = runs[0].held_out
    tests = [_examples(run, run.held_out) for run in runs]
    if not np.array_equal(tests[0].split.x, tests[1].split.x):
        raise ValueError(
            f"--compare_with: {other} does not hold out the same examples as {path}; "
            "compare runs of one dataset, with the same --binarize and "
            "--validation_fraction."
        )
    say(
        f"Comparing {path} with {other} on {len(tests[0].split):,} {split} examples of "
        f"{runs[0].data.name}, {num_importance_samples:,} importance samples for each"
    )
    measured = [
        comparison.bounds_by_example(
            run.model,
            test.split.x,
            None if run.model.infers_condition else test.condition,
            num_importance_samples,
        )
        for run, test in zip(runs, tests, strict=True)
    ]
    result: dict[str, Any] = {
        "part": datasets.SPLITS[split],
        "num_examples": len(tests[0].split),
        "num_importance_samples": num_importance_samples,
        **_gains(measured[0], measured[1], say),
    }
    metrics = dict(runs[0].metrics)
    others = metrics.get("compared_with", {})
    metrics["compared_with"] = {**others, os.fspath(other): result}
    say(f"Wrote {_write_metrics(runs[0], metrics)}.")
    return result


def _write_metrics(run: Run, metrics: dict[str, Any]) -> Path:
    file = run.path / "metrics.json"
    files.write_text(file, json.dumps(metrics, indent=2, ensure_ascii=False) + "\n")
    model_card.renew_metrics(run.path, run.config, metrics, run.model)
    return file


def _gains(
    ours: Mapping[str, np.ndarray], theirs: Mapping[str, np.ndarray], say: Say
) -> dict[str, float]:
    """Returns what bounds on log p(x) by example gain over others, by name."""
    result: dict[str, float] = {}
    for name, words in (("neg_elbo", "-ELBO"), ("importance_weighted_nll", "NLL")):
        mine, other = ours[name], theirs[name]
        gain = comparison.paired_difference(mine, other)
        result |= {
            name: float(mine.mean()),
            f"{name}_other": float(other.mean()),
            f"{name}_gain": gain.mean,
            f"{name}_gain_standard_error": gain.standard_error,
        }
        say(
            f"{words:<6} {mine.mean():10.2f} against {other.mean():10.2f} nats: a "
            f"gain of {gain.mean:.2f}, paired standard error {gain.standard_error:.2f}"
        )
    return result


def encode_run(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str] | None = None,
    split: str | None = None,
    dataset: str | None = None,
    num_samples: int = 16,
    say: Say | None = None,
) -> None:
    """Writes what a run's model makes of each example as a table.

    A row holds the example's index in its split, its label where it has one (-1 where
    others have), the label that m2 and m1m2 infer and its probability, `neg_elbo`,
    `reconstruction_loss` and `kl_loss` in nats,
    `log_reconstruction_probability` (the score of An and Cho 2015), and the posterior's
    means and log variances.

    Args:
        path: The folder of a finished run.
        out: The .csv file; `latents.csv` in the folder if None.
        split: "train", "validation" or "test"; None takes the one not trained on.
        dataset: As in `evaluate_run`.
        num_samples: Samples of the posterior for each example.
        say: Takes the lines a person should read, one at a time.

    Raises:
        ValueError: If there is no finished run, no such split, or `out` cannot be
            written.
    """
    say = say or (lambda line: None)
    if out is not None:  # before the model is read
        files.require_file("--out", out, ".csv")
    run = _opened(path, dataset)
    out = run.path / "latents.csv" if out is None else out
    files.require_file("--out", out, ".csv")
    split = split or run.held_out
    examples, condition = _examples(run, split)
    run.model.check_examples(examples.x)
    given = None if run.model.infers_condition else condition
    terms = elbo_terms(run.model, examples.x, given, num_samples)
    latents.write_table(out, _table(run.model, examples, terms))
    words = f"{datasets.SPLITS[split]} examples of {run.data.name}"
    say(f"Wrote {out}: {len(examples):,} {words}.")
    if run.model.has_kl:
        strange = np.argsort(-terms.neg_elbo)[:5]
        listed = ", ".join(f"{row} ({terms.neg_elbo[row]:.1f})" for row in strange)
        say(f"-ELBO {np.mean(terms.neg_elbo):.2f} nats; strangest rows: {listed}")


def _table(model: Any, examples: datasets.Split, terms: ElboTerms) -> dict[str, Any]:
    """Returns the columns of `encode_run`."""
    columns: dict[str, Any] = {"row": np.arange(len(examples))}
    if examples.y is not None:
        columns["label"] = examples.y
    if model.infers_condition:
        probability = model.predict_label(examples.x)
        columns["inferred_label"] = probability.argmax(axis=1)
        columns["inferred_label_probability"] = probability.max(axis=1)
    if model.has_kl:
        columns |= {"neg_elbo": terms.neg_elbo, "kl_loss": terms.kl_loss}
    columns["reconstruction_loss"] = terms.reconstruction_loss
    columns["log_reconstruction_probability"] = -terms.reconstruction_loss
    top = slice(model.latent_dim)  # of a hierarchy: what is below is maps
    columns["z_mean"] = terms.z_mean[:, top]
    if model.has_kl:
        columns["z_log_var"] = terms.z_log_var[:, top]
    return columns


class ProgressLine:
    """Says on stderr how far a long work is: on one line, and only to a person."""

    def __init__(self) -> None:
        self._shown = 0.0

    def __call__(self, what: str, done: int, of: int) -> None:
        """Shows the share that is done, a few times a second."""
        if not sys.stderr.isatty():
            return
        now = time.perf_counter()
        if done < of and now - self._shown < 0.2:
            return
        self._shown = now
        share = f"{what}: {done / max(1, of):4.0%}"
        sys.stderr.write("\r\x1b[K" + (share if done < of else ""))
        sys.stderr.flush()


def _opened(path: str | os.PathLike[str], dataset: str | None) -> Run:
    run = load_run(path)
    if dataset is None:
        return run
    data = datasets.load(dataset, **_data_options(run, dataset))
    if tuple(data.input_shape) != tuple(run.model.data_shape):
        raise ValueError(
            f"--dataset: the model in {run.path} takes examples of shape "
            f"{tuple(run.model.data_shape)}, but those of {dataset} have shape "
            f"{tuple(data.input_shape)}."
        )
    return dataclasses.replace(run, data=data)


def _data_options(run: Run, dataset: str) -> dict[str, Any]:
    """How other data are read: as the run's own, where they are a file of that kind."""
    options = TrainConfig.from_json(json.dumps(run.config)).data_options
    del options["validation_fraction"]
    if Path(dataset).suffix != Path(run.config["dataset"]).suffix:
        for name in ("label_column", "drop_columns", "array_names"):
            del options[name]
    return options


def _examples(run: Run, name: str, count: int | None = None) -> Examples:
    split = run.examples(name, count)
    return Examples(split, run.condition(split))


def _with_label_names(
    metrics: dict[str, Any], names: tuple[str, ...] | None
) -> dict[str, Any]:
    if names is None or "by_class" not in metrics:
        return metrics
    by_class = {names[int(label)]: row for label, row in metrics["by_class"].items()}
    return {**metrics, "by_class": by_class}
