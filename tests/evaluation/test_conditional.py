import numpy as np
import pytest

from keras_vae import CVAE
from keras_vae.data.datasets import Split
from keras_vae.evaluation.conditional import (
    completion_baseline,
    conditional_metrics,
    label_agreement,
)


@pytest.fixture(scope="module")
def digits() -> tuple[np.ndarray, np.ndarray]:
    """Images of three classes, each a bar in another row, with some noise."""
    random = np.random.default_rng(0)
    y = np.arange(300) % 3
    x = random.uniform(0.0, 0.3, (300, 3, 4, 1))
    x[np.arange(300), y] += 0.7
    return x.astype(np.float32), y.astype(np.int32)


def test_agreement_is_1_for_real_examples_and_chance_for_strangers(digits):
    x, y = digits
    good = label_agreement(x[:200], y[:200], x[200:], y[200:], x[200:], y[200:])
    assert good["label_agreement"] == good["classifier_accuracy"] == 1.0
    wrong = label_agreement(x[:200], y[:200], x[200:], (y[200:] + 1) % 3)
    assert wrong["label_agreement"] == 0.0
    assert "classifier_accuracy" not in wrong


def test_agreement_by_class_tells_which_class_is_missed(digits):
    x, y = digits
    samples, labels = x[:30].copy(), y[:30]
    samples[labels == 2] = x[0]
    metrics = label_agreement(x, y, samples, labels)
    assert metrics["label_agreement_by_class"] == {"0": 1.0, "1": 1.0, "2": 0.0}
    assert metrics["label_agreement"] == pytest.approx(2 / 3)


def pairs(n: int, seed: int) -> np.ndarray:
    """Binary images whose right half repeats the left one."""
    left = np.random.default_rng(seed).uniform(size=(n, 2, 2, 1)) < 0.5
    return np.concatenate([left, left], axis=2).astype(np.float32)


def test_neighbours_complete_what_the_given_half_determines():
    given = np.zeros((2, 4))
    given[:, :2] = 1
    metrics = completion_baseline(pairs(500, 0), pairs(100, 1), given)
    assert metrics["mean_image_nll"] == pytest.approx(4 * np.log(2), rel=0.02)
    assert metrics["neighbours_nll"] < 0.1


def test_neighbours_fall_back_on_the_mean_where_nothing_is_told():
    random = np.random.default_rng(0)
    x, other = (random.uniform(size=(n, 2, 4, 1)) < 0.3 for n in (500, 200))
    given = np.zeros((2, 4))
    given[:, :2] = 1
    metrics = completion_baseline(x.astype(np.float32), other.astype(np.float32), given)
    assert metrics["neighbours_nll"] == pytest.approx(
        metrics["mean_image_nll"], rel=0.03
    )


def test_neighbours_by_hand():
    # One known image fits the given pixel; k and w can only be chosen from few.
    x = np.zeros((2, 1, 2, 1), np.float32)
    x[1] = 1.0
    metrics = completion_baseline(x, x[:1], np.array([[1, 0]]))
    k, w = metrics["neighbours"], metrics["neighbours_weight"]
    on = (0.0 + w * 0.5) / (k + w)  # the pixel is on in half of the images
    assert k == 1
    assert metrics["neighbours_nll"] == pytest.approx(-np.log1p(-on))


def test_figures_are_those_of_the_condition(digits):
    x, y = digits
    split = Split(x, y)
    model = CVAE(2, (3, 4, 1), condition="label", num_classes=3, seed=0)
    assert conditional_metrics(model, split, split)["classifier_accuracy"] == 1.0
    model = CVAE(2, (3, 4, 1), condition="left_half", seed=0)
    metrics = conditional_metrics(model, split, split)
    by_hand = completion_baseline(x, x, np.array([[1, 1, 0, 0]] * 3))
    assert metrics == by_hand
    assert conditional_metrics(object(), split, split) == {}


def test_examples_without_a_label_teach_the_classifier_nothing(digits):
    x, y = digits
    partly = np.where(np.arange(300) < 60, y, -1)
    metrics = label_agreement(x, partly, x[200:], y[200:], x, partly)
    assert metrics["label_agreement"] == metrics["classifier_accuracy"] == 1.0
    model = CVAE(2, (3, 4, 1), condition="label", num_classes=3, seed=0)
    one = Split(x, np.where(y == 0, 0, -1))
    assert conditional_metrics(model, one, one) == {}
