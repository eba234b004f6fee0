"""The mixture of discretised logistics against plain sums over its 256 values."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vae.noise import RowNoise
from keras_vae.probability.likelihoods import (
    DiscretizedLogistic,
    DiscretizedLogisticMixture,
)

LEVELS = np.arange(256) / 255
ANY_VALUE = 1e-6
"""The probability that a value is any of the 256."""


def plain_masses(locations, scale):
    """Probabilities of the 256 values, (..., 256), for locations of any shape."""
    edges = np.concatenate([[-np.inf], (np.arange(255) + 0.5) / 255, [np.inf]])
    with np.errstate(over="ignore"):
        below = 1 / (1 + np.exp(-(edges - np.asarray(locations)[..., None]) / scale))
    return np.diff(below)


def plain_pixel(params, components):
    """What the numbers of one colour pixel are, in float64 and by name."""
    numbers = np.asarray(params, np.float64).reshape(10, components)
    weights = np.exp(numbers[0]) / np.exp(numbers[0]).sum()
    return weights, numbers[1:4], np.exp(numbers[4:7]), numbers[7:]


def plain_log_prob(x, params, components):
    """Equations 2 and 3 of Salimans et al. 2017 for one pixel, term by term."""
    weights, locations, scales, (a, b, c) = plain_pixel(params, components)
    red, green, _ = x
    means = [
        locations[0],
        locations[1] + a * (red - 0.5),
        locations[2] + b * (red - 0.5) + c * (green - 0.5),
    ]
    log_prob = 0.0
    for channel in range(3):
        masses = [
            plain_masses(mean, scale)[round(255 * x[channel])]
            for mean, scale in zip(means[channel], scales[channel], strict=True)
        ]
        weights = weights * masses
        given = weights.sum()
        log_prob += np.log((1 - ANY_VALUE) * given + ANY_VALUE / 256)
        weights = weights / given
    return log_prob


def pixel(rng, components, log_scale=-2.5):
    """Numbers of one colour pixel, float32 (10 * components,)."""
    numbers = rng.uniform(-1, 1, (10, components))
    numbers[1:4] = rng.uniform(0, 1, (3, components))
    numbers[4:7] = log_scale + 0.5 * numbers[4:7]
    return numbers.ravel().astype(np.float32)


def test_three_channels_agree_with_the_equations_of_the_paper():
    rng = np.random.default_rng(0)
    likelihood = DiscretizedLogisticMixture(components=4)
    assert likelihood.params_shape((5, 2, 3)) == (5, 2, 40)
    params = np.stack([pixel(rng, 4) for _ in range(10)]).reshape(1, 5, 2, 40)
    x = rng.integers(0, 256, (1, 5, 2, 3)) / 255
    x[0, 0] = [[0, 1, 0], [1, 0, 1]]  # both ends of every channel
    want = [
        plain_log_prob(*each, 4)
        for each in zip(x.reshape(10, 3), params.reshape(10, 40), strict=True)
    ]
    got = likelihood.log_prob(x.astype(np.float32), params)
    np.testing.assert_allclose(got, [np.sum(want)], rtol=1e-5)
    by_pixel = np.zeros((1, 5, 2, 1))
    by_pixel[0, 3, 1] = 1.0
    got = likelihood.log_prob(x.astype(np.float32), params, weight=by_pixel)
    np.testing.assert_allclose(got, [want[7]], rtol=1e-5)


@pytest.mark.parametrize("log_scale", [-8.0, -4.0, -2.0, 3.0])
def test_one_channel_sums_to_one_and_is_the_sum_of_its_logistics(log_scale):
    rng = np.random.default_rng(1)
    params = rng.normal(size=(3, 5))
    params[2] += log_scale
    x = LEVELS[:, None].astype(np.float32)
    rows = np.tile(params.ravel().astype(np.float32), (256, 1))
    log_p = DiscretizedLogisticMixture(components=5).log_prob(x, rows).numpy()
    assert np.sum(np.exp(log_p.astype(np.float64))) == pytest.approx(1, abs=1e-5)
    alone = [
        DiscretizedLogistic().log_prob(x, np.tile(np.float32(each), (256, 1))).numpy()
        for each in params[1:].T
    ]
    weights = np.exp(params[0]) / np.exp(params[0]).sum()
    want = (1 - ANY_VALUE) * (np.exp(np.float64(alone)).T @ weights) + ANY_VALUE / 256
    np.testing.assert_allclose(np.exp(log_p), want, rtol=2e-4, atol=1e-7)


@pytest.mark.parametrize("log_scale", [-5.0, -2.0])
def test_each_channel_sums_to_one_given_those_before(log_scale):
    rng = np.random.default_rng(2)
    likelihood = DiscretizedLogisticMixture(components=3)
    rows = np.tile(pixel(rng, 3, log_scale), (256, 1))
    for channel in range(3):
        x = np.tile(rng.integers(0, 256, 3) / 255, (256, 1)).astype(np.float32)
        x[:, channel] = LEVELS
        alone = np.eye(3, dtype=np.float32)[channel]
        log_p = likelihood.log_prob(x, rows, weight=alone).numpy()
        assert log_p.max() < 1e-5
        assert np.sum(np.exp(np.float64(log_p))) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_no_number_costs_more_than_one_of_values_that_are_all_alike(channels):
    likelihood = DiscretizedLogisticMixture(components=3)
    params = np.zeros((1, *likelihood.params_shape((channels,))), np.float32)
    params[:, 3:] = -1e3  # all locations far below, and the smallest scales
    log_prob = likelihood.log_prob(np.ones((1, channels), np.float32), params)
    worst = channels * np.log(ANY_VALUE / 256)
    np.testing.assert_allclose(log_prob, [worst], rtol=1e-5)


@pytest.mark.parametrize("far", [1.0, 1e3, 1e15])
@pytest.mark.parametrize("channels", [1, 3])
def test_gradients_are_finite_at_the_ends_and_for_any_output(far, channels):
    likelihood = DiscretizedLogisticMixture(components=3)
    ends = np.repeat(np.float32([0, 128 / 255, 1]), 20)
    x = np.random.default_rng(0).permutation(np.repeat(ends, channels))
    shape = (60, *likelihood.params_shape((channels,)))
    params = far * np.random.default_rng(3).normal(size=shape)
    params = tf.constant(params, tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(params)
        log_prob = likelihood.log_prob(x.reshape(60, channels), params)
    assert np.isfinite(log_prob).all() and np.max(log_prob) <= 1e-5
    assert np.isfinite(tape.gradient(log_prob, params)).all()


def test_a_draw_has_the_probabilities_of_each_channel():
    rng, n, components = np.random.default_rng(4), 100_000, 2
    params = pixel(rng, components, log_scale=-3.5)
    rows = tf.constant(np.tile(params, (n, 1)))
    likelihood = DiscretizedLogisticMixture(components=components)
    draws = np.rint(255 * likelihood.sample(rows, RowNoise(seed=3)).numpy()).astype(int)
    weights, locations, scales, (a, b, c) = plain_pixel(params, components)
    given_red = [
        plain_masses(locations[1, k] + a[k] * (LEVELS - 0.5), scales[1, k])
        for k in range(components)
    ]
    reds = [plain_masses(locations[0, k], scales[0, k]) for k in range(components)]
    joint = sum(
        weight * red[:, None] * green
        for weight, red, green in zip(weights, reds, given_red, strict=True)
    )
    for channel, p in enumerate([joint.sum(1), joint.sum(0)]):
        seen = np.bincount(draws[:, channel], minlength=256) / n
        assert np.all(np.abs(seen - p) < 5 * np.sqrt(p * (1 - p) / n) + 1e-5)
    # Blue lies about one of the components' lines through red and green.
    linear = draws[:, :2] / 255 - 0.5
    blue = draws[:, 2] / 255
    kept = (draws > 0).all(1) & (draws < 255).all(1)
    lifts = [linear @ [b[k], c[k]] + locations[2, k] for k in range(components)]
    nearest = np.min([np.abs(blue - lift) for lift in lifts], axis=0)
    assert np.mean(nearest[kept]) < 3 * scales[2].max()


@pytest.mark.parametrize("log_scale", [-6.0, -3.0, -1.0])
def test_the_mean_of_three_channels_is_their_expectation(log_scale):
    rng, n = np.random.default_rng(5), 100_000
    likelihood = DiscretizedLogisticMixture(components=3)
    params = pixel(rng, 3, log_scale)
    draws = likelihood.sample(tf.constant(np.tile(params, (n, 1))), RowNoise(seed=6))
    error = 4.5 * draws.numpy().std(axis=0) / np.sqrt(n)
    mean = likelihood.mean(params[None]).numpy()[0]
    assert np.all(np.abs(draws.numpy().mean(axis=0) - mean) < error + 1e-3)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("components", [1, 10])
def test_colours_start_at_the_mean_of_the_data(per_channel, components):
    likelihood = DiscretizedLogisticMixture(components=components, image=True)
    mean = np.random.default_rng(0).uniform(0.08, 0.92, (2, 2, 3))
    mean = mean[0, 0] if per_channel else mean
    bias = likelihood.initial_bias(mean, (2, 2, 3))
    assert bias.shape == likelihood.params_shape(mean.shape)
    np.testing.assert_allclose(likelihood.mean(bias[None])[0], mean, atol=5e-4)


def test_a_mixture_has_at_least_one_component():
    with pytest.raises(ValueError, match="`components`"):
        DiscretizedLogisticMixture(components=0)
