"""Pages as they are sent or written: HTML, CSS and JavaScript."""

from importlib import resources


def read(name: str) -> str:
    """Returns the text of a file of this folder."""
    return (resources.files(__name__) / name).read_text(encoding="utf-8")
