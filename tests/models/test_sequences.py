"""Vectors and sequences: standardised inside the model, likelihoods in their units."""

import csv

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae import VAE, networks
from keras_vae.data.datasets import load

SHAPES = [(6,), (11, 3)]


def examples(shape: tuple[int, ...], n: int = 80) -> np.ndarray:
    """Correlated numbers in units that differ by feature, far from 0."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(n, 2)) @ rng.normal(size=(2, int(np.prod(shape))))
    units = 10.0 ** np.arange(shape[-1])
    return ((hidden.reshape(n, *shape) + 5.0) * units).astype(np.float32)


def make(shape: tuple[int, ...], network: str = "mlp", **options) -> VAE:
    keras.utils.set_random_seed(0)
    small = {"hidden_units": (16,), **({"filters": (4,)} if "conv" in network else {})}
    options.setdefault("likelihood", "gaussian")
    model = VAE(
        2,
        shape,
        encoder=networks.ENCODERS[network](shape, 2, **small),
        decoder=networks.DECODERS[network](2, shape, **small),
        seed=0,
        **options,
    )
    model.compile(keras.optimizers.Adam(1e-2))
    return model


@pytest.mark.parametrize("shape", SHAPES)
def test_adapt_standardises_each_feature(shape: tuple[int, ...]) -> None:
    x = examples(shape)
    model = make(shape)
    model.adapt(x)
    inside = model.to_model(tf.constant(x)).numpy().reshape(-1, shape[-1])
    np.testing.assert_allclose(inside.mean(axis=0), 0.0, atol=1e-4)
    np.testing.assert_allclose(inside.std(axis=0), 1.0, rtol=1e-4)
    np.testing.assert_allclose(
        model.to_data(model.to_model(x)), x, rtol=1e-5, atol=1e-4
    )
    assert not {"data_mean", "data_scale"} & {v.name for v in model.trainable_variables}


@pytest.mark.slow
@pytest.mark.parametrize("shape", SHAPES)
def test_other_units_train_the_same_model_and_the_jacobian_says_so(
    shape: tuple[int, ...],
) -> None:
    x = examples(shape)
    factor = np.linspace(0.5, 40.0, shape[-1], dtype=np.float32)
    elbos = []
    for data in (x, x * factor + 3.0):
        model = make(shape)
        model.adapt(data)
        model.fit(data, epochs=2, batch_size=20, verbose=0)
        elbos.append(model.elbo(data))
        reconstruction = model.reconstruct(data)
    times = np.prod(shape[:-1])
    wanted = elbos[0] - times * np.log(factor).sum()
    np.testing.assert_allclose(elbos[1], wanted, rtol=1e-3, atol=2e-2)
    assert reconstruction.mean() > 100.0  # in the units that came


def test_the_density_of_x_integrates_to_one_in_its_own_units() -> None:
    model = make((1,))
    model.adapt(examples((1,)) * 1000.0)
    grid = np.linspace(-60_000, 70_000, 20_001, dtype=np.float32)[:, None]
    params = model.decode_params(tf.zeros((1, 1, 2)))
    log_p = model.log_likelihood(tf.constant(grid), tf.repeat(params, len(grid), 1))
    total = np.exp(np.float64(log_p[0])).sum() * (grid[1, 0] - grid[0, 0])
    assert total == pytest.approx(1.0, abs=1e-2)


@pytest.mark.slow
def test_a_constant_feature_does_no_harm() -> None:
    x = examples((6,))
    x[:, 2] = 7.5
    model = make((6,))
    model.adapt(x)
    history = model.fit(x, epochs=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    # Its log density has no bound but that of the scale; nothing else may move it.
    np.testing.assert_allclose(model.sample(5, seed=0)[:, 2], 7.5, atol=1.5)


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "network"), [((6,), "mlp"), ((11, 3), "conv1d")])
def test_training_beats_the_normal_of_each_feature(
    shape: tuple[int, ...], network: str
) -> None:
    x = examples(shape, 400)
    model = make(shape, network)
    model.adapt(x)
    model.fit(x, epochs=30, batch_size=40, verbose=0)
    flat = x.reshape(-1, shape[-1]).astype(np.float64)
    entropy = 0.5 * np.log(2 * np.pi * np.e * flat.var(axis=0)).sum()
    independent = entropy * np.prod(shape[:-1])
    assert -model.elbo(x).mean() < independent - 2.0


@pytest.mark.slow
def test_a_csv_with_a_label_column_trains(tmp_path) -> None:
    x = examples((3,))
    with (tmp_path / "table.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["a", "b", "kind", "c"])
        for i, row in enumerate(x):
            writer.writerow([row[0], row[1], "xy"[i % 2], row[2]])
    data = load(tmp_path / "table.csv", label_column="kind")
    assert (data.kind, data.input_shape, data.label_names) == (
        "vectors",
        (3,),
        ("x", "y"),
    )
    model = make(data.input_shape)
    model.adapt(data.train.x)
    model.fit(data.train.x, epochs=1, verbose=0)
    np.testing.assert_allclose(
        model.sample(400, seed=0).mean(axis=0), x.mean(axis=0), rtol=0.3
    )
