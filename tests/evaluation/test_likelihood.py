import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae import VAE, networks
from keras_vae.engine import parallel
from keras_vae.engine.chunks import NUMBERS_PER_CALL, chunk_size
from keras_vae.evaluation.likelihood import (
    bits_per_dimension,
    elbo_terms,
    importance_weighted_nll,
)
from keras_vae.models.autoencoder import Autoencoder
from keras_vae.probability.likelihoods import LIKELIHOODS, Gaussian, GaussianFixed
from keras_vae.probability.priors import GaussianMixture

SHAPE = (4, 3, 1)


def make(kind=VAE):
    keras.utils.set_random_seed(0)
    model = kind(
        latent_dim=2,
        input_shape=SHAPE,
        encoder=networks.mlp_encoder(SHAPE, 2, hidden_units=(8,)),
        decoder=networks.mlp_decoder(2, SHAPE, hidden_units=(8,)),
        seed=4,
    )
    model.compile()
    model.ensure_built()
    return model


@pytest.fixture(scope="module")
def vae():
    return make()


@pytest.fixture(scope="module")
def x():
    drawn = np.random.default_rng(0).uniform(size=(37, *SHAPE)) < 0.4
    return drawn.astype(np.float32)


def test_the_exact_posterior_makes_every_weight_log_p(linear_gaussian):
    known = linear_gaussian()
    x = known.sample(50)
    found = importance_weighted_nll(known.model, x, num_samples=3)
    assert found.log_prob == pytest.approx(known.log_prob(x), abs=1e-3)
    assert found.standard_error < 1e-3


def test_the_elbo_of_the_exact_posterior_is_tight(linear_gaussian):
    known = linear_gaussian()
    x = known.sample(40)
    # The noise depends on the row, so that these are 50 estimates for each example.
    terms = elbo_terms(known.model, np.repeat(x, 50, axis=0), num_samples=40)
    neg_elbo = terms.neg_elbo.reshape(len(x), 50)
    error = np.sqrt(np.sum(neg_elbo.var(axis=1, ddof=1) / 50)) / len(x)
    gap = neg_elbo.mean() + known.log_prob(x).mean()
    assert abs(gap) < 4 * error
    assert error < 0.02


@pytest.mark.parametrize("num_samples", [10, 300])
def test_the_estimate_is_log_p_but_for_sampling_error_and_bias(
    linear_gaussian, num_samples
):
    known = linear_gaussian(shift=0.8, widen=1.5)
    x = known.sample(100)
    found = importance_weighted_nll(known.model, x, num_samples)
    exact = -known.log_prob(x).mean()
    bias = known.simulated_bias(x, num_samples, repeats=6000 // num_samples)
    assert abs(found.nll - exact) < 4 * found.standard_error + bias
    assert elbo_terms(known.model, x).neg_elbo.mean() > exact + 0.5


def test_more_samples_remove_the_bias(linear_gaussian):
    known = linear_gaussian(shift=0.8, widen=1.5)
    x = known.sample(200)
    exact = -known.log_prob(x).mean()
    few, many = (importance_weighted_nll(known.model, x, k) for k in (2, 4000))
    assert few.nll - exact > 10 * (many.nll - exact)
    assert abs(many.nll - exact) < 4 * many.standard_error


def test_the_standard_error_is_the_spread_over_draws_of_the_samples(linear_gaussian):
    known = linear_gaussian(shift=0.3, widen=1.3)
    x = known.sample(20)
    # The noise depends on the row, so that these are 60 estimates of the same mean.
    found = importance_weighted_nll(known.model, np.tile(x, (60, 1)), 200)
    spread = found.log_prob.reshape(60, 20).mean(axis=1).std(ddof=1)
    claimed = np.sqrt(found.variance.reshape(60, 20).sum(axis=1)) / 20
    assert claimed.mean() == pytest.approx(spread, rel=0.3)
    assert found.standard_error == pytest.approx(spread / np.sqrt(60), rel=0.3)


def test_effective_samples_are_all_of_equal_weights_and_fewer_of_others(
    linear_gaussian,
):
    x = linear_gaussian().sample(5)
    exact = importance_weighted_nll(linear_gaussian().model, x, 64)
    poor = importance_weighted_nll(linear_gaussian(shift=2.0).model, x, 64)
    assert exact.effective_samples == pytest.approx(64, rel=1e-4)
    assert np.all(poor.effective_samples < 32)


def test_the_error_over_examples_is_that_of_a_mean(linear_gaussian):
    known = linear_gaussian()
    x = known.sample(64)
    found = importance_weighted_nll(known.model, x, 1)
    spread = known.log_prob(x).std(ddof=1) / 8
    assert found.standard_error_over_examples == pytest.approx(spread, rel=1e-3)
    assert math.isnan(found.standard_error)  # one sample says nothing of its spread


def test_the_result_does_not_depend_on_how_work_is_cut_up(vae, x, in_small_calls):
    cut, calls = make(in_small_calls(VAE, 5)), []
    whole = importance_weighted_nll(vae, x, 83)
    parts = importance_weighted_nll(
        cut, x, 83, progress=lambda *_: calls.append(1), progress_every=0.0
    )
    assert len(calls) == 6 * math.ceil(37 / chunk_size(cut, 16))  # 6 blocks of samples
    assert parts.log_prob == pytest.approx(whole.log_prob, abs=1e-5)
    assert parts.variance == pytest.approx(whole.variance, rel=1e-3)
    terms = elbo_terms(cut, x, num_samples=16)
    expected = elbo_terms(vae, x, num_samples=16).neg_elbo
    assert terms.neg_elbo == pytest.approx(expected, abs=1e-4)


def test_an_example_has_the_same_result_whatever_comes_after_it(vae, x):
    whole = importance_weighted_nll(vae, x, 40)
    head = importance_weighted_nll(vae, x[:7], 40)
    assert head.log_prob == pytest.approx(whole.log_prob[:7], abs=1e-5)


def test_the_decoder_never_gives_more_numbers_than_the_bound(small_vae, grey):
    shape, sizes = (16, 16, 1), []
    model, x = small_vae(shape), grey(600, shape)

    def count(params):
        sizes.append(params.numpy().size)
        return params

    def decode_params(z, *given):
        params = VAE.decode_params(model, z, *given)
        counted = tf.py_function(count, [params], tf.float32)
        return tf.ensure_shape(counted, params.shape)

    model.decode_params = decode_params
    importance_weighted_nll(model, x, 20)
    assert max(sizes) == min(600, chunk_size(model, 16)) * 16 * 256
    assert max(sizes) <= max(NUMBERS_PER_CALL.values())
    assert sum(sizes) == 600 * 20 * 256


def test_seeds_differ_and_none_is_the_models_own(vae, x):
    own = importance_weighted_nll(vae, x, 20)
    assert np.array_equal(
        own.log_prob, importance_weighted_nll(vae, x, 20, seed=vae.seed).log_prob
    )
    other = importance_weighted_nll(vae, x, 20, seed=vae.seed + 1)
    assert not np.allclose(own.log_prob, other.log_prob)


def test_progress_grows_to_all_images_times_samples(vae, x):
    told = []
    importance_weighted_nll(
        vae, x, 70, progress=lambda done, of: told.append((done, of))
    )
    done = [part for part, _ in told]
    assert done == sorted(set(done))
    assert told[-1] == (37 * 70, 37 * 70)


@pytest.mark.parametrize("at_once", [1, 2])
def test_what_progress_raises_is_raised_and_ends_the_work(at_once, vae, x, monkeypatch):
    monkeypatch.setattr(parallel, "calls_at_once", lambda: at_once)
    told = []

    def stop(done, of):
        told.append(done)
        if len(told) == 3:
            raise KeyError("enough")

    with pytest.raises(KeyError, match="enough"):
        importance_weighted_nll(vae, x, 10_000, progress=stop, progress_every=0.0)
    assert len(told) == 3


def test_what_an_example_raises_ends_the_work_on_those_before(vae, x, monkeypatch):
    monkeypatch.setattr(parallel, "calls_at_once", lambda: 2)
    slow = 10**7  # samples, which would take minutes

    class Broken:
        shape = SHAPE

        def __len__(self):
            return len(x)

        def gather(self, rows):
            if int(rows[0]) > 0:
                raise OSError("gone")
            return x[: len(rows)]

    with pytest.raises(OSError, match="gone"):
        importance_weighted_nll(vae, Broken(), slow)


def test_bytes_and_what_is_read_from_disk_are_as_their_floats(vae, x):
    class Stored:
        shape = SHAPE

        def __init__(self, images):
            self.images = images

        def __len__(self):
            return len(self.images)

        def take(self, rows):
            return Stored(self.images[rows])

        def gather(self, rows):
            return tf.gather(tf.constant(self.images), rows)

    expected = importance_weighted_nll(vae, x, 16).log_prob
    stored = (255 * x).astype(np.uint8)
    for same in (stored, Stored(stored)):
        found = importance_weighted_nll(vae, same, 16).log_prob
        assert found == pytest.approx(expected, abs=1e-5)


def test_a_dimension_that_is_removed_is_gone_from_the_model(linear_gaussian):
    known = linear_gaussian(shift=0.3, widen=1.2)
    x = known.sample(100)
    kept = np.array([True, False, True])
    found = importance_weighted_nll(known.model, x, 4000, active=kept)
    exact = -known.log_prob(x, kept).mean()
    assert exact > -known.log_prob(x).mean() + 0.1
    assert abs(found.nll - exact) < 4 * found.standard_error + 0.01


def test_removing_what_the_decoder_does_not_use_changes_nothing(linear_gaussian):
    known = linear_gaussian(lengths=(2.0, 0.0))
    x = known.sample(50)
    kept = np.array([True, False])
    found = importance_weighted_nll(known.model, x, 32, active=kept)
    assert found.log_prob == pytest.approx(known.log_prob(x), abs=1e-3)


def test_elbo_terms_are_what_evaluate_means(vae, x):
    terms = elbo_terms(vae, x)
    figures = vae.evaluate(x, batch_size=10, verbose=0, return_dict=True)
    for name in ("reconstruction_loss", "kl_loss"):
        assert getattr(terms, name).mean() == pytest.approx(figures[name], rel=1e-5)
    assert terms.neg_elbo == pytest.approx(-vae.elbo(x), rel=1e-4)
    by_dimension = terms.kl_per_dimension.sum(axis=1)
    assert by_dimension == pytest.approx(terms.kl_loss, rel=1e-5)
    assert terms.z_mean == pytest.approx(vae.encode(x), abs=1e-6)


def test_the_bound_is_below_the_elbo(vae, x):
    nll = importance_weighted_nll(vae, x, 1000).nll
    assert nll < elbo_terms(vae, x, num_samples=200).neg_elbo.mean()


def test_an_autoencoder_has_no_likelihood(x):
    model = Autoencoder(latent_dim=2, input_shape=SHAPE)
    with pytest.raises(ValueError, match="`model`"):
        importance_weighted_nll(model, x, 10)


@pytest.mark.slow
def test_a_model_that_learns_on_is_measured_anew(x):
    model = make()
    before = importance_weighted_nll(model, x, 10).nll
    model.fit(x, epochs=2, verbose=0)
    assert importance_weighted_nll(model, x, 10).nll < before - 0.01


def bits(name, x, nll=100.0):
    shape = x.shape[1:]
    kind = LIKELIHOODS[name]
    likelihood = kind(image=True) if len(shape) == 3 else kind()
    return bits_per_dimension(
        VAE(latent_dim=2, input_shape=shape, likelihood=likelihood), x, nll
    )


def test_bits_per_dimension_are_for_images_of_few_levels(x):
    grey = np.random.default_rng(0).integers(0, 256, (9, *SHAPE), np.uint8)
    plain = 100.0 / (12 * math.log(2.0))
    assert bits("discretized_logistic", grey) == pytest.approx(plain)
    assert bits("discretized_logistic_mixture", grey) == pytest.approx(plain)
    assert bits("bernoulli", x) == pytest.approx(plain)
    assert bits("bernoulli", grey) is None
    for name in ("gaussian", "gaussian_per_pixel", "continuous_bernoulli"):
        assert bits(name, grey) == pytest.approx(plain + math.log2(255))
        assert bits(name, (grey + 0.5) / 255.5) is None
    assert bits("gaussian", np.zeros((5, 12), np.float32)) is None


@pytest.mark.parametrize(
    ("likelihood", "has_bits"),
    [
        (GaussianFixed(scale=2e-4, image=True), False),
        (GaussianFixed(scale=0.1, image=True), True),
        (Gaussian(image=False), False),  # its scale may become as small as 1e-3
    ],
)
def test_densities_narrower_than_a_level_have_no_bits(likelihood, has_bits):
    grey = np.random.default_rng(0).integers(0, 256, (9, *SHAPE), np.uint8)
    model = VAE(latent_dim=2, input_shape=SHAPE, likelihood=likelihood)
    assert (bits_per_dimension(model, grey, 100.0) is not None) == has_bits


@pytest.mark.parametrize(
    "name", ["gaussian", "gaussian_per_pixel", "continuous_bernoulli"]
)
def test_the_levels_of_a_density_add_up_to_a_probability(name):
    # The sharpest density there can be, on and between two levels and at the ends.
    kind = LIKELIHOODS[name](image=True)
    kind.build((None, 1, 1, 1))
    if name == "gaussian":
        kind.log_scale.assign(-100.0)
    places = [0.0, 100 / 255, 100.5 / 255, 1.0]
    per_value = {
        "gaussian": [[place] for place in places],
        "gaussian_per_pixel": [[place, -100.0] for place in places],
        "continuous_bernoulli": [[-1e6], [0.0], [3.0], [1e6]],
    }[name]
    x = np.arange(256, dtype=np.float32).reshape(-1, 1, 1, 1) / 255
    for params in per_value:
        tiled = tf.tile(tf.reshape(tf.constant(params), [1, 1, 1, -1]), [256, 1, 1, 1])
        mass = np.sum(np.exp(kind.log_prob(tf.constant(x), tiled))) / 255
        assert mass < 1.03


def test_a_prior_of_many_components_has_its_share_of_the_memory(x):
    plain, mixed = (
        VAE(2, SHAPE, prior=prior)
        for prior in ("standard_normal", GaussianMixture(components=50))
    )
    assert plain.numbers_per_sample == 4 * 3
    assert mixed.numbers_per_sample == 50 * 2


def test_the_parts_of_a_mixture_of_posteriors_are_worked_out_once_a_call(x):
    other, model = (VAE(2, SHAPE, prior="vamp", seed=0) for _ in range(2))
    expected, calls = importance_weighted_nll(other, x, 40).log_prob, []
    model.set_weights(other.get_weights())
    parts = model.prior.parts
    model.prior.parts = lambda posterior: (
        calls.append(model.prior._fixed_parts) or (parts(posterior))
    )
    found = importance_weighted_nll(model, x, 40).log_prob
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert [part is None for part in calls] == [True, False]
