import json

import numpy as np
import pytest
from sklearn.datasets import load_digits

from keras_vae import load_model
from keras_vae.data import named

PROGRAMS = ("evaluate.py", "encode.py", "anomaly.py")


def is_light(imports):
    heavy = ("tensorflow", "keras.", "numpy", "matplotlib", "sklearn")
    return len(imports) > 20 and not any(name in "\n".join(imports) for name in heavy)


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_answers_at_once_because_it_imports_nothing_heavy(run_script, program):
    result = run_script(program, "--help", PYTHONPROFILEIMPORTTIME="1")
    assert result.returncode == 0
    assert f"{program} [--flag value ...]" in result.stdout
    assert is_light(result.stderr.splitlines())


@pytest.mark.parametrize(
    ("program", "flags", "sentence"),
    [
        ("evaluate.py", [], "--run must be given"),
        (
            "evaluate.py",
            ["--run", "r", "--num_importance_samples", "0"],
            "--num_importance_samples: expected an integer, at least 1",
        ),
        (
            "evaluate.py",
            ["--run", "r", "--compare_with", "s", "--features", "f.keras"],
            "--features has no effect with --compare_with",
        ),
        ("encode.py", ["--run", "r", "--split", "tets"], "Did you mean 'test'?"),
        ("anomaly.py", ["--epoch", "3"], "There is no flag --epoch."),
    ],
)
def test_bad_flags_exit_2_with_one_sentence(
    load_script, capsys, program, flags, sentence
):
    assert load_script(program).main([program, *flags]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1


def test_a_run_that_is_not_there_exits_2(load_script, capsys, tmp_path):
    for program in ("evaluate.py", "encode.py"):
        place = str(tmp_path / "missing")
        assert load_script(program).main([program, "--run", place]) == 2
        assert "there is no folder" in capsys.readouterr().err


@pytest.fixture
def programs(load_script, tmp_path, monkeypatch, capsys):
    """Calls a program in an empty folder and returns what it said."""
    monkeypatch.chdir(tmp_path)

    def call(name, flags):
        code = load_script(name).main([name, *flags.split()])
        said = capsys.readouterr()
        assert code == 0, said.err
        return said.out

    return call


def metrics_of(folder):
    return json.loads((folder / "metrics.json").read_text())


@pytest.mark.slow
def test_a_run_conditioned_on_labels_is_told_how_many_of_them_it_makes(
    programs, tmp_path
):
    flags = "--model cvae --prior conditional --beta 4 --hidden_units 200 --epochs 30"
    programs("train.py", f"--dataset digits {flags} --image_every 0 --output_dir run")
    said = programs("evaluate.py", "--run run --num_importance_samples 5")
    metrics = metrics_of(tmp_path / "run")
    assert metrics["classifier_accuracy"] > 0.95
    assert metrics["label_agreement"] > 0.7
    assert set(metrics["label_agreement_by_class"]) == set("0123456789")
    assert "samples of the label that was asked for" in said


@pytest.mark.slow
@pytest.mark.parametrize("model", ["m2", "m1m2"])
def test_a_run_with_few_labels_is_measured_with_the_labels_summed_out(
    programs, tmp_path, model
):
    flags = "--encoder mlp --hidden_units 32 --latent_dim 4 --num_labels 100 --epochs 1"
    data = load_digits()
    x = data.images.astype(np.float32)[..., np.newaxis] / 16.0
    y = data.target
    kept = np.where(np.arange(1000) < 300, y[:1000], -1)
    arrays = {"x_train": x[:1000], "y_train": kept, "x_test": x[1000:1200]}
    np.savez(tmp_path / "data.npz", y_test=y[1000:1200], **arrays)
    programs(
        "train.py",
        f"--dataset data.npz --model {model} {flags} --image_every 0 --output_dir run",
    )
    trained = metrics_of(tmp_path / "run")
    programs("evaluate.py", "--run run --num_importance_samples 20")
    metrics = metrics_of(tmp_path / "run")
    assert metrics["accuracy"] == pytest.approx(trained["accuracy"], abs=1e-6)
    loaded = load_model(tmp_path / "run" / "model.keras")
    bound = -loaded.elbo(x[1000:1200]).mean()
    assert metrics["neg_elbo"] == pytest.approx(bound, rel=1e-4)
    assert metrics["importance_weighted_nll"] < metrics["neg_elbo"]
    np.savez(tmp_path / "others.npz", x_train=x[1200:1300], x_test=x[1300:1400])
    programs("encode.py", "--run run --dataset others.npz --out latents.csv")
    assert len((tmp_path / "latents.csv").read_text().splitlines()) == 101
    programs("visualize.py", "--run run --plots grids,overview")


@pytest.mark.slow
def test_a_run_on_known_factors_gets_their_scores(programs, tmp_path):
    arrays = named.shapes(32)
    for part, n in (("train", 400), ("test", 1200)):
        rows = np.arange(n)
        arrays[f"x_{part}"] = arrays[f"x_{part}"][rows]
        for name in ("y", "factors"):
            arrays[f"{name}_{part}"] = arrays[f"{name}_{part}"][rows]
    np.savez(tmp_path / "sprites.npz", **{k: v for k, v in arrays.items() if "_t" in k})
    programs(
        "train.py",
        "--dataset sprites.npz --model beta_tcvae --latent_dim 3 --hidden_units 8 "
        "--epochs 1 --image_every 0 --output_dir run",
    )
    said = programs("evaluate.py", "--run run --num_importance_samples 1")
    metrics = metrics_of(tmp_path / "run")
    assert set(metrics["disentanglement"]) == set(metrics["disentanglement_chance"])
    assert metrics["disentanglement_chance"]["factor_vae_score"] == 0.2
    for name, score in metrics["disentanglement"].items():
        assert 0 <= score <= 1, name
        assert name in said
