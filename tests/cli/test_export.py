"""`keras-vae export` on a finished run."""

import json
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A finished run of few epochs."""
    from keras_vae.cli import train

    path = tmp_path_factory.mktemp("run") / "run"
    flags = ["--epochs=2", "--latent_dim=2", "--image_every=0", f"--output_dir={path}"]
    assert train.main(["train.py", *flags]) == 0
    return path


@pytest.fixture
def program(load_script, capsys):
    """Calls a program, which must succeed; returns what it said."""

    def call(name, *flags):
        capsys.readouterr()
        code = load_script(name).main([name, *map(str, flags)])
        said = capsys.readouterr()
        assert code == 0, said.err
        return said.out

    return call


@pytest.mark.slow
def test_onnx_files_of_a_run_make_a_grid(run, program, tmp_path):
    for package in ("onnx", "tf2onnx", "onnxruntime"):
        pytest.importorskip(package)
    said = program("export.py", f"--run={run}", "--format=onnx")
    assert f"Wrote {run / 'onnx'}: decoder.onnx, encoder.onnx, generate.onnx" in said
    grid = tmp_path / "grid.png"
    program("generate.py", f"--onnx={run / 'onnx'}", "--num=4", f"--out={grid}")
    with Image.open(grid) as image:
        assert len(np.unique(np.asarray(image))) > 10


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated")
def test_integers_of_a_run_say_their_error_and_a_second_export_takes_their_place(
    run, program, tmp_path
):
    out = tmp_path / "lite"
    flags = [f"--run={run}", "--format=litert", f"--out={out}"]
    said = program("export.py", *flags, "--int8")
    assert "Mean difference from float32" in said
    assert "int8_error" in json.loads((out / "model.json").read_text())
    program("export.py", *flags)
    assert "int8_error" not in json.loads((out / "model.json").read_text())
    content = (out / "decoder.tflite").read_bytes()
    runner = tf.lite.Interpreter(model_content=content).get_signature_runner("decoder")
    assert runner(z=np.zeros((1, 2), np.float32))["x"].shape == (1, 8, 8, 1)


@pytest.mark.slow
def test_a_missing_package_is_named_in_one_sentence(
    run, load_script, capsys, monkeypatch
):
    monkeypatch.setitem(sys.modules, "onnx", None)  # as if it were not installed
    export = load_script("export.py").main
    capsys.readouterr()
    assert export(["export.py", f"--run={run}", "--format=onnx"]) == 2
    sentence = capsys.readouterr().err
    assert sentence.count("\n") == 1 and "keras_vae[onnx]" in sentence
