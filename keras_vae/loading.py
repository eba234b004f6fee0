"""Models from files."""

import importlib
import os
import pkgutil
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_vae.data.checks import first_line
from keras_vae.errors import invalid_argument

_REGISTERING = ("engine.optimizers", "models", "networks", "probability")
"""Modules and packages with classes that files may hold, all of their modules."""


def load_model(
    path: str | os.PathLike[str],
    compile: bool = True,
    custom_objects: Mapping[str, Any] | None = None,
) -> Any:
    """Returns the model of a `.keras` file, whichever of this package's it is.

    As `keras.saving.load_model` in safe mode, once every class of the package has been
    registered with Keras. Code that a file holds (a `Lambda` layer's) is never run.

    Args:
        path: The file, or the folder of a run, whose `model.keras` is taken.
        compile: Bring the optimizer back too, to go on training.
        custom_objects: Your own classes and functions by name, where they are not
            registered with `keras.saving.register_keras_serializable`.

    Raises:
        ValueError: If the file is not there, cannot be read, or holds another model.
    """
    path = _file_of(os.fspath(path))
    advice = "Take it from the run again, or train anew."
    return read(path, checked_objects(custom_objects), compile, advice)


def checked_objects(custom_objects: Any) -> dict[str, Any]:
    """Returns a user's own classes and functions by name.

    Raises:
        ValueError: If it is no dictionary.
    """
    if custom_objects is not None and not isinstance(custom_objects, Mapping):
        raise invalid_argument(
            "custom_objects",
            "a dictionary of classes and functions by name",
            received=f"a {type(custom_objects).__name__}",
        )
    return dict(custom_objects or {})


def read(path: str, objects: dict[str, Any], compile: bool, advice: str) -> Any:
    """Returns the model of a `.keras` file, or of a folder with the same in it.

    Args:
        path: The file or the folder.
        objects: Classes and functions by name.
        compile: Bring the optimizer back too.
        advice: What to do where it is damaged, as a sentence.

    Raises:
        ValueError: If it cannot be read or holds another model.
    """
    import keras

    register()
    try:
        model = keras.saving.load_model(
            path, custom_objects=objects, compile=compile, safe_mode=True
        )
    # A file that is cut off or made by another version can raise nearly anything.
    except Exception as error:
        reason = _reason(error, advice)
        raise ValueError(f"{path} cannot be loaded: {reason}") from error
    if not hasattr(model, "data_shape") or not hasattr(model, "latent_dim"):
        raise ValueError(
            f"{path} is not a model of keras_vae but {type(model).__name__}: name the "
            "model.keras of a run."
        )
    return model


def register() -> None:
    """Imports every module with classes that Keras must know to read a file."""
    for name in _REGISTERING:
        module = importlib.import_module(f"keras_vae.{name}")
        for found in pkgutil.walk_packages(
            getattr(module, "__path__", []), f"{module.__name__}."
        ):
            importlib.import_module(found.name)


def _file_of(path: str) -> str:
    """Returns the `.keras` file that a path names."""
    if os.path.isdir(path):
        inside = os.path.join(path, "model.keras")
        if os.path.isfile(inside):
            return inside
        raise invalid_argument(
            "path",
            "a .keras file, or the folder of a finished run with its model.keras",
            received=f"the folder {path!r}, which holds none",
        )
    if not os.path.exists(path):
        raise invalid_argument(
            "path",
            "a .keras file, or the folder of a finished run",
            received=f"{path!r}, which is not there",
        )
    if Path(path).suffix != ".keras":
        raise invalid_argument(
            "path", "a file that ends in .keras, as model.keras of a run", path
        )
    return path


def _reason(error: Exception, advice: str) -> str:
    """Says why a file could not be loaded and what to do."""
    text = str(error).strip()
    if "safe_mode=False" in text:
        return (
            "it holds code (as a Lambda layer's), and code from a file is never run. "
            "Write the layer as a class that is registered with "
            "keras.saving.register_keras_serializable, and save the model again."
        )
    unknown = re.search(r"Could not locate (class|function) '(\w+)'", text)
    if unknown:
        return (
            f"its {unknown[1]} {unknown[2]!r} is not known here. Register it with "
            "keras.saving.register_keras_serializable before loading, or give it, as "
            f"in custom_objects={{{unknown[2]!r}: {unknown[2]}}}."
        )
    return (
        f"{first_line(error)}. It is cut off, damaged or not of this version. {advice}"
    )
