"""Two models on the same examples, paired by example."""

import math
from typing import Any, NamedTuple

import numpy as np

from keras_vae.errors import invalid_argument
from keras_vae.evaluation.likelihood import elbo_terms, importance_weighted_nll


class PairedDifference(NamedTuple):
    """The mean of a paired difference over examples."""

    mean: float
    """Mean of the second less the first: what the first gains where less is better."""
    standard_error: float
    """Of that mean for the population that the examples are drawn from; NaN for one."""


def paired_difference(first: np.ndarray, second: np.ndarray) -> PairedDifference:
    """Returns the mean of `second - first` and its standard error over examples.

    Examples that are hard are hard for both, so the error of a paired difference is
    many times smaller than that of each mean.

    Args:
        first: `(n,)`.
        second: `(n,)`, of the same examples in the same order.

    Raises:
        ValueError: If the shapes differ.
    """
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if first.shape != second.shape or first.ndim != 1:
        raise invalid_argument(
            "second",
            f"shape {first.shape}, one number for each example of `first`",
            received=f"shape {second.shape}",
        )
    difference = second - first
    n = len(difference)
    error = float(np.std(difference, ddof=1) / math.sqrt(n)) if n > 1 else math.nan
    return PairedDifference(float(difference.mean()), error)


def bounds_by_example(
    model: Any, x: Any, condition: Any, num_importance_samples: int
) -> dict[str, np.ndarray]:
    """Returns -ELBO and the importance-weighted NLL of each example, nats, `(n,)`."""
    found = importance_weighted_nll(
        model, x, num_importance_samples, condition=condition
    )
    return {
        "neg_elbo": elbo_terms(model, x, condition).neg_elbo,
        "importance_weighted_nll": -found.log_prob,
    }
