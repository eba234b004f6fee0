"""Names and values in messages, and a look-up that says plainly what is known."""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from keras_vae.errors import invalid_argument

T = TypeVar("T")


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns `" Did you mean 'x'?"` for the known name nearest to `name`, or ""."""
    folded = {key.casefold(): key for key in known}
    close = difflib.get_close_matches(name.casefold(), folded, n=1)
    return f" Did you mean {folded[close[0]]!r}?" if close else ""


def lookup(argument: str, name: str, table: Mapping[str, T]) -> T:
    """Returns `table[name]`.

    Raises:
        ValueError: If the name is not in the table; the message names `argument`, the
            known names and the nearest of them.
    """
    if name in table:
        return table[name]
    known = ", ".join(repr(key) for key in table)
    raise invalid_argument(
        argument, f"one of {known}", name, advice=nearest(str(name), table)
    )


def shortened(value: Any) -> str:
    """Returns a value as part of a sentence, cut short where it is long."""
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:117]}..."
