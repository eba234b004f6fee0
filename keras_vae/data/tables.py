"""Reader of tables of numbers, `.csv`."""

import csv
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from keras_vae.data.checks import (
    MAX_VALUES,
    USABLE,
    first_unusable,
    one_line,
    require_memory,
)
from keras_vae.data.files import Arrays, listed, plainly
from keras_vae.errors import DataError
from keras_vae.naming import nearest

_VALUES = 2**20  # parsed together, as Python floats of eight times the memory
_LINE = 2 * MAX_VALUES  # characters: a value and what separates it


def read_csv(
    path: Path,
    label_column: str | int | None = None,
    drop_columns: Sequence[str | int] = (),
) -> Arrays:
    """Reads a table of numbers, one example a line, as float32 `x_train`.

    Values are separated by commas, semicolons or tabs, whichever the first line has
    most of. The first line is a header if none of its values, besides the label, is a
    number, if it holds the name `label_column`, or if it counts from 0 to 7 or more.

    Args:
        path: A UTF-8 text file.
        label_column: The column that holds labels: its name in the header, or its
            index counted from 0, from the end where negative. Its values become
            `y_train`: whole numbers, or text; an empty one means no label.
        drop_columns: Columns that are left out, named or counted in the same way; they
            may hold anything.

    Raises:
        DataError: If a value is not a finite number, the message naming its line and
            column; if lines differ in length; if there is no such column.
    """
    where = repr(str(path))
    with plainly(path), open(path, newline="", encoding="utf-8-sig") as stream:
        # A value is two characters at least and four bytes in memory.
        require_memory(where, 2 * os.fstat(stream.fileno()).st_size)
        delimiter = max(",;\t", key=stream.readline(_LINE).count)
        stream.seek(0)
        lines = _Lines(where, stream, delimiter, label_column, drop_columns)
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


class _Lines:
    """The lines of one table: which columns there are, and the numbers in them."""

    def __init__(
        self,
        where: str,
        stream: IO[str],
        delimiter: str,
        label_column: str | int | None,
        drop_columns: Sequence[str | int],
    ):
        self._where = where
        self._rows = csv.reader(self._bounded(stream), delimiter=delimiter)
        self.labels: list[str] = []
        first = self._next_line()
        self._first = first
        self._names: list[str] | None = None
        self._label: int | None = None
        self._kept: list[int] = []
        if first is not None:
            self._width = len(first.cells)
            self._find_columns(first.cells, label_column, drop_columns)

    def blocks(self) -> Iterator[np.ndarray]:
        """Yields float32 `(rows, columns)`, and keeps the labels aside."""
        line = self._first if self._names is None else self._next_line()
        block: list[list[float]] = []
        numbers: list[int] = []
        while line is not None:
            block.append(self._values(line))
            numbers.append(line.number)
            line = self._next_line()
            if len(block) * self._width >= _VALUES or line is None:
                yield self._array(block, numbers)
                block, numbers = [], []

    def _bounded(self, stream: IO[str]) -> Iterator[str]:
        while line := stream.readline(_LINE):
            if len(line) == _LINE:
                raise DataError(
                    f"dataset: {self._where} has a line of over {_LINE:,} "
                    "characters; write one example a line."
                )
            yield line

    def _next_line(self) -> _Line | None:
        for cells in self._rows:
            if cells:
                return _Line(self._rows.line_num, cells)
        return None

    def _find_columns(
        self,
        cells: list[str],
        label_column: str | int | None,
        drop_columns: Sequence[str | int],
    ) -> None:
        """Decides whether the first line is a header, and which columns are used."""
        names = [cell.strip() for cell in cells]
        dropped = {self._place_of("drop_columns", c, names) for c in drop_columns}
        if label_column is not None:
            self._label = self._place_of("label_column", label_column, names)
        unused = {*dropped, self._label}
        self._kept = [i for i in range(len(names)) if i not in unused]
        if not self._kept:
            raise DataError(
                f"label_column or drop_columns: {self._where} has no column besides "
                "the label and what is left out; add or keep the columns of numbers."
            )
        if _is_header([names[i] for i in self._kept]):
            self._names = names

    def _place_of(self, argument: str, column: str | int, names: list[str]) -> int:
        """Returns the index of a column; a name shows that there is a header."""
        index = _integer(column)
        # A number is an index before it is a name, unless the first line is a header.
        if column in names and (index is None or _is_header(names)):
            self._names = names
            return names.index(str(column))
        if index is None:
            raise DataError(
                f"{argument}: {self._where} has no column "
                f"{one_line(repr(column))} in its first line, which is "
                f"{listed(names)}; give a name from a header or an index counted from "
                f"0.{nearest(str(column), names)}"
            )
        if not -len(names) <= index < len(names):
            raise DataError(
                f"{argument}: {self._where} has {len(names)} columns; give a "
                f"number from 0 to {len(names) - 1}, not {column}."
            )
        return index % len(names)

    def _values(self, line: _Line) -> list[float]:
        cells = line.cells
        if len(cells) != self._width:
            raise DataError(
                f"dataset: line {line.number} of {self._where} has {len(cells)} "
                f"values, the first line {self._width}; give all lines the same number."
            )
        if self._label is not None:
            self.labels.append(cells[self._label].strip())
        cells = [cells[i] for i in self._kept]
        try:
            return list(map(float, cells))
        except ValueError:
            column = next(i for i, cell in enumerate(cells) if not _is_number(cell))
            raise DataError(
                f"dataset: {self._cell(line.number, column)} is "
                f"{one_line(repr(cells[column]))}, not a number; replace it, name a "
                "column of labels as label_column, or leave it out with drop_columns."
            ) from None

    def _array(self, block: list[list[float]], numbers: list[int]) -> np.ndarray:
        values = np.array(block, np.float64)
        bad = first_unusable(values)
        if bad is not None:
            raise DataError(
                f"dataset: {self._cell(numbers[bad[0]], bad[1])} is {values[bad]}; "
                f"{USABLE}"
            )
        return values.astype(np.float32)

    def _cell(self, line: int, column: int) -> str:
        column = self._kept[column]
        name = "" if self._names is None else f" ({one_line(self._names[column])!r})"
        return f"line {line}, column {column + 1}{name} of {self._where}"


def _integer(text: str | int | None) -> int | None:
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def _is_header(names: list[str]) -> bool:
    """Whether none is a number, or they count as the columns of a pandas table do."""
    counted = len(names) >= 8 and names == [str(i) for i in range(len(names))]
    return counted or not any(_is_number(name) for name in names)


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
