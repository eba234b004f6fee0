"""Command lines that a person can copy, and that run as printed."""

import os
import shlex
import shutil
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent


def command(name: str, *arguments: str | os.PathLike[str]) -> str:
    """Returns a shell command that runs a command of `keras-vae` from this folder.

    In a checkout it is `python scripts/NAME.py`, elsewhere `keras-vae NAME`. A program
    of an environment that is not activated is named by its path, since a new shell
    would find another one or none.

    Args:
        name: Of the command, as "generate".
        *arguments: Flags and values; paths are taken as they are.
    """
    script = _ROOT / "scripts" / f"{name}.py"
    installed = Path(sys.executable).with_name("keras-vae")
    if script.is_file() and (_ROOT / "pyproject.toml").is_file():
        words = [_python(), _shown(script)]
    elif installed.is_file():
        words = [_found(installed) or _shown(installed), name]
    else:
        words = [_python(), "-m", "keras_vae", name]
    return shlex.join([*words, *(os.fspath(each) for each in arguments)])


def _python() -> str:
    interpreter = Path(sys.executable)
    return _found(interpreter.with_name("python")) or _shown(interpreter)


def _found(program: Path) -> str:
    """Its name where a shell finds this very program by it, else nothing."""
    found = shutil.which(program.name)
    return program.name if found and os.path.abspath(found) == str(program) else ""


def _shown(path: Path) -> str:
    """The path as seen from the working directory where it is below that."""
    try:
        return os.fspath(path.relative_to(Path.cwd()))
    except ValueError:
        return os.fspath(path)
