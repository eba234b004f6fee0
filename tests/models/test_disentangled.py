from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae import VAE, LinearWarmup, networks
from keras_vae.models.autoencoder import Autoencoder
from keras_vae.models.disentangled import (
    DIPVAE,
    BetaTCVAE,
    CapacityVAE,
    FactorVAE,
    InfoVAE,
)
from keras_vae.models.importance_weighted import IWAE

SHAPE = (4, 4, 1)
DIM = 3
CASES = [
    (BetaTCVAE, {"dataset_size": 30}),
    (BetaTCVAE, {"dataset_size": 30, "estimator": "mss"}),
    (CapacityVAE, {"capacity": 2.0}),
    (DIPVAE, {"kind": "i"}),
    (DIPVAE, {"kind": "ii"}),
    (InfoVAE, {}),
    (FactorVAE, {"discriminator_units": (8,)}),
]
cases = pytest.mark.parametrize(("kind", "options"), CASES)


@pytest.fixture(scope="module")
def x() -> np.ndarray:
    return np.random.default_rng(0).uniform(size=(30, *SHAPE)).astype(np.float32)


def make(model_class: type[VAE], **options: object) -> VAE:
    keras.utils.set_random_seed(0)
    model = model_class(
        DIM,
        SHAPE,
        encoder=networks.mlp_encoder(SHAPE, DIM, hidden_units=(16,)),
        decoder=networks.mlp_decoder(DIM, SHAPE, hidden_units=(16,)),
        seed=0,
        **options,
    )
    model.compile("adam")
    return model


@pytest.fixture(scope="module")
def plainly_encoded(x: np.ndarray) -> np.ndarray:
    """What the VAE learns to encode."""
    model = make(VAE)
    model.fit(x, epochs=3, batch_size=10, verbose=0)
    return model.encode(x)


@pytest.mark.slow
@cases
def test_what_makes_it_special_changes_what_is_learned(
    kind: type[VAE],
    options: dict[str, object],
    x: np.ndarray,
    plainly_encoded: np.ndarray,
) -> None:
    model = make(kind, **options)
    model.fit(x, epochs=3, batch_size=10, verbose=0)
    assert not np.allclose(plainly_encoded, model.encode(x), atol=1e-4)


@pytest.mark.slow
def test_capacity_draws_the_kl_to_it(x: np.ndarray) -> None:
    model = make(CapacityVAE, capacity=4.0, gamma=100.0)
    model.compile(keras.optimizers.Adam(0.01))
    model.fit(x, epochs=200, batch_size=30, verbose=0)
    kl = model.evaluate(x, verbose=0, return_dict=True)["kl_loss"]
    assert kl == pytest.approx(4.0, abs=0.5)


@pytest.mark.slow
def test_capacity_may_grow(x: np.ndarray) -> None:
    model = make(CapacityVAE, capacity=LinearWarmup(2, 5.0), gamma=1.0)
    model.compile(keras.optimizers.SGD(0.0))
    options = {"batch_size": len(x), "validation_data": x, "verbose": 0}
    history = model.fit(x, epochs=3, **options).history
    kl = history["kl_loss"][0]
    expected = [abs(kl - capacity) for capacity in (0.0, 2.5, 5.0)]
    np.testing.assert_allclose(history["penalty_loss"], expected, atol=0.5)
    assert len({round(value, 4) for value in history["val_penalty_loss"]}) == 1


@pytest.mark.slow
def test_one_step_of_factor_vae_counts_once_and_trains_both(x: np.ndarray) -> None:
    model = make(FactorVAE, discriminator_units=(8,))
    model.ensure_built()
    before = [w.numpy() for w in model.discriminator.trainable_variables]
    model.fit(x, epochs=1, batch_size=15, verbose=0)
    after = [w.numpy() for w in model.discriminator.trainable_variables]
    assert int(model.step) == int(model.optimizer.iterations) == 2
    assert any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    ours, theirs = ({v.path for v in group} for group in model.optimized_variables)
    assert ours.isdisjoint(theirs)


@pytest.mark.slow
def test_discriminator_learns_to_tell_dependent_from_permuted() -> None:
    model = make(FactorVAE, discriminator_units=(32, 32))
    model.discriminator_optimizer.learning_rate = 0.01
    model.ensure_built()
    draws = np.random.default_rng(0).normal(size=(1000, 1)).astype(np.float32)
    z = tf.constant(np.repeat(draws, DIM, axis=1))
    output = SimpleNamespace(latent=SimpleNamespace(z=z[tf.newaxis]))

    @tf.function
    def step() -> None:
        _, (gradients,) = model.other_updates(output, None)
        model.discriminator_optimizer.apply(
            gradients, model.discriminator.trainable_variables
        )
        model.step.assign_add(1)

    for _ in range(60):
        step()
    logits = model.discriminator(z).numpy()
    # The density of fully dependent latents is far above that of permuted ones.
    assert np.mean(logits[:, 0] - logits[:, 1]) > 0.5


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "options"), [CASES[0], CASES[-1]])
def test_the_figures_of_a_step_are_those_of_the_weights_before_it(
    kind: type[VAE], options: dict[str, object], x: np.ndarray
) -> None:
    model = make(kind, likelihood="gaussian", **options)
    model.compile(keras.optimizers.Adam(0.1))
    if isinstance(model, FactorVAE):
        model.discriminator_optimizer.learning_rate = 0.1
    history = model.fit(x, epochs=3, batch_size=30, verbose=0).history
    terms = zip(history["reconstruction_loss"], history["penalty_loss"], strict=True)
    assert history["loss"] == pytest.approx([sum(pair) for pair in terms], rel=1e-4)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (BetaTCVAE, {"dataset_size": 30, "free_bits": 0.1}),
        (CapacityVAE, {"beta": 4.0}),
        (InfoVAE, {"beta": LinearWarmup(10)}),
        (FactorVAE, {"free_bits": 0.1}),
        (IWAE, {"beta": 4.0}),
        (Autoencoder, {"prior": "vamp"}),
        (Autoencoder, {"num_samples": 3}),
    ],
)
def test_an_argument_without_effect_is_refused(
    kind: type[VAE], options: dict[str, object]
) -> None:
    with pytest.raises(ValueError, match="Expected it left out"):
        make(kind, **options)


@pytest.mark.slow
def test_the_optimizer_of_the_discriminator_is_saved_too(
    x: np.ndarray, tmp_path: Path
) -> None:
    model = make(FactorVAE, discriminator_units=(8,))
    model.fit(x, epochs=1, batch_size=10, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert int(loaded.discriminator_optimizer.iterations) == 3
    for again in (model, loaded):
        again.fit(x, epochs=1, batch_size=10, verbose=0)
    for one, two in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


def test_a_loaded_discriminator_computes_in_the_type_it_was_saved_with(
    tmp_path: Path,
) -> None:
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = FactorVAE(2, SHAPE, discriminator_units=(8,))
        model.save(tmp_path / "model.keras")
    finally:
        keras.config.set_dtype_policy("float32")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    for network in (loaded.encoder, loaded.discriminator):
        assert network.layers[-1].compute_dtype == "bfloat16", network.name


@pytest.mark.slow
@cases
def test_double_precision_trains(kind: type[VAE], options: dict, x: np.ndarray) -> None:
    keras.config.set_dtype_policy("float64")
    try:
        model = make(kind, **options)
    finally:
        keras.config.set_dtype_policy("float32")
    history = model.fit(x, batch_size=10, verbose=0).history
    assert np.isfinite(history["loss"]).all()
