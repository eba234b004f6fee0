"""Finite losses and steps at the ends of every range, in every precision."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae import VAE, networks
from keras_vae.probability.distributions import LOG_VAR_LIMIT
from keras_vae.probability.likelihoods import LIKELIHOODS

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
SHAPE = (4, 3, 1)
IMAGES = {
    "black": np.zeros((5, *SHAPE), np.float32),
    "white": np.ones((5, *SHAPE), np.float32),
}
FAR = 1e4  # of a head's output; half precision can hold it


@pytest.fixture
def make():
    """Makes a compiled VAE that computes under a policy."""

    def build(policy, latent_dim, likelihood, name="mlp", shape=SHAPE, **options):
        keras.utils.set_random_seed(0)
        before = keras.config.dtype_policy()
        keras.config.set_dtype_policy(policy)
        try:
            params_shape = LIKELIHOODS[likelihood]().params_shape(shape)
            model = VAE(
                latent_dim,
                shape,
                encoder=networks.ENCODERS[name](shape, latent_dim, **options),
                decoder=networks.DECODERS[name](latent_dim, params_shape, **options),
                likelihood=likelihood,
                seed=0,
            )
            model.compile(optimizer=keras.optimizers.Adam(1e-3))
            model.ensure_built()
        finally:
            keras.config.set_dtype_policy(before)
        scales = isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
        assert scales == (policy == "mixed_float16")
        return model

    return build


def set_log_var(model, value):
    """Makes the encoder give the same raw log variance for every example."""
    kernel, bias = model.encoder.get_layer("encoder_head").weights
    dims = model.latent_dim
    kernel.assign(np.concatenate([kernel[:, :dims], 0 * kernel[:, dims:]], axis=1))
    bias.assign(np.concatenate([bias[:dims], np.full(dims, value)]))


def one_step(model, x):
    """Makes a training step, without a graph; returns the figures."""
    model.reset_metrics()
    figures = model.train_step(tf.constant(x))
    return {name: float(value) for name, value in figures.items()}


def is_sound(model, x):
    before = int(model.step.numpy())
    figures = one_step(model, x)
    assert np.isfinite(list(figures.values())).all(), figures
    assert int(model.step.numpy()) == before + 1
    for weight in model.get_weights():
        assert np.isfinite(weight).all()


@pytest.mark.slow
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize(
    ("likelihood", "latent_dim"),
    [("bernoulli", 1), *((name, 512) for name in sorted(LIKELIHOODS))],
)
def test_a_step_is_finite_at_both_ends_of_the_log_variance(
    make, policy, likelihood, latent_dim
):
    model = make(policy, latent_dim, likelihood, hidden_units=(8,))
    start = model.get_weights()
    for end in (-FAR, FAR):
        for x in IMAGES.values():
            model.set_weights(start)
            set_log_var(model, end)
            _, z_log_var = model.encode_params(tf.constant(x))
            reached = np.sign(end) * LOG_VAR_LIMIT
            np.testing.assert_allclose(z_log_var, reached, atol=1e-3)
            is_sound(model, x)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("end", [-FAR, FAR])
@pytest.mark.parametrize("likelihood", ["gaussian_per_pixel", "discretized_logistic"])
def test_a_step_is_finite_at_both_ends_of_the_decoder_s_scale(
    make, policy, end, likelihood
):
    model = make(policy, 2, likelihood, hidden_units=(8,))
    bias = networks.output_bias(model.decoder)
    half = bias.shape[0] // 2
    # Locations and log scales take turns, channel by channel.
    values = np.zeros(bias.shape, np.float32).reshape(-1, 2)
    assert values.shape[0] == half
    values[:, 1] = end
    bias.assign(values.reshape(bias.shape))
    for x in IMAGES.values():
        is_sound(model, x)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("end", [-FAR, FAR])
def test_a_step_is_finite_at_both_ends_of_the_learned_scale(make, policy, end):
    model = make(policy, 2, "gaussian", hidden_units=(8,))
    for x in IMAGES.values():
        model.likelihood.log_scale.assign(end)
        is_sound(model, x)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("name", ["mlp", "resmlp", "conv", "resnet"])
def test_every_network_is_finite_at_the_upper_end(make, policy, name):
    model = make(policy, 512, "bernoulli", name, shape=(8, 8, 1))
    set_log_var(model, FAR)
    x = np.random.default_rng(0).random((5, 8, 8, 1)).astype(np.float32)
    is_sound(model, x)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("latent_dim", [1, 512])
def test_what_is_generated_is_finite(make, policy, latent_dim):
    model = make(policy, latent_dim, "bernoulli", hidden_units=(8,))
    for x in IMAGES.values():
        outputs = (model.elbo(x), model.reconstruct(x), model.sample(5, seed=0))
        assert all(np.isfinite(out).all() for out in outputs)
