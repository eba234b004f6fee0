import numpy as np
import pytest

from keras_vae.reporting.catalogue import PLOTS


def test_help_lists_every_plot_and_starts_no_tensorflow(run_script):
    result = run_script("visualize.py", "--help", PYTHONPROFILEIMPORTTIME="1")
    assert result.returncode == 0
    words = " ".join(result.stdout.split())
    for name, about in PLOTS.items():
        assert f" {name} {about} " in words
    assert "tensorflow" not in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--run must be given"),
        (["--run", "nowhere"], "--run: there is no folder nowhere"),
        (["--run", ".", "--plots", "manifolt"], "--plots: expected one of all, "),
        (["--run", ".", "--format", "jpg"], "--format: expected one of png, svg, pdf"),
        (["--run", "."], "no config.json"),
    ],
)
def test_bad_input_exits_2_with_one_sentence(
    load_script, capsys, tmp_path, monkeypatch, arguments, message
):
    monkeypatch.chdir(tmp_path)
    assert load_script("visualize.py").main(["visualize.py", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.slow
def test_a_trained_run_gets_its_plots(load_script, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 256, (60, 6, 9, 3), np.uint8),
        "y_train": np.arange(60) % 10,
        "x_test": rng.integers(0, 256, (30, 6, 9, 3), np.uint8),
        "y_test": np.arange(30) % 10,
    }
    np.savez(tmp_path / "data.npz", **arrays)
    flags = "--latent_dim 3 --hidden_units 8 --epochs 2 --output_dir run"
    given = ["train.py", "--dataset", "data.npz", *flags.split()]
    assert load_script("train.py").main(given) == 0, capsys.readouterr().err
    flags = "--run run --plots grids,arrow,all_pairs,curves --format pdf"
    given = ["visualize.py", *flags.split(), "--from_label=2", "--to_label=5"]
    assert load_script("visualize.py").main(given) == 0
    printed = capsys.readouterr().out
    names = {path.name for path in (tmp_path / "run" / "images").glob("*.*")}
    stills = {"train", "train_reconstructed", "test", "test_reconstructed", "sampled"}
    stills |= {"arrow", "arrow_frames", "curves"}
    assert names == {f"{name}.pdf" for name in stills} | {"all_pairs.gif"}
    assert "[1/4]" in printed.replace("[ ", "[")
    assert "Wrote 8 pictures and 1 GIF to run/images" in printed
