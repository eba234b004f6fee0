import numpy as np
import pytest

from keras_vae import VAE
from keras_vae.evaluation.baselines import principal_components


def test_the_error_of_pca_is_that_of_the_singular_vectors():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(4, 12)) * np.array([[3.0], [2.0], [1.0], [0.2]])
    x = 1 / (1 + np.exp(-rng.normal(size=(500, 4)) @ mixing))
    x = x.reshape(-1, 4, 3, 1).astype(np.float32)
    train, test = x[:400], x[400:]
    model = VAE(latent_dim=3, input_shape=(4, 3, 1))
    metrics = principal_components(model, train, test)
    mean = train.reshape(400, -1).mean(axis=0)
    vectors = np.linalg.svd(train.reshape(400, -1) - mean, full_matrices=False)[2][:3]
    centred = test.reshape(100, -1) - mean
    residual = centred - centred @ vectors.T @ vectors
    expected = np.mean(np.sum(residual**2, axis=1))
    assert metrics["pca_squared_error"] == pytest.approx(expected, rel=1e-3)
    assert metrics["pca_components"] == 3
    own = np.sum((model.reconstruct(test) - test) ** 2) / 100
    assert metrics["squared_error"] == pytest.approx(own, rel=1e-4)
    assert "pca_nll" not in metrics  # Bernoulli: not comparable


def test_probabilistic_pca_finds_the_nll_of_its_own_kind_of_data(linear_gaussian):
    known = linear_gaussian(lengths=(3.0, 1.5), dim=8)
    train, test = known.sample(9000), known.sample(3000, seed=2)
    metrics = principal_components(known.model, train, test)
    exact = -known.log_prob(test)
    # Some 26 parameters are estimated, at half a nat of 9,000 examples each.
    assert metrics["pca_nll"] == pytest.approx(exact.mean(), abs=0.02)
    assert metrics["pca_nll"] > exact.mean() - 0.005


def test_the_nll_is_in_the_datas_own_units(linear_gaussian):
    known = linear_gaussian()
    x = known.sample(4000) * 10.0 + 3.0
    model = VAE(latent_dim=2, input_shape=(6,), likelihood="gaussian")
    plain = principal_components(model, x, x)
    model.adapt(x)
    standardised = principal_components(model, x, x)
    # The noise is the same in every direction in other units, so they differ a little.
    assert standardised["pca_nll"] == pytest.approx(plain["pca_nll"], rel=0.05)
    assert standardised["pca_squared_error"] < 0.1 * plain["pca_squared_error"]


@pytest.mark.parametrize(("examples", "size"), [(3, 5), (40, 2), (2, 1)])
def test_there_are_never_more_components_than_data_have(examples, size):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(examples, size)).astype(np.float32)
    model = VAE(latent_dim=20, input_shape=(size,), likelihood="gaussian")
    metrics = principal_components(model, x, x)
    assert metrics["pca_components"] <= max(1, min(size - 1, examples - 1))
    assert np.isfinite(list(metrics.values())).all()
