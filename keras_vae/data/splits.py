"""Which splits a dataset brings along, by the names in its file or folder alone.

Nothing here imports numpy: a program looks before it starts.
"""

import os
import zipfile
from collections.abc import Mapping

SPLITS = {
    "train": "train",
    "test": "test",
    "validation": "validation",
    "val": "validation",
}
"""Sub-folders of a folder of images that are splits of it, and which."""


def held_out_splits(
    path: str, array_names: Mapping[str, str] | None = None
) -> frozenset[str]:
    """Returns which of "test" and "validation" a file or folder brings along.

    Args:
        path: Of an `.npz` or of a folder of images; anything else has none.
        array_names: What the `.npz` calls its arrays, where it has names of its own.
    """
    if os.path.isdir(path):
        found = _folders(path)
    elif path.lower().endswith(".npz") and os.path.isfile(path):  # a pipe would wait
        found = _arrays(path, array_names or {})
    else:
        found = frozenset()
    return found & {"test", "validation"}


def holds_files(folder: str, count: int) -> bool:
    """Whether there are so many files below a folder, without counting all of them."""
    for _, subfolders, files in os.walk(folder):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        count -= sum(not name.startswith(".") for name in files)
        if count <= 0:
            return True
    return False


def _folders(path: str) -> frozenset[str]:
    try:
        with os.scandir(path) as entries:
            names = {e.name for e in entries if e.is_dir() and e.name[0] != "."}
    except OSError:
        return frozenset()  # whoever reads it says why it cannot be
    if "train" not in names or names - SPLITS.keys():
        return frozenset()
    return frozenset(SPLITS[name] for name in names)


def _arrays(path: str, array_names: Mapping[str, str]) -> frozenset[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
    except (OSError, ValueError, zipfile.BadZipFile):
        return frozenset()
    names |= {name for name, own in array_names.items() if own in names}
    return frozenset(name.removeprefix("x_") for name in names if name[:2] == "x_")
