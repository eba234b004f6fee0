"""The datasets that have a name."""

import os
from collections.abc import Callable

import numpy as np

from keras_vae.data.checks import one_line
from keras_vae.data.files import Arrays, in_two
from keras_vae.data.motion import motion
from keras_vae.data.patches import patches
from keras_vae.data.tones import tones
from keras_vae.errors import DataError

_DIGIT_NAMES = tuple("0123456789")
_FASHION_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


def digits() -> Arrays:
    """Returns scikit-learn's 1,797 handwritten digits, 8x8; the last 297 are test.

    Their grey values k of 0 to 16 become bytes round(k * 255 / 16), so that they are
    pictures as any others, also for a likelihood of 256 values.
    """
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = _order(len(bunch.target))
    x = np.rint(bunch.images[order] * (255 / 16)).astype(np.uint8)
    y = bunch.target[order]
    return {
        "x_train": x[:1500],
        "y_train": y[:1500],
        "x_test": x[1500:],
        "y_test": y[1500:],
        "label_names": _DIGIT_NAMES,
    }


def mnist() -> Arrays:
    """Returns 60,000 and 10,000 handwritten digits, 28x28, by `keras.datasets`."""
    return _fetched("mnist", _DIGIT_NAMES)


def fashion_mnist() -> Arrays:
    """Returns 60,000 and 10,000 pieces of clothing, 28x28, by `keras.datasets`."""
    return _fetched("fashion_mnist", _FASHION_NAMES)


def swiss_roll() -> Arrays:
    """Returns 5,000 and 1,000 points in space that lie on a rolled plane.

    The factor is the position along the roll, its angle in radians.
    Source: scikit-learn's `make_swiss_roll`, after Marsland, Machine Learning, 2009.
    """
    from sklearn.datasets import make_swiss_roll

    x, position = make_swiss_roll(6000, random_state=0)
    return {
        **in_two(5000, x=x, factors=position[:, np.newaxis]),
        "factor_names": ("position",),
    }


def shapes(size: int = 64) -> Arrays:
    """Returns the sprites of `data.shapes`, drawn on the fly; a tenth is test.

    The label is the shape, and the factors are all five of its properties.
    """
    from keras_vae.data.shapes import FACTOR_NAMES, SHAPE_NAMES, Shapes

    sprites = Shapes(size)
    order = _order(len(sprites))
    count = len(sprites) - len(sprites) // 10
    arrays: Arrays = {"factor_names": FACTOR_NAMES, "label_names": SHAPE_NAMES}
    for part, rows in ("train", order[:count]), ("test", order[count:]):
        arrays[f"x_{part}"] = sprites.take(rows)
        arrays[f"factors_{part}"] = sprites.factors(rows)
        arrays[f"y_{part}"] = arrays[f"factors_{part}"][:, 0]
    return arrays


DATASETS: dict[str, Callable[[], Arrays]] = {
    "digits": digits,
    "mnist": mnist,
    "fashion_mnist": fashion_mnist,
    "shapes": shapes,
    "shapes32": lambda: shapes(32),
    "patches": patches,
    "patches64": lambda: patches(64),
    "swiss_roll": swiss_roll,
    "motion": motion,
    "tones": tones,
}
"""Datasets by name. Each returns `x_train`, an array or what draws examples as `Shapes`
does, and what else there is, under the names of `Arrays`."""


def _order(n: int) -> np.ndarray:
    # The stream of RandomState is frozen, so a split is the same with every numpy.
    return np.random.RandomState(0).permutation(n)


def _fetched(name: str, label_names: tuple[str, ...]) -> Arrays:
    """Fetches a dataset by `keras.datasets`, or reads what that fetched before."""
    import keras

    try:
        train, test = getattr(keras.datasets, name).load_data()
    except Exception as error:  # Keras raises bare exceptions when a download fails
        raise DataError(
            f"dataset: {name!r} could not be fetched or read ({one_line(error)}); "
            "connect to the network, or empty the folder 'datasets' of "
            f"{os.environ.get('KERAS_HOME', '~/.keras')!r} if a download was cut off, "
            "or use 'digits', which needs no network."
        ) from error
    return {
        "x_train": train[0],
        "y_train": train[1],
        "x_test": test[0],
        "y_test": test[1],
        "label_names": label_names,
    }
