"""What version 0.1.0 wrote is read by this one, and gives the same numbers."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae.models.registry import MODELS

FILES = Path(__file__).parent / "files" / "0.1.0"
NUMBERS = json.loads((FILES / "numbers.json").read_text())
EXAMPLES = np.load(FILES / "examples.npz")
X, Y = EXAMPLES["x"], EXAMPLES["y"]
Z = np.linspace(-1, 1, 6, dtype="float32").reshape(3, 2)
UNFINISHED = [
    *("--latent_dim", "2", "--hidden_units", "16", "--encoder", "mlp"),
    *("--image_every", "0", "--weight_average", "0"),
    *("--epochs", "300", "--seed", "5"),
]


def condition_of(name, n=40):
    return {"condition": Y[:n]} if "condition" in MODELS[name].defaults else {}


@pytest.fixture(scope="module", params=list(NUMBERS))
def loaded(request):
    return request.param, keras_vae.load_model(FILES / f"{request.param}.keras")


def test_an_old_model_infers_the_same(loaded):
    name, model = loaded
    z_mean, z_log_var = model.posterior(X, **condition_of(name))
    np.testing.assert_allclose(z_mean[:3], NUMBERS[name]["z_mean"], atol=1e-4)
    np.testing.assert_allclose(z_log_var[:3], NUMBERS[name]["z_log_var"], atol=1e-4)


def test_an_old_model_generates_the_same(loaded):
    name, model = loaded
    given = condition_of(name, 3)
    decoded = model.decode(Z, **given).sum()
    assert decoded == pytest.approx(NUMBERS[name]["decode"], rel=1e-4)
    if "prior" not in MODELS[name].excused:
        sampled = model.sample(3, seed=1, **given).sum()
        assert sampled == pytest.approx(NUMBERS[name]["sample"], rel=1e-4)


def test_an_old_model_is_worth_the_same(loaded):
    name, model = loaded
    if "elbo" not in MODELS[name].excused:
        elbo = model.elbo(X, **condition_of(name))[:3]
        np.testing.assert_allclose(elbo, NUMBERS[name]["elbo"], rtol=1e-4)
    y = condition_of(name).get("condition")
    found = model.evaluate(X, y, verbose=0, return_dict=True)
    known = dict(NUMBERS[name]["evaluate"])
    if name == "capacity_vae":  # 0.1.0 took the capacity of the moment, now the final
        known["penalty_loss"] = model.gamma * (25.0 - known["kl_loss"])
        known["loss"] = known["reconstruction_loss"] + known["penalty_loss"]
    assert {key: found[key] for key in known} == pytest.approx(known, rel=1e-3)


@pytest.mark.slow
def test_an_old_model_can_be_trained_on(loaded):
    name, model = loaded
    y = condition_of(name).get("condition")
    history = model.fit(X, y, epochs=1, batch_size=20, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_an_old_saved_model_generates():
    signatures = tf.saved_model.load(FILES / "finished" / "saved_model").signatures
    images = signatures["generate"](num=tf.constant(4), seed=tf.constant([1, 2]))["x"]
    assert images.shape == (4, 8, 8, 1)


@pytest.mark.slow
def test_an_old_finished_run_can_be_evaluated(load_script, capsys, tmp_path):
    folder = shutil.copytree(FILES / "finished", tmp_path / "run")
    before = json.loads((folder / "metrics.json").read_text())["neg_elbo"]
    flags = [f"--run={folder}", "--num_importance_samples=2"]
    code = load_script("evaluate.py").main(["evaluate.py", *flags])
    assert code == 0, capsys.readouterr().err
    after = json.loads((folder / "metrics.json").read_text())["neg_elbo"]
    assert after == pytest.approx(before, rel=1e-4)


@pytest.mark.slow
def test_an_old_unfinished_run_is_refused(load_script, capsys, tmp_path):
    folder = shutil.copytree(FILES / "unfinished", tmp_path / "run")
    flags = [f"--output_dir={folder}", *UNFINISHED]
    assert load_script("train.py").main(["train.py", *flags]) == 2
    error = capsys.readouterr().err
    assert "another order" in error.splitlines()[-1]
    assert "Traceback" not in error
    assert (folder / "checkpoint" / "state.npz").is_file()
