"""Disentanglement, completeness and informativeness of latents.

Source: Eastwood and Williams 2018, "A framework for the quantitative evaluation of
disentangled representations".
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
from sklearn.model_selection import KFold

from keras_vae.evaluation.factors import RandomState, checked, majority_share
from keras_vae.naming import lookup

_NUM_TREES = 20
_TREES_FOR_DEPTH = 10
_DEPTHS = (2, 3, 4, 5, 6, 8, 12, 20)
_NUM_FOLDS = 2
_ROWS_FOR_DEPTH = 2_000  # rows that the cross-validation of the depth takes at most


def dci(
    latents: np.ndarray,
    factors: np.ndarray,
    random_state: RandomState = 0,
    predictor: str = "forest",
) -> dict[str, float]:
    """Computes disentanglement, completeness and informativeness.

    For each factor a predictor of its value from the latents is trained on 4/5 of the
    rows and tested on the rest. R, `(d, k)`, holds the predictors' importances, each
    column summing to 1. Disentanglement of a latent is 1 minus the entropy of its row
    of R, in units of log k, and latents count by their share of R; completeness of a
    factor is 1 minus the entropy of its column, in units of log d, and is averaged.
    Informativeness is the mean accuracy on the test rows.

    "forest" is the paper's: a random forest whose depth is cross-validated, since one
    of full depth fits noise and spreads its importances over latents without use. The
    depth is the smallest whose log loss is within a standard error of the best one.
    Factors are classes here, so the forests classify. Every latent is tried at each
    split. Where a factor is not predicted better than by its most frequent value, by
    more than three standard errors, all latents are as important as each other: what
    such a forest tends to with more trees and rows. Factors that no latent encodes
    therefore lower all scores.

    "boosted_trees" is the form of Locatello et al. 2019: 100 boosted trees of depth 3
    with the importances as they are. It costs a hundred times as much.

    Args:
        latents: float `(n, d)`; 10,000 rows are plenty.
        factors: int `(n, k)`, at least two columns that vary.
        random_state: A seed or a generator.
        predictor: "forest" or "boosted_trees".

    Returns:
        `dci_disentanglement`, `dci_completeness`, `dci_informativeness`.

    Raises:
        ValueError: If the arrays are not as described, or the predictor is not known.
    """
    fit = lookup("predictor", predictor, _PREDICTORS)
    z, values = checked(latents, factors)
    importance, accuracy, predicted = _importances(
        z, values, fit, np.random.default_rng(random_state)
    )
    if predictor == "forest":
        # What a forest that predicts nothing prefers is an accident.
        importance[:, ~predicted] = 1 / max(1, z.shape[1]) if predicted.any() else 0.0
    of_latent = importance.sum(axis=1)
    weight = of_latent / max(of_latent.sum(), 1e-12)
    complete = np.where(predicted, _concentration(importance.T), 0.0)
    return {
        "dci_disentanglement": float(weight @ _concentration(importance)),
        "dci_completeness": float(np.mean(complete)),
        "dci_informativeness": float(np.mean(accuracy)),
    }


def _importances(
    z: np.ndarray,
    values: np.ndarray,
    fit: Callable[..., Any],
    generator: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fits a predictor of each factor and tests it on a fifth of the rows.

    Returns:
        The importance of each latent for each factor, (d, k); the accuracy for each
        factor, (k,); and whether it is above that of the most frequent value, (k,).
    """
    majority = majority_share(values)
    d, k = z.shape[1], values.shape[1]
    importance, accuracy = np.zeros((d, k)), majority.copy()
    predicted = np.zeros(k, bool)
    train, test = np.split(generator.permutation(len(z)), [max(1, len(z) * 4 // 5)])
    for factor in range(k if d else 0):
        found = fit(z[train], values[train, factor], generator)
        accuracy[factor] = found.score(z[test], values[test, factor])
        share = majority[factor]
        standard_error = np.sqrt(share * (1 - share) / len(test))
        predicted[factor] = accuracy[factor] > share + 3 * standard_error
        importance[:, factor] = found.feature_importances_
    return importance, accuracy, predicted


def _fit_forest(
    z: np.ndarray, values: np.ndarray, generator: np.random.Generator
) -> RandomForestClassifier:
    """Returns a forest of the depth that cross-validation chooses, fitted."""
    seed = int(generator.integers(2**31))
    rows = slice(None, _ROWS_FOR_DEPTH)  # they are in random order
    losses, errors = [], []
    for depth in _DEPTHS:
        loss = _validated_log_loss(
            _forest(depth, seed, _TREES_FOR_DEPTH), z[rows], values[rows]
        )
        losses.append(loss.mean())
        errors.append(loss.std() / np.sqrt(len(loss)))
        best = int(np.argmin(losses))
        if losses[-1] > losses[best] + errors[best]:
            break
    bound = losses[best] + errors[best]
    depth = next(d for d, loss in zip(_DEPTHS, losses, strict=False) if loss <= bound)
    return _forest(depth, seed).fit(z, values)


def _forest(
    depth: int, seed: int, num_trees: int = _NUM_TREES
) -> RandomForestClassifier:
    return RandomForestClassifier(
        num_trees, max_depth=depth, max_features=None, random_state=seed
    )


def _validated_log_loss(
    predictor: Any, z: np.ndarray, values: np.ndarray
) -> np.ndarray:
    """Returns -log p(value) of each row by a predictor of the other folds, `(n,)`."""
    loss = np.empty(len(z))
    # A value that no tree gave a row is not impossible, but rarer than one in n.
    floor = 0.5 / len(z)
    for train, test in KFold(min(_NUM_FOLDS, len(z))).split(z):
        predictor.fit(z[train], values[train])
        probability = predictor.predict_proba(z[test])
        column = np.searchsorted(predictor.classes_, values[test])
        column = np.minimum(column, len(predictor.classes_) - 1)
        known = predictor.classes_[column] == values[test]
        of_value = np.where(known, probability[np.arange(len(test)), column], 0.0)
        loss[test] = -np.log(np.maximum(of_value, floor))
    return loss


def _fit_boosted_trees(
    z: np.ndarray, values: np.ndarray, generator: np.random.Generator
) -> GradientBoostingClassifier:
    seed = int(generator.integers(2**31))
    return GradientBoostingClassifier(random_state=seed).fit(z, values)


_PREDICTORS: dict[str, Callable[..., Any]] = {
    "forest": _fit_forest,
    "boosted_trees": _fit_boosted_trees,
}


def _concentration(importance: np.ndarray) -> np.ndarray:
    """Computes 1 - entropy / log(columns) of each row, 0 for a row of zeros."""
    total = importance.sum(axis=1)
    if importance.shape[1] < 2:
        return (total > 0).astype(np.float64)
    share = importance / np.where(total > 0, total, 1.0)[:, None]
    entropy = special.entr(share).sum(axis=1)
    concentration = np.clip(1 - entropy / np.log(importance.shape[1]), 0.0, 1.0)
    return np.where(total > 0, concentration, 0.0)
