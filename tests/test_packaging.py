import email
import importlib
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import keras_vae

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_requirements_are_the_packages_dependencies_and_the_package_itself():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    *ranges, package = [line for line in lines if not line.startswith("#")]
    assert ranges == PROJECT["project"]["dependencies"]
    assert package == "-e ."


def test_the_version_is_said_in_one_place():
    attribute = PROJECT["tool"]["setuptools"]["dynamic"]["version"]["attr"]
    assert attribute == "keras_vae.__version__"
    assert f"## [{keras_vae.__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_package_is_typed_and_licensed():
    assert (ROOT / "keras_vae" / "py.typed").exists()
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_the_program_of_the_package_is_a_function():
    module, _, name = PROJECT["project"]["scripts"]["keras-vae"].partition(":")
    assert callable(getattr(importlib.import_module(module), name))


def built(source, kind, place):
    """Builds a "wheel" or an "sdist" of a source tree, as `python -m build` does."""
    code = (
        f"from setuptools import build_meta as b; print(b.build_{kind}({str(place)!r}))"
    )
    subprocess.run(
        [sys.executable, "-c", code], cwd=source, check=True, capture_output=True
    )
    (path,) = place.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return path


@pytest.fixture(scope="module")
def distributions(tmp_path_factory):
    """The sdist of the checkout's files, and the wheel that is built of the sdist."""
    place = tmp_path_factory.mktemp("distributions")
    ignored = shutil.ignore_patterns("__pycache__", ".*.partial")
    for name in ("keras_vae", "scripts"):
        shutil.copytree(ROOT / name, place / "source" / name, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE", "tests/test_packaging.py"):
        (place / "source" / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, place / "source" / name)
    sdist = built(place / "source", "sdist", place)
    with tarfile.open(sdist) as archive:
        archive.extractall(place / "unpacked", filter="data")
    (unpacked,) = (place / "unpacked").iterdir()
    return place / "source", sdist, built(unpacked, "wheel", place)


@pytest.mark.slow
def test_a_wheel_holds_every_file_of_the_package_and_nothing_else(distributions):
    source, _, wheel = distributions
    paths = [path for path in source.glob("keras_vae/**/*") if path.is_file()]
    files = {path.relative_to(source).as_posix() for path in paths}
    assert {"keras_vae/py.typed", "keras_vae/presets/digits/README.md"} <= files
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    others = {name for name in names if ".dist-info/" not in name}
    assert others == {name for name in files if "__pycache__" not in name}


@pytest.mark.slow
def test_a_wheel_says_what_it_is(distributions):
    with zipfile.ZipFile(distributions[2]) as archive:
        entries, text, licence = (
            archive.read(*[name for name in archive.namelist() if name.endswith(end)])
            for end in ("entry_points.txt", "/METADATA", "licenses/LICENSE")
        )
    assert b"keras-vae = keras_vae.cli.program:main" in entries
    assert b"Apache License" in licence
    about = email.message_from_bytes(text)
    assert about["Version"] == keras_vae.__version__
    assert about["License-Expression"] == "Apache-2.0"
    assert about["Summary"] and about["Keywords"]
    versions = PROJECT["project"]["requires-python"].split(",")
    assert set(about["Requires-Python"].split(",")) == set(versions)
    assert set(about.get_all("Provides-Extra")) >= {"explore", "gpu", "hub", "onnx"}
    assert len(about.get_all("Classifier")) == len(PROJECT["project"]["classifiers"])
    assert about.get_payload().startswith("# keras_vae")  # the README


@pytest.mark.slow
def test_what_a_wheel_holds_runs_outside_of_the_checkout(distributions, tmp_path):
    with zipfile.ZipFile(distributions[2]) as archive:
        archive.extractall(tmp_path / "site")
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}

    def run(*arguments):
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=empty, env=environment, check=True, capture_output=True
        ).stdout.decode()

    assert "generate" in run("-m", "keras_vae", "--help")
    code = "import keras_vae as k; print(k.__file__); print(k.from_preset('digits'))"
    place, model = run("-c", code).splitlines()[-2:]
    assert Path(place).is_relative_to(tmp_path / "site")
    assert "VAE" in model
