import numpy as np
import pytest

from keras_vae import VAE, networks
from keras_vae.evaluation.likelihood import elbo_terms
from keras_vae.networks.noise import with_input_noise
from keras_vae.training.config import TrainConfig
from keras_vae.training.rescaling import rescale_latents

SHAPE = (8, 8, 3)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mlp", "resmlp", "conv", "resnet"])
def test_latents_get_the_priors_moments_and_reconstructions_stay(name):
    encoder = networks.ENCODERS[name](SHAPE, 3)
    if name == "mlp":
        encoder = with_input_noise(encoder, "gaussian:0.1")
    model = VAE(
        3,
        SHAPE,
        encoder=encoder,
        decoder=networks.DECODERS[name](3, SHAPE),
        likelihood="bernoulli",
        seed=0,
    )
    x = np.random.default_rng(0).random((40, *SHAPE), np.float32)
    x *= np.linspace(0.2, 1.0, 40, dtype=np.float32)[:, None, None, None]
    model.ensure_built()
    before, kl = model.reconstruct(x), elbo_terms(model, x).kl_loss.mean()
    rescale_latents(model, x)
    np.testing.assert_allclose(model.reconstruct(x), before, atol=2e-4)
    assert elbo_terms(model, x).kl_loss.mean() < kl
    z_mean, z_log_var = model.posterior(x)
    np.testing.assert_allclose(z_mean.mean(axis=0), 0.0, atol=1e-3)
    variance = z_mean.var(axis=0) + np.exp(z_log_var).mean(axis=0)
    np.testing.assert_allclose(variance, 1.0, atol=1e-2)


@pytest.mark.parametrize(
    "given", [{"model": "hvae"}, {"prior": "vamp"}, {"posterior": "isotropic"}]
)
def test_it_is_refused_where_the_scale_is_not_free(given):
    with pytest.raises(ValueError, match="--rescale_latents has no effect"):
        TrainConfig.resolve({"rescale_latents": True, **given})
