import numpy as np
import pytest

import keras_vae
from keras_vae import model_card
from keras_vae.data.datasets import Data, Split

X = np.zeros((4, 2, 2, 1), np.uint8)


@pytest.fixture(scope="module")
def model():
    vae = keras_vae.VAE(2, (2, 2, 1), seed=0)
    vae.ensure_built()
    return vae


def card(model, name="run", dataset="digits", classes=("a",)):
    split = Split(X, np.zeros(4, np.int32))
    data = Data(dataset, "images", (2, 2, 1), split, None, None, classes)
    return model_card.text(name, {"condition": "label"}, {}, model, data)


def test_names_are_no_html_and_no_markdown(model):
    evil = '<img src=x onerror="alert(1)"> [a](http://b) **c** `d` | e\n# f _g_ h_i'
    text = card(model, evil, evil, (evil, "plain"))
    body = text.partition("How to load")[0]
    assert "<" not in body
    for raw in ("[a](", "**c**", "`d`", "\n# f", " _g_"):
        assert raw not in body
    assert r"&lt;img src=x onerror=" in body and r"\_g\_ h_i, plain" in body


def test_plain_names_stay_as_they_are(model):
    text = card(model, "digits-vae-z20", "land cover", ("café 7", "sea_ice"))
    assert "Model card: digits-vae-z20" in text
    assert "- Classes: café 7, sea_ice\n" in text
