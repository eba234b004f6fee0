"""Whether a device trains the same models as the CPU, and how fast.

Nothing here assumes a GPU: on the CPU alone, logical devices stand for several.
"""

import contextlib
import dataclasses
import functools
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from keras_vae.measuring import benchmark, processes
from keras_vae.measuring.options import ARCHITECTURES
from keras_vae.training import rules
from keras_vae.training.options import Options, option

Row = dict[str, Any]

_LATENT_DIM = 4
_BATCH = 64
_SAME = 1e-3
"""Of losses and weights in float32 that rounding alone tells apart."""
_HALF = 0.02
"""Of the loss of the same weights in half precision."""
_OTHER_NOISE = 0.05
"""Of losses with other draws of the posterior, as under XLA."""


@dataclasses.dataclass(frozen=True)
class CheckOptions(Options):
    """What is checked."""

    device: str = rules.device_option("Check")
    architectures: tuple[str, ...] = option(
        ("mlp", "conv", "resnet"), "networks that are trained", choices=ARCHITECTURES
    )
    virtual_devices: int = option(
        2,
        "logical CPU devices that stand for GPUs where there are fewer than two",
        minimum=2,
        maximum=64,
    )
    images: int = option(
        1700, "images of the digits that models train on", minimum=65, maximum=1797
    )
    epochs: int = option(2, "epochs of each training", minimum=1, maximum=1000)
    out: str = option("check.json", "file that the results are written to")


class _Run(NamedTuple):
    """What came of a training."""

    model: Any
    losses: list[float]
    """Of each epoch, then of `evaluate`."""
    seconds: float
    """Of the fastest epoch after the first, or of the only one."""


class _Bench:
    """Trains one architecture again and again from the same weights."""

    def __init__(self, architecture: str, options: CheckOptions) -> None:
        from keras_vae.data import datasets

        self.architecture, self.options = architecture, options
        self.x = datasets.load("digits").train.x[: options.images]
        self._start: list[Any] | None = None

    def model(self, **compile_options: Any) -> Any:
        """Returns the model with the weights that all begin with."""
        import keras

        import keras_vae
        from keras_vae import networks

        shape = tuple(self.x.shape[1:])
        keras.utils.set_random_seed(0)  # a check says the same each time
        model = keras_vae.VAE(
            _LATENT_DIM,
            shape,
            encoder=networks.ENCODERS[self.architecture](shape, _LATENT_DIM),
            decoder=networks.DECODERS[self.architecture](_LATENT_DIM, shape),
            seed=0,
        )
        model.compile(keras.optimizers.Adam(1e-3), **compile_options)
        model.ensure_built()
        if self._start is None:
            self._start = model.get_weights()
        model.set_weights(self._start)
        return model

    def trained(self, model: Any, epochs: int | None = None) -> _Run:
        """Trains a model for some epochs and evaluates it."""
        seconds: list[float] = []
        losses: list[float] = []
        for _ in range(epochs or self.options.epochs):
            began = time.perf_counter()
            history = model.fit(self.x, batch_size=_BATCH, verbose=0).history
            seconds.append(time.perf_counter() - began)
            losses += history["loss"]
        last = self.evaluated(model)
        return _Run(model, [*losses, last], min(seconds[1:] or seconds))

    def evaluated(self, model: Any) -> float:
        """Returns the loss of all images."""
        found = model.evaluate(self.x, batch_size=_BATCH, verbose=0, return_dict=True)
        return float(found["loss"])

    @functools.cached_property
    def on_cpu(self) -> _Run:
        """The run that all are compared with."""
        import tensorflow as tf

        with tf.distribute.OneDeviceStrategy("/CPU:0").scope():
            return self.trained(self.model())

    @functools.cached_property
    def on_device(self) -> _Run:
        """The same where TensorFlow puts things by itself."""
        return self.trained(self.model())


def _gap(found: Iterable[float], expected: Iterable[float]) -> float:
    """Returns the largest difference of numbers, relative to the largest of them."""
    pairs = list(zip(found, expected, strict=True))
    if not all(math.isfinite(a) and math.isfinite(b) for a, b in pairs):
        return math.inf
    largest = max(abs(b) for _, b in pairs)
    return max(abs(a - b) for a, b in pairs) / max(largest, 1e-12)


def _weights_gap(found: Any, expected: Any) -> float:
    """Returns the mean difference of weights, relative to their mean size."""
    import numpy as np

    pairs = list(zip(found.get_weights(), expected.get_weights(), strict=True))
    apart = sum(float(np.abs(a - b).sum()) for a, b in pairs)
    return apart / sum(float(np.abs(b).sum()) for _, b in pairs)


def _same_run(found: _Run, expected: _Run, what: str) -> Iterator[Row]:
    yield _row(f"losses, {what}", _gap(found.losses, expected.losses), _SAME)
    yield _row(f"weights, {what}", _weights_gap(found.model, expected.model), _SAME)


def _row(what: str, value: float, most: float | None, unit: str = "relative") -> Row:
    passed = None if most is None else bool(value <= most)  # NaN has not
    return {
        "what": what,
        "value": value if math.isfinite(value) else None,
        "unit": unit,
        "tolerance": most,
        "passed": passed,
    }


# The checks.


def _cpu(bench: _Bench) -> Iterator[Row]:
    """The same losses and weights as the CPU."""
    yield from _same_run(bench.on_device, bench.on_cpu, "beside the CPU")


def _replicas(bench: _Bench) -> Iterator[Row]:
    """The same on several devices."""
    import tensorflow as tf

    from keras_vae.engine import strategies

    several = len(tf.config.list_logical_devices("GPU")) > 1
    strategy = strategies.mirrored(0 if several else bench.options.virtual_devices)
    with strategy.scope():
        found = bench.trained(bench.model())
    number = strategy.num_replicas_in_sync
    yield from _same_run(found, bench.on_device, f"on {number} replicas beside one")
    yield _row(f"on {number} replicas", _rate(bench, found), None, "images/s")


def _xla(bench: _Bench) -> Iterator[Row]:
    """Training under XLA, whose noise has other numbers."""
    found = bench.trained(bench.model(jit_compile=True))
    expected = bench.on_device.losses
    yield _row("losses, with XLA", _gap(found.losses, expected), _OTHER_NOISE)
    yield _row("with XLA", _rate(bench, found), None, "images/s")


def _half(bench: _Bench, policy: str) -> Iterator[Row]:
    """Training in mixed precision."""
    import keras

    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = bench.model()
        before_training = bench.evaluated(model)
        found = bench.trained(model)
        model.set_weights(bench.on_device.model.get_weights())
        same_weights = bench.evaluated(model)
    finally:
        keras.config.set_dtype_policy(before)
    # Float16 leaves out first steps, whose gradients overflow, so that short trainings
    # end elsewhere.
    gap = _gap([same_weights], bench.on_device.losses[-1:])
    yield _row(f"loss of the same weights, {policy}", gap, _HALF)
    fall = found.losses[-1] / before_training
    yield _row(f"loss after training, {policy}", fall, 1.0, "of before")
    yield _row(policy, _rate(bench, found), None, "images/s")


def _resumed(bench: _Bench) -> Iterator[Row]:
    """A model that is saved and loaded trains on as if it had not been."""
    import keras_vae

    epochs = bench.options.epochs
    run = bench.trained(bench.model(), epochs)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.keras")
        run.model.save(path)
        loaded = keras_vae.load_model(path)
    expected = bench.trained(run.model, 1)
    yield from _same_run(bench.trained(loaded, 1), expected, "saved and loaded between")


def _exported(bench: _Bench) -> Iterator[Row]:
    """An exported model generates on the CPU what it does on the device."""
    import numpy as np
    import tensorflow as tf

    count, seed = tf.constant(16), tf.constant([1, 2])
    images = []
    with tempfile.TemporaryDirectory() as folder:
        bench.on_device.model.export(folder)
        for device in ("/CPU:0", None):
            with tf.device(device) if device else contextlib.nullcontext():
                loaded = tf.saved_model.load(folder)
                generate = loaded.signatures["generate"]
                images.append(generate(num=count, seed=seed)["x"].numpy())
    apart = float(np.abs(images[0] - images[1]).max())
    yield _row("exported, on the CPU beside the device", apart, _SAME, "of 1")


def _rates(bench: _Bench) -> Iterator[Row]:
    """How fast it trains, and what memory that takes."""
    import tensorflow as tf

    yield _row("float32", _rate(bench, bench.on_device), None, "images/s")
    if tf.config.list_logical_devices("GPU"):
        taken = tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**20
    else:
        taken = processes.mebibytes()
    yield _row("memory", taken, None, "MiB")


def _rate(bench: _Bench, run: _Run) -> float:
    return len(bench.x) / run.seconds


CHECKS: dict[str, Callable[[_Bench], Iterator[Row]]] = {
    "cpu": _cpu,
    "replicas": _replicas,
    "xla": _xla,
    "float16": functools.partial(_half, policy="mixed_float16"),
    "bfloat16": functools.partial(_half, policy="mixed_bfloat16"),
    "resume": _resumed,
    "export": _exported,
    "rates": _rates,
}
"""What is checked of each architecture; the docstring of each function says it."""


def run(options: CheckOptions, say: Callable[[str], None]) -> list[Row]:
    """Checks what the options ask for, says each row as it comes, writes the file.

    A check that fails with an error is a row that has not passed, with the error.

    Raises:
        ValueError: If the file cannot be written.
    """
    from keras_vae import files
    from keras_vae.engine import strategies

    files.require_file("--out", options.out, ".json")
    strategies.logical_cpus(options.virtual_devices)
    rows: list[Row] = []
    with _exact_products():
        for architecture in options.architectures:
            bench = _Bench(architecture, options)
            for name, check in CHECKS.items():
                for row in _guarded(name, check, bench):
                    rows.append({"architecture": architecture, "check": name, **row})
                    say(line(rows[-1]))
    content = {"machine": benchmark.machine(), "rows": rows}
    files.write_text(options.out, json.dumps(content, indent=2) + "\n")
    say(f"Wrote {options.out}.")
    return rows


def _guarded(
    name: str, check: Callable[[_Bench], Iterator[Row]], bench: _Bench
) -> Iterator[Row]:
    try:
        yield from check(bench)
    except Exception as error:
        row = _row(name, math.inf, 0.0)
        yield {**row, "error": f"{type(error).__name__}: {error}"}


@contextlib.contextmanager
def _exact_products() -> Iterator[None]:
    """Matrix products of GPUs have all bits of float32, within."""
    import tensorflow as tf

    before = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(False)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(before)


def line(row: Row) -> str:
    """Returns a row of the table."""
    verdict = {None: "", True: "passed", False: "MISSED"}[row["passed"]]
    number = "none" if row["value"] is None else f"{row['value']:,.6g}"
    most = "" if row["tolerance"] is None else f"at most {row['tolerance']:g}"
    first = str(row.get("error", "")).splitlines()[:1]
    return (
        f"{row['architecture']:<8}{row['what']:<46}{number:>12} {row['unit']:<10}"
        f"{most:<16}{verdict} {''.join(first)[:200]}"
    ).rstrip()


def missed(rows: Iterable[Row]) -> list[str]:
    """Returns what has not passed, in words."""
    return [
        f"{row['architecture']}: {row['what']}"
        for row in rows
        if row["passed"] is False
    ]
