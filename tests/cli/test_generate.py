import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_vae
from keras_vae.cli import generate as program
from keras_vae.visualization import grids

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
IMAGE = (6, 5, 1)


def export_vae(path, input_shape, **arguments):
    """Writes the SavedModel of a small untrained VAE and returns the VAE."""
    keras.utils.set_random_seed(0)
    vae = keras_vae.VAE(latent_dim=3, input_shape=input_shape, seed=0, **arguments)
    vae.export(path)
    return vae


def export_module(path, condition=None, aggregate=False, scale=1.0):
    """Writes a SavedModel whose examples say what they were made from.

    Each is its condition, or else a number drawn from the seed, times `scale`.
    """
    num = tf.TensorSpec([], tf.int32, name="num")
    seed = tf.TensorSpec([2], tf.int32, name="seed")
    inputs = [num, seed] + ([] if condition is None else [condition])

    def generate(num, seed, condition=None):
        if condition is None:
            given = tf.random.stateless_uniform([num], seed)
        elif condition.dtype == tf.int32:
            given = tf.gather(tf.range(10) / 10, condition)
        else:
            given = tf.reduce_mean(tf.reshape(condition, [num, -1]), axis=1)
        given = tf.cast(given, tf.float32) * scale
        return {"x": tf.tile(given[:, None, None, None], [1, *IMAGE])}

    def generate_from_aggregate(num, seed, condition=None):
        return {"x": tf.fill([num, *IMAGE], 0.25)}

    functions = {"generate": generate, "generate_draws": generate}
    if aggregate:
        functions["generate_from_aggregate"] = generate_from_aggregate
    module = tf.Module()
    signatures = {
        name: tf.function(function, input_signature=inputs)
        for name, function in functions.items()
    }
    tf.saved_model.save(module, os.fspath(path), signatures=signatures)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A folder of SavedModels by name."""
    folder = tmp_path_factory.mktemp("models")
    export_vae(folder / "images", IMAGE)
    gaussian = {"likelihood": "gaussian"}
    export_vae(folder / "vectors", (4,), **gaussian)
    export_vae(folder / "sequences", (7, 2), **gaussian)
    export_module(folder / "labels", tf.TensorSpec([None], tf.int32, name="condition"))
    export_module(
        folder / "parts", tf.TensorSpec([None, 2, 3], tf.float32, name="condition")
    )
    export_module(
        folder / "columns", tf.TensorSpec([None, 1], tf.float32, name="condition")
    )
    export_module(folder / "aggregate", aggregate=True)
    export_module(folder / "diverged", scale=float("nan"))
    stranger = tf.Module()
    stranger.f = tf.function(lambda x: x, input_signature=[tf.TensorSpec([], name="x")])
    tf.saved_model.save(stranger, os.fspath(folder / "stranger"))
    return folder


@pytest.fixture(scope="module")
def signatures(models):
    return tf.saved_model.load(os.fspath(models / "images")).signatures


@pytest.fixture
def generate(models, tmp_path):
    """Runs the program on a model by name; returns its exit code.

    `out` is a name in `tmp_path`; other keywords are flags.
    """

    def run(model, out="out.npz", **flags):
        flags = {"saved_model": models / model, "out": tmp_path / out, **flags}
        text = [f"--{name}={value}" for name, value in flags.items()]
        return program.main(["generate.py", *text])

    return run


@pytest.fixture
def examples(generate, tmp_path):
    """Runs the program and returns the array that it wrote."""

    def run(model, **flags):
        assert generate(model, **flags) == 0
        with np.load(tmp_path / "out.npz") as arrays:
            assert arrays.files == ["x"]
            return arrays["x"]

    return run


@pytest.fixture
def refused(generate, tmp_path, capsys):
    """Runs the program, which must refuse, and returns the sentence it refuses with."""

    def run(model="images", **flags):
        before = sorted(tmp_path.iterdir())
        assert generate(model, **flags) == 2
        assert sorted(tmp_path.iterdir()) == before
        sentence = capsys.readouterr().err
        assert sentence.startswith("generate.py: ")
        assert sentence.endswith((".\n", "?\n")) and sentence.count("\n") == 1
        return sentence

    return run


# What comes out.


def test_the_array_is_what_the_signature_gives_for_the_seed(examples, signatures):
    x = examples("images", num=7, seed=5)
    again = signatures["generate"](num=tf.constant(7), seed=tf.constant([5, 0]))["x"]
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, again)


def test_draws_come_from_the_signature_for_draws(examples, signatures):
    x = examples("images", num=7, seed=5, draw="true")
    draws = signatures["generate_draws"]
    again = draws(num=tf.constant(7), seed=tf.constant([5, 0]))["x"]
    np.testing.assert_array_equal(x, again)
    assert set(np.unique(x)) == {0.0, 1.0}


@pytest.mark.slow
def test_one_seed_gives_one_file_and_another_seed_another(generate, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert generate("images", out=f"{name}.npz", seed=seed) == 0
    a, b, c = ((tmp_path / f"{name}.npz").read_bytes() for name in "abc")
    assert a == b
    assert a != c


@pytest.mark.slow
def test_without_a_seed_a_new_one_is_taken_and_named(generate, examples, capsys):
    first, second = examples("images"), examples("images")
    assert np.abs(first - second).max() > 1e-3
    said = capsys.readouterr().out.splitlines()[-1]
    seed = said.removesuffix(".").split("seed ")[1]
    np.testing.assert_array_equal(examples("images", seed=seed), second)


def test_a_larger_number_starts_with_the_same_examples(examples):
    one_call = program.ROWS_PER_CALL
    few = examples("images", num=one_call + 2, seed=1)
    many = examples("images", num=2 * one_call + 3, seed=1)
    assert many.shape == (2 * one_call + 3, *IMAGE)
    np.testing.assert_allclose(few, many[: len(few)], atol=1e-6)
    assert len(np.unique(many.reshape(len(many), -1), axis=0)) == len(many)


def test_large_examples_come_in_smaller_calls_with_seeds_of_their_own(tmp_path):
    calls = []

    def call(n, seed, condition):
        calls.append((n, seed))
        return np.zeros((n, *shape), np.float32)

    shape = (program.NUMBERS_PER_CALL // 4,)
    arguments = ("--saved_model=m", f"--out={tmp_path / 'x.npz'}", "--num=10")
    request = program.parse(["generate.py", *arguments, "--seed=7"])
    parts = program.generated(program.Generator(call, shape, None), request, None)
    assert [len(part) for part in parts] == [4, 4, 2]
    assert calls == [(4, (7, 0)), (4, (7, 1)), (2, (7, 2))]


@pytest.mark.slow
def test_the_picture_is_the_grid_of_the_examples(generate, examples, tmp_path):
    (tmp_path / "deep").mkdir()
    assert generate("images", out="deep/grid.png", num=10, seed=3) == 0
    with Image.open(tmp_path / "deep" / "grid.png") as image:
        assert image.mode == "L"
        picture = np.asarray(image)
    x = examples("images", num=10, seed=3)
    np.testing.assert_array_equal(picture, grids.tile(x)[..., 0])


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize(("n", "height", "width"), [(1, 8, 8), (7, 3, 9), (40, 70, 30)])
def test_pictures_look_as_those_of_the_package(n, height, width, channels):
    x = np.random.default_rng(0).uniform(-0.2, 1.2, (n, height, width, channels))
    picture = program.tile(program.to_uint8(x.astype(np.float32)))
    np.testing.assert_array_equal(picture, grids.tile(x.astype(np.float32)))


def test_colour_is_written_as_colour(tmp_path):
    x = np.zeros((1, 4, 4, 3), np.float32)
    x[..., 0] = 1.0
    with (tmp_path / "red.png").open("wb") as file:
        program.write_png(file, [x])
    with Image.open(tmp_path / "red.png") as image:
        assert image.getpixel((10, 10)) == (255, 0, 0)


def test_sequences_are_drawn_as_lines_with_time_to_the_right(tmp_path):
    x = np.zeros((4, 9, 1), np.float32)
    x[0, :, 0] = np.arange(9)  # rises from the lowest to the highest of all
    with (tmp_path / "lines.png").open("wb") as file:
        program.write_png(file, [x[:3], x[3:]])
    with Image.open(tmp_path / "lines.png") as image:
        picture = np.asarray(image).astype(int)
    height, width = picture.shape[0] // 2, picture.shape[1] // 2
    blue = picture[..., 2] - picture[..., 0] > 100
    first = blue[:height, :width]
    places = [np.flatnonzero(first[:, k]).mean() for k in range(20, width - 20, 10)]
    assert np.all(np.diff(places) < 0)
    still = blue[:height, width + 2 : 2 * width]
    assert np.ptp(np.flatnonzero(still.any(axis=1))) < 5


def test_spectra_are_images_with_the_channels_upwards():
    x = np.zeros((1, 5, 8), np.float32)
    x[0, 4, 6] = 2.0
    picture = program.drawn_sequences(x)
    assert picture.shape == (1, 8, 5, 1)
    assert np.argwhere(picture[0, ..., 0] == 255).tolist() == [[1, 4]]


def test_a_picture_of_generated_sequences_is_written(generate, tmp_path):
    assert generate("sequences", out="lines.png", num=5, seed=0) == 0
    with Image.open(tmp_path / "lines.png") as image:
        assert image.mode == "RGB"


def test_vectors_are_written_as_arrays(examples):
    assert examples("vectors", num=3).shape == (3, 4)


def test_the_format_can_be_said_where_the_name_does_not_say_it(generate, tmp_path):
    assert generate("images", out="grid", format="png") == 0
    with Image.open(tmp_path / "grid") as image:
        assert image.format == "PNG"


def test_an_aggregate_sampler_is_used_when_it_was_fitted(examples):
    np.testing.assert_array_equal(examples("aggregate", sampler="aggregate"), 0.25)
    assert np.std(examples("aggregate", sampler="prior")) > 0.1


def test_the_closing_line_says_what_was_written(generate, tmp_path, capsys):
    assert generate("images", num=1500, seed=9, draw="true") == 0
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"Wrote {tmp_path / 'out.npz'}: 1,500 images of 6x5x1, draws, from the prior, "
        "seed 9."
    )


# Conditions.


def test_one_label_is_that_of_all_and_several_take_turns(examples):
    np.testing.assert_allclose(examples("labels", num=5, label=7), 0.7)
    x = examples("labels", num=5, label="1,2,3")[:, 0, 0, 0]
    np.testing.assert_allclose(x, [0.1, 0.2, 0.3, 0.1, 0.2])


def test_labels_go_on_from_call_to_call(examples):
    num = program.ROWS_PER_CALL + 5
    x = examples("labels", num=num, label="1,2,3")[:, 0, 0, 0]
    np.testing.assert_allclose(x, np.resize([0.1, 0.2, 0.3], num))


@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 3)])
def test_one_row_of_a_condition_is_that_of_all(examples, tmp_path, shape):
    np.save(tmp_path / "row.npy", np.full(shape, 0.5))
    x = examples("parts", num=3, condition=tmp_path / "row.npy")
    np.testing.assert_array_equal(x, 0.5)


def test_each_example_takes_its_row_of_a_condition(examples, tmp_path):
    rows = np.repeat(np.arange(3, dtype=np.float32), 6).reshape(3, 2, 3)
    np.save(tmp_path / "rows.npy", rows)
    x = examples("parts", num=3, condition=tmp_path / "rows.npy")
    np.testing.assert_array_equal(x[:, 0, 0, 0], [0, 1, 2])


@pytest.mark.parametrize(("dtype", "largest"), [("uint8", 255), ("uint16", 65535)])
def test_whole_numbers_of_pixels_are_scaled(examples, tmp_path, dtype, largest):
    np.save(tmp_path / "row.npy", np.full((2, 3), largest, dtype))
    x = examples("parts", num=2, condition=tmp_path / "row.npy")
    np.testing.assert_array_equal(x, 1.0)


def test_a_column_of_conditions_may_come_flat(examples, tmp_path):
    np.save(tmp_path / "flat.npy", np.array([0.5, 0.25]))
    x = examples("columns", num=2, condition=tmp_path / "flat.npy")
    np.testing.assert_array_equal(x[:, 0, 0, 0], [0.5, 0.25])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (np.zeros((2, 2, 3)), "expected shape (1, 2, 3) or (64, ...)"),
        (np.zeros((1, 6)), "holds (1, 6)"),
        (np.full((2, 3), np.nan), "NaN"),
        (np.full((2, 3), "text"), "expected numbers"),
        (np.full((2, 3), None), "cannot be read as an .npy file"),
        (b"no array", "cannot be read as an .npy file"),
        (b"", "cannot be read as an .npy file"),
        (None, "No such file"),
    ],
)
def test_a_condition_that_does_not_fit_is_refused(refused, tmp_path, content, message):
    path = tmp_path / "rows.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        np.save(path, content)
    assert message in refused("parts", condition=path)


@pytest.mark.slow
def test_a_condition_that_is_missing_or_of_no_use_is_refused(refused, tmp_path):
    np.save(tmp_path / "row.npy", np.zeros((2, 3), np.float32))
    row = tmp_path / "row.npy"
    assert "--label 7" in refused("labels")
    assert "--label 7" in refused("labels", condition=row)
    assert "--condition FILE.npy" in refused("parts")
    assert "--condition FILE.npy" in refused("parts", label=1)
    assert "--label: " in refused("images", label=1)
    assert "is not conditional" in refused("images", condition=row)
    assert "exclude each other" in refused("parts", label=1, condition=row)


def test_a_label_that_the_model_does_not_know_is_refused(refused):
    sentence = refused("labels", label=12)
    assert "The model fails, perhaps at --label: indices[0] = 12 is not" in sentence


# Bad input.


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"nmu": 3}, "There is no flag --nmu. Did you mean --num?"),
        ({"num": 0}, "--num: expected an integer from 1 to 1,000,000,000, got '0'"),
        ({"num": "many"}, "got 'many'"),
        ({"num": 10**10}, "got '10000000000'"),
        ({"seed": -1}, "--seed: expected an integer from 0 to 2,147,483,647"),
        ({"seed": 2**31}, "--seed: expected an integer"),
        ({"label": "1,,2"}, "--label: expected an integer from 0"),
        ({"label": "-1"}, "--label: expected an integer from 0"),
        ({"label": "1,2,3", "num": 2}, "got 3 labels for --num 2"),
        ({"sampler": "posterior"}, "--sampler: expected prior or aggregate"),
        ({"sampler": "aggregate", "draw": "true"}, "--draw has no effect"),
        ({"draw": "perhaps"}, "--draw=perhaps"),
        ({"device": "tpu"}, "--device: expected auto, cpu, gpu"),
        ({"format": "jpg"}, "--format: expected png or npz, got 'jpg'"),
        ({"format": "png"}, "--format png contradicts --out"),
        ({"out": "grid.jpg"}, "--out: expected a name that ends in .png or .npz"),
        ({"format": ""}, "--format has no value"),
        ({"flagfile": "not_there"}, "not_there"),
    ],
)
def test_a_bad_flag_is_refused(refused, flags, message):
    assert message in refused(**flags)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "x.png"], "--saved_model must be given"),
        (["--saved_model", "x"], "--out must be given"),
        (["--saved_model", "x", "--out", "--num"], "--out has no value"),
        (["--out", "x.png", "--num"], "num"),
        (["x.png"], "Unexpected argument 'x.png'"),
    ],
)
def test_a_missing_value_is_refused(capsys, arguments, message):
    assert program.main(["generate.py", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_what_is_no_saved_model_is_refused(refused, models, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "model.keras").write_text("")
    assert "there is no folder" in refused(saved_model=tmp_path / "none")
    assert "no saved_model.pb in it" in refused(saved_model=tmp_path / "empty")
    assert "it is a file" in refused(saved_model=tmp_path / "model.keras")


def test_the_folder_of_a_run_is_answered_with_that_of_its_model(
    refused, models, tmp_path
):
    (tmp_path / "saved_model").symlink_to(models / "images")
    (tmp_path / "model.keras").write_text("")
    question = f"Did you mean {tmp_path / 'saved_model'}?"
    assert question in refused(saved_model=tmp_path)
    assert question in refused(saved_model=tmp_path / "model.keras")


def test_a_broken_saved_model_is_refused(refused, tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"\xff" * 100)
    assert "cannot be loaded" in refused(saved_model=tmp_path)


def test_a_saved_model_of_something_else_is_refused(refused):
    sentence = refused("stranger")
    assert "Expected the signature generate" in sentence
    assert "found serving_default" in sentence


def test_an_aggregate_that_was_not_fitted_is_refused(refused):
    assert "Use --sampler prior" in refused("images", sampler="aggregate")


def test_pictures_of_what_is_no_image_are_refused(refused):
    sentence = refused("vectors", out="grid.png")
    assert "arrays of shape (4,)" in sentence
    assert "--format npz --out" in sentence


@pytest.mark.slow
def test_what_is_too_large_is_refused(refused, monkeypatch):
    most = program.MOST_PIXELS // 30
    assert f"at most {most:,} images" in refused(out="grid.png", num=most + 1)
    monkeypatch.setattr(
        program.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**30)
    )
    assert "would take 11.2 GiB" in refused(num=10**8)


def test_a_diverged_model_is_refused(refused):
    assert "NaN or infinity" in refused("diverged")


def test_a_place_that_cannot_be_written_is_refused(refused, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.png").mkdir()
    assert "cannot be written" in refused(out="file/grid.png")
    assert "is a folder" in refused(out="folder.png")


def test_no_folder_is_made(refused, tmp_path):
    assert "there is no folder" in refused(out="gone/below/grid.png")
    assert not (tmp_path / "gone").exists()


def test_a_file_that_is_there_stays_when_the_program_fails(generate, tmp_path):
    (tmp_path / "out.npz").write_text("old")
    assert generate("stranger") == 2
    assert (tmp_path / "out.npz").read_text() == "old"
    assert generate("images") == 0
    assert (tmp_path / "out.npz").stat().st_size > 1000


def test_ctrl_c_leaves_nothing_and_exits_130(generate, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(program, "load_signature", interrupt)
    assert generate("images") == 130
    assert not list(tmp_path.iterdir())


# In a process of its own.


def test_nothing_of_the_package_is_imported():
    for node in ast.walk(ast.parse(Path(program.__file__).read_text())):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names]
            module = getattr(node, "module", None) or ""
            assert not getattr(node, "level", 0), node.lineno
            assert not any("keras_vae" in name for name in [*names, module])


def test_help_exits_0_before_tensorflow_is_imported(run_script):
    result = run_script("generate.py", "--help", PYTHONPROFILEIMPORTTIME="1")
    assert result.returncode == 0
    for name in ("saved_model", "num", "sampler", "condition"):
        assert f"\n  --{name}" in result.stdout
    assert "numpy" in result.stderr
    assert "tensorflow" not in result.stderr


@pytest.mark.slow
def test_a_copy_of_the_file_runs_alone_and_quietly(
    run_python, models, signatures, tmp_path
):
    shutil.copy(program.__file__, tmp_path / "generate.py")
    result = run_python(
        *("-I", "-X", "importtime", "generate.py"),
        f"--saved_model={models / 'images'}",
        *("--num=9", "--seed=4", "--out=grid.png"),
        TF_CPP_MIN_LOG_LEVEL="0",
    )
    assert result.returncode == 0
    lines = result.stderr.splitlines()
    assert all(line.startswith("import time:") for line in lines)
    # Not `keras_vae` anywhere: an editable installation names its finder after it.
    packages = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    assert "numpy" in packages and "keras_vae" not in packages
    assert result.stdout.splitlines()[-1].startswith("Wrote grid.png: 9 images")
    x = signatures["generate"](num=tf.constant(9), seed=tf.constant([4, 0]))["x"]
    with Image.open(tmp_path / "grid.png") as image:
        difference = np.asarray(image).astype(int) - grids.tile(x.numpy())[..., 0]
    assert np.abs(difference).max() <= 1


@pytest.mark.slow
def test_the_script_runs_where_the_package_is_not_installed(tmp_path, models):
    code = (
        "import os, runpy, sys\n"
        "sys.path = [place for place in sys.path if not os.path.isdir(\n"
        "    os.path.join(place, 'keras_vae'))]\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')"
    )
    command = [sys.executable, "-c", code, SCRIPTS / "generate.py"]
    flags = [f"--saved_model={models / 'images'}", f"--out={tmp_path / 'x.npz'}"]
    done = subprocess.run([*command, *flags], capture_output=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


# From ONNX files.


@pytest.fixture(scope="module")
def onnx_folder(tmp_path_factory):
    """The ONNX files of a small conditional model."""
    for package in ("onnx", "tf2onnx", "onnxruntime"):
        pytest.importorskip(package)
    keras.utils.set_random_seed(0)
    model = keras_vae.CVAE(3, IMAGE, num_classes=4, seed=0)
    model.ensure_built()
    path = tmp_path_factory.mktemp("onnx") / "files"
    model.export(path, format="onnx")
    return path


@pytest.fixture
def from_onnx(onnx_folder, tmp_path):
    """Runs the program on the ONNX files; returns its exit code."""

    def run(out="out.npz", **flags):
        flags = {"onnx": onnx_folder, "out": tmp_path / out, **flags}
        return program.main(
            ["generate.py", *(f"--{name}={value}" for name, value in flags.items())]
        )

    return run


@pytest.mark.slow
def test_a_seed_gives_the_same_examples_by_onnx_and_more_begin_with_them(
    from_onnx, tmp_path
):
    def made(**flags):
        assert from_onnx(label=2, **flags) == 0
        return np.load(tmp_path / "out.npz")["x"]

    first = made(num=5, seed=1)
    assert first.shape == (5, *IMAGE) and first.dtype == np.float32
    np.testing.assert_array_equal(made(num=9, seed=1)[:5], first)
    assert np.any(made(num=5, seed=2) != first)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({}, "needs labels"),
        ({"label": 9}, "one that it knows"),
        ({"label": 1, "draw": "true"}, "--draw"),
        ({"label": 1, "sampler": "aggregate"}, "--sampler"),
        ({"label": 1, "saved_model": "x"}, "--saved_model"),
        ({"label": 1, "device": "gpu"}, "--device"),
        ({"onnx": "nowhere"}, "no generate.onnx"),
    ],
)
def test_what_onnx_files_cannot_give_is_refused(from_onnx, capsys, flags, words):
    assert from_onnx(**flags) == 2
    sentence = capsys.readouterr().err
    assert words in sentence and sentence.count("\n") == 1


@pytest.mark.slow
def test_with_onnx_files_a_copy_runs_without_tensorflow(
    run_python, onnx_folder, tmp_path
):
    shutil.copy(program.__file__, tmp_path / "generate.py")
    result = run_python(
        *("-I", "-X", "importtime", "generate.py", f"--onnx={onnx_folder}"),
        *("--label=0,1", "--num=4", "--out=grid.png"),
    )
    assert result.returncode == 0, result.stderr
    packages = {
        line.rpartition("|")[2].strip().partition(".")[0]
        for line in result.stderr.splitlines()
    }
    assert "onnxruntime" in packages
    assert not packages & {"tensorflow", "keras", "keras_vae"}
    with Image.open(tmp_path / "grid.png") as image:
        assert image.width > 2 * IMAGE[1]
