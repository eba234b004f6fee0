import json

import keras
import numpy as np
import pytest

from keras_vae import VAE, networks
from keras_vae.reporting.runs import load_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The files of a finished run that matter here, of a model that never trained."""
    folder = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (40, 6, 4), np.uint8),
        "y_train": np.repeat(np.arange(4), 10),
        "x_test": rng.integers(0, 256, (20, 6, 4), np.uint8),
        "y_test": np.repeat(np.arange(4), 5),
    }
    np.savez(folder / "data.npz", **arrays)
    config = {"dataset": str(folder / "data.npz"), "binarize": "none", "seed": 3}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "metrics.json").write_text('{"neg_elbo": 12.5}')
    keras.utils.set_random_seed(0)
    options = {"hidden_units": (4,)}
    model = VAE(
        2,
        (6, 4, 1),
        encoder=networks.mlp_encoder((6, 4, 1), 2, **options),
        decoder=networks.mlp_decoder(2, (6, 4, 1), **options),
        seed=0,
    )
    model.ensure_built()
    model.save(folder / "model.keras")
    return folder


@pytest.fixture
def copy(folder, tmp_path):
    """Another run of the same data: `copy(binarize="static")`."""
    import shutil

    def make(**changes):
        place = shutil.copytree(folder, tmp_path / "copy", dirs_exist_ok=True)
        config = json.loads((place / "config.json").read_text())
        (place / "config.json").write_text(json.dumps({**config, **changes}))
        return place

    return make


def test_a_run_has_its_flags_its_figures_its_model_and_its_data(folder):
    run = load_run(folder)
    assert run.config["seed"] == 3
    assert run.metrics == {"neg_elbo": 12.5}
    assert run.held_out == "test"
    test = run.examples("test")
    assert test.x.shape == (20, 6, 4, 1)
    assert run.model.reconstruct(test.x).shape == test.x.shape
    assert run.condition(test) is None


def test_a_few_examples_are_taken_from_the_whole_part(folder):
    run = load_run(folder)
    assert run.examples("train", 4).y.tolist() == [0, 1, 2, 3]
    assert len(run.examples("train", 1000)) == 40


@pytest.mark.parametrize("binarize", ["static", "dynamic", "threshold"])
def test_examples_are_binarised_as_in_training(copy, binarize):
    grey = load_run(copy()).examples("test").x / 255
    run = load_run(copy(binarize=binarize))
    x = run.examples("test").x
    x = x / 255 if x.dtype == np.uint8 else x
    assert set(np.unique(x)) == {0.0, 1.0}
    if binarize == "threshold":
        np.testing.assert_array_equal(x, grey >= 0.5)
    else:
        assert np.corrcoef(x.ravel(), grey.ravel())[0, 1] > 0.4
        # A part of them has the same draws as the whole.
        some = run.examples("test", 5)
        np.testing.assert_array_equal(some.x, (x[[0, 4, 9, 14, 19]] * 255))


def test_a_part_that_is_not_there_is_refused(folder):
    with pytest.raises(ValueError, match="no validation split"):
        load_run(folder).examples("validation")


def test_a_run_that_is_not_there_is_refused_with_the_nearest_name(folder):
    with pytest.raises(ValueError, match=f"no folder .*mean {folder.name!r}"):
        load_run(folder.with_name(folder.name + "x"))


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", None, "no config.json: it is no run's folder"),
        ("model.keras", None, "no model.keras: its training has not come to an end"),
        ("metrics.json", None, "has not come to an end"),
        ("config.json", "{", "config.json cannot be read"),
        ("config.json", "[1]", "not a JSON object"),
        ("config.json", "{}", "does not name the dataset"),
        ("model.keras", "no model", "model.keras cannot be loaded"),
    ],
)
def test_an_incomplete_or_broken_run_is_refused(copy, file, content, message):
    place = copy()
    (place / file).unlink()
    if content is not None:
        (place / file).write_text(content)
    with pytest.raises(ValueError, match=message) as caught:
        load_run(place)
    assert "\n" not in str(caught.value)


def test_data_that_are_gone_or_changed_are_refused(copy, tmp_path):
    with pytest.raises(ValueError, match="the data that .* cannot be loaded: .*gone"):
        load_run(copy(dataset="gone.npz"))
    np.savez(tmp_path / "other.npz", x_train=np.zeros((5, 7, 4), np.uint8))
    with pytest.raises(ValueError, match=r"\(6, 4, 1\), but .* \(7, 4, 1\)"):
        load_run(copy(dataset=str(tmp_path / "other.npz")))


def test_a_model_that_is_not_ours_is_refused(copy):
    place = copy()
    network = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    network.save(place / "model.keras")
    with pytest.raises(ValueError, match="not a model of keras_vae but Sequential"):
        load_run(place)
