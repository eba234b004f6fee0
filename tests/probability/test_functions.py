"""Each function against its plain form in float64, and its slope."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vae.probability.functions import bounded, langevin, log_sinhc, softplus

U = np.float32(
    [-80, -30, -3, -0.501, -0.499, -1e-3, 1e-3, 0.1, 0.499, 0.501, 2, 30, 80]
)


def slope(function, x):
    x = tf.constant(x)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value = function(x)
    return tape.gradient(value, x).numpy()


def coth_minus_inverse(u):
    """In float64: by its series near 0, where five digits are lost without it."""
    u = u.astype(np.float64)
    near = u / 3 - u**3 / 45
    return np.where(np.abs(u) < 1e-2, near, 1 / np.tanh(u) - 1 / u)


def test_softplus_and_its_slope_are_exact_at_both_ends_and_at_zero():
    x = np.float32([-50, -20, -1, 0, 1, 20, 50])
    wide = x.astype(np.float64)
    np.testing.assert_allclose(softplus(x), np.logaddexp(0, wide), rtol=3e-7)
    np.testing.assert_allclose(slope(softplus, x), 1 / (1 + np.exp(-wide)), rtol=3e-7)


def test_bounded_is_the_identity_until_one_unit_from_an_end():
    x = np.linspace(-1, 4, 11, dtype=np.float32)
    np.testing.assert_array_equal(bounded(x, -2.0, 5.0), x)


@pytest.mark.parametrize(("x", "end"), [(-1e4, -2.0), (1e4, 5.0)])
def test_bounded_nears_the_end_and_leaves_a_slope(x, end):
    x = np.float32([x])
    assert 0 < np.abs(bounded(x, -2.0, 5.0).numpy() - end) < 2e-4
    assert slope(lambda x: bounded(x, -2.0, 5.0), x) > 0


def test_langevin_is_coth_less_the_inverse_also_near_zero():
    np.testing.assert_allclose(langevin(U), coth_minus_inverse(U), rtol=1e-6)
    assert langevin(np.float32([0])) == 0


def test_langevin_has_a_third_as_its_slope_at_zero():
    assert slope(langevin, np.float32([0])) == pytest.approx(1 / 3)


def test_log_sinhc_is_its_plain_form_and_zero_at_zero():
    wide = U.astype(np.float64)
    np.testing.assert_allclose(
        log_sinhc(U), np.log(np.sinh(wide) / wide), rtol=1e-6, atol=3e-7
    )
    assert abs(log_sinhc(np.float32([0])).numpy()) < 2e-6


def test_log_sinhc_has_the_langevin_function_as_its_slope():
    u = np.append(U, np.float32(0))
    np.testing.assert_array_equal(slope(log_sinhc, u), langevin(u))
