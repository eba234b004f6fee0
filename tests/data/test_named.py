import gzip
import hashlib
import urllib.error

import numpy as np
import pytest

from keras_vae.data.datasets import load


def test_digits_are_bytes_in_fixed_parts_with_labels():
    data = load("digits")
    assert (data.name, data.kind, data.input_shape) == ("digits", "images", (8, 8, 1))
    assert (len(data.train), len(data.test), data.validation) == (1500, 297, None)
    assert data.train.x.dtype == np.uint8 and data.train.x.max() == 255
    assert data.train.y.dtype == np.int32 and data.label_names == tuple("0123456789")
    # The permutation is fixed for ever: these are the first labels of both parts.
    assert data.train.y[:8].tolist() == [2, 8, 2, 6, 6, 7, 1, 9]
    assert data.test.y[:8].tolist() == [2, 2, 9, 8, 8, 3, 6, 0]
    assert min(np.bincount(data.test.y, minlength=10)) >= 15


def test_digits_hold_each_image_of_scikit_learn_once():
    from sklearn.datasets import load_digits

    data = load("digits")
    both = np.concatenate([data.train.x, data.test.x])[..., 0]
    ours = np.rint(both / 255 * 16).reshape(1797, 64)
    assert sorted(map(tuple, ours)) == sorted(map(tuple, load_digits().data))


def test_the_swiss_roll_has_its_position_as_factor():
    data = load("swiss_roll")
    assert (data.kind, data.input_shape) == ("vectors", (3,))
    assert (len(data.train), len(data.test)) == (5000, 1000)
    assert data.train.y is None and data.factor_names == ("position",)
    position = data.test.factors[:, 0]
    radius = np.hypot(data.test.x[:, 0], data.test.x[:, 2])
    np.testing.assert_allclose(radius, position, rtol=1e-5)


@pytest.mark.parametrize(("name", "side"), [("shapes", 64), ("shapes32", 32)])
def test_shapes_are_drawn_with_their_factors_and_parts_do_not_overlap(name, side):
    data = load(name)
    assert data.kind == "images" and data.input_shape == (side, side, 1)
    assert data.train.factors.shape == (len(data.train), 5)
    np.testing.assert_array_equal(data.test.y, data.test.factors[:, 0])
    whole = np.concatenate([data.train.factors, data.test.factors])
    assert len(np.unique(whole, axis=0)) == len(whole) == 184_320
    np.testing.assert_array_equal(
        data.test.x.factors(np.arange(5)), data.test.factors[:5]
    )


@pytest.fixture
def keras_home(tmp_path, monkeypatch):
    pytest.importorskip("keras")
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))

    def no_network(*_):
        raise urllib.error.URLError("no network here")

    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", no_network)
    return tmp_path


X = np.random.default_rng(0).integers(0, 256, (7, 28, 28), np.uint8)
Y = np.arange(7, dtype=np.uint8)


def _write_fashion(home):
    folder = home / "datasets" / "fashion-mnist"
    folder.mkdir(parents=True)
    for part, rows in (("train", slice(0, 5)), ("t10k", slice(5, 7))):
        with gzip.open(folder / f"{part}-images-idx3-ubyte.gz", "wb") as stream:
            stream.write(b"\0" * 16 + X[rows].tobytes())
        with gzip.open(folder / f"{part}-labels-idx1-ubyte.gz", "wb") as stream:
            stream.write(b"\0" * 8 + Y[rows].tobytes())
    return folder


def test_fashion_mnist_is_read_from_the_files_of_keras(keras_home):
    _write_fashion(keras_home)
    data = load("fashion_mnist")
    assert data.input_shape == (28, 28, 1)
    np.testing.assert_array_equal(data.train.x[..., 0], X[:5])
    np.testing.assert_array_equal(data.test.y, Y[5:])
    assert data.label_names[9] == "Ankle boot"


def test_mnist_is_read_from_the_file_of_keras(keras_home, monkeypatch):
    folder = keras_home / "datasets"
    folder.mkdir()
    np.savez(
        folder / "mnist.npz", x_train=X[:5], y_train=Y[:5], x_test=X[5:], y_test=Y[5:]
    )
    digest = hashlib.sha256((folder / "mnist.npz").read_bytes()).hexdigest()
    # Keras knows the digest of the real file; here it is told that of this one.
    monkeypatch.setattr(
        "keras.src.utils.file_utils.validate_file",
        lambda path, _, algorithm: (
            hashlib.sha256(open(path, "rb").read()).hexdigest() == digest
        ),
    )
    data = load("mnist", validation_fraction=0.4)
    np.testing.assert_array_equal(data.test.x[..., 0], X[5:])
    assert sorted([*data.train.y, *data.validation.y]) == Y[:5].tolist()


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
def test_a_download_that_fails_says_what_to_do(keras_home, name):
    with pytest.raises(ValueError, match="could not be fetched.*'digits'") as caught:
        load(name)
    assert "\n" not in str(caught.value)


def test_a_download_that_was_cut_off_says_which_folder_to_empty(keras_home):
    folder = _write_fashion(keras_home)
    images = folder / "train-images-idx3-ubyte.gz"
    images.write_bytes(images.read_bytes()[:100])
    with pytest.raises(ValueError, match=f"empty the folder .* of '{keras_home}'"):
        load("fashion_mnist")
