"""Readers of NumPy's files, `.npz` and `.npy`, and how any reader refuses a bad file.

Nothing is unpickled, and what a header claims is compared with the file and with the
memory of the machine before it is believed.
"""

import io
import math
import os
import warnings
import zipfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from keras_vae.data.checks import one_line, require_memory, require_numbers
from keras_vae.errors import DataError
from keras_vae.naming import lookup, nearest

Arrays = dict[str, Any]
"""`x_train`, and if there `y_train`, `condition_train`, `factors_train`, the same with
`_test` and `_validation`, `label_names`, `factor_names`, and the `kind` of data where
the axes alone do not say it."""

NPZ_NAMES = tuple(
    f"{field}_{part}"
    for part in ("train", "validation", "test")
    for field in ("x", "y", "condition", "factors")
)
"""The arrays of an `.npz` that have a meaning."""

_MAX_HEADER = 10_000  # bytes, as in numpy
_BOMB_RATIO, _BOMB_BYTES = 500, 2**28  # real data stay under 150 times compression


def in_two(train: int, **arrays: np.ndarray) -> Arrays:
    """Cuts arrays in two: `x` gives `x_train`, its first rows, and `x_test`, the rest.

    Args:
        train: Number of rows of the first split.
        **arrays: Each with a row for each example.
    """
    cut = {name: (rows[:train], rows[train:]) for name, rows in arrays.items()}
    return {
        f"{name}_{part}": rows
        for name, both in cut.items()
        for part, rows in zip(("train", "test"), both, strict=True)
    }


def read_npz(path: Path, array_names: Mapping[str, str] | None = None) -> Arrays:
    """Reads `x_train` and the other arrays of `NPZ_NAMES`, or the one array there is.

    Args:
        path: The file.
        array_names: What the file calls an array of `NPZ_NAMES`, where it is another
            name.

    Raises:
        DataError: If the arrays needed are not there, are cut off or damaged, hold
            objects or text where numbers belong, or do not fit into memory.
    """
    for name in array_names or {}:
        lookup("array_names", name, dict.fromkeys(NPZ_NAMES))
    with plainly(path), zipfile.ZipFile(path) as archive:
        entries = {
            info.filename.removesuffix(".npy"): info
            for info in archive.infolist()
            if info.filename.endswith(".npy")
        }
        called = _called(path, array_names or {}, entries)
        if called["x_train"] in entries:
            wanted = {name: of for name, of in called.items() if of in entries}
        elif len(entries) == 1:
            wanted = {"x_train": next(iter(entries))}
        else:
            raise DataError(
                f"dataset: {str(path)!r} has no array 'x_train'; it holds "
                f"{listed(entries)}; save x_train or a single array of any name, or "
                "say what is what with array_names, as in x_train=images."
            )
        nbytes = 0
        for name in wanted.values():
            where = f"{name} of {str(path)!r}"
            with archive.open(entries[name]) as stream:
                nbytes += _claimed(where, stream, entries[name].file_size)
            _refuse_bomb(where, entries[name])
        require_memory(repr(str(path)), nbytes)
        arrays = {}
        for name, entry in wanted.items():
            with archive.open(entries[entry]) as stream:
                arrays[name] = np.lib.format.read_array(stream, allow_pickle=False)
        return arrays


def _called(
    path: Path, array_names: Mapping[str, str], entries: Collection[str]
) -> dict[str, str]:
    """Returns what the file calls each array of `NPZ_NAMES`."""
    for name, of in array_names.items():
        if of not in entries:
            raise DataError(
                f"array_names: {str(path)!r} has no array {one_line(repr(of))} for "
                f"{name}; it holds {listed(entries)}.{nearest(of, entries)}"
            )
    return {**dict(zip(NPZ_NAMES, NPZ_NAMES, strict=True)), **array_names}


def read_npy(path: Path) -> Arrays:
    """Reads the one array of an `.npy` file as `x_train`; raises as `read_npz`."""
    with plainly(path), open(path, "rb") as stream:
        where = repr(str(path))
        require_memory(
            where, _claimed(where, stream, os.fstat(stream.fileno()).st_size)
        )
        stream.seek(0)
        return {"x_train": np.lib.format.read_array(stream, allow_pickle=False)}


@contextmanager
def plainly(path: Path) -> Iterator[None]:
    """Whatever a parser raises on a file that is not what it should be, as a sentence.

    Raises:
        DataError: If anything is raised inside.
    """
    try:
        with warnings.catch_warnings():  # of what a damaged header seems to say
            warnings.simplefilter("ignore")
            yield
    except DataError:
        raise
    except UnicodeDecodeError:
        raise DataError(
            f"dataset: {str(path)!r} is not UTF-8 text; a spreadsheet is read after "
            "saving it as CSV (UTF-8)."
        ) from None
    except PermissionError:
        raise DataError(
            f"dataset: {str(path)!r} may not be read; change its permissions."
        ) from None
    except MemoryError:
        raise DataError(
            f"dataset: {str(path)!r} does not fit into memory; make it smaller."
        ) from None
    except Exception as error:
        raise DataError(
            f"dataset: {str(path)!r} cannot be read ({one_line(error)}): it is cut "
            f"off, damaged or no {path.suffix} file; make or fetch it again."
        ) from error


def _claimed(where: str, stream: IO[bytes], size: int) -> int:
    """Returns the bytes of the array that the stream's header claims, once believed."""
    start = stream.read(12)
    version = tuple(start[6:8])
    if start[:6] != np.lib.format.MAGIC_PREFIX or version not in ((1, 0), (2, 0)):
        raise DataError(
            f"dataset: {where} is no array of numbers in NumPy's format; save it with "
            "numpy.save or numpy.savez."
        )
    begin = 10 if version == (1, 0) else 12
    length = int.from_bytes(start[8:begin], "little")
    if length > _MAX_HEADER:
        raise DataError(
            f"dataset: {where} has a header of {length:,} bytes, which no array of "
            "numbers needs; save it with numpy.save or numpy.savez."
        )
    header = io.BytesIO(start[8:] + stream.read(begin + length - len(start)))
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read(header)
    if dtype.kind not in "US":  # text may be labels
        require_numbers(where, dtype)
    nbytes = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or size != begin + length + nbytes:
        raise DataError(
            f"dataset: {where} claims an array of shape {shape} and {nbytes:,} bytes, "
            f"but {size - begin - length:,} are there: it is cut off or damaged; make "
            "or fetch it again."
        )
    return nbytes


def _refuse_bomb(where: str, info: zipfile.ZipInfo) -> None:
    ratio = info.file_size / max(1, info.compress_size)
    if info.file_size > _BOMB_BYTES and ratio > _BOMB_RATIO:
        raise DataError(
            f"dataset: {where} would grow {ratio:,.0f} times to "
            f"{info.file_size / 2**30:,.1f} GiB, which real data do not do; if it is "
            "wanted, save it with numpy.savez, without compression."
        )


def listed(names: Collection[str]) -> str:
    """Returns the first names of a list as part of a sentence."""
    shown = [one_line(repr(name)) for name in list(names)[:12]]
    return ", ".join(shown) + (", ..." if len(names) > 12 else "") or "no array"
