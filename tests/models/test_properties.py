"""What holds of a VAE for data of any shape, type and number."""

import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_vae import VAE, networks
from keras_vae.noise import RowNoise
from keras_vae.probability.likelihoods import LIKELIHOODS
from keras_vae.units import to_unit

DTYPES = ("uint8", "uint16", "float32", "float64")
SHAPES = st.one_of(
    st.tuples(st.integers(1, 30)),
    st.tuples(st.integers(1, 8), st.integers(1, 4)),
    st.tuples(st.integers(1, 8), st.integers(1, 8), st.integers(1, 4)),
)


def few(examples):
    return settings(
        max_examples=examples, deadline=None, derandomize=True, database=None
    )


def unit_examples(rng, n, shape, dtype):
    if dtype.startswith("uint"):
        return rng.integers(0, np.iinfo(dtype).max + 1, (n, *shape)).astype(dtype)
    return rng.random((n, *shape)).astype(dtype)


def tiny(shape, latent_dim=2, likelihood="bernoulli"):
    params_shape = LIKELIHOODS[likelihood]().params_shape(shape)
    return VAE(
        latent_dim,
        shape,
        encoder=networks.mlp_encoder(shape, latent_dim, hidden_units=(3,)),
        decoder=networks.mlp_decoder(latent_dim, params_shape, hidden_units=(3,)),
        likelihood=likelihood,
        seed=0,
    )


def on_256_levels(x):
    """The examples on the grey levels that a discretised likelihood knows."""
    if x.dtype == np.uint16:
        return x // 257 * 257
    return x if x.dtype == np.uint8 else (np.rint(x * 255) / 255).astype(x.dtype)


@pytest.mark.slow
@few(5)
@given(
    shape=SHAPES,
    latent_dim=st.integers(1, 5),
    n=st.integers(1, 9),
    dtype=st.sampled_from(DTYPES),
    likelihood=st.sampled_from(sorted(LIKELIHOODS)),
)
def test_what_comes_out_has_the_shape_of_what_went_in(
    shape, latent_dim, n, dtype, likelihood
):
    x = unit_examples(np.random.default_rng(n), n, shape, dtype)
    if likelihood.startswith("discretized_logistic"):
        x = on_256_levels(x)
    model = tiny(shape, latent_dim, likelihood)
    elbo = model.elbo(x)
    assert elbo.shape == (n,)
    z = model.encode(x)
    assert z.shape == (n, latent_dim)
    for out in (model.reconstruct(x), model.decode(z), model.sample(n, seed=1)):
        assert out.shape == (n, *shape) and out.dtype == np.float32
        assert np.isfinite(out).all()
    assert np.isfinite(elbo).all() and np.isfinite(z).all()
    # Whole numbers stand for numbers in [0, 1], and an example for itself alone.
    np.testing.assert_allclose(elbo, model.elbo(to_unit(x)), rtol=1e-4)
    np.testing.assert_allclose(elbo[:1], model.elbo(x[:1]), rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def trained():
    model = tiny((4, 3, 1))
    model.compile()
    model.ensure_built()
    return model


@pytest.mark.slow
@few(8)
@given(
    n=st.integers(1, 30),
    batch_size=st.integers(1, 40),
    dtype=st.sampled_from(DTYPES),
)
def test_an_epoch_of_any_batch_size_counts_every_example(trained, n, batch_size, dtype):
    x = unit_examples(np.random.default_rng(n), n, (4, 3, 1), dtype)
    before = int(trained.step.numpy())
    losses = trained.fit(x, batch_size=batch_size, verbose=0).history["loss"]
    assert np.isfinite(losses).all()
    assert int(trained.step.numpy()) - before == math.ceil(n / batch_size)
    figures = trained.evaluate(x, batch_size=batch_size, verbose=0, return_dict=True)
    mean = -float(trained.elbo(x).mean())
    total = figures["reconstruction_loss"] + figures["kl_loss"]
    assert total == pytest.approx(mean, rel=1e-4)


@pytest.mark.slow
@few(40)
@given(
    name=st.sampled_from(sorted(LIKELIHOODS)),
    shape=SHAPES,
    n=st.integers(1, 5),
    samples=st.integers(1, 3),
    scale=st.sampled_from((0.0, 1.0, 30.0, 1e4, 1e15)),
)
def test_likelihoods_are_finite_for_any_output_of_a_decoder(
    name, shape, n, samples, scale
):
    rng = np.random.default_rng(n)
    likelihood = LIKELIHOODS[name](image=len(shape) == 3)
    likelihood.build((None, *shape))
    params_shape = likelihood.params_shape(shape)
    if not (name == "discretized_logistic_mixture" and shape[-1] == 3):
        size = likelihood.numbers_per_element * math.prod(shape)
        assert math.prod(params_shape) == size
    x = tf.constant(np.rint(rng.random((n, *shape)) * 255) / 255, tf.float32)
    raw = scale * rng.normal(size=(samples, n, *params_shape))
    params = tf.constant(raw, tf.float32)
    log_prob = likelihood.log_prob(x, params)
    assert log_prob.shape == (samples, n)
    assert np.isfinite(log_prob).all()
    mean = likelihood.mean(params).numpy()
    assert mean.shape == (samples, n, *shape)
    draw = likelihood.sample(params[0], RowNoise(0)).numpy()
    assert draw.shape == (n, *shape)
    assert np.isfinite(mean).all() and np.isfinite(draw).all()
    if likelihood.unit_interval:
        assert mean.min() >= 0 and mean.max() <= 1
        assert draw.min() >= 0 and draw.max() <= 1
