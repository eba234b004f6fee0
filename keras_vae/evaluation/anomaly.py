"""How unlike the training data an example is, to a model that knows only these."""

from collections.abc import Callable
from typing import Any

import numpy as np

from keras_vae.data.datasets import Split
from keras_vae.errors import invalid_argument
from keras_vae.evaluation.likelihood import elbo_terms

Fit = Callable[[Any], Any]
"""Maps training examples to a model trained on them."""
Report = Callable[[dict[str, float]], None]


def anomaly_scores(
    model: Any, x: Any, condition: Any = None, num_samples: int = 16
) -> dict[str, np.ndarray]:
    """Scores each example by how improbable it is to a model.

    Args:
        model: A `VAE` or a model with its methods.
        x: Examples.
        condition: For conditional models, one an example.
        num_samples: Samples of the posterior for each example.

    Returns:
        `neg_elbo`, (n,), in nats, more being stranger; and
        `log_reconstruction_probability`, E_q[log p(x|z)], (n,), less being stranger (An
        and Cho 2015, algorithm 4). The first also counts how far z is from the prior.
    """
    terms = elbo_terms(model, x, condition, num_samples)
    return {
        "neg_elbo": terms.neg_elbo,
        "log_reconstruction_probability": -terms.reconstruction_loss,
    }


def auroc(scores: np.ndarray, is_anomaly: np.ndarray) -> float:
    """Returns how often an anomaly scores higher than an example that is none.

    The area under the curve of true over false positives (Hanley and McNeil 1982); ties
    count half, and one half is what a score that knows nothing has.

    Args:
        scores: (n,), more being stranger.
        is_anomaly: (n,), bool; some of each.

    Raises:
        ValueError: If all or none are anomalies.
    """
    from sklearn.metrics import roc_auc_score

    count = int(np.sum(is_anomaly))
    others = len(is_anomaly) - count
    if not count or not others:
        raise invalid_argument(
            "is_anomaly",
            "some examples of each kind",
            received=f"{count} anomalies and {others} others",
        )
    return float(roc_auc_score(is_anomaly, scores))


def leave_one_class_out(
    train: Split,
    test: Split,
    fit: Fit,
    report: Report | None = None,
    num_samples: int = 16,
) -> list[dict[str, float]]:
    """Trains without one class at a time, and lets the model find it in the test split.

    Args:
        train: Training examples with labels.
        test: Test examples with labels.
        fit: Trains a model on the examples that it is given.
        report: Called with the scores of each class once they are known.
        num_samples: Samples of the posterior for each example's score.

    Returns:
        A row for each label of both splits: `label`, `anomalies` (test examples that
        have it), `neg_elbo_auroc` and `reconstruction_auroc`.

    Raises:
        ValueError: If the examples have no labels, or fewer than two.
    """
    if train.y is None or test.y is None:
        raise invalid_argument(
            "test" if test.y is None else "train",
            "examples with labels, to leave one out",
            received="examples without",
        )
    labels = np.intersect1d(train.y[train.y >= 0], test.y[test.y >= 0])
    if len(labels) < 2:
        raise invalid_argument(
            "test",
            "two labels or more that the training data have too, to leave one out",
            received=f"{len(labels)}",
        )
    rows = []
    for label in labels:
        model = fit(train.take(np.flatnonzero(train.y != label)).x)
        scores = anomaly_scores(model, test.x, num_samples=num_samples)
        left_out = test.y == label
        rows.append(
            {
                "label": int(label),
                "anomalies": int(np.sum(left_out)),
                "neg_elbo_auroc": auroc(scores["neg_elbo"], left_out),
                "reconstruction_auroc": auroc(
                    -scores["log_reconstruction_probability"], left_out
                ),
            }
        )
        if report is not None:
            report(rows[-1])
    return rows
