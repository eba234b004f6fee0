import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import keras_vae
from keras_vae.commands import command

ROOT = Path(__file__).resolve().parent.parent
EMPTY_SHELL = {"PATH": "/usr/bin:/bin"}


def test_a_command_runs_in_a_shell_that_knows_no_environment(tmp_path):
    line = command("generate", "--help")
    found = subprocess.run(
        ["sh", "-c", line], cwd=Path.cwd(), env=EMPTY_SHELL, capture_output=True
    )
    assert found.returncode == 0, found.stderr
    assert b"generate.py" in found.stdout


def test_an_activated_environment_has_the_short_command(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert command("train").split() == ["python", "scripts/train.py"]


def test_paths_with_spaces_are_one_word(tmp_path):
    words = shlex.split(command("evaluate", "--run", tmp_path / "my run"))
    assert words[-2:] == ["--run", str(tmp_path / "my run")]


# Where the package is installed, there is no folder `scripts` beside it.


@pytest.fixture
def environment(tmp_path):
    """An environment of its own with a copy of the package; returns its programs."""
    place = tmp_path / "environment"
    make = [sys.executable, "-m", "venv", "--without-pip", "--symlinks", place]
    subprocess.run(make, check=True)
    (packages,) = place.glob("lib/python*/site-packages")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(
        Path(keras_vae.__file__).parent, packages / "keras_vae", ignore=ignored
    )
    others = [entry for entry in sys.path if entry.endswith("site-packages")]
    (packages / "others.pth").write_text("\n".join(others))
    return place / "bin"


def said_there(environment, *arguments, **variables):
    """Returns what `command(*arguments)` says in an environment."""
    code = f"from keras_vae.commands import command; print(command(*{arguments}))"
    done = subprocess.run(
        [environment / "python", "-c", code],
        cwd=environment.parent.parent,
        env={**EMPTY_SHELL, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def install_program(environment):
    path = environment / "keras-vae"
    path.write_text(
        f"#!{environment / 'python'}\n"
        "import sys\nfrom keras_vae.cli.program import main\nsys.exit(main())\n"
    )
    path.chmod(0o755)


def test_an_installed_package_names_its_program(environment):
    line = said_there(environment, "report", "--help")
    assert shlex.split(line)[1:] == ["-m", "keras_vae", "report", "--help"]
    install_program(environment)
    line = said_there(environment, "report", "--help")
    assert shlex.split(line)[1:] == ["report", "--help"]
    folder = environment.parent.parent
    done = subprocess.run(["sh", "-c", line], cwd=folder, env=EMPTY_SHELL)
    assert done.returncode == 0
    path = f"{environment}{os.pathsep}{EMPTY_SHELL['PATH']}"
    assert said_there(environment, "report", PATH=path) == "keras-vae report"
