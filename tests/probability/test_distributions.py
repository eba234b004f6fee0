"""The posterior against tfp and Monte Carlo; paths through latent space."""

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae.noise import RowNoise
from keras_vae.probability.distributions import (
    LOG_VAR_LIMIT,
    NormalByRow,
    bound_log_var,
    interpolate_latents,
    kl_to_standard_normal,
)

tfd = tfp.distributions


def some_posterior(rows=4, latent_dim=3, dtype=np.float32):
    rng = np.random.default_rng(0)
    z_mean = rng.normal(size=(rows, latent_dim)).astype(dtype)
    z_log_var = rng.normal(size=(rows, latent_dim)).astype(dtype)
    return z_mean, z_log_var


def normal(z_mean, z_log_var, seed=0, first_row=0):
    scale = np.exp(0.5 * z_log_var)
    return NormalByRow(z_mean, scale, RowNoise(seed, 0, first_row))


# KL


@pytest.mark.parametrize(
    ("mean", "log_var", "nats"), [(0, 0, 0.0), (1, 0, 5.0), (1, 1, 8.59)]
)
def test_kl_of_ten_dimensions_has_its_known_value(mean, log_var, nats):
    ones = tf.ones((1, 10))
    kl = tf.reduce_sum(kl_to_standard_normal(mean * ones, log_var * ones))
    assert float(kl) == pytest.approx(nats, abs=0.005)


def test_kl_equals_tfps():
    z_mean, z_log_var = some_posterior()
    p = tfd.Normal(0.0, 1.0)
    expected = tfd.kl_divergence(tfd.Normal(z_mean, np.exp(0.5 * z_log_var)), p)
    kl = kl_to_standard_normal(z_mean, z_log_var)
    np.testing.assert_allclose(kl, expected, rtol=1e-5, atol=1e-6)
    ours = tfd.kl_divergence(normal(z_mean, z_log_var), p)
    np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6)


def test_kl_equals_its_monte_carlo_estimate():
    z_mean, z_log_var = some_posterior(2)
    q = normal(z_mean, z_log_var)
    z = q.sample(40_000)
    difference = (q.log_prob(z) - tfd.Normal(0.0, 1.0).log_prob(z)).numpy()
    error = difference.std(axis=0) / np.sqrt(len(difference))
    expected = kl_to_standard_normal(z_mean, z_log_var)
    assert np.all(np.abs(difference.mean(axis=0) - expected) < 4.5 * error)


# Log variances


def test_log_variances_of_common_size_stay():
    raw = np.linspace(-6, 6, 101, dtype=np.float32)
    np.testing.assert_allclose(bound_log_var(tf.constant(raw)), raw, atol=2e-4)


def test_log_variances_are_bounded_and_keep_their_order():
    raw = tf.constant([-np.inf, -1e30, -100, -15, 0, 15, 100, 1e30, np.inf], tf.float32)
    bounded = bound_log_var(raw).numpy()
    assert bounded[0] == -LOG_VAR_LIMIT and bounded[-1] == LOG_VAR_LIMIT
    assert np.all(np.diff(bounded) >= 0)
    assert np.all(np.diff(bounded[3:6]) > 1)


def test_a_log_variance_beyond_the_bound_still_has_a_gradient():
    raw = tf.constant([-20.0, -10.0, 0.0, 10.0, 20.0])
    with tf.GradientTape() as tape:
        tape.watch(raw)
        bounded = bound_log_var(raw)
    gradient = tape.gradient(bounded, raw).numpy()
    assert np.all(gradient > 1e-3) and np.all(gradient <= 1)
    assert gradient[2] == pytest.approx(1, abs=1e-5)


def test_a_log_variance_that_is_no_number_stays_so():
    assert np.isnan(bound_log_var(tf.constant([np.nan], tf.float32)).numpy()[0])


@pytest.mark.parametrize(
    ("given", "result"),
    [("float16", "float32"), ("bfloat16", "float32"), ("float64", "float64")],
)
def test_log_variances_are_computed_in_float32_at_least(given, result):
    assert bound_log_var(tf.ones((2,), given)).dtype.name == result


# Samples


def test_samples_are_reparameterised():
    z_mean, z_log_var = some_posterior()
    noise = RowNoise(0).normal(4, (3,), "z")
    z_mean, scale = tf.constant(z_mean), tf.exp(0.5 * tf.constant(z_log_var))
    with tf.GradientTape() as tape:
        tape.watch([z_mean, scale])
        z = NormalByRow(z_mean, scale, RowNoise(0)).sample(1)
    np.testing.assert_allclose(z[0], z_mean + scale * noise, rtol=1e-6)
    by_mean, by_scale = tape.gradient(z, [z_mean, scale])
    np.testing.assert_array_equal(by_mean, np.ones((4, 3)))
    np.testing.assert_array_equal(by_scale, noise)


@pytest.mark.parametrize("num_samples", [1, 3])
def test_samples_do_not_depend_on_how_rows_are_split(num_samples):
    z_mean, z_log_var = some_posterior()
    whole = normal(z_mean, z_log_var).sample(num_samples).numpy()
    assert whole.shape == (num_samples, 4, 3)
    first = normal(z_mean[:1], z_log_var[:1]).sample(num_samples)
    rest = normal(z_mean[1:], z_log_var[1:], first_row=1).sample(num_samples)
    np.testing.assert_array_equal(np.concatenate([first, rest], axis=1), whole)
    assert len(np.unique(whole)) == whole.size


def test_samples_have_the_posteriors_moments_in_every_row():
    z_mean, z_log_var = some_posterior(2)
    z = normal(z_mean, z_log_var).sample(20_000).numpy()
    scale = np.exp(0.5 * z_log_var)
    assert np.all(np.abs(z.mean(axis=0) - z_mean) < 4.5 * scale / np.sqrt(20_000))
    np.testing.assert_allclose(z.std(axis=0), scale, rtol=0.03)


def test_log_prob_is_that_of_tfps_normal_in_either_precision():
    for dtype in (np.float32, np.float64):
        z_mean, z_log_var = some_posterior(dtype=dtype)
        q = normal(z_mean, z_log_var)
        z = q.sample(2)
        assert z.dtype.as_numpy_dtype == dtype
        expected = tfd.Normal(z_mean, np.exp(0.5 * z_log_var)).log_prob(z)
        np.testing.assert_allclose(q.log_prob(z), expected, rtol=1e-6)


# Paths

A = np.array([3.0, 0.0, 0.0], np.float32)
B = np.array([0.0, 1.0, 0.0], np.float32)


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("steps", [2, 3, 10])
def test_both_ends_are_exact(spherical, steps):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 7)).astype(np.float32)
    path = interpolate_latents(a, b, steps, spherical).numpy()
    assert path.shape == (steps, 7)
    np.testing.assert_array_equal(path[0], a)
    np.testing.assert_array_equal(path[-1], b)


def test_a_line_has_equal_steps():
    path = interpolate_latents(A, B, 5)
    np.testing.assert_allclose(np.diff(path, axis=0), [(B - A) / 4] * 4, atol=1e-6)


def test_an_arc_turns_and_grows_at_constant_speed():
    path = interpolate_latents(A, B, 7, spherical=True).numpy()
    norms = np.linalg.norm(path, axis=1)
    np.testing.assert_allclose(norms, np.linspace(3, 1, 7), rtol=1e-5)
    angles = np.arctan2(path[:, 1], path[:, 0])
    np.testing.assert_allclose(angles, np.linspace(0, np.pi / 2, 7), atol=1e-5)
    np.testing.assert_array_equal(path[:, 2], 0)


@pytest.mark.parametrize(
    ("a", "b"),
    [(A, 2 * A), (A, -A), (A, 0 * A), (0 * A, 0 * A), (A, A), (A[:1], -A[:1])],
    ids=["same direction", "opposite", "to 0", "both 0", "same", "one dimension"],
)
def test_an_arc_without_a_plane_is_a_line(a, b):
    arc = interpolate_latents(a, b, 5, spherical=True)
    np.testing.assert_allclose(arc, interpolate_latents(a, b, 5), atol=1e-5)


def test_one_step_is_the_start():
    for spherical in (False, True):
        path = interpolate_latents(A, B, 1, spherical)
        np.testing.assert_array_equal(path, A[np.newaxis])


def test_the_number_of_steps_may_be_a_tensor():
    path = tf.function(lambda steps: interpolate_latents(A, B, steps))
    np.testing.assert_array_equal(path(tf.constant(4)), interpolate_latents(A, B, 4))
    assert path(tf.constant(9)).shape == (9, 3)
