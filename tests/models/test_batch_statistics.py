import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp
from scipy.stats import norm

from keras_vae.models import batch_statistics

DIM = 3


@pytest.mark.parametrize("estimator", ["mws", "mss"])
def test_log_densities_of_the_aggregate_match_an_explicit_sum(estimator: str) -> None:
    rng = np.random.default_rng(1)
    z_mean, z_log_var = rng.normal(size=(2, 6, DIM)).astype(np.float32)
    z = rng.normal(size=(6, DIM)).astype(np.float32)
    n, m = 100, 6
    weights = np.full((m, m), 1 / (n * m))
    if estimator == "mss":
        weights = np.full((m, m), 1 / (m - 1))
        for i in range(m):
            weights[i, i] = 1 / n
            weights[i, (i + 1) % m] = (n - m + 1) / (n * (m - 1))
    each = norm.logpdf(z[:, None], z_mean, np.exp(0.5 * z_log_var))
    log_q = logsumexp(each.sum(-1) + np.log(weights), axis=1)
    log_q_each = logsumexp(each + np.log(weights)[..., None], axis=1).sum(-1)
    got = batch_statistics.total_correlation(
        tf.constant(z), tf.constant(z_mean), tf.constant(z_log_var), n, estimator
    )
    np.testing.assert_allclose(got[0], log_q, rtol=1e-4)
    np.testing.assert_allclose(got[1], log_q_each, rtol=1e-4)


@pytest.mark.parametrize("correlation", [0.0, 0.95])
def test_total_correlation_of_gaussians_is_the_known_one(correlation: float) -> None:
    # Narrow posteriors around Gaussian means add up to that Gaussian, a little wider.
    rng = np.random.default_rng(0)
    n, narrow = 4000, 0.05
    covariance = np.array([[1.0, correlation], [correlation, 1.0]])
    means = rng.multivariate_normal([0, 0], covariance, n)
    log_var = np.full((n, 2), np.log(narrow))
    z = (means + np.sqrt(narrow) * rng.normal(size=(n, 2)))[:1000]
    log_q, log_q_each = batch_statistics.total_correlation(
        *(tf.constant(a, tf.float32) for a in (z, means, log_var)), n
    )
    # Weighted sampling takes 1 / (M N) for each term. With M = N that is one 1 / N too
    # much in log q, and in each of the two log q(z_d): one more than in log q.
    estimate = float(tf.reduce_mean(log_q - log_q_each)) - np.log(n)
    covariance += narrow * np.eye(2)
    expected = 0.5 * (
        np.log(np.diag(covariance)).sum() - np.linalg.slogdet(covariance)[1]
    )
    assert estimate == pytest.approx(expected, abs=0.06)


def test_dip_penalty_by_hand() -> None:
    covariance = tf.constant([[2.0, 0.5], [0.5, 1.0]])
    penalty = float(batch_statistics.dip_penalty(covariance, 10.0, 3.0))
    assert penalty == pytest.approx(10.0 * (0.25 + 0.25) + 3.0 * 1.0)


def test_covariance_is_taken_over_examples() -> None:
    x = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    covariance = batch_statistics.covariance_of(tf.constant(x))
    np.testing.assert_allclose(covariance, np.cov(x.T, bias=True), atol=1e-5)


def test_mmd_is_zero_on_equal_samples_and_grows_with_distance() -> None:
    a = tf.random.stateless_normal((200, 2), seed=(0, 1))
    b = tf.random.stateless_normal((200, 2), seed=(0, 2))
    assert float(batch_statistics.biased_squared_mmd(a, a)) == pytest.approx(
        0.0, abs=1e-6
    )
    near, far = (
        batch_statistics.biased_squared_mmd(a, b),
        batch_statistics.biased_squared_mmd(a, b + 2.0),
    )
    assert 0.0 < float(near) < 0.02 < float(far)
