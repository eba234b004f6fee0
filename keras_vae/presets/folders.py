"""Presets: trained models as folders, of the package, of the disk or of a hub.

The folder is that of KerasHub and of Keras' own unzipped models: `config.json`,
`metadata.json` and `model.weights.h5`, with a model card, `README.md`.
"""

import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_vae import files
from keras_vae.data.checks import first_line
from keras_vae.errors import invalid_argument
from keras_vae.loading import checked_objects, read
from keras_vae.naming import lookup, nearest
from keras_vae.presets import cards

CONFIG, METADATA, WEIGHTS, CARD, ASSETS = (
    *("config.json", "metadata.json", "model.weights.h5", "README.md"),
    "assets",
)
_DTYPES = {"float32": False, "float16": True}
_SHIPPED = Path(__file__).parent
_HUB = "hf://"
_LARGEST_HALF = 65504.0


def list_presets() -> list[str]:
    """Returns the names of the presets that come with the package."""
    return sorted(path.parent.name for path in _SHIPPED.glob(f"*/{CONFIG}"))


def from_preset(
    preset: str | os.PathLike[str],
    custom_objects: Mapping[str, Any] | None = None,
) -> Any:
    """Returns the trained model of a preset, with weights of float32.

    It is not compiled: `compile` it to train it further. No code of a preset is run.

    Args:
        preset: A name in `list_presets()`; a folder that `to_preset` has written (one
            with the name of a preset as "./digits"); or "hf://user/name", a repository
            of the Hugging Face Hub, which needs the package huggingface_hub (`pip
            install 'keras_vae[hub]'`).
        custom_objects: Your own classes and functions by name, as for `load_model`.

    Raises:
        ValueError: If there is no such preset, it cannot be fetched or read, or holds
            another model.
        ImportError: If huggingface_hub is needed and not installed.

    Example:
    >>> vae = keras_vae.from_preset("digits")
    >>> vae.sample(3).shape
    (3, 8, 8, 1)
    """
    objects = checked_objects(custom_objects)
    folder = _folder_of(preset)
    _check(folder)
    advice = "Write it again with to_preset, or fetch it again."
    return read(os.fspath(folder), objects, compile=False, advice=advice)


def to_preset(
    model: Any,
    folder: str | os.PathLike[str],
    card: str | None = None,
    dtype: str = "float32",
) -> None:
    """Writes a model as a folder for `from_preset`: configuration, weights, card.

    The optimizer is left out. Keras alone reads the folder as well, with
    `keras.saving.load_model`, once this package has been imported.

    Args:
        model: A `VAE`.
        folder: A new folder, or a preset, which is replaced.
        card: Markdown for `README.md`, such as the `model_card.md` of a run; its
            section "How to load" is written anew. None: a short one.
        dtype: Of the weights in the file: "float32", or "float16" for half the size,
            where about three digits of each weight are kept. They are read as float32.

    Raises:
        ValueError: If an argument is wrong, or the folder holds other files.
        OSError: If the folder cannot be written.
    """
    half = lookup("dtype", dtype, _DTYPES)
    if card is not None and not isinstance(card, str):
        raise invalid_argument(
            "card", "Markdown as text, or None", received=f"a {type(card).__name__}"
        )
    path = Path(folder)
    _check_folder(path)
    with files.written_aside(path) as aside:
        model.save(aside, zipped=False)
        if not any(aside.glob(f"{ASSETS}/*")):
            shutil.rmtree(aside / ASSETS, ignore_errors=True)
        config = json.loads((aside / CONFIG).read_text(encoding="utf-8"))
        config.pop("compile_config", None)
        text = json.dumps(config, indent=1)
        (aside / CONFIG).write_text(f"{text}\n", encoding="utf-8")
        _rewrite_weights(model, aside / WEIGHTS, half)
        text = cards.text(model, path.absolute().name, card, dtype)
        (aside / CARD).write_text(text, encoding="utf-8")


def _folder_of(preset: str | os.PathLike[str]) -> Path:
    """Returns the folder of a preset, fetched where it is on the hub."""
    if not isinstance(preset, str | os.PathLike):
        raise invalid_argument("preset", _expected(), preset)
    name = os.fspath(preset)
    if name in list_presets():
        return _SHIPPED / name
    if name.startswith(_HUB):
        return _fetched(name)
    if not os.path.isdir(name):
        raise invalid_argument(
            "preset", _expected(), name, advice=nearest(name, list_presets())
        )
    return Path(name)


def _expected() -> str:
    names = ", ".join(repr(name) for name in list_presets())
    return f"one of {names}, a folder of to_preset, or 'hf://user/name'"


def _fetched(name: str) -> Path:
    """Returns the folder on this machine of a repository of the Hugging Face Hub."""
    word = r"[\w-][\w.-]*"
    repository = name.removeprefix(_HUB).removesuffix("/")
    if not re.fullmatch(f"{word}/{word}", repository, re.ASCII):
        raise invalid_argument("preset", "'hf://user/name'", name)
    try:
        import huggingface_hub
    except ImportError as error:
        raise ImportError(
            f"{name} needs the package huggingface_hub: pip install 'keras_vae[hub]'."
        ) from error
    wanted = [CONFIG, METADATA, WEIGHTS, CARD, f"{ASSETS}/*"]
    try:
        folder = huggingface_hub.snapshot_download(
            repo_id=repository, allow_patterns=wanted
        )
    except Exception as error:  # of the hub, of the network, of the disk
        raise ValueError(f"{name} cannot be fetched: {first_line(error)}.") from error
    return Path(folder)


def _check(folder: Path) -> None:
    """Raises the ValueError of a folder that is not a preset, or is damaged."""
    import h5py

    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise ValueError(
                f"{folder} is not a preset: it holds no {name}. Name a folder of "
                "to_preset; what train writes is read by load_model."
            )
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        whole = isinstance(config, dict) and {"class_name", "config"} <= config.keys()
    except (ValueError, RecursionError):
        whole = False
    if not whole:
        raise ValueError(
            f"{folder / CONFIG} is damaged, or not the configuration of a Keras model: "
            "write the preset again with to_preset, or fetch it again."
        )
    try:
        h5py.File(folder / WEIGHTS, "r").close()
    except OSError as error:
        raise ValueError(
            f"{folder / WEIGHTS} is damaged: write the preset again with to_preset, "
            "or fetch it again."
        ) from error


def _check_folder(path: Path) -> None:
    """Refuses a path that is not a folder's, or a folder of something else."""
    known = {CONFIG, METADATA, WEIGHTS, CARD, ASSETS}
    found = None
    if path.suffix == ".keras":
        found = f"{path}, the name of a file"
    elif path.is_dir():
        other = sorted(set(os.listdir(path)) - known)
        found = f"{path}, which holds {other[0]}" if other else None
    elif path.exists():
        found = f"{path}, which is a file"
    if found is not None:
        raise invalid_argument("folder", "a new folder, or a preset", received=found)


def _rewrite_weights(model: Any, path: Path, half: bool) -> None:
    """Leaves the optimizers out of a file of weights, and compresses the others."""
    import h5py
    import keras

    optimizer = keras.optimizers.Optimizer
    smaller = path.with_name("smaller.h5")
    with h5py.File(path, "r") as old, h5py.File(smaller, "w") as new:
        for name in old:
            if not isinstance(getattr(model, name, None), optimizer):
                _copy(old[name], new, name, half)
    smaller.replace(path)


def _copy(old: Any, group: Any, name: str, half: bool) -> None:
    """Copies a group or an array of an HDF5 file into a group of another."""
    import h5py
    import numpy as np

    if isinstance(old, h5py.Dataset):
        values = old[()]
        if half and old.dtype == np.float32 and np.all(abs(values) <= _LARGEST_HALF):
            values = values.astype(np.float16)
        packed = {"compression": "gzip", "shuffle": True} if old.ndim else {}
        new = group.create_dataset(name, data=values, **packed)
    else:
        new = group.create_group(name)
        for inner in old:
            _copy(old[inner], new, inner, half)
    for key, value in old.attrs.items():
        new.attrs[key] = value
