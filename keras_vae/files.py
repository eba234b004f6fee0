"""Files that are whole or not there: written aside, then renamed."""

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_aside(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Gives a path beside `path` to write a file or a folder to, then puts it in place.

    What stood at `path` stays until the new one is complete, and for good if the body
    raises. The name aside is the process' own, so two processes never share it.

    Raises:
        OSError: If the place cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    _remove(aside)
    try:
        yield aside
        if aside.is_file():
            _sync(aside)
        if path.is_dir() and not path.is_symlink():
            old = path.with_name(f".{path.name}.{os.getpid()}.old")
            _remove(old)
            path.rename(old)
            aside.rename(path)
            _remove(old)
        else:
            aside.replace(path)
    finally:
        _remove(aside)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes a whole file, aside and renamed."""
    with written_aside(path) as aside:
        aside.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a whole text file in UTF-8, aside and renamed."""
    write_bytes(path, text.encode())


def sweep(folder: str | os.PathLike[str]) -> None:
    """Removes what writers that were killed left in a folder.

    Call it only where no other process is writing.
    """
    for path in Path(folder).iterdir():
        if _LEFT_OVER.fullmatch(path.name):
            _remove(path)


_LEFT_OVER = re.compile(r"\..+\.\d+\.(partial(\..+)?|old)")


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
