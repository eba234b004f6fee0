"""Features of examples, in which samples are compared with data.

From a model that the user names; else from a small classifier of the training labels;
else the principal components of the training data.
"""

import contextlib
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from keras_vae import files
from keras_vae.data.checks import one_line
from keras_vae.data.datasets import Split
from keras_vae.errors import invalid_flag
from keras_vae.evaluation.examples import first_in_unit

FILE = "features.keras"
"""The classifier's layers up to its features, in the folder of a run."""

_COMPONENTS = 64
_UNITS = 64  # of the classifier's last layer but one
_PER_CLASS = 20  # labelled examples that a classifier needs
_MAX_EXAMPLES = 10_000
_MAX_NUMBERS = 2**26  # of the training examples
_STEPS = 800
_EPOCHS = 40
_BATCH = 64
_SMALLEST_MAP = 8  # height and width down to which convolutions go
_AT_ONCE = 256
_SEED = 0


class Features(NamedTuple):
    """Features by name.

    Attributes:
        name: What they are, in words.
        of: Takes examples (n, ...) in the data's own units, uint8 and uint16 scaled to
            [0, 1]; returns (n, d), float32.
    """

    name: str
    of: Callable[[np.ndarray], np.ndarray]


def choose(train: Split, folder: str | os.PathLike[str] | None = None) -> Features:
    """Returns features that are learned from the training examples.

    Those of a classifier where at least two labels are known, with 20 examples of each
    on average, else principal components. Either are divided by one number, so that
    their mean square over the training examples is 1.

    Args:
        train: Training examples, of which the first 10,000 are taken.
        folder: Of a run. The classifier's features are saved in it as `features.keras`,
            and taken from there if they are there.
    """
    count = max(2, min(_MAX_EXAMPLES, _MAX_NUMBERS // math.prod(train.x.shape[1:])))
    x = first_in_unit(train.x, count)
    y = np.full(len(x), -1) if train.y is None else train.y[:count]
    labels, classes = np.unique(y[y >= 0], return_inverse=True)
    if len(labels) < 2 or len(classes) < _PER_CLASS * len(labels):
        return principal_components(x)
    path = None if folder is None else Path(folder) / FILE
    if path is not None and path.is_file():
        # One that is damaged or of other data is made again.
        with contextlib.suppress(ValueError):
            return load(path, x.shape[1:])._replace(name=_of_classifier(path))
    network = _trained(x[y >= 0], classes, len(labels))
    if path is not None:
        with files.written_aside(path) as aside:
            network.save(aside)
    return Features(_of_classifier(path), _in_batches(network))


def principal_components(x: np.ndarray) -> Features:
    """Returns the projection on up to 64 principal components of x.

    Args:
        x: (n, ...), n >= 2. Vectors and sequences are standardised by feature first.
    """
    from sklearn.decomposition import PCA

    shift, scale = _standard(x)
    values = ((x - shift) / scale).reshape(len(x), -1)
    number = min(_COMPONENTS, *values.shape)
    pca = PCA(number, svd_solver="randomized", random_state=_SEED).fit(values)
    size = _root_mean_square(pca.transform(values))

    def of(examples: np.ndarray) -> np.ndarray:
        flat = ((examples - shift) / scale).reshape(len(examples), -1)
        return np.asarray(pca.transform(flat) / size, np.float32)

    return Features(f"{number} principal components of the training data", of)


def load(path: str | os.PathLike[str], input_shape: tuple[int, ...]) -> Features:
    """Returns what a model in a file makes of examples, flattened.

    Args:
        path: A `.keras` file, whose output is taken, or the folder of a SavedModel,
            whose signature `serving_default` is. Neither runs Python code from the
            file. Each has one input, float32 (n, *input_shape), and one output.
        input_shape: Of an example.

    Raises:
        ValueError: If there is no such model or it does not take these examples.
    """
    path = os.fspath(path)
    if Path(path).is_file() and Path(path).suffix == ".keras":
        read, what = _keras_model, "the Keras model"
    elif Path(path, "saved_model.pb").is_file():
        read, what = _saved_model, "the SavedModel"
    else:
        raise invalid_flag(
            "features", "a .keras file or the folder of a SavedModel", repr(path)
        )
    try:
        of = _in_batches(read(path))
        found = of(np.zeros((2, *input_shape), np.float32))
    # A file that is cut off, or layers of another shape, can raise nearly anything.
    except Exception as error:
        reason = one_line(next(iter(str(error).splitlines()), "")).rstrip(".")
        raise ValueError(
            f"--features: {path} cannot be used on examples of shape "
            f"{tuple(input_shape)}: {reason or type(error).__name__}."
        ) from error
    if not np.isfinite(found).all():
        raise invalid_flag("features", "a model of finite outputs", f"NaN by {path}")
    return Features(f"output of {what} {path}", of)


def _of_classifier(path: Path | None) -> str:
    saved = "" if path is None else f", {FILE}"
    return f"last layer but one of a label classifier{saved}"


def _keras_model(path: str) -> Callable[[tf.Tensor], Any]:
    import keras

    model = keras.saving.load_model(path, compile=False, safe_mode=True)
    return lambda x: model(x, training=False)


def _saved_model(path: str) -> Callable[[tf.Tensor], Any]:
    loaded = tf.saved_model.load(path)
    names = list(_served(loaded).structured_input_signature[1])
    if len(names) != 1:
        raise ValueError(f"serving_default has {len(names)} inputs, expected one")
    # Through the object, since its variables live as long as it does.
    return lambda x: _served(loaded)(**{names[0]: x})


def _served(loaded: Any) -> Any:
    if "serving_default" not in loaded.signatures:
        raise ValueError("it has no signature serving_default")
    return loaded.signatures["serving_default"]


def _in_batches(function: Callable[[tf.Tensor], Any]) -> Callable[..., np.ndarray]:
    def of(examples: np.ndarray) -> np.ndarray:
        parts = []
        for first in range(0, len(examples), _AT_ONCE):
            x = tf.constant(examples[first : first + _AT_ONCE], tf.float32)
            outputs = tf.nest.flatten(function(x))
            if len(outputs) != 1 or len(outputs[0]) != len(x):
                raise ValueError(
                    f"it has {len(outputs)} outputs, expected one with a vector for "
                    "each example"
                )
            found = np.asarray(outputs[0], np.float32)
            parts.append(found.reshape(len(x), -1))
        return np.concatenate(parts)

    return of


def _standard(x: np.ndarray) -> tuple[Any, Any]:
    """Mean and standard deviation of each feature of vectors and sequences."""
    if x.ndim == 4:
        return 0.0, 1.0
    axes = tuple(range(x.ndim - 1))
    scale = x.std(axis=axes)
    return x.mean(axis=axes), np.where(scale > 0.0, scale, 1.0)


def _root_mean_square(features: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(features)))) or 1.0


def _trained(x: np.ndarray, classes: np.ndarray, number: int) -> Any:
    """Trains a classifier and returns its layers up to the last but one."""
    import keras

    inputs = keras.Input(x.shape[1:])
    hidden = _layers(inputs, _standard(x))
    logits = keras.layers.Dense(number, kernel_initializer=_initializer(99))(hidden)
    classifier = keras.Model(inputs, logits)
    classifier.compile(
        keras.optimizers.Adam(1e-3),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    batch = min(_BATCH, len(x))
    steps = min(_STEPS, _EPOCHS * (len(x) // batch))
    rng = np.random.default_rng(_SEED)
    epochs = -(-steps * batch // len(x))
    order = np.concatenate([rng.permutation(len(x)) for _ in range(epochs)])
    rows = order[: steps * batch].reshape(steps, batch)
    with tf.device("CPU:0"):  # where tf.data works
        values, targets = tf.constant(x), tf.constant(classes)
    batches = tf.data.Dataset.from_tensor_slices(rows).map(
        lambda some: (tf.gather(values, some), tf.gather(targets, some))
    )
    classifier.fit(batches, shuffle=False, verbose=0)
    network = keras.Model(inputs, hidden)
    size = _root_mean_square(_in_batches(network)(x))
    return keras.Model(inputs, keras.layers.Rescaling(1.0 / size)(hidden))


def _layers(x: Any, standard: tuple[Any, Any]) -> Any:
    """Convolutions of images, dense layers of vectors and sequences."""
    import keras

    if len(x.shape) == 4:
        channels, layer = 32, 0
        while layer == 0 or max(x.shape[1:3]) > _SMALLEST_MAP:
            x = keras.layers.Conv2D(
                min(channels, 64),
                3,
                strides=2 if max(x.shape[1:3]) > _SMALLEST_MAP else 1,
                padding="same",
                activation="relu",
                kernel_initializer=_initializer(layer),
            )(x)
            channels, layer = 2 * channels, layer + 1
    else:
        mean, deviation = standard
        normal = keras.layers.Normalization(mean=mean, variance=np.square(deviation))
        x = keras.layers.Flatten()(normal(x))
        x = keras.layers.Dense(
            2 * _UNITS, activation="relu", kernel_initializer=_initializer(0)
        )(x)
    x = keras.layers.Flatten()(x)
    return keras.layers.Dense(
        _UNITS, activation="relu", kernel_initializer=_initializer(98)
    )(x)


def _initializer(seed: int) -> Any:
    import keras

    return keras.initializers.GlorotUniform(seed=seed)
