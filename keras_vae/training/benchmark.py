"""How fast this machine trains, generates and evaluates, and what memory it takes.

Every rate comes with the rate of the matrix products that the work cannot do
without, measured in the same process: the ratio says how much is lost to everything
else, and it moves less than a rate does when a machine is shared.
"""

import dataclasses
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from keras_vae.training import quiet, rules
from keras_vae.training.options import Options, option

PARTS = ("training", "generation", "evaluation", "startup", "memory")
ARCHITECTURES = ("mlp", "resmlp", "conv", "resnet")

_SHAPE = (28, 28, 1)
_LATENT_DIM = 20
_FOLDER_SHAPE = (64, 64, 3)

Row = dict[str, Any]
Say = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class BenchmarkOptions(Options):
    """What is measured, and for how long."""

    parts: tuple[str, ...] = option(
        PARTS, "what is measured", choices=PARTS, group="Benchmark"
    )
    architectures: tuple[str, ...] = option(
        ARCHITECTURES, "networks that are trained", choices=ARCHITECTURES
    )
    batch_sizes: tuple[int, ...] = option(
        (128, 1000), "examples a step", minimum=1, maximum=100_000
    )
    epochs: int = option(
        5, "epochs of 8,000 images of each training", minimum=2, maximum=1000
    )
    folder_images: int = option(
        20_000, "images of the folder of the memory test", minimum=64, maximum=10**6
    )
    folder_epochs: int = option(
        20, "epochs of the memory test", minimum=2, maximum=1000
    )
    mixed_precision: str = option(
        "none", "type that the networks compute in", choices=("none", "bfloat16")
    )
    jit_compile: bool = option(False, "compile the steps with XLA")
    device: str = rules.device_option()
    out: str = option("benchmark.json", "file that the results are written to")


def run(options: BenchmarkOptions, say: Say) -> list[Row]:
    """Measures what the options ask for, says each row as it comes, writes the file."""
    from keras_vae import files

    files.require_file("--out", options.out, ".json")
    parts: dict[str, Callable[[BenchmarkOptions], Any]] = {
        "training": training,
        "generation": generation,
        "evaluation": evaluation,
        "startup": startup,
        "memory": memory,
    }
    rows: list[Row] = []
    for name in options.parts:
        for row in parts[name](options):
            rows.append({"part": name, **row})
            say(line(rows[-1]))
    content = {"machine": machine(), "rows": rows}
    files.write_text(options.out, json.dumps(content, indent=2) + "\n")
    say(f"Wrote {options.out}.")
    return rows


def line(row: Row) -> str:
    """Returns a row of the table."""
    ratio = f"{row['ratio']:6.2f} of the products" if "ratio" in row else ""
    value = f"{row['value']:12,.1f} {row['unit']:<22}"
    return f"{row['part']:<11}{row['what']:<38}{value}{ratio}".rstrip()


def machine() -> dict[str, Any]:
    """Returns what the results were measured on."""
    import keras
    import tensorflow as tf

    from keras_vae.training.environment import cores

    return {
        "processor": platform.processor() or platform.machine(),
        "cores": cores(),
        "gpus": [device.name for device in tf.config.get_visible_devices("GPU")],
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "python": platform.python_version(),
    }


# Training.


def training(options: BenchmarkOptions) -> Any:
    """Yields images per second through `fit` for each network and batch size."""
    for architecture in options.architectures:
        for batch_size in options.batch_sizes:
            yield _training_row(options, architecture, batch_size)


def _training_row(options: BenchmarkOptions, architecture: str, batch: int) -> Row:
    import keras
    import numpy as np

    from keras_vae.data import pipeline

    images = np.random.default_rng(0).integers(0, 256, (8000, *_SHAPE), np.uint8)
    model = _model(architecture, options)
    began: list[float] = []

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            began.append(time.perf_counter())

    steps = pipeline.num_batches(len(images), batch)
    model.fit(
        pipeline.batches(images, batch_size=batch, binarize="dynamic"),
        steps_per_epoch=steps,
        epochs=options.epochs + 1,
        verbose=0,
        callbacks=[Clock()],
    )
    # The first epoch holds the tracing, and the last has no end here.
    seconds = [b - a for a, b in zip(began[1:], began[2:], strict=False)]
    rate = len(images) / statistics.median(seconds)
    row = {"what": f"{architecture}, batch {batch}", "value": rate, "unit": "images/s"}
    shapes = _dense_shapes(model)
    if shapes is not None:
        row["ratio"] = rate / _products_rate(shapes, batch, backward=True)
    return row


def _model(architecture: str, options: BenchmarkOptions) -> Any:
    import keras

    import keras_vae
    from keras_vae import networks

    policy = keras.config.dtype_policy()
    if options.mixed_precision != "none":
        keras.config.set_dtype_policy(f"mixed_{options.mixed_precision}")
    try:
        model = keras_vae.VAE(
            _LATENT_DIM,
            _SHAPE,
            encoder=networks.ENCODERS[architecture](_SHAPE, _LATENT_DIM),
            decoder=networks.DECODERS[architecture](_LATENT_DIM, _SHAPE),
            seed=0,
        )
    finally:
        keras.config.set_dtype_policy(policy)
    model.compile(jit_compile=options.jit_compile)
    model.ensure_built()
    return model


def _dense_shapes(model: Any) -> list[tuple[int, int]] | None:
    """Shapes of the matrix products of an example; None where there are others too."""
    kernels = [v for v in model.trainable_variables if v.name == "kernel"]
    if any(len(kernel.shape) != 2 for kernel in kernels):
        return None
    return [tuple(kernel.shape) for kernel in kernels]


def _products_rate(
    shapes: list[tuple[int, int]], rows: int, backward: bool = False
) -> float:
    """Returns how many rows a second the bare matrix products of these shapes take."""
    import tensorflow as tf

    pairs = [
        (
            tf.random.normal((rows, a)),
            tf.random.normal((a, b)),
            tf.random.normal((rows, b)),
        )
        for a, b in shapes
    ]

    @tf.function
    def products() -> list[tf.Tensor]:
        out = []
        for x, kernel, upstream in pairs:
            out.append(tf.reduce_sum(tf.matmul(x, kernel)[0]))
            if backward:
                out.append(
                    tf.reduce_sum(tf.matmul(upstream, kernel, transpose_b=True)[0])
                )
                out.append(tf.reduce_sum(tf.matmul(x, upstream, transpose_a=True)[0]))
        return out

    return rows / _seconds(lambda: [float(value) for value in products()])


def _seconds(work: Callable[[], Any], least: float = 1.0) -> float:
    """Returns the median seconds of a call, after two that do not count."""
    work()
    work()
    times: list[float] = []
    while sum(times) < least or len(times) < 5:
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


# Generation and evaluation.


def generation(options: BenchmarkOptions) -> Any:
    """Yields images per second of a SavedModel for several numbers at a time."""
    import tensorflow as tf

    model = _model("mlp", options)
    decoder = [
        tuple(v.shape) for v in model.decoder.trainable_variables if v.name == "kernel"
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "saved_model")
        model.export(path)
        loaded = tf.saved_model.load(path)
        generate = loaded.signatures["generate"]
        for num in (1, 64, 1000):
            count, seed = tf.constant(num), tf.constant([1, 2])
            seconds = _seconds(lambda: generate(num=count, seed=seed)["x"].numpy())  # noqa: B023
            yield {
                "what": f"mlp, {num} at a time",
                "value": num / seconds,
                "unit": "images/s",
                "ratio": num / seconds / _products_rate(decoder, num),
            }


def evaluation(options: BenchmarkOptions) -> Any:
    """Yields the rate of the importance-weighted likelihood."""
    import numpy as np

    from keras_vae.evaluation import likelihood

    model = _model("mlp", options)
    decoder = [
        tuple(v.shape) for v in model.decoder.trainable_variables if v.name == "kernel"
    ]
    images, samples = 200, 500
    x = np.random.default_rng(0).integers(0, 2, (images, *_SHAPE)).astype(np.float32)
    seconds = _seconds(
        lambda: likelihood.importance_weighted_nll(model, x, samples), least=3.0
    )
    rate = images * samples / seconds
    yield {
        "what": "mlp, importance-weighted NLL",
        "value": rate,
        "unit": "images x samples/s",
        "ratio": rate / _products_rate(decoder, 5000),
    }


# Start-up and memory, in processes of their own.


def startup(options: BenchmarkOptions) -> Any:
    """Yields the seconds to an answer of `--help` and to the first training step."""
    command = [sys.executable, "-m", "keras_vae", "train"]
    for what, arguments in (
        ("keras-vae train --help", ["--help"]),
        (
            "digits to the end of one short epoch",
            ["--epochs", "1", "--image_every", "0", "--device", options.device],
        ),
    ):
        with tempfile.TemporaryDirectory() as folder:
            seconds = []
            for attempt in range(3):
                out = (
                    []
                    if "--help" in arguments
                    else ["--output_dir", f"{folder}/{attempt}"]
                )
                began = time.perf_counter()
                subprocess.run(
                    [*command, *arguments, *out], check=True, capture_output=True
                )
                seconds.append(time.perf_counter() - began)
        yield {"what": what, "value": statistics.median(seconds), "unit": "seconds"}


def memory(options: BenchmarkOptions) -> Any:
    """Yields the peak memory of training from a folder, and how it goes on growing."""
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder, "small"), Path(folder, "large")
        make_folder(small, 64)
        make_folder(large, options.folder_images)
        empty = _measured(small, 2, options.device)
        full = _measured(large, options.folder_epochs, options.device)
    yield {
        "what": f"folder of {options.folder_images:,} above an empty run",
        "value": max(full) - max(empty),
        "unit": "MiB",
    }
    settled = full[1:]  # after the first epoch every buffer has been made
    yield {
        "what": f"growth over {options.folder_epochs} epochs",
        "value": 100.0 * (settled[-1] / settled[0] - 1.0),
        "unit": "percent",
    }


def make_folder(folder: Path, count: int) -> None:
    """Makes a folder of colour images of 64x64, all different."""
    import numpy as np
    from PIL import Image

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(count):
        coarse = rng.integers(0, 256, (8, 8, 3), np.uint8)
        image = Image.fromarray(coarse).resize(_FOLDER_SHAPE[:2])
        image.save(folder / f"{index:06d}.jpg")


def _measured(folder: Path, epochs: int, device: str) -> list[float]:
    """Trains in a process of its own; returns the MiB in use after each epoch."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, os.fspath(folder), str(epochs), device],
        check=True,
        capture_output=True,
        text=True,
    )
    sizes: list[float] = json.loads(done.stdout.splitlines()[-1])
    return sizes


def train_on_folder(folder: str, epochs: int, device: str = "auto") -> list[float]:
    """Trains on a folder of images; returns the MiB in use after each epoch."""
    with quiet.starting_tensorflow(device):
        pass
    import keras

    import keras_vae
    from keras_vae import networks
    from keras_vae.data import datasets, pipeline

    data = datasets.load(folder).train.x
    shape = tuple(data.shape)
    options: Any = {"filters": (16, 32), "hidden_units": (32,)}
    model = keras_vae.VAE(
        8,
        shape,
        encoder=networks.conv_encoder(shape, 8, **options),
        decoder=networks.conv_decoder(8, shape, **options),
    )
    model.compile()
    sizes: list[float] = []
    model.fit(
        pipeline.batches(data, batch_size=64),
        steps_per_epoch=pipeline.num_batches(len(data), 64),
        epochs=epochs,
        verbose=0,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda epoch, logs: sizes.append(_mebibytes())
            )
        ],
    )
    return sizes


def _mebibytes() -> float:
    """Memory of this process that is in use now; its peak where that is unknown."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    _folder, _epochs, _device = sys.argv[1:]
    _sizes = train_on_folder(_folder, int(_epochs), _device)
    sys.stdout.write(json.dumps(_sizes) + "\n")
