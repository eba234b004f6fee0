"""Whether data are colour pictures, how large and how many, by headers alone.

Nothing here imports numpy before there is a file to look at: a program looks before it
starts.
"""

import os
import zipfile
from collections.abc import Mapping
from typing import NamedTuple

from keras_vae.data import splits

_NAMED = {"patches": (8000, 32), "patches64": (4000, 64)}


class Pictures(NamedTuple):
    """Pictures to train on, of three channels of 8 bits."""

    number: int
    height: int
    width: int


def colour_pictures(
    dataset: str, array_names: Mapping[str, str] | None = None, named: bool = False
) -> Pictures | None:
    """Returns what 8-bit colour pictures a dataset holds; None if it holds none.

    What cannot be read holds none here: whoever reads the data says why.

    Args:
        dataset: A name, or the path of a folder or an `.npz`.
        array_names: What the `.npz` calls its arrays, where it has names of its own.
        named: Whether `dataset` is a name.
    """
    if named:
        if dataset not in _NAMED:
            return None
        count, side = _NAMED[dataset]
        return Pictures(count, side, side)
    try:
        if os.path.isdir(dataset):
            return _of_folder(dataset)
        if dataset.lower().endswith(".npz") and os.path.isfile(dataset):
            return _of_arrays(dataset, (array_names or {}).get("x_train", "x_train"))
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        pass
    return None


def _of_folder(path: str) -> Pictures | None:
    from keras_vae.data.image_files import Headers, find_images

    if splits.held_out_splits(path):
        path = os.path.join(path, "train")
    files = find_images(path)
    header = Headers(path, files[:1])
    if header.grey:
        return None
    return Pictures(len(files), header.height, header.width)


def _of_arrays(path: str, name: str) -> Pictures | None:
    from numpy.lib import format as npy

    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        alone = names[0] if len(names) == 1 else ""
        member = f"{name}.npy" if f"{name}.npy" in names else alone
        with archive.open(member) as file:
            version = npy.read_magic(file)
            read = npy.read_array_header_1_0
            if version != (1, 0):
                read = npy.read_array_header_2_0
            shape, _, dtype = read(file)
    if dtype != "uint8" or len(shape) != 4 or shape[-1] != 3:
        return None
    return Pictures(*shape[:3])
