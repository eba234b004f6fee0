"""`train.py` and `generate.py` of conditional models, one after the other."""

import json
import shlex

import numpy as np
import pytest


@pytest.fixture
def programs(load_script, tmp_path, monkeypatch, capsys):
    """Calls a program and returns its exit code and what it said."""
    monkeypatch.chdir(tmp_path)

    def call(name, *arguments, **flags):
        given = [f"--{flag}={value}" for flag, value in flags.items()]
        code = load_script(name).main([name, *arguments, *given])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.mark.slow
@pytest.mark.parametrize("condition", ["label", "top_half", "vector"])
def test_what_train_says_next_generates(programs, tmp_path, condition):
    x = np.random.default_rng(0).integers(0, 256, (24, 6, 5), np.uint8)
    arrays = {"x_train": x[:16], "x_test": x[16:]}
    for part, rows in (("train", 16), ("test", 8)):
        arrays[f"y_{part}"] = np.arange(rows) % 3
        arrays[f"condition_{part}"] = np.ones((rows, 4), np.float32)
    np.savez(tmp_path / "data.npz", **arrays)
    flags = {"condition": condition, "epochs": 1, "output_dir": "run", "model": "cvae"}
    code, out, err = programs("train.py", dataset="data.npz", **flags)
    assert (code, err) == (0, "")
    _, _, following = out.partition("generate.py ")
    code, _, err = programs("generate.py", *shlex.split(following))
    assert (code, err) == (0, "")
    assert (tmp_path / "grid.png").stat().st_size > 500
    picture = "samples" if condition in ("label", "vector") else "completion"
    assert (tmp_path / "run" / "images" / picture / "epoch_0001.png").is_file()
    if condition == "top_half":
        code, *_ = programs("generate.py", *shlex.split(following), out="x.npz")
        made = np.load(tmp_path / "x.npz")["x"]
        given = np.load(tmp_path / "run" / "condition.npy")
        np.testing.assert_array_equal(made[:, :3], np.repeat(given, 64, axis=0))
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["num_examples"] == 8


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"condition": "label"}, "have no labels. Give them"),
        ({"condition": "vector"}, "condition_train"),
        ({"condition": "mask", "data_kind": "vectors"}, "only images have regions"),
        ({"condition": "left_hlf"}, "Did you mean"),
        ({"model": "vae", "condition": "mask"}, "has no effect with --model vae"),
        ({"model": "vae", "prior": "conditional"}, "set --model cvae"),
    ],
)
def test_what_cannot_be_is_refused_before_training(programs, tmp_path, flags, message):
    np.save(tmp_path / "data.npy", np.zeros((9, 6, 5), np.uint8))
    given = {"model": "cvae", "dataset": "data.npy", "output_dir": "run", **flags}
    code, _, err = programs("train.py", **given)
    assert code == 2
    assert message in err
    assert not (tmp_path / "run").exists()
