import csv
import json
import shutil

import numpy as np
import pytest

from keras_vae.evaluation.likelihood import elbo_terms
from keras_vae.reporting.measure import compare_runs, encode_run, evaluate_run
from keras_vae.reporting.runs import load_run
from keras_vae.training import run
from keras_vae.training.config import TrainConfig


def write_images(path, seed=0, **more):
    rng = np.random.default_rng(seed)
    arrays = {}
    for part, n in (("train", 60), ("test", 30)):
        arrays[f"x_{part}"] = rng.integers(0, 256, (n, 4, 4), np.uint8)
        arrays[f"y_{part}"] = np.arange(n) % 3
    np.savez(path, **{**arrays, **more})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A short run on images of three classes."""
    place = tmp_path_factory.mktemp("run")
    write_images(place / "noise.npz")
    given = {
        "dataset": str(place / "noise.npz"),
        "binarize": "dynamic",
        "latent_dim": 2,
        "hidden_units": (8,),
        "epochs": 1,
        "image_every": 0,
        "output_dir": str(place / "run"),
    }
    run.train(TrainConfig.resolve(given))
    return place / "run"


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text())


def test_features_that_are_no_model_are_refused_before_anything_is_measured(copy):
    before = metrics_of(copy)
    with pytest.raises(ValueError, match="--features"):
        evaluate_run(copy, features=copy / "missing.keras")
    assert metrics_of(copy) == before


@pytest.mark.slow
def test_figures_are_added_to_those_of_training(copy):
    before, said = metrics_of(copy), []
    figures = evaluate_run(copy, num_importance_samples=20, say=said.append)
    after = metrics_of(copy)
    assert after == {**before, **figures}
    assert after["seconds"] == before["seconds"]
    # The same images, binarised by the same draw, as at the end of training.
    assert after["neg_elbo"] == pytest.approx(before["neg_elbo"], rel=1e-5)
    assert after["importance_weighted_nll"] < after["neg_elbo"]
    assert after["num_importance_samples"] == 20
    assert "NLL by importance sampling" in "\n".join(said)


@pytest.mark.slow
def test_a_run_gains_nothing_over_itself(copy, folder):
    found = compare_runs(copy, folder, num_importance_samples=5)
    assert found["importance_weighted_nll_gain"] == 0
    assert found["neg_elbo_gain_standard_error"] == 0
    assert metrics_of(copy)["compared_with"][str(folder)] == found
    assert load_run(copy).metrics["compared_with"]


def test_runs_that_hold_out_other_examples_are_not_compared(copy, tmp_path):
    other = shutil.copytree(copy, tmp_path / "other")
    write_images(tmp_path / "other.npz", seed=1)
    config = json.loads((other / "config.json").read_text())
    config["dataset"] = str(tmp_path / "other.npz")
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="--compare_with"):
        compare_runs(copy, other)


@pytest.mark.slow
def test_figures_of_other_data_stand_by_themselves(copy, tmp_path):
    names = np.array(["one", "two", "three"])
    write_images(tmp_path / "other.npz", seed=1, label_names=names)
    before = metrics_of(copy)
    figures = evaluate_run(copy, str(tmp_path / "other.npz"), 5)
    after = metrics_of(copy)
    assert after["other_datasets"] == {"other": figures}
    assert {name: after[name] for name in before} == before


@pytest.mark.slow
def test_the_table_of_latents_is_what_the_model_says(copy, tmp_path):
    encode_run(copy, tmp_path / "latents.csv", num_samples=3)
    opened = load_run(copy)
    split = opened.examples("test")
    terms = elbo_terms(opened.model, split.x, num_samples=3)
    with (tmp_path / "latents.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 30
    assert [int(row["label"]) for row in rows] == split.y.tolist()

    def column(name):
        return np.array([float(row[name]) for row in rows])

    assert column("neg_elbo") == pytest.approx(terms.neg_elbo, rel=1e-5)
    total = column("reconstruction_loss") + column("kl_loss")
    assert total == pytest.approx(column("neg_elbo"), rel=1e-5)
    probability = column("log_reconstruction_probability")
    assert np.array_equal(probability, -column("reconstruction_loss"))
    for place in range(2):
        z_mean, z_log_var = terms.z_mean[:, place], terms.z_log_var[:, place]
        assert column(f"z_mean_{place}") == pytest.approx(z_mean, abs=1e-5)
        assert column(f"z_log_var_{place}") == pytest.approx(z_log_var, abs=1e-5)


@pytest.mark.slow
def test_the_table_goes_to_the_runs_folder_and_takes_any_part(copy):
    encode_run(copy, split="train")
    with (copy / "latents.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == 61
    with pytest.raises(ValueError, match="no validation split"):
        encode_run(copy, split="validation")


@pytest.mark.slow
def test_data_of_another_shape_are_refused(copy, tmp_path):
    np.savez(tmp_path / "wide.npz", x_train=np.zeros((4, 4, 9), np.uint8))
    with pytest.raises(ValueError, match="--dataset"):
        evaluate_run(copy, str(tmp_path / "wide.npz"))


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match="--run"):
        evaluate_run(tmp_path / "nothing")


@pytest.mark.slow
def test_the_table_of_m2_has_the_labels_that_it_infers(tmp_path):
    write_images(tmp_path / "noise.npz")
    given = {
        "dataset": str(tmp_path / "noise.npz"),
        "model": "m2",
        "num_labels": 0,
        "epochs": 1,
        "image_every": 0,
        "output_dir": str(tmp_path / "run"),
    }
    run.train(TrainConfig.resolve(given))
    encode_run(tmp_path / "run", tmp_path / "latents.csv")
    with open(tmp_path / "latents.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    x = load_run(tmp_path / "run").examples("test").x
    probability = load_run(tmp_path / "run").model.predict_label(x)
    found = [int(row["inferred_label"]) for row in rows]
    assert found == probability.argmax(axis=1).tolist()
    assert all(0 < float(row["inferred_label_probability"]) <= 1 for row in rows)
