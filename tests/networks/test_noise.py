import keras
import numpy as np
import pytest

from keras_vae import networks
from keras_vae.networks.noise import InputNoise, with_input_noise
from keras_vae.noise import RowNoise, noise_scope

ONES = np.ones((200, 10, 10), np.float32)
kinds = pytest.mark.parametrize(
    ("kind", "amount"), [("gaussian", 0.5), ("masking", 0.3)]
)


def drawn(layer: InputNoise, x: np.ndarray, first_row: int = 0) -> np.ndarray:
    with noise_scope(RowNoise(0, 7, first_row)):
        return layer(x, training=True).numpy()


@pytest.mark.parametrize("scoped", [True, False])
def test_gaussian_noise_has_its_standard_deviation(scoped: bool) -> None:
    layer = InputNoise("gaussian", 0.5, seed=1)
    noisy = drawn(layer, ONES) if scoped else layer(ONES, training=True).numpy()
    assert noisy.mean() == pytest.approx(1.0, abs=0.02)
    assert noisy.std() == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize("scoped", [True, False])
def test_masking_sets_its_part_to_zero_and_leaves_the_rest(scoped: bool) -> None:
    layer = InputNoise("masking", 0.3, seed=1)
    noisy = drawn(layer, ONES) if scoped else layer(ONES, training=True).numpy()
    assert set(np.unique(noisy)) == {0.0, 1.0}
    assert (noisy == 0).mean() == pytest.approx(0.3, abs=0.015)


@kinds
def test_there_is_no_noise_outside_of_training(kind: str, amount: float) -> None:
    layer = InputNoise(kind, amount)
    np.testing.assert_array_equal(layer(ONES), ONES)
    np.testing.assert_array_equal(layer(ONES, training=False), ONES)


@kinds
def test_noise_belongs_to_the_row_of_the_global_batch(kind: str, amount: float) -> None:
    layer = InputNoise(kind, amount)
    whole = drawn(layer, ONES)
    np.testing.assert_array_equal(drawn(layer, ONES[50:], first_row=50), whole[50:])
    assert (whole[:100] != whole[100:]).any(axis=(1, 2)).all()


@pytest.mark.parametrize("text", ["gaussian:0.5", "masking:.25"])
def test_an_encoder_with_noise_has_the_weights_of_the_one_inside(text: str) -> None:
    inside = networks.mlp_encoder((5, 1), 2, hidden_units=(4,))
    noisy = with_input_noise(inside, text)
    x = np.random.default_rng(0).uniform(size=(6, 5, 1)).astype(np.float32)
    np.testing.assert_array_equal(noisy(x)[0], inside(x)[0])
    assert (noisy(x, training=True)[0].numpy() != inside(x)[0].numpy()).any()
    for mine, its in zip(noisy.get_weights(), inside.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, its)


def test_an_encoder_with_noise_is_saved(tmp_path) -> None:
    inside = networks.conv1d_encoder((9, 2), 2, filters=(4,), hidden_units=())
    noisy = with_input_noise(inside, "masking:0.5")
    noisy.save(tmp_path / "noisy.keras")
    loaded = keras.saving.load_model(tmp_path / "noisy.keras")
    x = np.ones((3, 9, 2), np.float32)
    with noise_scope(RowNoise(1)):
        wanted, got = noisy(x, training=True), loaded(x, training=True)
    np.testing.assert_array_equal(got[0], wanted[0])
