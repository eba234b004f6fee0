import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae import VAE, networks
from keras_vae.data.named import digits
from keras_vae.evaluation import samplers
from keras_vae.models.autoencoder import Autoencoder
from keras_vae.networks.noise import with_input_noise
from keras_vae.noise import RowNoise, noise_scope
from keras_vae.units import to_unit

SHAPE = (8, 8, 1)
DIM = 4


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return to_unit(digits()["x_train"][:400])[..., np.newaxis]


def make(kind: type[VAE] = Autoencoder, noise: str = "", units: int = 32) -> VAE:
    keras.utils.set_random_seed(0)
    encoder = networks.mlp_encoder(SHAPE, DIM, hidden_units=(units,))
    model = kind(
        DIM,
        SHAPE,
        encoder=with_input_noise(encoder, noise) if noise else encoder,
        decoder=networks.mlp_decoder(DIM, SHAPE, hidden_units=(units,)),
        seed=0,
    )
    model.compile(keras.optimizers.Adam(5e-3))
    return model


@pytest.fixture(scope="module")
def trained(x: np.ndarray) -> Autoencoder:
    model = make()
    model.adapt(x)
    model.fit(x, epochs=5, verbose=0)
    model.set_aggregate(samplers.fit_density(samplers.posterior_draws(model, x)))
    return model


def test_the_latent_is_the_mean_every_time(x: np.ndarray) -> None:
    model = make()
    output = model(x[:9])
    np.testing.assert_array_equal(output.latent.z[0], output.latent.z_mean)
    np.testing.assert_allclose(output.latent.z[0], model.encode(x[:9]), atol=1e-6)
    more = model.sample_latent(*model.encode_params(tf.constant(x[:9])), None, None, 3)
    np.testing.assert_array_equal(more.z, np.repeat(output.latent.z, 3, axis=0))


def test_the_loss_is_the_reconstruction_and_there_is_no_kl(x: np.ndarray) -> None:
    model = make()
    figures = model.evaluate(x, verbose=0, return_dict=True)
    assert set(figures) == {"loss", "reconstruction_loss"}
    assert figures["loss"] == figures["reconstruction_loss"]
    mean = np.clip(model.reconstruct(x), 1e-7, 1 - 1e-7)
    entropy = -(x * np.log(mean) + (1 - x) * np.log1p(-mean))
    assert figures["loss"] == pytest.approx(
        entropy.sum(axis=(1, 2, 3)).mean(), rel=1e-4
    )


def test_what_the_encoder_says_of_the_variance_does_not_count(x: np.ndarray) -> None:
    model = make()
    before = model.evaluate(x, verbose=0)
    head = model.encoder.layers[-1]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(model(x[:8]).params)
    dense = next(
        layer
        for layer in reversed(model.encoder.layers)
        if isinstance(layer, keras.layers.Dense)
    )
    gradient = tape.gradient(loss, dense.kernel.value)
    used = np.abs(gradient).max(axis=0) > 0
    assert used.sum() == DIM, head.name
    dense.bias.assign(np.where(used, 0.0, 3.0))
    assert model.evaluate(x, verbose=0) == pytest.approx(before, rel=1e-6)


@pytest.mark.slow
def test_without_a_penalty_it_reconstructs_better_than_a_vae(
    trained: Autoencoder, x: np.ndarray
) -> None:
    vae = make(VAE)
    vae.adapt(x)
    vae.fit(x, epochs=5, verbose=0)
    theirs = vae.evaluate(x, verbose=0, return_dict=True)["reconstruction_loss"]
    assert trained.evaluate(x, verbose=0, return_dict=True)["loss"] < theirs - 0.5


def test_it_generates_from_the_normal_of_its_latents(
    trained: Autoencoder, x: np.ndarray
) -> None:
    z = trained.encode(x)
    drawn = trained.prior_sample(20_000, tf.constant([1, 2])).numpy()
    spread = z.std(axis=0)
    np.testing.assert_allclose(
        drawn.mean(axis=0) / spread, z.mean(axis=0) / spread, atol=0.05
    )
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(z.T), atol=0.05 * z.var())
    assert np.abs(z.mean(axis=0)).max() + np.abs(z.var(axis=0) - 1).max() > 0.3


def test_before_a_density_is_fitted_it_says_what_to_do(tmp_path) -> None:
    model = make()
    with pytest.raises(ValueError, match="fit_aggregate"):
        model.sample(3)
    with pytest.raises(ValueError, match="fit_aggregate"):
        model.export(tmp_path / "saved")
    with pytest.raises(ValueError, match="no ELBO"):
        model.elbo(np.zeros((2, *SHAPE)))


@pytest.mark.slow
def test_denoising_learns_to_undo_the_noise(x: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    masked = x * (rng.uniform(size=x.shape) >= 0.4)
    errors = {}
    for noise in ("", "masking:0.4"):
        model = make(noise=noise, units=128)
        model.adapt(x)
        model.fit(x, epochs=40, verbose=0)
        errors[noise] = np.square(model.reconstruct(masked) - x).mean()
    assert errors["masking:0.4"] < 0.93 * errors[""]


@pytest.mark.slow
def test_the_noise_is_on_the_input_alone_and_only_in_training(x: np.ndarray) -> None:
    plain, noisy = make(), make(noise="gaussian:5")
    assert noisy.evaluate(x, verbose=0) == plain.evaluate(x, verbose=0)
    logs = [
        model.fit(x, epochs=1, batch_size=400, verbose=0, shuffle=False).history["loss"]
        for model in (plain, make(noise="gaussian:5"))
    ]
    with noise_scope(RowNoise(0, 0, 0, "training")):
        params = noisy(x, training=True).params
    clean = tf.reduce_mean(noisy.reconstruction_loss(tf.constant(x), params))
    assert logs[1][0] == pytest.approx(float(clean), rel=1e-5)
    assert logs[1][0] != pytest.approx(logs[0][0], rel=1e-2)
