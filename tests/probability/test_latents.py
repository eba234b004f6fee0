import numpy as np
import pytest
import tensorflow as tf

from keras_vae.probability.latents import GroupNormal


def normal(mean, log_var):
    return GroupNormal(
        *(tf.constant([[value]], tf.float32) for value in (mean, log_var))
    )


def test_a_posterior_is_its_prior_moved_by_standard_deviations():
    prior = normal(3.0, 2.0 * np.log(2.0))
    same = prior.moved(tf.zeros((1, 1)), tf.zeros((1, 1)))
    np.testing.assert_array_equal(same, prior)
    assert float(prior.kl(same)[0, 0]) == 0.0
    mean, log_var = prior.moved(tf.fill((1, 1), 1.5), tf.fill((1, 1), -4.0))
    assert float(mean[0, 0]) == pytest.approx(6.0)
    assert float(log_var[0, 0]) == pytest.approx(2.0 * np.log(2.0) - 4.0)


@pytest.mark.parametrize("prior_log_var", [-12.0, 0.0, 12.0])
@pytest.mark.parametrize("output", [1e3, -1e3])
def test_whatever_a_network_gives_a_number_costs_tens_of_nats(prior_log_var, output):
    prior, given = normal(0.0, prior_log_var), tf.fill((1, 1), output)
    with tf.GradientTape() as tape:
        tape.watch(given)
        kl = prior.moved(given, given).kl(prior)
    assert 1.0 < float(kl[0, 0]) < 100.0
    assert float(tape.gradient(kl, given)[0, 0]) * output > 0.0
