"""Command lines that a person can copy, and that run as they stand."""

import os
import shlex
import shutil
import sys
from pathlib import Path

_SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"


def command(program: str, *arguments: str | os.PathLike[str]) -> str:
    """Returns a shell command that runs a program of `scripts/` from this folder.

    `python` where that is the interpreter of this process, as in an environment that is
    activated; else its path, since a new shell would find another one.

    Args:
        program: Name of the program, as "generate.py".
        *arguments: Flags and values; paths are taken as they are.
    """
    found = shutil.which("python")
    here = found is not None and os.path.abspath(found) == sys.executable
    words = ["python" if here else _shown(sys.executable), _shown(_SCRIPTS / program)]
    return shlex.join([*words, *(os.fspath(word) for word in arguments)])


def _shown(path: str | os.PathLike[str]) -> str:
    """The path as seen from the working directory where it lies below that."""
    try:
        return os.fspath(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return os.fspath(path)
