import importlib
import shutil
import subprocess
import sys
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


@pytest.mark.slow
def test_a_wheel_holds_every_file_of_the_package_and_names_the_program(tmp_path):
    source = tmp_path / "source"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "keras_vae", source / "keras_vae", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    files = {path for path in source.glob("keras_vae/**/*") if path.is_file()}
    code = "from setuptools import build_meta; build_meta.build_wheel('..')"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        (entries,) = [name for name in names if name.endswith("entry_points.txt")]
        assert b"keras-vae = keras_vae.cli.program:main" in archive.read(entries)
    assert {path.relative_to(source).as_posix() for path in files} <= set(names)
