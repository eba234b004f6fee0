"""Everything that is measured of a trained model, by name."""

import os
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from keras_vae.data.datasets import Split
from keras_vae.evaluation import disentanglement, latents, likelihood, samplers
from keras_vae.evaluation.agreement import FEW, prior_agreement, standardized_means
from keras_vae.evaluation.baselines import principal_components
from keras_vae.evaluation.conditional import conditional_metrics
from keras_vae.evaluation.features import Features
from keras_vae.evaluation.image_files import lossless_bits_per_dimension
from keras_vae.evaluation.sample_quality import sample_metrics

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and of how much."""

_MIN_ROWS_FOR_FACTORS = 1_000
_MOMENTS_APART = 10.0  # nats, from which on another scale of z is worth a try


class Examples(NamedTuple):
    """Examples, and what a conditional model is given with them."""

    split: Split
    condition: Any = None


def evaluate(
    model: Any,
    train: Examples,
    test: Examples,
    num_importance_samples: int = 5000,
    progress: Progress | None = None,
    features: Features | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Measures a model on test examples, by all metrics that it and they have.

    Args:
        model: A `VAE` or a model with its methods.
        train: Training examples, for what is compared with (principal components) or
            learned of the latents (probes).
        test: The examples that the metrics are of. It may be the training split, where
            there is no other. For a model that infers labels, -ELBO and NLL are those
            of x alone, with the labels summed out.
        num_importance_samples: Samples of the posterior for each example.
        progress: Called as the work goes on.
        features: What samples are compared in; None: see `features.choose`.
        folder: Of the run, which keeps features that were learned.

    Returns:
        Metrics by name for JSON, in nats for each example where not said otherwise.
    """
    x, labels = test.split.x, test.split.y
    report = progress or (lambda what, done, of: None)
    report("-ELBO", 0, len(x))
    given = None if model.infers_condition else test.condition
    terms = likelihood.elbo_terms(model, x, given)
    report("-ELBO", len(x), len(x))
    metrics: dict[str, Any] = {
        "num_examples": len(x),
        "reconstruction_loss": float(np.mean(terms.reconstruction_loss)),
    }
    columns = {"reconstruction_loss": terms.reconstruction_loss}
    if model.has_kl:
        columns |= {"kl_loss": terms.kl_loss, "neg_elbo": terms.neg_elbo}
        metrics |= _bounds(model, terms, x, given)
        of = model, test._replace(condition=given), terms
        nll = _importance_weighted(*of, num_importance_samples, report)
        columns["importance_weighted_nll"] = nll.pop("by_example")
        metrics |= nll
    if model.infers_condition and labels is not None:
        metrics |= _accuracy(model, x, labels)
    metrics |= _compared("principal components", report, _linear, model, train, test)
    pair = _pair(model, test)
    metrics |= _compared("samplers", report, _samplers, model, test, pair)
    metrics |= _compared("prior", report, _agreement, model, test)
    metrics |= _compared("latents", report, _latents, model, terms, train, test)
    all_of = model, train.split, test.split
    of_samples = *all_of, test.condition, features, folder, pair
    metrics |= _compared("samples", report, sample_metrics, *of_samples)
    metrics |= _compared("condition", report, conditional_metrics, *all_of)
    if labels is not None:
        metrics["by_class"] = _by_class(columns, metrics, labels)
    return metrics


def _accuracy(model: Any, x: Any, labels: np.ndarray) -> dict[str, Any]:
    """Returns how often the label that a model infers is the right one."""
    known = labels >= 0
    if not known.any():
        return {}
    found = model.predict_label(x).argmax(axis=1)
    return {"accuracy": float(np.mean(found[known] == labels[known]))}


def _bounds(
    model: Any, terms: likelihood.ElboTerms, x: Any, condition: Any
) -> dict[str, Any]:
    metrics: dict[str, Any] = {
        "kl_loss": float(np.mean(terms.kl_loss)),
        "neg_elbo": float(np.mean(terms.neg_elbo)),
    }
    bits = likelihood.bits_per_dimension(model, x, metrics["neg_elbo"], condition)
    if bits is not None:
        metrics["neg_elbo_bits_per_dimension"] = bits
        metrics |= lossless_bits_per_dimension(x)
    if terms.kl_per_dimension is None:
        return metrics
    kl = terms.kl_per_dimension.mean(axis=0)
    if groups := model.latent_groups:
        metrics["kl_per_group"] = {
            group.name: float(kl[where].sum()) for group, where in groups.slices()
        }
        metrics["numbers_per_group"] = {group.name: group.size for group in groups}
        each = list(metrics["kl_per_group"].values())
        metrics["kl_per_resolution"] = {
            name: sum(each[number] for number in numbers)
            for name, numbers in groups.by_resolution().items()
        }
    else:
        metrics["kl_per_dimension"] = kl.tolist()
    return metrics


def _importance_weighted(
    model: Any,
    test: Examples,
    terms: likelihood.ElboTerms,
    num_samples: int,
    report: Progress,
) -> dict[str, Any]:
    x, condition = test.split.x, test.condition

    def measured(what: str, **keywords: Any) -> likelihood.LogProbability:
        return likelihood.importance_weighted_nll(
            model,
            x,
            num_samples,
            condition=condition,
            progress=lambda done, of: report(what, done, of),
            **keywords,
        )

    found = measured("importance-weighted NLL")
    metrics = {
        "by_example": -found.log_prob,
        "importance_weighted_nll": found.nll,
        "importance_weighted_nll_standard_error": _json(found.standard_error),
        "importance_weighted_nll_standard_error_over_examples": _json(
            found.standard_error_over_examples
        ),
        "num_importance_samples": num_samples,
        "effective_samples": _json(float(np.mean(found.effective_samples))),
        "bits_per_dimension": likelihood.bits_per_dimension(
            model, x, found.nll, condition
        ),
    }
    active = latents.active_units(terms.z_mean)
    if likelihood.can_leave_out(model) and not active.all():
        reduced = measured("NLL without inactive dimensions", active=active)
        metrics["importance_weighted_nll_without_inactive"] = reduced.nll
    return {name: value for name, value in metrics.items() if value is not None}


def _json(value: float) -> float | None:
    return None if np.isnan(value) else value


def _compared(
    what: str, report: Progress, measure: Callable[..., dict[str, Any]], *args: Any
) -> dict[str, Any]:
    report(what, 0, 1)
    metrics = measure(*args)
    report(what, 1, 1)
    return metrics


def _linear(model: Any, train: Examples, test: Examples) -> dict[str, Any]:
    return principal_components(model, train.split.x, test.split.x, test.condition)


def _pair(model: Any, test: Examples) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns examples and as many from the prior, unless the model has none."""
    if not model.has_kl:
        return None
    return samplers.real_and_generated(model, test.split.x, test.condition)


def _agreement(model: Any, test: Examples) -> dict[str, Any]:
    return prior_agreement(model, test.split.x, test.condition)


def _samplers(
    model: Any, test: Examples, pair: tuple[np.ndarray, np.ndarray] | None
) -> dict[str, Any]:
    x, condition = test.split.x, test.condition
    return samplers.sampler_scores(model, x, condition, pair and pair[1])


def _latents(
    model: Any, terms: likelihood.ElboTerms, train: Examples, test: Examples
) -> dict[str, Any]:
    z = z_given = terms.z_mean[:, : model.latent_dim]  # the top, in hierarchies
    x, condition = test.split.x, test.condition
    if model.infers_condition and condition is not None:
        z_given = model.encode(x, condition)  # under the labels, not those inferred
    standardized = standardized_means(model, z_given, x, condition)
    metrics: dict[str, Any] = {
        "active_units": int(latents.active_units(standardized).sum()),
        "posterior_mean_deviation": float(z.std(axis=0).mean()),
    }
    factors = test.split.factors
    if factors is not None and _are_factors(factors):
        metrics["disentanglement"] = disentanglement.all_scores(z, factors)
        metrics["disentanglement_chance"] = disentanglement.chance_scores(factors)
    y_train, y_test = train.split.y, test.split.y
    if y_train is None or y_test is None:
        return metrics
    if test.split is train.split:  # learn from one half, and ask about the other
        half = np.arange(len(z)) % 2 == 0
        known, asked = (z[half], y_test[half]), (z[~half], y_test[~half])
    else:
        # As those asked about: under the labels inferred, where a model infers them.
        given = None if model.infers_condition else train.condition
        known = samplers.top_posterior(model, train.split.x, given)[0], y_train
        asked = z, y_test
    return {**metrics, **latents.probe_accuracies(*known, *asked)}


def _are_factors(factors: np.ndarray) -> bool:
    """Whether these are enough rows of integers, of which at least two vary."""
    if not np.issubdtype(factors.dtype, np.integer):
        return False
    varying = np.sum(factors.min(axis=0) != factors.max(axis=0))
    return bool(len(factors) >= _MIN_ROWS_FOR_FACTORS and varying >= 2)


def _by_class(
    columns: dict[str, np.ndarray], metrics: dict[str, Any], labels: np.ndarray
) -> dict[str, Any]:
    """Returns the metrics of each class, and moves the probes' there."""
    found = {name: latents.by_class(values, labels) for name, values in columns.items()}
    for name in ("knn_accuracy", "linear_probe_accuracy"):
        if f"{name}_by_class" in metrics:
            found[name] = metrics.pop(f"{name}_by_class")
    return {
        str(label): {
            "count": int(np.sum(labels == label)),
            **{name: of[label] for name, of in found.items() if label in of},
        }
        for label in np.unique(labels[labels >= 0]).tolist()
    }


_LINES: tuple[tuple[str, str, str], ...] = (
    ("neg_elbo", "-ELBO", "nats"),
    ("reconstruction_loss", "  reconstruction", "nats"),
    ("kl_loss", "  KL", "nats"),
    ("neg_elbo_bits_per_dimension", "-ELBO in bits per dimension", ""),
    ("importance_weighted_nll", "NLL by importance sampling", "nats"),
    ("importance_weighted_nll_standard_error", "  error, of sampling", "nats"),
    (
        "importance_weighted_nll_standard_error_over_examples",
        "  error, of the choice of examples",
        "nats",
    ),
    ("effective_samples", "  effective samples of each example", ""),
    ("importance_weighted_nll_without_inactive", "  without inactive dims", "nats"),
    ("neighbours_nll", "NLL of nearest neighbours, of the missing region", "nats"),
    ("mean_image_nll", "  of the mean image", "nats"),
    ("label_agreement", "samples of the label that was asked for", ""),
    ("classifier_accuracy", "  accuracy of the classifier that says so", ""),
    ("accuracy", "accuracy of the labels it infers", ""),
    ("bits_per_dimension", "NLL in bits per dimension", ""),
    ("png_bits_per_dimension", "  PNG", ""),
    ("webp_bits_per_dimension", "  lossless WebP", ""),
    ("active_units", "active latent dimensions", ""),
    ("squared_error", "squared error of reconstructions", ""),
    ("pca_squared_error", "  of PCA with as many components", ""),
    ("pca_nll", "NLL of probabilistic PCA", "nats"),
    ("prior_latent_nll", "-log density of test latents: prior", "nats"),
    ("aggregate_latent_nll", "  density fitted after training", "nats"),
    ("prior_aggregate_kl", "KL of normals of each z, aggregate to prior", "nats"),
    ("aggregate_radius", "  mean |z| of test latents", ""),
    ("prior_radius", "  mean |z| of the prior", ""),
    ("posterior_mean_deviation", "  standard deviation of posterior means", ""),
    ("prior_far", "  share of the prior far from all of them", ""),
    ("prior_mmd", "1000 MMD^2 of samples: prior", ""),
    ("aggregate_mmd", "  density fitted after training", ""),
    ("sample_features", "samples compared in", ""),
    ("samples_left_out", "samples not compared", ""),
    ("sample_precision", "  precision", ""),
    ("sample_recall", "  recall", ""),
    ("sample_density", "  density", ""),
    ("sample_coverage", "  coverage", ""),
    ("sample_kernel_distance", "  kernel distance", ""),
    ("sample_kernel_distance_standard_error", "    its standard error", ""),
    ("samples_nearer_to_training", "samples nearer to training than to others", ""),
    ("samples_nearer_to_training_by_chance", "  expected by chance", ""),
    ("knn_accuracy", "accuracy of labels: nearest neighbours", ""),
    ("linear_probe_accuracy", "  linear probe", ""),
)


def rows(metrics: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Returns those metrics of `evaluate` that are one number or text, in words.

    Returns:
        What it is, the number and its unit, or nothing and the text; what belongs to
        the row above is indented.
    """
    found = []
    for name, words, unit in _LINES:
        if metrics.get(name) is not None:
            value = metrics[name]
            if isinstance(value, str):
                found.append((words, "", value))
                continue
            shown = f"{value:,d}" if isinstance(value, int) else f"{value:,.4g}"
            shown = f"{value:,.2f}" if unit and abs(value) >= 10 else shown
            found.append((words, shown, unit))
    return found


def table(metrics: dict[str, Any]) -> str:
    """Returns the metrics of `evaluate` as lines of text."""
    lines = [
        (f"{words:<42}{shown:>12} {unit}" if shown else f"{words:<42} {unit}").rstrip()
        for words, shown, unit in rows(metrics)
    ]
    if "kl_per_dimension" in metrics:
        kl = sorted(metrics["kl_per_dimension"], reverse=True)
        lines += ["KL by latent dimension, largest first"]
        lines += [
            "  " + " ".join(f"{value:6.2f}" for value in kl[first : first + 10])
            for first in range(0, len(kl), 10)
        ]
    if "kl_per_group" in metrics:
        lines += ["KL by group of latents, from the top"]
        sizes = metrics["numbers_per_group"]
        lines += [
            f"  {name:<40}{kl:>12.2f} nats of {sizes[name]:,} numbers"
            for name, kl in metrics["kl_per_group"].items()
        ]
        lines += ["KL by resolution"]
        lines += [
            f"  {name:<40}{kl:>12.2f} nats"
            for name, kl in metrics["kl_per_resolution"].items()
        ]
    for name, score in metrics.get("disentanglement", {}).items():
        chance = metrics["disentanglement_chance"][name]
        lines.append(f"{name:<42}{score:>12.3f} (chance {chance:.3f})")
    lines += _class_lines(metrics.get("by_class", {}))
    if metrics.get("prior_far", 0.0) > FEW:
        apart = metrics.get("prior_aggregate_kl", 0.0) > _MOMENTS_APART
        flat = "kl_per_dimension" in metrics
        rescaled = "--prior flow, --rescale_latents, " if apart and flat else ""
        lines.append(
            f"Warning: {metrics['prior_far']:.0%} of the prior's draws fall where no "
            "example's z lies, so samples may look like none. Try generate.py "
            f"--sampler aggregate; train with {rescaled}a smaller --latent_dim or more "
            "--epochs."
        )
    return "\n".join(lines)


def _class_lines(by_class: dict[str, Any]) -> list[str]:
    if not by_class:
        return []
    heads = {
        "count": "examples",
        "neg_elbo": "-ELBO",
        "importance_weighted_nll": "NLL",
        "reconstruction_loss": "reconstr.",
        "kl_loss": "KL",
        "knn_accuracy": "k-NN",
        "linear_probe_accuracy": "linear",
    }
    present = [name for name in heads if any(name in row for row in by_class.values())]
    lines = ["class     " + "".join(f"{heads[name]:>11}" for name in present)]
    for label, row in by_class.items():
        cells = [
            f"{row[name]:>11,.{0 if name == 'count' else 3 if name in _SHARES else 2}f}"
            if name in row
            else " " * 11
            for name in present
        ]
        lines.append(f"{label[:10]:<10}" + "".join(cells))
    return lines


_SHARES = ("knn_accuracy", "linear_probe_accuracy")
