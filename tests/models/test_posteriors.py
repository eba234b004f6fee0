"""Posteriors that are flows: their density, what is made of it, and where they go."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp
from scipy.stats import norm

import keras_vae
from keras_vae import CVAE, IWAE, VAE, FlowPrior, networks
from keras_vae.evaluation.likelihood import importance_weighted_nll
from keras_vae.models.posteriors import flow_moments
from keras_vae.networks.flows import FLOWS, Flow, make_flow
from keras_vae.noise import RowNoise

SHAPE = (3, 4)
flows = pytest.mark.parametrize("posterior", FLOWS)


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.random.default_rng(0).uniform(size=(6, *SHAPE)).astype(np.float32)


def made(posterior: str = "diagonal", kind=VAE, steps: int | None = 2, **options):
    """Returns a small model, whose flow is far from the identity."""
    keras.utils.set_random_seed(0)
    flow = make_flow(posterior, 2, steps)
    context = {} if flow is None else {"context": flow.context_size}
    model = kind(
        2,
        SHAPE,
        encoder=networks.mlp_encoder(SHAPE, 2, hidden_units=(8,), **context),
        decoder=networks.mlp_decoder(2, SHAPE, hidden_units=(8,)),
        posterior=posterior,
        posterior_flows=None if flow is None else steps,
        seed=0,
        **options,
    )
    model.compile("adam")
    model.ensure_built()
    random = np.random.default_rng(1)
    for part in (model.flow, model.prior):
        if part is not None and part.weights:
            part.set_weights([0.1 * random.normal(size=w.shape) for w in part.weights])
    return model


def log_joint(model, x: np.ndarray, z: np.ndarray) -> np.ndarray:
    """log p(x|z) p(z) of each example and each of all z, (points, n), in float64."""
    points = tf.constant(np.repeat(z[:, np.newaxis], len(x), axis=1), tf.float32)
    params = model.decode_params(points)
    log_p = model.log_likelihood(tf.constant(x), params) + model.prior_log_prob(points)
    return log_p.numpy().astype(np.float64)


def integrated(model, x: np.ndarray, reach: float = 8.0, points: int = 161):
    """-log p(x) by a sum over a grid of z."""
    t = np.linspace(-reach, reach, points)
    grid = np.stack(np.meshgrid(t, t), axis=-1).reshape(-1, 2)
    return -logsumexp(log_joint(model, x, grid), axis=0) - 2 * np.log(t[1] - t[0])


# The density.


@flows
def test_log_q_of_draws_is_by_the_jacobian_from_the_noise(posterior, x) -> None:
    model, noise = made(posterior), RowNoise(3, domain="test")
    z_mean, z_log_var, context = model.posterior_features(tf.constant(x))
    normal = noise.normal(len(x), (2,), "z")
    with tf.GradientTape() as tape:
        tape.watch(normal)
        z, _ = model.flow(z_mean + tf.exp(0.5 * z_log_var) * normal, context)
    log_det = np.linalg.slogdet(tape.batch_jacobian(z, normal))[1]
    latent = model.sample_posterior(tf.constant(x), noise, num_samples=1)
    np.testing.assert_allclose(latent.z[0], z, rtol=1e-5)
    wanted = norm.logpdf(normal).sum(-1) - log_det
    np.testing.assert_allclose(latent.log_q[0], wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(
    "posterior, prior",
    [
        ("iaf", "standard_normal"),
        ("planar", "standard_normal"),
        ("iaf", FlowPrior(2, width=8)),
    ],
)
def test_importance_weights_estimate_the_integral(posterior, prior, x) -> None:
    model = made(posterior, prior=prior)
    found = importance_weighted_nll(model, x, 8_000, seed=1)
    wanted = integrated(model, x).mean()
    assert found.nll == pytest.approx(wanted, abs=max(0.02, 5 * found.standard_error))
    assert found.standard_error < 0.03


@pytest.mark.parametrize("posterior, prior", [("planar", FlowPrior(2, width=8))])
def test_the_elbo_is_below_and_its_kl_is_of_the_draws(posterior, prior, x) -> None:
    model = made(posterior, prior=prior)
    elbo = model.elbo(x, num_samples=2_000, seed=5)
    assert (elbo < -integrated(model, x) + 0.05).all()
    latent = model.sample_posterior(tf.constant(x), RowNoise(1), num_samples=7)
    kl = tf.reduce_mean(latent.log_q - latent.log_p, axis=0)
    np.testing.assert_allclose(latent.kl, kl, rtol=1e-6)


@flows
def test_many_draws_are_those_of_the_posterior(posterior, x) -> None:
    model = made(posterior)
    z, log_q = model.draw_posterior(tf.constant(x), 2_000, RowNoise(0, domain="test"))
    assert z.shape == (2_000, len(x), 2) and log_q.shape == (2_000, len(x))
    # E_q[f(z) p(x, z) / q(z)] = p(x) E[f(z) | x], here for f = 1.
    log_w = np.stack([log_joint_of(model, x, z[:, row], row) for row in range(len(x))])
    found = logsumexp(log_w.T - log_q.numpy(), axis=0) - np.log(2_000)
    np.testing.assert_allclose(found, -integrated(model, x), atol=0.15)


def log_joint_of(model, x: np.ndarray, z: tf.Tensor, row: int) -> np.ndarray:
    return log_joint(model, x[row : row + 1], z.numpy())[:, 0]


# What is said of it without noise.


class Linear(Flow):
    """Multiplies z by a matrix that is no diagonal."""

    context_size = 1

    def build(self, z_shape, context_shape=None):
        size = self.latent_dim
        self.matrix = np.eye(size) + 0.3 * np.random.default_rng(0).normal(
            size=(size, size)
        )
        self.built = True

    def call(self, z, context):
        return tf.tensordot(z, tf.constant(self.matrix.T, z.dtype), 1), z[..., 0]


@pytest.mark.parametrize("size", [1, 2, 20, 64])
def test_moments_behind_an_affine_flow_are_its_moments(size: int) -> None:
    flow, random = Linear(size, dtype="float64"), np.random.default_rng(1)
    mean, log_var = tf.constant(random.normal(size=(2, 3, size)))
    found, spread = flow_moments(flow, mean, log_var, tf.zeros([3, 1]))
    np.testing.assert_allclose(found, mean @ flow.matrix.T, rtol=1e-10)
    wanted = np.exp(log_var) @ np.square(flow.matrix).T
    np.testing.assert_allclose(np.exp(spread), wanted, rtol=1e-8)


@pytest.mark.slow
@flows
def test_encode_is_the_image_of_the_mean_near_the_middle_of_the_draws(
    posterior, x
) -> None:
    model = made(posterior)
    z_mean, z_log_var, context = model.posterior_features(tf.constant(x))
    image, _ = model.flow(z_mean, context)
    np.testing.assert_allclose(model.encode(x), image, rtol=1e-5, atol=1e-6)
    draws = model.draw_posterior(tf.constant(x), 4_000, RowNoise(0))[0].numpy()
    mean, log_var = model.posterior(x)
    assert (np.abs(mean - draws.mean(axis=0)) < draws.std(axis=0)).all()
    ratio = np.exp(0.5 * log_var) / draws.std(axis=0)
    assert (ratio > 0.6).all() and (ratio < 1.7).all()
    assert not np.allclose(image, z_mean, atol=0.1)


# Training.


@pytest.mark.slow
def test_training_takes_the_flow_along(x) -> None:
    model = made("iaf", steps=1)
    before = [weight.numpy() for weight in model.flow.trainable_variables]
    start = model.evaluate(x, verbose=0, return_dict=True)["loss"]
    model.fit(x, epochs=20, verbose=0)
    assert model.evaluate(x, verbose=0, return_dict=True)["loss"] < start - 0.2
    for variable, old in zip(model.flow.trainable_variables, before, strict=True):
        assert not np.array_equal(variable, old)


def test_steps_are_four_unless_they_are_given() -> None:
    assert VAE(2, SHAPE, posterior="iaf").flow.steps == 4
    model = VAE(2, SHAPE, posterior="planar", posterior_flows=7)
    assert model.flow.steps == 7
    assert VAE.from_config(model.get_config()).flow.steps == 7
    assert "posterior_flows" not in VAE(2, SHAPE).get_config()


# Where they do not go.

OTHERS = {
    "BetaTCVAE": {"dataset_size": 10},
    **dict.fromkeys(("CapacityVAE", "DIPVAE", "InfoVAE", "FactorVAE", "WAE"), {}),
    **dict.fromkeys(("Autoencoder", "HierarchicalVAE"), {}),
    **dict.fromkeys(("M2", "M1M2"), {"num_classes": 3}),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_models_refuse_them(name: str) -> None:
    with pytest.raises(ValueError, match="`posterior"):
        getattr(keras_vae, name)(2, (8, 8, 1), posterior="iaf", **OTHERS[name])


def test_what_has_no_effect_or_no_place_is_refused() -> None:
    with pytest.raises(ValueError, match="`posterior_flows`"):
        VAE(2, SHAPE, posterior_flows=3)
    with pytest.raises(ValueError, match="`prior`"):
        VAE(2, SHAPE, posterior="iaf", prior="vamp")
    with pytest.raises(ValueError, match="`posterior`.*Did you mean 'iaf'"):
        VAE(2, SHAPE, posterior="IAF")


@pytest.mark.parametrize("kind", [VAE, IWAE, CVAE])
def test_an_encoder_without_a_context_is_refused(kind) -> None:
    options = {"num_classes": 2} if kind is CVAE else {}
    shape = (SHAPE[0] * SHAPE[1] + 2,) if kind is CVAE else SHAPE
    encoder = networks.mlp_encoder(shape, 2, hidden_units=(4,))
    with pytest.raises(ValueError, match="`encoder`.*context"):
        kind(2, SHAPE, encoder=encoder, posterior="iaf", **options).ensure_built()


@flows
def test_dimensions_of_z_cannot_be_left_out(posterior, x) -> None:
    with pytest.raises(ValueError, match="`active`"):
        importance_weighted_nll(made(posterior), x, 10, active=np.array([True, False]))
