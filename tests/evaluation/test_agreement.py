import keras
import numpy as np
import pytest

from keras_vae import CVAE, VAE, GaussianMixture, HierarchicalVAE
from keras_vae.evaluation.agreement import (
    agreement,
    prior_agreement,
    standardized_means,
)
from keras_vae.evaluation.latents import active_units

RNG = np.random.default_rng(0)
PRIOR = RNG.normal(size=(400, 8))


def test_draws_of_the_prior_agree_with_it():
    found = agreement(RNG.normal(size=(400, 8)), PRIOR)
    assert found["prior_aggregate_kl"] < 0.2
    assert found["aggregate_radius"] == pytest.approx(found["prior_radius"], rel=0.05)
    assert found["prior_far"] < 0.05


def test_a_small_ball_is_far_from_the_prior():
    found = agreement(0.1 * RNG.normal(size=(400, 8)), PRIOR)
    exact = 8 * 0.5 * (0.01 - 1.0 - np.log(0.01))
    assert found["prior_aggregate_kl"] == pytest.approx(exact, rel=0.05)
    assert found["prior_far"] > 0.95


def test_equal_moments_are_not_enough():
    z = RNG.normal(size=(400, 8))
    z = np.repeat(z[:, :1], 8, axis=1)  # on a line, each dimension a standard normal
    found = agreement(z, PRIOR)
    assert found["prior_aggregate_kl"] < 0.2
    assert found["prior_far"] > 0.95


@pytest.mark.slow
@pytest.mark.parametrize("kind", [VAE, HierarchicalVAE])
def test_it_is_measured_of_models(kind):
    x = RNG.integers(0, 2, (30, 4, 4, 1)).astype(np.float32)
    found = prior_agreement(kind(latent_dim=2, input_shape=(4, 4, 1), seed=0), x)
    assert found["prior_radius"] == pytest.approx(np.sqrt(np.pi / 2), rel=0.3)
    assert np.isfinite(list(found.values())).all()


def test_a_conditional_model_is_held_against_the_prior_it_has():
    keras.utils.set_random_seed(1)
    x = np.random.default_rng(0).integers(0, 2, (30, 4, 4, 1)).astype(np.float32)
    y = np.arange(30) % 3
    model = CVAE(2, (4, 4, 1), num_classes=3, prior=GaussianMixture(2), seed=0)
    model.ensure_built()
    model.prior.means.assign(np.full((2, 2), 5.0, np.float32))
    found = prior_agreement(model, x, y)
    assert found["prior_radius"] == pytest.approx(7.1, rel=0.1)
    assert found["prior_far"] > 0.9


@pytest.mark.slow
def test_means_that_follow_the_label_alone_carry_nothing():
    x, y = np.zeros((60, 4, 4, 1), np.float32), np.arange(60) % 3
    model = CVAE(2, (4, 4, 1), num_classes=3, prior="conditional", seed=0)
    model.ensure_built()
    for weight in model.prior_network.trainable_variables:
        weight.assign_add(0.3 * RNG.normal(size=weight.shape))
    model.prior_network.trainable = False
    model.compile(keras.optimizers.Adam(0.003))
    model.fit(x, y, batch_size=60, epochs=150, verbose=0)
    z_mean = model.encode(x, y)
    assert active_units(z_mean).all()
    assert not active_units(standardized_means(model, z_mean, x, y)).any()


@pytest.mark.parametrize("condition", ["left_half", "mask"])
def test_means_have_the_units_of_the_region_of_each_example(condition, in_small_calls):
    x = RNG.integers(0, 2, (12, 4, 4, 1)).astype(np.float32)
    found = []
    for kind in (CVAE, in_small_calls(CVAE, 5, samples=1)):
        keras.utils.set_random_seed(0)
        model = kind(2, (4, 4, 1), condition=condition, prior="conditional", seed=0)
        found.append(standardized_means(model, model.encode(x), x))
    whole, in_parts = found
    np.testing.assert_allclose(in_parts, whole, rtol=1e-5)
    given = model.region_of(x)
    exact = model.to_aggregate(model.encode(x, given), given)
    np.testing.assert_allclose(whole, exact, rtol=1e-5)
    assert np.abs(whole - model.encode(x)).max() > 1e-3


def test_what_is_not_finite_has_no_measure():
    assert agreement(np.full((20, 2), np.nan), PRIOR[:, :2]) == {}
