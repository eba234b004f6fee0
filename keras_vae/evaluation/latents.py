"""What the latents of a trained model hold: arrays in, numbers out."""

import csv
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from keras_vae import files

_NEIGHBOURS = 5


def active_units(z_mean: np.ndarray, threshold: float = 0.01) -> np.ndarray:
    """Says which latent dimensions carry anything (Burda et al. 2015, section 5.2).

    Args:
        z_mean: (n, latent_dim), posterior means of n >= 2 examples; under a learned
            p(z|c), in its units, as of `agreement.standardized_means`.
        threshold: A dimension is active if its mean varies by more over the examples.

    Returns:
        (latent_dim,), bool.
    """
    return np.asarray(np.var(z_mean, axis=0) > threshold)


def probe_accuracies(
    train: np.ndarray,
    train_labels: np.ndarray,
    test: np.ndarray,
    test_labels: np.ndarray,
    neighbours: int = _NEIGHBOURS,
) -> dict[str, Any]:
    """Says how well labels can be read off from the latents.

    By the nearest neighbours in latent space, and by a linear probe: multinomial
    logistic regression on latents divided by their standard deviation (Alain and Bengio
    2016). Both learn from the training latents only.

    Args:
        train: (n, latent_dim), usually posterior means.
        train_labels: (n,), int; examples with -1 have none and are left out.
        test: (m, latent_dim).
        test_labels: (m,), int.
        neighbours: How many have a vote.

    Returns:
        `knn_accuracy` and `linear_probe_accuracy`; `knn_accuracy_by_class` and
        `linear_probe_accuracy_by_class` by label; empty where the training latents
        have fewer than two classes or no test example has a label.
    """
    # Late, because it takes a second, and who trains needs only `active_units`.
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    train, train_labels = train[train_labels >= 0], train_labels[train_labels >= 0]
    test, test_labels = test[test_labels >= 0], test_labels[test_labels >= 0]
    if len(np.unique(train_labels)) < 2 or not len(test_labels):
        return {}
    probes = {
        "knn": KNeighborsClassifier(min(neighbours, len(train))),
        "linear_probe": make_pipeline(
            StandardScaler(), LogisticRegression(max_iter=2000)
        ),
    }
    metrics: dict[str, Any] = {}
    for name, probe in probes.items():
        right = probe.fit(train, train_labels).predict(test) == test_labels
        metrics[f"{name}_accuracy"] = float(np.mean(right))
        metrics[f"{name}_accuracy_by_class"] = by_class(right, test_labels)
    return metrics


def by_class(values: np.ndarray, labels: np.ndarray) -> dict[int, float]:
    """Returns the mean of `values`, `(n,)`, for each label there is, but for -1."""
    return {
        int(label): float(np.mean(values[labels == label]))
        for label in np.unique(labels[labels >= 0])
    }


def write_table(path: str | os.PathLike[str], columns: Mapping[str, Any]) -> None:
    """Writes columns as CSV, a row an example.

    Args:
        path: The file; one that is there is replaced once the new one is complete.
        columns: Name to an array of n rows. A column of shape (n, d) becomes d columns,
            its name followed by _0 to _(d - 1).

    Raises:
        OSError: If the file cannot be written.
    """
    names: list[str] = []
    flat: list[list[Any]] = []
    for name, values in columns.items():
        array = np.asarray(values)
        if array.ndim == 1:
            names.append(name)
            flat.append(array.tolist())
        else:
            names += [f"{name}_{index}" for index in range(array.shape[1])]
            flat += array.T.tolist()
    with (
        files.written_aside(path) as aside,
        aside.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(zip(*flat, strict=True))
