"""Each likelihood against tfp, numerical integration and finite differences."""

import tracemalloc

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from keras_vae.noise import RowNoise
from keras_vae.probability.likelihoods import (
    LIKELIHOODS,
    Bernoulli,
    ContinuousBernoulli,
    DiscretizedLogistic,
    DiscretizedLogisticMixture,
    Gaussian,
    GaussianFixed,
)

tfd = tfp.distributions

LOGITS = np.array(
    [
        -50,
        -14,
        -3,
        -2.001,
        -1.999,
        -1,
        -1e-3,
        -1e-6,
        0,
        1e-8,
        1e-4,
        0.1,
        1,
        2.5,
        14,
        50,
    ],
    np.float32,
)
PIXELS = np.array([0, 1e-6, 1 / 255, 0.3, 0.5, 0.9, 254 / 255, 1], np.float32)
LEVELS = (np.arange(256) / 255).astype(np.float32)


def built(name, input_shape=(1,), **arguments):
    likelihood = LIKELIHOODS[name](**arguments)
    likelihood.build((None, *input_shape))
    return likelihood


def elementwise(likelihood, x, *params):
    """log p of x (n,) for params (m,) each, as (m, n)."""
    params = np.stack([np.repeat(p[:, None], len(x), 1) for p in params], axis=-1)
    return likelihood.log_prob(x[:, None], params).numpy()


def grid_of(locations, log_scales):
    pairs = np.array([(m, s) for m in locations for s in log_scales], np.float32)
    return pairs[:, 0], pairs[:, 1]


def draws(likelihood, params, n=200_000):
    """n draws of one element, (n,)."""
    rows = np.tile(np.asarray(params, np.float32), (n, 1))
    return likelihood.sample(tf.constant(rows), RowNoise(seed=3)).numpy()[:, 0]


def assert_mean_matches_draws(likelihood, params):
    x = draws(likelihood, params)
    mean = likelihood.mean(np.asarray([params], np.float32)).numpy()[0, 0]
    assert abs(x.mean() - mean) < 4.5 * x.std() / np.sqrt(len(x)) + 1e-6


# Bernoulli


def test_bernoulli_is_minus_the_cross_entropy_also_at_the_ends():
    logits = LOGITS[:, None].astype(np.float64)
    want = -(PIXELS * np.logaddexp(0, -logits) + (1 - PIXELS) * np.logaddexp(0, logits))
    got = elementwise(Bernoulli(), PIXELS, LOGITS)
    np.testing.assert_allclose(got, want, rtol=3e-7, atol=1e-6)
    tfp_says = tfd.Bernoulli(LOGITS[:, None], dtype=tf.float32).log_prob(PIXELS)
    np.testing.assert_allclose(got, tfp_says, rtol=1e-6, atol=1e-6)


def test_bernoulli_keeps_the_digits_of_tiny_log_probabilities():
    got = elementwise(Bernoulli(), np.float32([0]), np.float32([-50, -20, -10]))[:, 0]
    want = -np.log1p(np.exp([-50.0, -20.0, -10.0]))
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_bernoulli_gradient_is_x_minus_the_mean_at_zero_and_at_the_ends():
    x, logits = tf.constant(PIXELS[:, None]), tf.Variable(np.tile(LOGITS, (8, 1)))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(Bernoulli().log_prob(tf.repeat(x, 16, 1), logits))
    want = PIXELS[:, None] - 1 / (1 + np.exp(-LOGITS.astype(np.float64)))
    np.testing.assert_allclose(tape.gradient(total, logits), want, atol=1e-7)


def test_bernoulli_second_derivative_is_minus_the_variance():
    logits = tf.constant([[-2.0], [0.0], [3.0]])
    with tf.GradientTape() as outer:
        outer.watch(logits)
        with tf.GradientTape() as inner:
            inner.watch(logits)
            value = Bernoulli().log_prob(tf.ones((3, 1)), logits)
        slope = inner.gradient(value, logits)
    p = 1 / (1 + np.exp(-logits.numpy()))
    np.testing.assert_allclose(outer.gradient(slope, logits), -p * (1 - p), rtol=1e-5)


def test_bernoulli_mean_and_draws_agree():
    np.testing.assert_allclose(
        Bernoulli().mean(LOGITS),
        1 / (1 + np.exp(-LOGITS.astype(np.float64))),
        rtol=1e-6,
    )
    for logit in (-4.0, 0.0, 1.0, 50.0):
        assert set(np.unique(draws(Bernoulli(), [logit], 1000))) <= {0.0, 1.0}
        assert_mean_matches_draws(Bernoulli(), [logit])


# ContinuousBernoulli


def test_continuous_bernoulli_equals_tfp_within_the_bound():
    logits = LOGITS[np.abs(LOGITS) <= 14]
    want = tfd.ContinuousBernoulli(logits=logits[:, None].astype(np.float64))
    got = elementwise(ContinuousBernoulli(), PIXELS, logits)
    np.testing.assert_allclose(got, want.log_prob(PIXELS), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(
        ContinuousBernoulli().mean(logits), want.mean()[:, 0], rtol=0, atol=2e-7
    )


@pytest.mark.parametrize("logit", [-50.0, -1.0, 0.0, 1e-5, 2.0, 14.5, 1e4])
def test_continuous_bernoulli_is_a_density_with_its_mean(logit):
    nodes, weights = np.polynomial.legendre.leggauss(60)
    x = (nodes + 1) / 2
    params = np.full((60, 1), logit)  # float64, to see more than rounding
    p = np.exp(ContinuousBernoulli().log_prob(x[:, None], params)) * weights / 2
    mean = ContinuousBernoulli().mean(np.array([[logit]])).numpy().item()
    assert p.sum() == pytest.approx(1, abs=2e-8)
    assert (p * x).sum() == pytest.approx(mean, abs=2e-8)


def test_continuous_bernoulli_gradient_is_x_minus_the_mean_near_a_half():
    logits = tf.constant(np.linspace(-3, 3, 61, dtype=np.float32)[:, None])
    x = tf.fill((61, 1), 0.25)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = ContinuousBernoulli().log_prob(x, logits)
    want = 0.25 - tfd.ContinuousBernoulli(logits=tf.cast(logits, tf.float64)).mean()
    np.testing.assert_allclose(tape.gradient(value, logits), want, atol=3e-7)


def test_continuous_bernoulli_mean_has_the_variance_as_its_gradient():
    logits = tf.constant(
        [[-50.0], [-14.0], [-1.0], [0.0], [1e-6], [1.99], [2.01], [9.0]]
    )
    with tf.GradientTape() as tape:
        tape.watch(logits)
        mean = ContinuousBernoulli().mean(logits)
    slope = tape.gradient(mean, logits).numpy()[1:]
    want = tfd.ContinuousBernoulli(logits=logits[1:].numpy().astype(np.float64))
    safe = np.where(np.abs(logits[1:]) < 1e-3, 1 / 12, want.variance())
    np.testing.assert_allclose(slope, safe, atol=3e-6)


def test_continuous_bernoulli_bounds_its_logits_and_leaves_a_way_back():
    likelihood = ContinuousBernoulli()
    logits = tf.constant([[-1e30], [-50.0], [50.0], [1e30]])
    wanted_means = [1 / 15, 1 / 15, 14 / 15, 14 / 15]
    np.testing.assert_allclose(likelihood.mean(logits)[:, 0], wanted_means, atol=2e-4)
    assert np.all(likelihood.log_prob(tf.zeros((4, 1)), logits) <= np.log(15.0) + 1e-6)
    logits = logits[1:3]
    with tf.GradientTape() as tape:
        tape.watch(logits)
        value = likelihood.log_prob([[1.0], [0.0]], logits)
    slope = tape.gradient(value, logits).numpy()[:, 0]
    assert slope[0] > 1e-4 and slope[1] < -1e-4


@pytest.mark.parametrize("logit", [-14.0, -1.0, 0.0, 1e-7, 3.0, 14.0])
def test_continuous_bernoulli_draws_follow_its_distribution_function(logit):
    x = draws(ContinuousBernoulli(), [logit])
    assert x.min() >= 0 and x.max() <= 1
    points = np.array([0.05, 0.2, 0.5, 0.8, 0.95])
    cdf = np.expm1(logit * points) / np.expm1(logit) if logit else points
    np.testing.assert_allclose((x[:, None] <= points).mean(0), cdf, atol=5e-3)
    assert_mean_matches_draws(ContinuousBernoulli(), [logit])


# Gaussians


@pytest.mark.parametrize("log_scale", [-4.0, 0.0, 3.0])
def test_gaussian_equals_tfp_with_its_one_learned_scale(log_scale):
    likelihood = built("gaussian", image=True)
    likelihood.log_scale.assign(log_scale)
    locations = np.float32([-1, 0, 0.4, 30])
    want = tfd.Normal(locations[:, None], np.float32(np.exp(log_scale))).log_prob(
        PIXELS
    )
    got = elementwise(likelihood, PIXELS, locations)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    assert [tuple(w.shape) for w in likelihood.trainable_variables] == [()]


def test_gaussian_scale_gets_the_gradient_of_the_log_probability():
    likelihood = built("gaussian")
    x = tf.constant([[2.0, 0.5]])
    with tf.GradientTape() as tape:
        value = likelihood.log_prob(x, tf.zeros((1, 2)))
    slope = tape.gradient(value, likelihood.log_scale.value)
    assert slope.numpy() == pytest.approx((4 - 1) + (0.25 - 1))  # sum of (x/s)^2 - 1


def test_gaussian_fixed_equals_tfp_and_has_no_weights():
    likelihood = built("gaussian_fixed", scale=0.25)
    want = tfd.Normal(np.float32([[0], [1]]), 0.25).log_prob(PIXELS)
    got = elementwise(likelihood, PIXELS, np.float32([0, 1]))
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)
    assert likelihood.weights == []


def test_gaussian_per_pixel_equals_tfp_for_every_location_and_scale():
    locations, log_scales = grid_of([-2, 0, 0.5, 40], [-5, -1, 0, 2])
    want = tfd.Normal(locations[:, None], np.exp(log_scales)[:, None]).log_prob(PIXELS)
    got = elementwise(built("gaussian_per_pixel"), PIXELS, locations, log_scales)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("image", "floor"), [(True, 1 / 510), (False, 1e-3)])
def test_gaussian_scales_have_a_floor_that_no_output_passes(image, floor):
    highest = -np.log(floor) - 0.5 * np.log(2 * np.pi)  # the density of a perfect fit
    per_pixel = built("gaussian_per_pixel", image=image)
    learned = built("gaussian", image=image)
    for raw, slack in ((-1e30, 1e-4), (-50.0, 0.03)):
        learned.log_scale.assign(raw)
        found = [
            per_pixel.log_prob([[0.5]], [[0.5, raw]]).numpy().item(),
            learned.log_prob([[0.5]], [[0.5]]).numpy().item(),
        ]
        assert highest - slack < min(found) and max(found) < highest + 1e-5


def test_gaussian_per_pixel_gradients_are_finite_at_the_extremes():
    raw = np.array([[m, s] for m in (-50, 0, 50) for s in (-50, 0, 50)], np.float32)
    params = tf.constant(raw)
    with tf.GradientTape() as tape:
        tape.watch(params)
        value = built("gaussian_per_pixel", image=True).log_prob(
            tf.ones((9, 1)), params
        )
    assert np.isfinite(value).all() and np.isfinite(tape.gradient(value, params)).all()


@pytest.mark.parametrize(
    ("name", "params", "scale"),
    [
        ("gaussian", [0.5], 1.0),
        ("gaussian_fixed", [-2.0], 0.3),
        ("gaussian_per_pixel", [1.0, np.log(2.0)], 2.0),
    ],
)
def test_gaussian_draws_have_their_mean_and_scale(name, params, scale):
    likelihood = built(name, **({"scale": 0.3} if name == "gaussian_fixed" else {}))
    x = draws(likelihood, params)
    assert x.std() == pytest.approx(scale, rel=0.01)
    assert_mean_matches_draws(likelihood, params)


# DiscretizedLogistic


def test_discretized_logistic_equals_tfp_quantized():
    locations, log_scales = grid_of([-0.1, 0, 0.3, 0.999, 1.2], [-5, -3, -1, 1])
    # tfp's value k is the mass of (k - 1, k]; half a step makes it (k - 1/2, k + 1/2].
    inner = tfd.Logistic(
        255 * locations.astype(np.float64)[:, None] - 0.5,
        255 * np.exp(log_scales.astype(np.float64))[:, None],
    )
    levels = np.array([0, 1, 77, 128, 254, 255])
    want = tfd.QuantizedDistribution(inner, low=0, high=255).prob(levels.astype(float))
    got = elementwise(DiscretizedLogistic(), LEVELS[levels], locations, log_scales)
    np.testing.assert_allclose(np.exp(got), want, rtol=1e-4, atol=1e-8)


CORNERS = grid_of(
    [-50, -1, 0, 1 / 510, 0.5, 0.123, 1, 3, 50], [-50, -8, -6, -1, 2, 1e4]
)


def test_discretized_logistic_probabilities_sum_to_one_in_every_corner():
    log_p = elementwise(DiscretizedLogistic(), LEVELS, *CORNERS)
    assert np.isfinite(log_p).all() and log_p.max() <= 0
    np.testing.assert_allclose(np.exp(log_p.astype(np.float64)).sum(1), 1, atol=1e-5)


def test_discretized_logistic_gradients_are_finite_in_every_corner():
    params = tf.constant(np.repeat(np.stack(CORNERS, -1)[:, None], 256, 1))
    with tf.GradientTape() as tape:
        tape.watch(params)
        value = DiscretizedLogistic().log_prob(LEVELS[:, None], params)
    assert np.isfinite(tape.gradient(value, params)).all()


def test_discretized_logistic_takes_levels_that_carry_rounding_for_what_they_are():
    params = [np.float32([0.5, 1.0]), np.float32([-8.0, -2.0])]
    exact = elementwise(DiscretizedLogistic(), LEVELS, *params)
    rounded = np.clip(LEVELS + np.float32(2e-7), 0, np.float32(1 - 2e-7))
    np.testing.assert_array_equal(
        elementwise(DiscretizedLogistic(), rounded, *params), exact
    )


def test_discretized_logistic_mean_is_the_expectation_over_the_256_values():
    p = np.exp(elementwise(DiscretizedLogistic(), LEVELS, *CORNERS).astype(np.float64))
    got = DiscretizedLogistic().mean(np.stack(CORNERS, -1)).numpy()[:, 0]
    np.testing.assert_allclose(got, p @ LEVELS, atol=2e-6)


@pytest.mark.parametrize("params", [[0.5, -3.0], [0.0, -2.0], [0.2, -50.0], [1.0, 0.0]])
def test_discretized_logistic_draws_have_its_probabilities(params):
    x = draws(DiscretizedLogistic(), params)
    levels = np.rint(255 * x).astype(int)
    np.testing.assert_array_equal(x, LEVELS[levels])
    p = np.exp(
        elementwise(DiscretizedLogistic(), LEVELS, *np.float32(params)[:, None])[0]
    )
    seen = np.bincount(levels, minlength=256) / len(x)
    assert np.all(np.abs(seen - p) < 5 * np.sqrt(p * (1 - p) / len(x)) + 1e-5)
    assert_mean_matches_draws(DiscretizedLogistic(), params)


# What they have in common


SHAPES = [(5,), (4, 3), (3, 2, 2)]


def example(name, input_shape, leading=(), dtype=np.float32):
    """A likelihood, data on the grid of 256 values, and params."""
    rng = np.random.default_rng(0)
    likelihood = built(name, input_shape)
    x = (rng.integers(0, 256, (6, *input_shape)) / 255).astype(np.float32)
    shape = (*leading, 6, *likelihood.params_shape(input_shape))
    return likelihood, x, rng.normal(size=shape).astype(dtype)


def independent(name, input_shape):
    """Whether every element of x is by itself under this likelihood."""
    return name != "discretized_logistic_mixture" or input_shape[-1] != 3


@pytest.mark.parametrize(
    ("name", "input_shape"),
    [(n, shape) for n in LIKELIHOODS for shape in SHAPES if independent(n, shape)],
)
def test_log_prob_sums_the_event_and_keeps_batch_and_sample_axes(name, input_shape):
    likelihood, x, params = example(name, input_shape, leading=(2, 3))
    got = likelihood.log_prob(x, params)
    assert got.shape == (2, 3, 6) and got.dtype == tf.float32
    for s in np.ndindex(2, 3):
        for row in range(6):
            parts = np.split(params[s][row], likelihood.numbers_per_element, axis=-1)
            one_by_one = np.stack([p.ravel() for p in parts], axis=-1)
            want = likelihood.log_prob(x[row].reshape(-1, 1), one_by_one).numpy().sum()
            assert got[s][row].numpy() == pytest.approx(want, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("name", LIKELIHOODS)
@pytest.mark.parametrize("input_shape", SHAPES)
def test_mean_and_draw_have_the_shape_of_the_data(name, input_shape):
    likelihood, x, params = example(name, input_shape, leading=(2,))
    assert likelihood.mean(params).shape == (2, *x.shape)
    draw = likelihood.sample(params[0], RowNoise(seed=1))
    assert draw.shape == x.shape and draw.dtype == tf.float32
    later_rows = likelihood.sample(params[0][4:], RowNoise(seed=1, first_row=4))
    np.testing.assert_allclose(draw[4:], later_rows, rtol=1e-6)
    assert np.any(draw != likelihood.sample(params[0], RowNoise(seed=2)))


def test_draws_take_noise_of_their_own_not_that_of_the_latents():
    noise = RowNoise(seed=1)
    draw = GaussianFixed(scale=1.0).sample(tf.zeros((6, 5)), noise)
    np.testing.assert_allclose(draw, noise.normal(6, (5,), stream="x"), rtol=1e-6)
    draw = Bernoulli().sample(tf.zeros((6, 5)), noise)
    np.testing.assert_array_equal(draw, noise.uniform(6, (5,), stream="x") < 0.5)


@pytest.mark.parametrize("name", LIKELIHOODS)
@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16])
def test_half_precision_outputs_are_computed_in_float32(name, dtype):
    likelihood, x, params = example(name, (3, 2, 2))
    half = tf.cast(params, dtype)
    noise = RowNoise(seed=1)
    for method in (
        lambda p: likelihood.log_prob(x, p),
        likelihood.mean,
        lambda p: likelihood.sample(p, noise),
    ):
        assert method(half).dtype == tf.float32
        np.testing.assert_array_equal(method(half), method(tf.cast(half, tf.float32)))


def test_the_learned_scale_stays_float32_inside_a_float16_model():
    likelihood = built("gaussian")
    likelihood.log_scale.assign(1.2345)

    class Owner(keras.layers.Layer):
        def call(self, x):
            return likelihood.log_prob(x, tf.zeros_like(x))

    x = tf.constant([[1.0]])
    inside = Owner(dtype="mixed_float16", autocast=False)(x)
    assert inside == likelihood.log_prob(x, tf.zeros_like(x))


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_gradients_equal_finite_differences_in_float64(name):
    likelihood, x, params = example(name, (4, 2), dtype=np.float64)
    direction = np.random.default_rng(1).normal(size=params.shape)
    variable = tf.constant(params)
    with tf.GradientTape() as tape:
        tape.watch(variable)
        value = likelihood.log_prob(x, variable)
    assert value.dtype == tf.float64
    slope = (tape.gradient(value, variable).numpy() * direction).sum(axis=(1, 2))
    ahead = likelihood.log_prob(x, params + 1e-6 * direction)
    behind = likelihood.log_prob(x, params - 1e-6 * direction)
    np.testing.assert_allclose(slope, (ahead - behind) / 2e-6, rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", LIKELIHOODS)
@pytest.mark.parametrize("jit", [False, True])
def test_compiled_for_any_batch_size_they_give_the_same(name, jit):
    likelihood, x, params = example(name, (3, 2, 2))

    def everything(x, params):
        with tf.GradientTape() as tape:
            tape.watch(params)
            value = likelihood.log_prob(x, params)
        draw = likelihood.sample(params, RowNoise(seed=1))
        return value, tape.gradient(value, params), likelihood.mean(params), draw

    any_batch = [tf.TensorSpec((None, *a.shape[1:]), tf.float32) for a in (x, params)]
    compiled = tf.function(everything, input_signature=any_batch, jit_compile=jit)
    for rows in (6, 1):
        some = tf.constant(x[:rows]), tf.constant(params[:rows])
        for got, want in zip(compiled(*some), everything(*some), strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_a_config_makes_an_equal_likelihood(name):
    arguments = {
        "gaussian_fixed": {"scale": 0.7},
        "discretized_logistic_mixture": {"components": 3},
    }.get(name, {})
    likelihood = built(name, image=True, **arguments)
    again = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(likelihood)
    )
    assert type(again) is type(likelihood) and again.image is True
    again.build((None, 1))
    weights = [tuple(w.shape) for w in again.weights]
    again.build((None, 1))  # by the loader, then by the model that owns it
    assert [tuple(w.shape) for w in again.weights] == weights
    params = np.full((1, *again.params_shape((1,))), -7.0, np.float32)
    assert again.log_prob([[1.0]], params) == likelihood.log_prob([[1.0]], params)


@pytest.mark.parametrize("name", LIKELIHOODS)
@pytest.mark.parametrize("per_channel", [False, True])
def test_the_initial_bias_gives_the_mean_of_the_data(name, per_channel):
    input_shape = (3, 2, 2)
    likelihood = built(name, input_shape, image=True)
    rng = np.random.default_rng(0)
    mean = rng.uniform(0.08, 0.92, (2,) if per_channel else input_shape)
    mean.flat[0] = 0.5
    bias = likelihood.initial_bias(mean, input_shape)
    wanted_shape = likelihood.params_shape(mean.shape)
    assert bias.shape == wanted_shape and bias.dtype == np.float32
    got = likelihood.mean(bias[None])[0]
    np.testing.assert_allclose(got, mean, atol=2e-6)


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_the_initial_bias_is_finite_for_pixels_that_never_change(name):
    likelihood = built(name, (2,), image=True)
    bias = likelihood.initial_bias(np.array([0.0, 1.0]), (2,))
    assert np.isfinite(bias).all()
    np.testing.assert_allclose(likelihood.mean(bias[None])[0], [0, 1], atol=0.075)


def test_from_the_initial_bias_bernoulli_can_learn_every_pixel():
    bias = Bernoulli().initial_bias(np.array([0.0, 1e-3, 0.5, 0.999, 1.0]), (5,))
    probability = 1.0 / (1.0 + np.exp(-bias))
    assert np.min(probability * (1.0 - probability)) > 0.02  # the sigmoid's slope
    assert np.all(np.diff(bias) >= 0.0)


def test_the_initial_bias_refuses_a_mean_of_another_shape():
    with pytest.raises(ValueError, match=r"\(3, 2\).*\(3,\)"):
        Bernoulli().initial_bias(np.full(3, 0.5), (3, 2))


# What they refuse


def grey(n=8, dtype=np.float32):
    levels = np.random.default_rng(0).integers(0, 256, (n, 4, 4, 1))
    return levels.astype(dtype) if dtype == np.uint8 else (levels / 255).astype(dtype)


@pytest.mark.parametrize("name", LIKELIHOODS)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_grey_images_are_accepted_by_every_likelihood(name, dtype):
    assert LIKELIHOODS[name]().check(grey(dtype=dtype)) is None


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_no_rows_are_accepted(name):
    assert LIKELIHOODS[name]().check(np.zeros((0, 4, 4, 1), np.float32)) is None


@pytest.mark.parametrize(
    "name",
    [
        "bernoulli",
        "continuous_bernoulli",
        "discretized_logistic",
        "discretized_logistic_mixture",
    ],
)
@pytest.mark.parametrize(
    ("scale", "shift", "remedy"),
    [
        (255, 0, "divide by 255"),
        (2, -1, r"from -1 to 1: scale it"),
        (1e4, 0, "scale it"),
    ],
)
def test_data_outside_of_0_and_1_are_refused_with_a_remedy(name, scale, shift, remedy):
    x = scale * np.linspace(0, 1, 16).reshape(4, 4) + shift
    with pytest.raises(ValueError, match="`x`"):
        LIKELIHOODS[name]().check(x)


def test_rounding_beyond_1_is_no_reason_to_refuse():
    assert Bernoulli().check(np.float32([[0.0, 1.0000001]])) is None


@pytest.mark.parametrize("name", ["gaussian", "gaussian_fixed", "gaussian_per_pixel"])
def test_gaussians_take_data_of_any_range(name):
    assert LIKELIHOODS[name]().check(np.float32([[-1e6, 3.0]])) is None


@pytest.mark.parametrize("name", LIKELIHOODS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_what_is_not_finite_is_refused_and_its_row_named(name, value):
    x = grey(dtype=np.float64)
    x[5, 2, 1, 0] = value
    with pytest.raises(ValueError, match="`x`"):
        LIKELIHOODS[name]().check(x)


def test_every_row_of_a_large_array_is_read():
    x = np.zeros((3_000, 32, 32, 1), np.float32)  # more than is checked at a time
    x[-1, 3, 3, 0] = np.nan
    with pytest.raises(ValueError, match="row 2999"):
        Bernoulli().check(x)
    x[-1, 3, 3, 0] = 0.5001
    with pytest.raises(ValueError, match="row 2999"):
        DiscretizedLogistic().check(x)
    x[-1, 3, 3, 0] = 1.0
    with pytest.raises(ValueError, match="0 or 1"):
        ContinuousBernoulli().check(x)
    x[-1, 3, 3, 0] = 0.5
    assert ContinuousBernoulli().check(x) is None


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_checking_takes_little_memory(name):
    x = np.zeros((8192, 32, 32, 1), np.float32)  # 32 MiB
    x[-1] = 1 / 255
    tracemalloc.start()
    LIKELIHOODS[name]().check(x)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 24 * 2**20


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, bool])
def test_binarised_data_are_refused_by_the_continuous_bernoulli_alone(dtype):
    top = np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 1
    x = (np.arange(64).reshape(4, 4, 4) % 2 * top).astype(dtype)
    with pytest.raises(ValueError, match="all are 0 or 1: take Bernoulli"):
        ContinuousBernoulli().check(x)
    assert Bernoulli().check(x) is None
    assert DiscretizedLogistic().check(x) is None


def test_a_black_image_is_not_taken_for_binarised_data():
    assert ContinuousBernoulli().check(np.zeros((2, 4, 4, 1), np.uint8)) is None


@pytest.mark.parametrize("kind", [DiscretizedLogistic, DiscretizedLogisticMixture])
def test_values_between_the_grey_levels_are_refused_by_the_discretized_alone(kind):
    x = grey()
    x[3, 0, 0, 0] = 100.5 / 255
    with pytest.raises(ValueError, match=r"multiples of 1/255.*0\.394118 in row 3"):
        kind().check(x)
    with pytest.raises(ValueError, match="multiples of 1/255"):
        kind().check(np.uint16([[0, 300, 65535]]))
    assert kind().check(np.uint16([[0, 257, 65535]])) is None
    assert not kind().fits(tf.constant(x)) and kind().fits(tf.constant(x[:3]))
    assert Bernoulli().check(x) is None


def test_text_is_refused():
    with pytest.raises(ValueError, match="`x`"):
        Gaussian().check(np.array([["a"]]))


def test_the_names_are_those_of_the_classes():
    for name, likelihood in LIKELIHOODS.items():
        assert likelihood.__name__ == name.title().replace("_", "")
