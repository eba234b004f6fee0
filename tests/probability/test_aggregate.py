import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from keras_vae.probability.aggregate import AggregateDensity

WEIGHTS = np.array([0.2, 0.5, 0.3])
MEANS = np.array([[0.0, 4.0], [3.0, 0.0], [-3.0, -1.0]])
COVARIANCES = np.array(
    [[[1.0, 0.6], [0.6, 0.9]], [[0.3, 0.0], [0.0, 2.0]], [[0.5, -0.3], [-0.3, 0.4]]]
)


def mixture(covariance="full"):
    density = AggregateDensity(3, covariance)
    density.build((None, 2))
    variances = np.diagonal(COVARIANCES, axis1=1, axis2=2)
    density.assign(WEIGHTS, MEANS, COVARIANCES if covariance == "full" else variances)
    return density


def exact(z, covariance):
    total = 0.0
    for weight, mean, matrix in zip(WEIGHTS, MEANS, COVARIANCES, strict=True):
        matrix = matrix if covariance == "full" else np.diag(np.diag(matrix))
        total = total + weight * stats.multivariate_normal(mean, matrix).pdf(z)
    return np.log(total)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_the_density_is_the_closed_form(covariance):
    z = np.random.default_rng(0).normal(scale=3.0, size=(2, 40, 2))
    found = mixture(covariance).log_prob(tf.constant(z, tf.float32)).numpy()
    assert found.shape == (2, 40)
    assert found == pytest.approx(exact(z, covariance), abs=1e-3)


@pytest.mark.parametrize("covariance", ["full", "diagonal"])
def test_draws_have_the_moments_of_the_density(covariance):
    z = mixture(covariance).sample(40_000, 3).numpy()
    mean = WEIGHTS @ MEANS
    matrices = COVARIANCES * (1.0 if covariance == "full" else np.eye(2))
    outer = np.einsum("ki,kj->kij", MEANS, MEANS)
    second = np.einsum("k,kij->ij", WEIGHTS, matrices + outer)
    assert z.mean(axis=0) == pytest.approx(mean, abs=0.06)
    assert np.cov(z.T) == pytest.approx(second - np.outer(mean, mean), abs=0.15)


def test_the_components_are_drawn_in_their_proportions():
    density = AggregateDensity(2)
    density.build((None, 1))
    density.assign([0.25, 0.75], [[-9.0], [9.0]], [[[1.0]], [[1.0]]])
    share = np.mean(density.sample(20_000, 0).numpy() < 0)
    assert share == pytest.approx(0.25, abs=0.012)  # four standard errors


def test_more_draws_begin_with_the_same_ones_and_seeds_differ():
    density = mixture()
    few, many = density.sample(5, 1).numpy(), density.sample(50, 1).numpy()
    assert many[:5] == pytest.approx(few, abs=1e-6)
    assert not np.allclose(density.sample(5, 2).numpy(), few)
    pair = tf.constant([1, 0], tf.int32)
    assert np.array_equal(density.sample(5, pair).numpy(), few)


def test_one_component_is_a_normal_and_starts_as_the_standard_one():
    density = AggregateDensity()
    density.build((None, 3))
    z = np.random.default_rng(1).normal(size=(10, 3)).astype(np.float32)
    expected = stats.norm.logpdf(z).sum(axis=1)
    assert density.log_prob(tf.constant(z)).numpy() == pytest.approx(expected, rel=1e-5)
    assert density.sample(4, 0).shape == (4, 3)


def test_nothing_of_it_is_trained():
    assert not mixture().trainable_variables
    assert len(mixture().non_trainable_variables) == 3
