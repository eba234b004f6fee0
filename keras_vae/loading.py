"""Models from files."""

import importlib
import os
from typing import Any

from keras_vae.data.checks import one_line

_REGISTERING = (
    "models.autoencoder",
    "models.conditional",
    "models.disentangled",
    "models.importance_weighted",
    "models.semi_supervised",
    "models.stacked",
    "models.schedules",
    "networks",
    "optimizers",
    "probability.aggregate",
    "probability.likelihoods",
    "probability.priors",
)


def load_model(path: str | os.PathLike[str], compile: bool = True) -> Any:
    """Returns the model of a `.keras` file, whichever of this package's it is.

    As `keras.saving.load_model` in safe mode, once every class of the package has been
    registered with Keras.

    Args:
        path: The file.
        compile: Bring the optimizer back too, to go on training.

    Raises:
        ValueError: If the file is not there, cannot be read, or holds another model.
    """
    place = os.fspath(path)
    if not os.path.isfile(place) or not place.endswith(".keras"):
        raise ValueError(
            f"Invalid value for argument `path`. Expected a file that ends in .keras, "
            f"as model.keras of a run. Received: path={place!r}."
        )
    import keras

    for name in _REGISTERING:
        importlib.import_module(f"keras_vae.{name}")
    try:
        model = keras.saving.load_model(place, compile=compile, safe_mode=True)
    # A file that is cut off or made by another version can raise nearly anything.
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{place} cannot be loaded: {one_line(first).rstrip('.')}. It is cut off, "
            "damaged or not of this version: take it from the run again, or train anew."
        ) from error
    if not hasattr(model, "data_shape") or not hasattr(model, "latent_dim"):
        raise ValueError(
            f"{place} is not a model of keras_vae but {type(model).__name__}: name the "
            "model.keras of a run."
        )
    return model
