"""Readers of files of numbers: `.npz`, `.npy`, `.csv`.

Nothing is unpickled, and what a header claims is compared with the file and with the
memory of the machine before it is believed.
"""

import csv
import io
import math
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from keras_vae.data.checks import (
    MAX_VALUES,
    USABLE,
    DataError,
    first_unusable,
    one_line,
    require_memory,
    require_numbers,
)
from keras_vae.naming import nearest

Arrays = dict[str, Any]
"""`x_train`, and if there `y_train`, `condition_train`, `factors_train`, the same with
`_test` and `_validation`, `label_names` and `factor_names`."""

NPZ_NAMES = ("x_train", "y_train", "condition_train")
NPZ_NAMES += tuple(name.replace("train", "test") for name in NPZ_NAMES)

_MAX_HEADER = 10_000  # bytes, as in numpy
_BOMB_RATIO, _BOMB_BYTES = 500, 2**28  # real data stay under 150 times compression
_CSV_VALUES = 2**20  # parsed together, as Python floats of eight times the memory
_CSV_LINE = 2 * MAX_VALUES  # characters: a value and what separates it


def read_npz(path: Path) -> Arrays:
    """Reads `x_train` and the other arrays of `NPZ_NAMES`, or the one array there is.

    Raises:
        DataError: If the arrays needed are not there, are cut off or damaged, hold
            objects or text where numbers belong, or do not fit into memory.
    """
    with _plainly(path), zipfile.ZipFile(path) as archive:
        entries = {
            info.filename.removesuffix(".npy"): info
            for info in archive.infolist()
            if info.filename.endswith(".npy")
        }
        if "x_train" in entries:
            wanted = {name: name for name in NPZ_NAMES if name in entries}
        elif len(entries) == 1:
            wanted = {"x_train": next(iter(entries))}
        else:
            raise DataError(
                f"dataset: {str(path)!r} has no array 'x_train'; it holds "
                f"{_listed(entries)}; save x_train, or a single array of any name."
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


def read_npy(path: Path) -> Arrays:
    """Reads the one array of an `.npy` file as `x_train`; raises as `read_npz`."""
    with _plainly(path), open(path, "rb") as stream:
        where = repr(str(path))
        require_memory(
            where, _claimed(where, stream, os.fstat(stream.fileno()).st_size)
        )
        stream.seek(0)
        return {"x_train": np.lib.format.read_array(stream, allow_pickle=False)}


def read_csv(path: Path, label_column: str | int | None = None) -> Arrays:
    """Reads a table of numbers, one example a line, as float32 `x_train`.

    Values are separated by commas, semicolons or tabs, whichever the first line has
    most of. The first line is a header if none of its values is a number, if it holds
    `label_column`, or if it counts 0, 1, 2, ... as pandas does.

    Args:
        path: A UTF-8 text file.
        label_column: The column that holds labels: its name in the header, or its
            place counted from 0, from the end where negative. Its values become
            `y_train`: whole numbers, or text; an empty one means no label.

    Raises:
        DataError: If a value is not a finite number, the message naming its line and
            column; if lines differ in length; if there is no such column.
    """
    where = repr(str(path))
    with _plainly(path), open(path, newline="", encoding="utf-8-sig") as stream:
        # A value is two characters at least and four bytes in memory.
        require_memory(where, 2 * os.fstat(stream.fileno()).st_size)
        delimiter = max(",;\t", key=stream.readline(_CSV_LINE).count)
        stream.seek(0)
        lines = _CsvLines(where, stream, delimiter, label_column)
        blocks = list(lines.blocks())
    if not blocks:
        raise DataError(f"dataset: {where} has no line of numbers; add examples.")
    arrays: Arrays = {"x_train": np.concatenate(blocks)}
    if label_column is not None:
        arrays["y_train"] = _label_array(lines.labels)
    return arrays


class _Line(NamedTuple):
    number: int
    cells: list[str]


class _CsvLines:
    """The lines of one table: which columns there are, and the numbers in them."""

    def __init__(
        self,
        where: str,
        stream: IO[str],
        delimiter: str,
        label_column: str | int | None,
    ):
        self._where = where
        self._rows = csv.reader(self._bounded(stream), delimiter=delimiter)
        self.labels: list[str] = []
        first = self._next_line()
        self._first = first
        self._names: list[str] | None = None
        self._label: int | None = None
        if first is not None:
            self._width = len(first.cells)
            self._find_columns(first.cells, label_column)

    def blocks(self) -> Iterator[np.ndarray]:
        """Yields float32 `(rows, columns)`, and keeps the labels aside."""
        line = self._first if self._names is None else self._next_line()
        block: list[list[float]] = []
        numbers: list[int] = []
        while line is not None:
            block.append(self._values(line))
            numbers.append(line.number)
            line = self._next_line()
            if len(block) * self._width >= _CSV_VALUES or line is None:
                yield self._array(block, numbers)
                block, numbers = [], []

    def _bounded(self, stream: IO[str]) -> Iterator[str]:
        while line := stream.readline(_CSV_LINE):
            if len(line) == _CSV_LINE:
                raise DataError(
                    f"dataset: {self._where} has a line of over {_CSV_LINE:,} "
                    "characters; write one example a line."
                )
            yield line

    def _next_line(self) -> _Line | None:
        for cells in self._rows:
            if cells:
                return _Line(self._rows.line_num, cells)
        return None

    def _find_columns(self, cells: list[str], label_column: str | int | None) -> None:
        names = [cell.strip() for cell in cells]
        place = _integer(label_column)
        if str(label_column) in names and isinstance(label_column, str):
            self._names, self._label = names, names.index(label_column)
        elif place is not None:
            if not -len(cells) <= place < len(cells):
                raise DataError(
                    f"label_column: {self._where} has {len(cells)} columns, so a column "
                    f"is a number from 0 to {len(cells) - 1}; got {label_column}."
                )
            self._label = place % len(cells)
        elif label_column is not None:
            raise DataError(
                f"label_column: {self._where} has no column {label_column!r} in its "
                f"first line, which is {_listed(names)}; give a name from a header or a "
                f"place counted from 0.{nearest(str(label_column), names)}"
            )
        features = [name for i, name in enumerate(names) if i != self._label]
        if not features:
            raise DataError(
                f"label_column: {self._where} has no column besides the label; add the "
                "columns of numbers."
            )
        counted = names == [str(i) for i in range(len(names))] and len(names) > 1
        if counted or not any(_is_number(name) for name in features):
            self._names = names

    def _values(self, line: _Line) -> list[float]:
        cells = line.cells
        if len(cells) != self._width:
            raise DataError(
                f"dataset: line {line.number} of {self._where} has {len(cells)} values "
                f"and the first line has {self._width}; give every line the same number."
            )
        if self._label is not None:
            self.labels.append(cells[self._label].strip())
            cells = cells[: self._label] + cells[self._label + 1 :]
        try:
            return list(map(float, cells))
        except ValueError:
            column = next(i for i, cell in enumerate(cells) if not _is_number(cell))
            raise DataError(
                f"dataset: {self._place(line.number, column)} is "
                f"{one_line(cells[column])!r}, not a number; replace it, or name a "
                "column of text as label_column."
            ) from None

    def _array(self, block: list[list[float]], numbers: list[int]) -> np.ndarray:
        values = np.array(block, np.float64)
        bad = first_unusable(values)
        if bad is not None:
            raise DataError(
                f"dataset: {self._place(numbers[bad[0]], bad[1])} is {values[bad]}; "
                f"{USABLE}"
            )
        return values.astype(np.float32)

    def _place(self, line: int, column: int) -> str:
        if self._label is not None and column >= self._label:
            column += 1
        name = "" if self._names is None else f" ({one_line(self._names[column])!r})"
        return f"line {line}, column {column + 1}{name} of {self._where}"


@contextmanager
def _plainly(path: Path) -> Iterator[None]:
    """Whatever a parser raises on a file that is not what it should be, in a sentence."""
    try:
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
            f"dataset: {str(path)!r} cannot be read ({one_line(error)}): it is cut off, "
            f"damaged or no {path.suffix} file; make or fetch it again."
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


def _listed(names: Any) -> str:
    shown = [one_line(repr(name)) for name in list(names)[:12]]
    return ", ".join(shown) + (", ..." if len(names) > 12 else "") or "no array"


def _integer(text: str | int | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _label_array(cells: list[str]) -> np.ndarray:
    """Whole column numbers, or all of it text; an empty cell is -1 or empty text."""
    try:
        return np.array([float(cell) if cell else -1.0 for cell in cells])
    except ValueError:
        return np.array(cells, np.str_)
