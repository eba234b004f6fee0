import dataclasses

import numpy as np
import pytest
from PIL import Image

from keras_vae.data import datasets
from keras_vae.data.datasets import Data, Split
from keras_vae.data.digest import differences, digest

X = np.random.default_rng(0).integers(0, 256, (1500, 4, 4, 1), np.uint8)
Y = (np.arange(1500) % 3).astype(np.int32)


def data(x=X, y=Y, test=None, names=("a", "b", "c"), condition=None):
    split = Split(x, y, condition)
    return Data("named", "images", x.shape[1:], split, None, test, names)


def test_the_same_data_have_the_same_digest_by_any_name():
    copy = dataclasses.replace(data(X.copy(), Y.copy()), name="other")
    assert differences(digest(data()), digest(copy)) == []


@pytest.mark.parametrize(
    ("other", "named"),
    [
        (data(255 - X), "training examples"),
        (data(X[:-1], Y[:-1]), "training examples"),
        (data(X[::-1]), "training examples"),
        (data(X.astype(np.float32)), "training examples"),
        (data(X.reshape(1500, 2, 8, 1)), "training examples"),
        (data(y=np.roll(Y, 1)), "training labels"),
        (data(y=None), "training labels"),
        (data(names=("a", "c", "b")), "names of classes"),
        (data(test=Split(X[:5])), "test examples"),
        (data(condition=np.ones((1500, 2), np.float32)), "training conditions"),
    ],
)
def test_what_differs_is_named(other, named):
    assert differences(digest(data()), digest(other))[0] == named


def test_one_label_of_many_is_noticed():
    y = Y.copy()
    y[777] = 2 - y[777]
    assert differences(digest(data()), digest(data(y=y))) == ["training labels"]


@pytest.fixture
def folder(tmp_path):
    for number in range(6):
        place = tmp_path / "photos" / "ab"[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(X[number, :, :, 0]).save(place / f"{number}.png")
    return tmp_path / "photos"


def of(folder):
    return digest(datasets.load(folder))


def test_a_folder_of_images_is_known_by_its_files(folder, tmp_path):
    before = of(folder)
    folder = folder.rename(tmp_path / "moved")
    assert of(folder) == before
    Image.fromarray(X[99, :, :, 0]).save(folder / "a" / "2.png")
    assert differences(before, of(folder)) == ["training examples"]


def test_an_image_in_another_class_is_noticed(folder):
    before = of(folder)
    (folder / "a" / "2.png").rename(folder / "b" / "2.png")
    assert "training labels" in differences(before, of(folder))
