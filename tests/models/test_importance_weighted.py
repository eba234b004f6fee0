import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae import VAE, networks
from keras_vae.models.importance_weighted import IWAE
from keras_vae.noise import RowNoise

SHAPE = (3, 5, 1)


def nets() -> dict[str, keras.Model]:
    keras.utils.set_random_seed(0)
    return {
        "encoder": networks.mlp_encoder(SHAPE, 2, hidden_units=(8,)),
        "decoder": networks.mlp_decoder(2, SHAPE, hidden_units=(8,)),
    }


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.random.default_rng(0).uniform(size=(20, *SHAPE)).astype(np.float32)


def log_weights(model: VAE, x: np.ndarray, samples: int, noise: RowNoise) -> np.ndarray:
    z_mean, z_log_var = model.encode_params(tf.constant(x))
    latent = model.sample_latent(z_mean, z_log_var, noise, num_samples=samples)
    log_p = model.log_likelihood(tf.constant(x), model.decode_params(latent.z))
    return (log_p + latent.log_p - latent.log_q).numpy().astype(np.float64)


def test_loss_is_minus_the_log_of_the_mean_weight(x: np.ndarray) -> None:
    model = IWAE(2, SHAPE, num_samples=5, seed=3, **nets())
    model.compile("adam")
    model.ensure_built()
    log_w = log_weights(model, x, 5, RowNoise(3, 0, 0, "evaluation"))
    loss = model.evaluate(x, verbose=0, return_dict=True)["loss"]
    assert loss == pytest.approx(-np.log(np.exp(log_w).mean(axis=0)).mean(), rel=1e-5)


def test_bound_is_at_least_the_elbo_and_grows_with_samples(x: np.ndarray) -> None:
    model = IWAE(2, SHAPE, seed=0, **nets())
    model.ensure_built()
    log_w = log_weights(model, x, 20_000, RowNoise(1, domain="test"))

    def bounds(k: int) -> np.ndarray:
        """Many estimates of the bound of k samples, averaged over examples."""
        parts = log_w.reshape(-1, k, len(x))
        top = parts.max(axis=1)
        return (np.log(np.exp(parts - top[:, None]).mean(axis=1)) + top).mean(axis=1)

    estimates = {k: bounds(k) for k in (1, 5, 50)}
    for few, many in ((1, 5), (5, 50)):
        gain = estimates[many].mean() - estimates[few].mean()
        variances = [estimates[k].var() / len(estimates[k]) for k in (few, many)]
        assert gain > 3 * np.sqrt(sum(variances))


@pytest.mark.slow
def test_more_samples_train_another_model(x: np.ndarray) -> None:
    weights = []
    for num_samples in (1, 8):
        model = IWAE(2, SHAPE, num_samples=num_samples, seed=0, **nets())
        model.compile(keras.optimizers.SGD(0.1))
        model.fit(x, epochs=1, batch_size=20, verbose=0)
        weights.append(model.encoder.get_weights()[0])
    assert not np.allclose(*weights)


def test_weight_on_the_kl_is_refused() -> None:
    with pytest.raises(ValueError, match="beta"):
        IWAE(2, SHAPE, beta=4.0, **nets())
