import numpy as np
import pytest

from keras_vae.evaluation.samples import (
    density_coverage,
    kernel_distance,
    nearer_to_training,
    precision_recall,
)

N = 400
CENTRES = np.eye(4) * 20.0


def normal(n=N, seed=0, dim=4):
    return np.random.default_rng(seed).normal(size=(n, dim))


def clusters(centres, seed, n=N):
    which = np.arange(n) % len(centres)
    return centres[which] + normal(n, seed)


def test_identical_sets_agree_entirely():
    x = normal()
    assert precision_recall(x, x) == (1.0, 1.0)
    density, coverage = density_coverage(x, x)
    assert coverage == 1.0
    assert density == pytest.approx(1.2)  # itself, and its ball's five
    distance = kernel_distance(x, x)
    assert abs(distance.value) < 3.0 * distance.standard_error


def test_sets_of_equal_vectors_agree_too():
    x = np.repeat(normal(20, dim=300), 10, axis=0)  # all balls have the radius 0
    assert precision_recall(x, x) == (1.0, 1.0)
    assert density_coverage(x, x).reached == 1.0


def test_samples_of_the_same_distribution_have_the_expected_values():
    x, y = normal(seed=1), normal(seed=2)
    precision, recall = precision_recall(x, y)
    assert precision > 0.85 and recall > 0.85
    density, coverage = density_coverage(x, y)
    assert density == pytest.approx(1.0, abs=0.1)
    assert coverage == pytest.approx(1.0 - 2.0**-5, abs=0.03)
    distance = kernel_distance(x, y)
    assert abs(distance.value) < 3.0 * distance.standard_error


def test_disjoint_sets_have_nothing_in_common():
    x, y = normal(), 100.0 + normal(seed=1)
    assert precision_recall(x, y) == (0.0, 0.0)
    assert density_coverage(x, y) == (0.0, 0.0)
    distance = kernel_distance(x, y)
    assert distance.value > 100.0 * distance.standard_error > 0.0


def test_a_dropped_mode_takes_recall_and_coverage_and_leaves_precision():
    x = clusters(CENTRES, 0)
    whole, lacking = clusters(CENTRES, 1), clusters(CENTRES[:2], 1)
    assert precision_recall(x, whole).reached > 0.8
    precision, recall = precision_recall(x, lacking)
    assert precision > 0.8
    assert recall == pytest.approx(0.5, abs=0.1)
    density, coverage = density_coverage(x, lacking)
    assert density > 0.8
    assert coverage == pytest.approx(0.5, abs=0.1)
    assert kernel_distance(x, lacking).value > 10.0 * kernel_distance(x, whole).value


def test_half_of_the_samples_in_the_void_take_precision_and_leave_recall():
    x = normal(seed=0)
    y = np.concatenate([normal(seed=1), 1e3 * normal(seed=2)])
    precision, recall = precision_recall(x, y)
    assert precision == pytest.approx(0.5, abs=0.1)
    assert recall > 0.8
    assert density_coverage(x, y).right == pytest.approx(0.5, abs=0.1)


def test_one_outlier_of_the_data_lifts_precision_and_not_density():
    x = np.concatenate([normal(N - 1), np.full((1, 4), 50.0)])
    y = 15.0 + normal(seed=1)
    assert precision_recall(x, y).right == 1.0  # its ball reaches to the others
    assert density_coverage(x, y).right == pytest.approx(0.2)


def test_the_kernel_distance_of_two_normals_is_the_closed_form():
    # t = x.y / d has E[t] = E[t^3] = 0 and E[t^2] = (the variances' product) / d.
    narrow, wide = normal(4000, 1), 2.0 * normal(4000, 2)
    distance = kernel_distance(narrow, wide)
    assert distance.value == pytest.approx(
        3.0 / 4.0 * (2.0**2 - 1.0) ** 2, abs=3.0 * distance.standard_error
    )
    assert distance.standard_error < 0.5


def test_its_standard_error_is_that_of_repetitions():
    found = [
        kernel_distance(normal(seed=2 * i), normal(seed=2 * i + 1)) for i in range(40)
    ]
    spread = np.std([distance.value for distance in found])
    errors = np.mean([distance.standard_error for distance in found])
    assert errors == pytest.approx(spread, rel=0.4)
    assert abs(np.mean([d.value for d in found])) < 3.0 * spread / np.sqrt(40)


def test_copies_of_training_examples_are_nearer_to_these():
    training, held_out = normal(seed=1), normal(seed=2)
    copies = training + 1e-3 * normal(seed=3)
    assert nearer_to_training(copies, training, held_out) > 0.99
    assert nearer_to_training(training, training, held_out) == 1.0
    assert nearer_to_training(held_out, training, held_out) == 0.0


def test_new_samples_are_as_often_nearer_to_one_as_to_the_other():
    sets = normal(2000, 3), normal(2000, 1), normal(2000, 2)
    assert nearer_to_training(*sets) == pytest.approx(0.5, abs=0.05)
    x = normal()
    assert nearer_to_training(normal(seed=4), x, x) == 0.5


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("real", lambda: precision_recall(normal(3), normal())),
        ("generated", lambda: precision_recall(normal(), normal(3))),
        ("generated", lambda: density_coverage(normal(), normal(dim=5))),
        ("real", lambda: kernel_distance(normal() * np.nan, normal())),
        ("blocks", lambda: kernel_distance(normal(), normal(), blocks=1)),
        ("generated", lambda: kernel_distance(normal(), normal(19))),
        ("held_out", lambda: nearer_to_training(normal(), normal(), normal(3))),
    ],
)
def test_sets_that_do_not_fit_are_refused(argument, call):
    with pytest.raises(ValueError, match=f"`{argument}`"):
        call()
