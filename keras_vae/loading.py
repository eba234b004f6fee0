"""Models from files."""

import importlib
import os
from typing import Any

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
        ValueError: If the file is not there or is not such a model.
    """
    import keras

    for name in _REGISTERING:
        importlib.import_module(f"keras_vae.{name}")
    return keras.saving.load_model(path, compile=compile, safe_mode=True)
