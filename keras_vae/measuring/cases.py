"""What a benchmark measures again and again in one process, each a case."""

import functools
import itertools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

import keras_vae
from keras_vae import networks
from keras_vae.data import pipeline
from keras_vae.evaluation import likelihood
from keras_vae.measuring.options import BenchmarkOptions

SHAPE = (28, 28, 1)
LATENT_DIM = 20
_HIDDEN = ((784, 500), (500, 500), (500, 40), (20, 500), (500, 500), (500, 784))

Shapes = Sequence[tuple[int, int]]


class Case(NamedTuple):
    """Something that is measured once a round."""

    what: str
    unit: str
    measure: Callable[[], float]
    """Returns how many units a second."""
    products: Callable[[], float] | None = None
    """Returns the same of the matrix products that it cannot do without."""
    beside: str | None = None
    """The case of the same round that it is compared with."""


def machine_speed() -> Callable[[], float]:
    """Returns what measures the products of a small network's training steps."""
    return products(_HIDDEN, 128, backward=True)


def products(shapes: Shapes, rows: int, backward: bool = False) -> Callable[[], float]:
    """Returns what measures bare matrix products, in rows a second."""
    pairs = [
        (
            tf.random.normal((rows, a)),
            tf.random.normal((a, b)),
            tf.random.normal((rows, b)),
        )
        for a, b in shapes
    ]

    @tf.function
    def multiply() -> list[tf.Tensor]:
        out = []
        for x, kernel, upstream in pairs:
            out.append(tf.reduce_sum(tf.matmul(x, kernel)[0]))
            if backward:
                out.append(
                    tf.reduce_sum(tf.matmul(upstream, kernel, transpose_b=True)[0])
                )
                out.append(tf.reduce_sum(tf.matmul(x, upstream, transpose_a=True)[0]))
        return out

    return lambda: rows / seconds(lambda: [float(value) for value in multiply()])


def seconds(work: Callable[[], Any], least: float = 0.2) -> float:
    """Returns the median seconds of a call, after one that does not count."""
    work()
    times: list[float] = []
    while sum(times) < least or len(times) < 3:
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


class _Clock(keras.callbacks.Callback):
    """Takes the time of the last epoch."""

    seconds = began = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds = time.perf_counter() - self.began


def epoch_seconds(model: Any, **data: Any) -> float:
    """Returns the seconds of an epoch of `fit`, of one that is not its first."""
    clock = _Clock()
    model.fit(**data, epochs=2, verbose=0, callbacks=[clock])
    return clock.seconds


def _model(
    architecture: str, options: BenchmarkOptions, optimizer: Any = "adam"
) -> Any:
    policy = keras.config.dtype_policy()
    if options.mixed_precision != "none":
        keras.config.set_dtype_policy(f"mixed_{options.mixed_precision}")
    try:
        model = keras_vae.VAE(
            LATENT_DIM,
            SHAPE,
            encoder=networks.ENCODERS[architecture](SHAPE, LATENT_DIM),
            decoder=networks.DECODERS[architecture](LATENT_DIM, SHAPE),
            seed=0,
        )
    finally:
        keras.config.set_dtype_policy(policy)
    model.compile(optimizer, jit_compile=options.jit_compile)
    model.ensure_built()
    return model


def _dense_shapes(network: Any) -> Shapes | None:
    """Shapes of the matrix products of an example; None where there are others too."""
    kernels = [v for v in network.trainable_variables if v.name == "kernel"]
    if any(len(kernel.shape) != 2 for kernel in kernels):
        return None
    return [tuple(kernel.shape) for kernel in kernels]


def _images(options: BenchmarkOptions) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (options.images, *SHAPE), np.uint8)


def _trained(model: Any, data: Callable[[], dict[str, Any]], n: int) -> Any:
    """Returns what measures an epoch, once the first, with the tracing, is over."""
    epoch_seconds(model, **data())
    return lambda: n / epoch_seconds(model, **data())


def training(options: BenchmarkOptions) -> Iterator[Case]:
    """Yields training through `fit` for each network and batch size."""
    images = _images(options)
    for architecture in options.architectures:
        for size in options.batch_sizes:
            model = _model(architecture, options)
            data = _own_pipeline(images, size)
            shapes = _dense_shapes(model)
            yield Case(
                f"{architecture}, batch {size}",
                "images/s",
                _trained(model, data, len(images)),
                None if shapes is None else products(shapes, size, backward=True),
            )


# Where examples come from.


def _own_pipeline(images: np.ndarray, size: int) -> Callable[[], dict[str, Any]]:
    return lambda: {
        "x": pipeline.batches(images, batch_size=size, binarize="dynamic"),
        "steps_per_epoch": pipeline.num_batches(len(images), size),
    }


def _tf_data(images: np.ndarray, size: int) -> Callable[[], dict[str, Any]]:
    """As a tutorial writes it."""

    def binarized(x: tf.Tensor) -> tf.Tensor:
        return tf.cast(tf.random.uniform(tf.shape(x)) < pipeline.as_unit(x), tf.float32)

    data = tf.data.Dataset.from_tensor_slices(images).shuffle(len(images))
    return lambda: {"x": data.batch(size).map(binarized)}


class _Batches(keras.utils.PyDataset):
    """Batches that Python makes."""

    def __init__(self, images: np.ndarray, size: int) -> None:
        super().__init__()
        self._images, self._size = images, size
        self._rng = np.random.default_rng(0)

    def __len__(self) -> int:
        return pipeline.num_batches(len(self._images), self._size)

    def __getitem__(self, index: int) -> tuple[np.ndarray]:
        images = self._images[index * self._size : (index + 1) * self._size]
        on = self._rng.random(images.shape, np.float32) < images / np.float32(255.0)
        return (on.astype(np.float32),)


def _py_dataset(images: np.ndarray, size: int) -> Callable[[], dict[str, Any]]:
    return lambda: {"x": _Batches(images, size)}


def _generator(images: np.ndarray, size: int) -> Callable[[], dict[str, Any]]:
    batches = _Batches(images, size)

    def endless() -> Iterator[Any]:
        for index in itertools.cycle(range(len(batches))):
            yield batches[index]

    return lambda: {"x": endless(), "steps_per_epoch": len(batches)}


_KERAS: dict[Any, dict[str, float]] = {
    keras.optimizers.Adam: {"learning_rate": 1e-3},
    keras.optimizers.AdamW: {"learning_rate": 1e-3},
    keras.optimizers.SGD: {"learning_rate": 1e-4, "momentum": 0.9},
}

_OWN = "own pipeline, adam"
_INPUTS: dict[str, tuple[Any, Callable[[], Any]]] = {
    _OWN: (_own_pipeline, lambda: "adam"),
    "tf.data, adam": (_tf_data, lambda: "adam"),
    **{
        f"tf.data, Keras' {kind.__name__}": (
            _tf_data,
            functools.partial(kind, **arguments),
        )
        for kind, arguments in _KERAS.items()
    },
    "PyDataset, adam": (_py_dataset, lambda: "adam"),
    "generator, adam": (_generator, lambda: "adam"),
}


def inputs(options: BenchmarkOptions) -> Iterator[Case]:
    """Yields training of the MLP from what people have, beside the own pipeline."""
    images, size = _images(options), options.batch_sizes[0]
    for what, (source, optimizer) in _INPUTS.items():
        model = _model("mlp", options, optimizer())
        measure = _trained(model, source(images, size), len(images))
        yield Case(what, "images/s", measure, beside=None if what == _OWN else _OWN)


def optimizers(options: BenchmarkOptions) -> Iterator[Case]:
    """Yields training of the MLP by Keras' optimizers, with fused updates and without.

    Fused are updates of the very classes, so a subclass makes those of Keras.
    """
    images, size = _images(options), options.batch_sizes[0]
    data, base = _own_pipeline(images, size), "adam"
    made: dict[str, Any] = {base: base}
    for kind, arguments in _KERAS.items():
        unfused = type(kind.__name__, (kind,), {})
        made[f"{kind.__name__}, fused"] = kind(**arguments)
        made[f"{kind.__name__}, Keras' own update"] = unfused(**arguments)
    for what, optimizer in made.items():
        model = _model("mlp", options, optimizer)
        measure = _trained(model, data, len(images))
        yield Case(what, "images/s", measure, beside=None if what == base else base)


# Generation and evaluation.


def generation(options: BenchmarkOptions) -> Iterator[Case]:
    """Yields the SavedModel's generation for several numbers at a time."""
    model = _model("mlp", options)
    decoder = _dense_shapes(model.decoder)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "saved_model")
        model.export(path)
        loaded = tf.saved_model.load(path)
    generate = loaded.signatures["generate"]

    def rate(num: int) -> float:
        count, seed = tf.constant(num), tf.constant([1, 2])
        return num / seconds(lambda: generate(num=count, seed=seed)["x"].numpy())

    for num in (1, 64, 1000):
        yield Case(
            f"mlp, {num} at a time",
            "images/s",
            lambda num=num, kept=loaded: rate(num),  # type: ignore[misc]
            products(decoder or (), num),
        )


def evaluation(options: BenchmarkOptions) -> Iterator[Case]:
    """Yields the importance-weighted likelihood."""
    model = _model("mlp", options)
    number, num_samples = min(200, options.images), 500
    nll = likelihood.importance_weighted_nll
    drawn = np.random.default_rng(0).integers(0, 2, (number, *SHAPE))
    x = drawn.astype(np.float32)

    def rate() -> float:
        work = seconds(lambda: nll(model, x, num_samples))
        return number * num_samples / work

    shapes = _dense_shapes(model.decoder) or ()
    unit = "images x samples/s"
    yield Case("mlp, importance-weighted NLL", unit, rate, products(shapes, 5000))


PARTS: dict[str, Callable[[BenchmarkOptions], Iterable[Case]]] = {
    "training": training,
    "inputs": inputs,
    "optimizers": optimizers,
    "generation": generation,
    "evaluation": evaluation,
}
