"""Files that are whole or not there: written aside, then renamed."""

import contextlib
import errno
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def written_aside(
    path: str | os.PathLike[str],
    synced: bool = True,
    keeps: str | os.PathLike[str] | None = None,
) -> Iterator[Path]:
    """Gives a path aside to write a file or a folder to, then puts it in place.

    What stood at `path` stays until the new one is complete, and for good if the body
    raises. The name aside is the process' own, so two processes never share it. A
    folder gives way to a folder only, never to a file.

    Args:
        path: What is to be written.
        synced: Wait until a file is on the disk, as for what is resumed from.
        keeps: Where a file that stood at `path` goes; None: nowhere.

    Raises:
        OSError: If the place cannot be written, or a file would replace a folder; its
            `filename` is `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = _aside(path)
    _remove(aside)
    try:
        yield aside
        if aside.is_file():
            if synced:
                _sync(aside)
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, "Is a folder", os.fspath(path))
        if path.is_dir() and not path.is_symlink():
            old = path.with_name(f".{path.name}.{os.getpid()}.old")
            _remove(old)
            path.rename(old)
            aside.rename(path)
            _remove(old)
        else:
            if keeps is not None and path.is_file():
                path.replace(keeps)
            aside.replace(path)
    except OSError as error:
        named = error.filename is not None and str(error.filename) != str(aside)
        if error.errno is None or named:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error
    finally:
        _remove(aside)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Writes a whole file, aside and renamed."""
    with written_aside(path) as aside:
        aside.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a whole text file in UTF-8, aside and renamed."""
    write_bytes(path, text.encode())


def require_file(argument: str, path: str | os.PathLike[str], ending: str) -> None:
    """Refuses a place where a file cannot be written: before the work, not after it.

    Args:
        argument: What the path is called in messages.
        path: The file, in a folder that is there.
        ending: What its name ends in.

    Raises:
        ValueError: If the name has another ending, the place is a folder's or in none
            that is there, or it cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ending:
        raise ValueError(
            f"{argument}: expected the name of a file that ends in {ending}, got "
            f"{os.fspath(path)!r}: change it."
        )
    if os.path.isdir(path):
        raise ValueError(f"{argument}: {path} is a folder; name a file.")
    try:
        if not path.parent.exists():
            raise ValueError(
                f"{argument}: there is no folder {path.parent}; make it, or name "
                "another place."
            )
        _aside(path).touch()
        _aside(path).unlink()
    except OSError as error:
        raise ValueError(
            f"{argument}: {path} cannot be written ({error.strerror}); name another "
            "place."
        ) from error


def sweep(folder: str | os.PathLike[str]) -> None:
    """Removes what writers that were killed left in a folder and those below it.

    Call it only where no other process is writing. Links are not followed.
    """
    for path in list(Path(folder).rglob(".*")):
        if _LEFT_OVER.fullmatch(path.name):
            _remove(path)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")


_LEFT_OVER = re.compile(r"\..+\.\d+\.(partial(\..+)?|old)")


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
