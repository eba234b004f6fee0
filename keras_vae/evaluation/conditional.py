"""How well a conditional model does what it is asked for.

Of labels: whether a classifier that knows real examples only sees the class that was
asked for. Of regions of images: the log-likelihood of the missing pixels, and that of a
nearest-neighbour baseline.
"""

from typing import Any, NamedTuple

import numpy as np

from keras_vae.data.datasets import Split
from keras_vae.evaluation.examples import first_in_unit
from keras_vae.probability.likelihoods import Bernoulli

_ROWS = 500  # images that are completed at a time
_NEIGHBOURS = (1, 2, 5, 10, 20, 50)
_WEIGHTS = (0.1, 0.3, 1.0, 3.0, 10.0)
_HELD_OUT = 10  # one training image in so many decides
_SAMPLES = 1000  # that a classifier is asked about
_MAX_TRAINING = 10_000  # examples: a support vector machine takes their square
_SEED = 0


def conditional_metrics(model: Any, train: Split, test: Split) -> dict[str, Any]:
    """Measures what there is to measure of a model's condition.

    Args:
        model: A `CVAE` or any other model.
        train: Training examples, of which the first 10,000 are taken.
        test: The examples that the model is measured on.

    Returns:
        The metrics of `label_agreement` for 1,000 likelihood means, as many of each
        label, if it is conditioned on labels; those of `completion_baseline` if it is
        given half of an image, under a Bernoulli likelihood. Else nothing.
    """
    condition = getattr(model, "condition", None)
    name = getattr(condition, "name", "")
    if condition is not None and name == "label" and train.y is not None:
        real = first_in_unit(train.x, _MAX_TRAINING), train.y[:_MAX_TRAINING]
        if len(np.unique(real[1][real[1] >= 0])) < 2:
            return {}  # one class
        labels = np.arange(_SAMPLES) % condition.num_classes
        samples = model.sample(_SAMPLES, seed=_SEED, condition=labels)
        asked = first_in_unit(test.x, _MAX_TRAINING)
        return label_agreement(*real, samples, labels, asked, test.y)
    if condition is not None and name.endswith("_half"):
        if isinstance(model.likelihood, Bernoulli):
            given = np.asarray(condition.given(None))[0, ..., 0]
            known, asked = (
                first_in_unit(split.x, _MAX_TRAINING) for split in (train, test)
            )
            return completion_baseline(known, asked, given)
    return {}


def label_agreement(
    x_train: np.ndarray,
    y_train: np.ndarray,
    samples: np.ndarray,
    labels: np.ndarray,
    x_test: np.ndarray | None = None,
    y_test: np.ndarray | None = None,
) -> dict[str, Any]:
    """Asks a classifier of real examples for the labels of generated ones.

    The classifier is scikit-learn's support vector machine with a Gaussian kernel and
    C = 10; it never sees a generated example.

    Args:
        x_train: Real examples, (n, ...), in the units of the samples.
        y_train: Their labels, (n,); examples with -1 have none and are left out.
        samples: What a model generated, (m, ...).
        labels: The labels that were asked for, (m,).
        x_test: Other real examples, to know the classifier by.
        y_test: Their labels, as `y_train`.

    Returns:
        `label_agreement`, the share of samples that are of the label asked for;
        `label_agreement_by_class`; and `classifier_accuracy` on the test examples.
    """
    from sklearn.svm import SVC

    known = y_train >= 0
    classifier = SVC(C=10.0).fit(_flat(x_train[known]), y_train[known])
    agrees = classifier.predict(_flat(samples)) == labels
    metrics: dict[str, Any] = {
        "label_agreement": float(agrees.mean()),
        "label_agreement_by_class": {
            str(label): float(agrees[labels == label].mean())
            for label in np.unique(labels).tolist()
        },
    }
    if x_test is not None and y_test is not None:
        y_test = y_test[: len(x_test)]
        x_test, y_test = x_test[y_test >= 0], y_test[y_test >= 0]
        if len(y_test):
            right = classifier.predict(_flat(x_test)) == y_test
            metrics["classifier_accuracy"] = float(right.mean())
    return metrics


class Neighbours(NamedTuple):
    """A nearest-neighbour completion, as it was chosen.

    A missing pixel is on with the probability (on + w p) / (k + w), where `on` of the
    `k` nearest training images have it on, and p is the pixel's mean over all of them.
    """

    k: int
    w: float


def completion_baseline(
    x_train: np.ndarray, x_test: np.ndarray, given: np.ndarray
) -> dict[str, float]:
    """Completes test images from the training images whose given region is nearest.

    Nearest in the squared distance of the given pixels. The number of neighbours and
    the weight of the mean image (see `Neighbours`) are those that do best on a tenth of
    the training images, completed from the rest.

    Args:
        x_train: Training images in [0, 1], (n, height, width, channels).
        x_test: Test images, as the model is measured on.
        given: Which pixels are given, (height, width), true or 1.

    Returns:
        `neighbours_nll`, nats of the missing pixels of a test image, which for grey
        ones is a cross-entropy; `mean_image_nll`, of the mean image alone; `neighbours`
        and `neighbours_weight`, k and w as they were chosen.
    """
    shown = np.broadcast_to(np.asarray(given, bool)[..., np.newaxis], x_train.shape[1:])
    order = np.random.default_rng(_SEED).permutation(len(x_train))
    held, rest = x_train[order[::_HELD_OUT]], np.delete(x_train, order[::_HELD_OUT], 0)
    candidates = [
        Neighbours(k, w) for k in _NEIGHBOURS for w in _WEIGHTS if k <= len(rest)
    ]
    scores = {
        choice: np.mean(nll)
        for choice, nll in _completed(rest, held, shown, candidates).items()
    }
    best = min(scores, key=lambda choice: scores[choice])
    mean = _mean_image(x_train[:, ~shown])
    return {
        "neighbours_nll": float(
            np.mean(_completed(x_train, x_test, shown, [best])[best])
        ),
        "mean_image_nll": float(np.mean(_cross_entropy(x_test[:, ~shown], mean))),
        "neighbours": best.k,
        "neighbours_weight": best.w,
    }


def _completed(
    known: np.ndarray, asked: np.ndarray, shown: np.ndarray, choices: list[Neighbours]
) -> dict[Neighbours, np.ndarray]:
    """Returns the cross-entropy of each asked image's missing pixels, (n,)."""
    from sklearn.neighbors import NearestNeighbors

    hidden = known[:, ~shown]
    mean = _mean_image(hidden)
    most = max(choice.k for choice in choices)
    search = NearestNeighbors(n_neighbors=most, algorithm="brute")
    search.fit(known[:, shown])
    parts: dict[Neighbours, list[np.ndarray]] = {choice: [] for choice in choices}
    for first in range(0, len(asked), _ROWS):
        rows = asked[first : first + _ROWS]
        nearest = search.kneighbors(rows[:, shown], return_distance=False)
        for choice in choices:
            on = sum(hidden[nearest[:, i]] for i in range(choice.k))
            p = (on + choice.w * mean) / (choice.k + choice.w)
            parts[choice].append(_cross_entropy(rows[:, ~shown], p))
    return {choice: np.concatenate(nll) for choice, nll in parts.items()}


def _mean_image(x: np.ndarray) -> np.ndarray:
    """The mean of each pixel, kept from 0 and 1 by half an image of each."""
    return np.asarray((x.sum(axis=0) + 0.5) / (len(x) + 1.0))


def _cross_entropy(x: np.ndarray, p: np.ndarray) -> np.ndarray:
    """-sum of x log p + (1 - x) log(1 - p) over the pixels, (n,)."""
    return np.asarray(-np.sum(x * np.log(p) + (1.0 - x) * np.log1p(-p), axis=1))


def _flat(x: np.ndarray) -> np.ndarray:
    return np.reshape(x, (len(x), -1))
