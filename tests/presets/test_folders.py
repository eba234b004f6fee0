"""Presets: what is written is what is read, wherever it lies."""

import json
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import h5py
import keras
import numpy as np
import pytest

import keras_vae
from keras_vae import CVAE, VAE, networks
from keras_vae.data.binarized import binarized

SHAPE = (6, 6, 1)
X = np.random.default_rng(0).random((20, *SHAPE), np.float32)
OPTIONS = {"hidden_units": (8,)}


def small():
    """A model of few weights."""
    keras.utils.set_random_seed(0)
    encoder = networks.mlp_encoder(SHAPE, 2, **OPTIONS)
    decoder = networks.mlp_decoder(2, SHAPE, **OPTIONS)
    return VAE(2, SHAPE, encoder=encoder, decoder=decoder, seed=0)


@pytest.fixture(scope="module")
def trained():
    vae = small()
    vae.compile(optimizer="adam")
    vae.fit(X, epochs=1, batch_size=10, verbose=0)
    keras_vae.fit_aggregate(vae, X)
    return vae


@pytest.fixture(scope="module")
def preset(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("presets") / "mine"
    trained.to_preset(folder)
    return folder


@pytest.fixture
def copied(preset, tmp_path):
    return Path(shutil.copytree(preset, tmp_path / "copy"))


@pytest.fixture
def hub(monkeypatch, preset):
    """A hub of one repository; returns what it was asked for."""
    asked = []

    def snapshot_download(repo_id, *, allow_patterns):
        asked.append((repo_id, allow_patterns))
        if repo_id != "ada/digits":
            raise OSError(f"404 Client Error.\n\nRepository Not Found: {repo_id}.")
        return str(preset)

    module = SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return asked


def weights(path):
    """The arrays of a file by name."""
    found = {}

    def see(name, each):
        if isinstance(each, h5py.Dataset):
            found[name] = each[()]

    with h5py.File(path / "model.weights.h5") as file:
        file.visititems(see)
    return found


def test_a_preset_is_the_model_without_its_optimizer(trained, preset):
    model = keras_vae.from_preset(preset)
    assert type(model) is VAE and not model.compiled
    for mine, its in zip(trained.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(its, mine)
    np.testing.assert_array_equal(model.encode(X), trained.encode(X))
    np.testing.assert_array_equal(
        model.aggregate_log_prob(np.zeros((1, 2), np.float32)),
        trained.aggregate_log_prob(np.zeros((1, 2), np.float32)),
    )
    assert not any("optimizer" in name for name in weights(preset))
    assert "compile_config" not in json.loads((preset / "config.json").read_text())


def test_a_preset_is_trained_further(preset):
    model = keras_vae.from_preset(preset)
    model.compile(optimizer="adam")
    before = int(model.step)
    model.fit(X, epochs=1, batch_size=10, verbose=0)
    assert int(model.step) == before + 2


def test_keras_reads_the_folder_too(trained, preset):
    model = keras.saving.load_model(preset, compile=False)
    np.testing.assert_array_equal(model.encode(X), trained.encode(X))


def test_half_precision_is_half_the_size_and_read_as_float32(trained, tmp_path):
    trained.to_preset(tmp_path / "half", dtype="float16")
    model = keras_vae.from_preset(tmp_path / "half")
    kernels = [each for each in weights(tmp_path / "half").values() if each.ndim == 2]
    assert {each.dtype for each in kernels} == {np.dtype(np.float16)}
    assert {each.dtype for each in model.encoder.get_weights()} == {np.dtype("f4")}
    np.testing.assert_allclose(model.encode(X), trained.encode(X), atol=1e-2)
    assert (model.encode(X) != trained.encode(X)).any()
    assert "float16" in (tmp_path / "half" / "README.md").read_text()


def test_a_weight_too_large_for_half_precision_stays_what_it_is(tmp_path):
    model = small()
    values = model.get_weights()
    largest = max(range(len(values)), key=lambda i: values[i].size)
    values[largest] = np.full_like(values[largest], 1e5)
    model.set_weights(values)
    model.to_preset(tmp_path / "large", dtype="float16")
    loaded = keras_vae.from_preset(tmp_path / "large").get_weights()
    np.testing.assert_array_equal(loaded[largest], values[largest])


def test_a_conditional_model_keeps_its_conditions(tmp_path):
    model = CVAE(2, SHAPE, condition="label", num_classes=3, seed=0)
    model.to_preset(tmp_path / "cvae")
    loaded = keras_vae.from_preset(tmp_path / "cvae")
    expected = model.sample(3, seed=0, condition=[0, 1, 2])
    np.testing.assert_array_equal(
        loaded.sample(3, seed=0, condition=[0, 1, 2]), expected
    )
    assert "Conditioned on: a label" in (tmp_path / "cvae" / "README.md").read_text()


def test_the_card_of_a_run_says_how_to_load_the_preset(trained, tmp_path):
    card = "# Mine\n\nFacts.\n\n## How to load\n\nmodel.keras\n\n## More\n\nWords.\n"
    trained.to_preset(tmp_path / "mine", card=card)
    text = (tmp_path / "mine" / "README.md").read_text()
    assert "Facts." in text and "Words." in text and "model.keras" not in text
    assert text.count("## How to load") == 1 and 'from_preset("path/to/mine")' in text
    assert text.startswith("---\n") and text.count("library_name:") == 1
    trained.to_preset(tmp_path / "mine", card=text)  # a card of a preset stays one
    assert (tmp_path / "mine" / "README.md").read_text().count("library_name:") == 1


def test_a_preset_gives_way_to_a_preset_and_nothing_else_does(trained, copied):
    trained.to_preset(copied)
    (copied / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="folder.*notes.txt"):
        trained.to_preset(copied)
    with pytest.raises(ValueError, match="folder"):
        trained.to_preset(copied / "notes.txt")
    with pytest.raises(ValueError, match="folder"):
        trained.to_preset(copied / "model.keras")
    assert (copied / "notes.txt").read_text() == "mine"


def test_a_preset_of_the_hub_is_fetched(hub, trained):
    model = keras_vae.from_preset("hf://ada/digits")
    np.testing.assert_array_equal(model.encode(X), trained.encode(X))
    ((repository, patterns),) = hub
    assert repository == "ada/digits"
    assert {"config.json", "model.weights.h5"} <= set(patterns)
    assert not any(pattern.endswith(("*.py", "*")) for pattern in patterns[:-1])


def test_what_the_hub_answers_is_one_sentence(hub):
    with pytest.raises(ValueError, match="hf://ada/other") as caught:
        keras_vae.from_preset("hf://ada/other")
    assert "404" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["hf://", "hf://ada", "hf://ada/../x", "hf://a/b/c"])
def test_the_hub_is_not_asked_for_what_cannot_be_there(hub, name):
    with pytest.raises(ValueError, match="preset"):
        keras_vae.from_preset(name)
    assert hub == []


def test_without_the_package_of_the_hub_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match="huggingface_hub"):
        keras_vae.from_preset("hf://ada/digits")


@pytest.mark.parametrize(
    ("name", "damage"),
    [
        ("config.json", lambda content: None),
        ("config.json", lambda content: content[:100]),
        ("config.json", lambda content: b"[]"),
        ("config.json", lambda content: b'{"epochs": 3}'),
        ("config.json", lambda content: b"\xff\xfe"),
        ("config.json", lambda content: content.replace(b"VAE", b"WAVE")),
        ("model.weights.h5", lambda content: None),
        ("model.weights.h5", lambda content: content[: len(content) // 2]),
        ("model.weights.h5", lambda content: b""),
    ],
)
def test_damage_is_one_sentence(copied, name, damage):
    path = copied / name
    content = damage(path.read_bytes())
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(ValueError, match="copy") as caught:
        keras_vae.from_preset(copied)
    assert "\n" not in str(caught.value)


def test_weights_of_another_model_are_refused(copied, tmp_path):
    VAE(3, SHAPE, seed=0).to_preset(tmp_path / "other")
    other = (tmp_path / "other" / "model.weights.h5").read_bytes()
    (copied / "model.weights.h5").write_bytes(other)
    with pytest.raises(ValueError, match="copy") as caught:
        keras_vae.from_preset(copied)
    assert "\n" not in str(caught.value)


def test_a_preset_with_code_runs_nothing(copied, tmp_path):
    trace = tmp_path / "trace"
    config = {
        "module": "os",
        "class_name": "system",
        "registered_name": "system",
        "config": {"command": f"touch {trace}"},
    }
    (copied / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="cannot be loaded"):
        keras_vae.from_preset(copied)
    assert not trace.exists()


def test_a_name_that_is_not_known_is_told_the_nearest():
    with pytest.raises(ValueError, match="preset.*Did you mean 'mnist10k_best'"):
        keras_vae.from_preset("mnist10k_bset")


def test_shipped_presets_are_small_and_have_their_cards():
    names = keras_vae.list_presets()
    assert names[0] == "digits"
    folders = [Path(keras_vae.__file__).parent / "presets" / name for name in names]
    sizes = [
        sum(path.stat().st_size for path in folder.iterdir()) for folder in folders
    ]
    assert max(sizes) < 2_000_000 and sum(sizes) < 6_000_000
    for folder in folders:
        card = (folder / "README.md").read_text()
        assert "keras-vae train" in card and "float16" in card
        assert f'from_preset("{folder.name}")' in card


def said(name):
    """The -ELBO of the test split that the card of a preset says, in nats."""
    card = (
        Path(keras_vae.__file__).parent / "presets" / name / "README.md"
    ).read_text()
    return float(re.search(r"\| -ELBO, .*\| (\d+\.\d+) nats", card)[1])


def measured(name, x, y=None):
    model = keras_vae.from_preset(name)
    model.compile()
    return model.evaluate(x, y, verbose=0, return_dict=True)["neg_elbo"]


def test_the_preset_of_digits_is_as_good_as_its_card_says():
    x = keras_vae.load("digits").test.x
    assert measured("digits", x) == pytest.approx(said("digits"), abs=0.1)


@pytest.mark.slow
def test_the_presets_of_mnist_are_as_good_as_their_cards_say(mnist10k):
    test = keras_vae.load(mnist10k).test
    x = binarized(test.x, "dynamic")
    best, cvae = "mnist10k_best", "mnist10k_cvae"
    assert measured(best, x) == pytest.approx(said(best), abs=0.1)
    assert measured(cvae, test.x, test.y) == pytest.approx(said(cvae), abs=0.1)
