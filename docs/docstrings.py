"""What the reference makes of docstrings that are written for `help()`."""

import re
import textwrap
from typing import Any

import griffe

_INDENTED_EXAMPLE = re.compile(r"^Example:\n((?:    .*\n?|\n+(?=    ))+)", re.MULTILINE)
_EXAMPLE = re.compile(r"^Example:\n(>>> (?:.+\n?)+)", re.MULTILINE)
_FENCED_EXAMPLE = re.compile(r"^Example:\n(?=```)", re.MULTILINE)

# "Args: as `VAE`, and" is a sentence, maybe of several lines, with a list behind it.
_ARGUMENTS_AS = re.compile(
    r"^Args: as ((?:.+\n?)(?:[ ]{4}(?!\w+: ).+\n?)*)(?=(    \w+: )?)", re.MULTILINE
)


def readable(text: str) -> str:
    """Returns a docstring in Markdown, with sections as griffe reads them."""
    text = _ARGUMENTS_AS.sub(_arguments_as, text)
    text = _INDENTED_EXAMPLE.sub(_dedented, text)
    text = _EXAMPLE.sub(r"Example:\n\n```pycon\n\1\n```\n", text)
    return _FENCED_EXAMPLE.sub("Example:\n\n", text)


def _dedented(found: re.Match[str]) -> str:
    return f"Example:\n{textwrap.dedent(found[1])}"


def _arguments_as(found: re.Match[str]) -> str:
    sentence = re.sub(r"\s+", " ", found[1]).strip()
    if found[2] is None:
        return f"Arguments as {sentence}\n"
    sentence = re.sub(r"[,;]? and$", "", sentence)
    return f"Arguments as {sentence}; and those below.\n\nArgs:\n"


class Docstrings(griffe.Extension):
    """Rewrites each docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Called with each module, class, function and attribute."""
        if obj.docstring is not None:
            obj.docstring.value = readable(obj.docstring.value)
