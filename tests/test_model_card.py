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


def test_new_metrics_take_the_place_of_the_old_and_nothing_else(model, tmp_path):
    place = tmp_path / "model_card.md"
    edited = card(model).replace("## Limits", "## Caf\u00e9\n\nMine.\n\n## Limits")
    place.write_text(edited, encoding="utf-8")
    metrics = {
        "neg_elbo": 12.345,
        "sample_precision": 0.8384,
        "sample_features": "3 principal_components*",
    }
    model_card.renew_metrics(tmp_path, {}, metrics, model)
    renewed = place.read_text(encoding="utf-8")
    assert "| -ELBO, an upper bound of the NLL | 12.35 nats |" in renewed
    assert "| Precision of samples | 0.838 |" in renewed
    assert r"3 principal_components\*." in renewed
    split = [text.partition("## Metrics")[0] for text in (edited, renewed)]
    assert split[0] == split[1]
    split = [text[text.index("## Intended use") :] for text in (edited, renewed)]
    assert split[0] == split[1]
    model_card.renew_metrics(tmp_path, {}, metrics, model)
    assert place.read_text(encoding="utf-8") == renewed
    place.write_text("My own card.")
    model_card.renew_metrics(tmp_path, {}, metrics, model)
    assert place.read_text() == "My own card."
