import tomllib
from pathlib import Path

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
