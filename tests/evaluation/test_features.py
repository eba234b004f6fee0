import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_vae.data.datasets import Split
from keras_vae.evaluation import features

SHAPE = (6,)
RNG = np.random.default_rng(0)
Y = np.arange(240) % 3
X = (RNG.normal(size=(240, *SHAPE)) + 4.0 * np.eye(6)[Y]).astype(np.float32)


def is_separable(values):
    centres = np.stack([values[Y == label].mean(axis=0) for label in range(3)])
    distances = np.linalg.norm(values[:, np.newaxis] - centres, axis=2)
    return np.mean(distances.argmin(axis=1) == Y) > 0.95


@pytest.mark.slow
def test_labels_give_a_classifier_that_the_folder_keeps(tmp_path):
    first = features.choose(Split(X, Y), tmp_path)
    assert "classifier" in first.name and "features.keras" in first.name
    values = first.of(X)
    assert is_separable(values)
    assert np.mean(np.square(values)) == pytest.approx(1.0, rel=1e-4)
    others = Split(X[::-1].copy(), Y)  # another classifier, were it not there
    again = features.choose(others, tmp_path)
    assert again.name == first.name
    np.testing.assert_array_equal(again.of(X), values)
    saved = features.load(tmp_path / "features.keras", SHAPE)
    np.testing.assert_array_equal(saved.of(X), values)


@pytest.mark.slow
def test_a_file_that_is_damaged_is_made_again(tmp_path):
    path = tmp_path / "features.keras"
    path.write_bytes(b"no model")
    few = Split(X[:60], Y[:60])
    values = features.choose(few, tmp_path).of(X)
    np.testing.assert_array_equal(features.load(path, SHAPE).of(X), values)


@pytest.mark.slow
def test_images_of_any_size_have_a_classifier():
    x = np.zeros((40, 11, 20, 3), np.uint8)
    x[::2, :5] = 255
    found = features.choose(Split(x, np.arange(40) % 2))
    assert "features.keras" not in found.name
    values = found.of(x / np.float32(255.0))
    assert np.linalg.norm(values[0] - values[1]) > 1.0


@pytest.mark.parametrize(
    "y", [None, np.zeros(240, int), np.where(np.arange(240) < 50, Y, -1)]
)
def test_too_few_labels_give_principal_components(tmp_path, y):
    found = features.choose(Split(X, y), tmp_path)
    assert found.name == "6 principal components of the training data"
    assert not list(tmp_path.iterdir())


def test_principal_components_keep_distances_and_not_units():
    values = features.principal_components(X).of(X)
    assert values.shape == (240, 6)
    assert np.mean(np.square(values)) == pytest.approx(1.0, rel=1e-4)
    scaled = X * np.float32(10.0) ** np.arange(6, dtype=np.float32)
    again = features.principal_components(scaled).of(scaled)
    np.testing.assert_allclose(np.abs(again), np.abs(values), atol=1e-3)
    standard = (X - X.mean(axis=0)) / X.std(axis=0)
    np.testing.assert_allclose(
        np.linalg.norm(values[0] - values[1]),
        np.linalg.norm(standard[0] - standard[1]),
        rtol=1e-4,
    )


def network(outputs=1):
    x = keras.Input(SHAPE)
    heads = [keras.layers.Reshape((2, 3))(x) for _ in range(outputs)]
    return keras.Model(x, heads[0] if outputs == 1 else heads)


def test_a_model_that_is_named_gives_its_output_flattened(tmp_path):
    model = network()
    model.save(tmp_path / "a.keras")
    model.export(tmp_path / "b", verbose=False)
    for name in ("a.keras", "b"):
        found = features.load(tmp_path / name, SHAPE)
        assert str(tmp_path / name) in found.name
        np.testing.assert_array_equal(found.of(X), X)


def test_what_is_no_model_of_such_examples_is_refused(tmp_path):
    network(2).save(tmp_path / "two.keras")
    network().save(tmp_path / "one.keras")
    (tmp_path / "empty.keras").write_bytes(b"")
    tf.saved_model.save(tf.Module(), str(tmp_path / "nothing"))
    for name, shape in (
        ("missing", SHAPE),
        ("two.keras", SHAPE),
        ("one.keras", (5,)),
        ("empty.keras", SHAPE),
        ("nothing", SHAPE),
    ):
        with pytest.raises(ValueError, match="--features"):
            features.load(tmp_path / name, shape)
