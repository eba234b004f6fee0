"""What a benchmark measures of whole processes: start-up, memory, large data."""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from keras_vae.measuring import workers
from keras_vae.measuring.options import BenchmarkOptions
from keras_vae.training import quiet

Row = dict[str, Any]

_SIZE = 28
_FOLDER_SIZE = 64
_EMPTY = 64  # images of a run that memory is compared with
_BATCH = 128


def startup(options: BenchmarkOptions) -> Iterator[Row]:
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
        value = statistics.median(seconds)
        yield {"what": what, "value": value, "unit": "seconds", "rounds": seconds}


def memory(options: BenchmarkOptions) -> Iterator[Row]:
    """Yields the peak memory of training from a folder, and how it goes on growing."""
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder, "small"), Path(folder, "large")
        make_folder(small, _EMPTY)
        make_folder(large, options.folder_images)
        empty = _trained("folder", small, 2, options.device)["mebibytes"]
        epochs = options.folder_epochs
        full = _trained("folder", large, epochs, options.device)["mebibytes"]
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


def large_data(options: BenchmarkOptions) -> Iterator[Row]:
    """Yields rate, memory and time to the first step of data of each kind."""
    for kind, (make, _) in KINDS.items():
        n = options.folder_images if kind == "folder" else options.large_images
        with tempfile.TemporaryDirectory() as folder:
            small, large = Path(folder, "small"), Path(folder, "large")
            make(small, _EMPTY)
            make(large, n)
            empty = _trained(kind, small, 2, options.device)
            full = _trained(kind, large, 2, options.device)
        above = max(full["mebibytes"]) - max(empty["mebibytes"])
        for what, value, unit in (
            ("training", n / full["seconds"][-1], "images/s"),
            ("input alone", n / full["input_seconds"], "images/s"),
            ("to the end of the first step", full["first_step"], "seconds"),
            ("above an empty run", above, "MiB"),
        ):
            yield {"what": f"{kind} of {n:,}, {what}", "value": value, "unit": unit}


# Data of each kind.


def make_folder(folder: Path, count: int) -> None:
    """Makes a folder of colour images of 64x64, all different."""
    import numpy as np
    from PIL import Image

    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for index in range(count):
        coarse = rng.integers(0, 256, (8, 8, 3), np.uint8)
        image = Image.fromarray(coarse).resize((_FOLDER_SIZE, _FOLDER_SIZE))
        image.save(folder / f"{index:06d}.jpg")


def _drawn(count: int) -> Iterator[Any]:
    """Yields grey images of 28x28, a few thousand at a time."""
    import numpy as np

    rng = np.random.default_rng(0)
    for first in range(0, count, 4096):
        n = min(4096, count - first)
        yield rng.integers(0, 256, (n, _SIZE, _SIZE, 1), np.uint8)


def _make_npy(path: Path, count: int) -> None:
    import numpy as np

    with open(path, "wb") as stream:
        header = {
            "descr": "|u1",
            "fortran_order": False,
            "shape": (count, _SIZE, _SIZE, 1),
        }
        np.lib.format.write_array_header_1_0(stream, header)
        for images in _drawn(count):
            stream.write(images.tobytes())


def _make_records(path: Path, count: int) -> None:
    import tensorflow as tf

    with tf.io.TFRecordWriter(os.fspath(path)) as writer:
        for images in _drawn(count):
            for image in images:
                writer.write(image.tobytes())


def _read_npy(path: Path) -> tuple[Any, Any]:
    import numpy as np

    from keras_vae.data import pipeline

    x = np.load(path, mmap_mode="r", allow_pickle=False)
    return x, pipeline.batches(x, batch_size=_BATCH, repeat=False)


def _read_records(path: Path) -> tuple[Any, Any]:
    import tensorflow as tf

    def parsed(record: tf.Tensor) -> tf.Tensor:
        image = tf.reshape(tf.io.decode_raw(record, tf.uint8), (_SIZE, _SIZE, 1))
        return tf.cast(image, tf.float32) / 255.0

    data = tf.data.TFRecordDataset(os.fspath(path)).map(parsed).batch(_BATCH)
    return data, data


def _read_folder(path: Path) -> tuple[Any, Any]:
    from keras_vae.data import datasets, pipeline

    x = datasets.load(path).train.x
    return x, pipeline.batches(x, batch_size=_BATCH, repeat=False)


KINDS: dict[str, tuple[Callable[[Path, int], None], Callable[[Path], Any]]] = {
    "npy": (_make_npy, _read_npy),
    "tfrecords": (_make_records, _read_records),
    "folder": (make_folder, _read_folder),
}
"""Kinds of data: what makes so many images at a path, and what opens them, as `fit`
takes them and as batches of one epoch."""


# The process that trains.


def _trained(kind: str, path: Path, epochs: int, device: str) -> dict[str, Any]:
    """Trains in a process of its own; returns what `train_on` does."""
    done = subprocess.run(
        [sys.executable, "-m", __name__, kind, os.fspath(path), str(epochs), device],
        check=True,
        capture_output=True,
        text=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def train_on(
    kind: str, path: Path, epochs: int, device: str = "auto"
) -> dict[str, Any]:
    """Trains a small model on data of a kind.

    Returns:
        `first_step`, the seconds from the opening of the data to the end of the first
        step; `seconds` of each epoch; `mebibytes` in use after each; `input_seconds` of
        an epoch of the batches alone.
    """
    with quiet.starting_tensorflow(device):
        pass
    import keras

    import keras_vae
    from keras_vae import networks

    began = time.perf_counter()
    x, batches = KINDS[kind][1](path)
    shape = tuple(batches.element_spec.shape[1:])
    options: Any = {"filters": (16, 32), "hidden_units": (32,)}
    conv = kind == "folder"
    make = networks.conv_encoder if conv else networks.mlp_encoder
    make_decoder = networks.conv_decoder if conv else networks.mlp_decoder
    own = options if conv else {}
    model = keras_vae.VAE(
        8, shape, encoder=make(shape, 8, **own), decoder=make_decoder(8, shape, **own)
    )
    model.compile()
    found: dict[str, Any] = {"first_step": None, "seconds": [], "mebibytes": []}

    class Clock(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.began = time.perf_counter()

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            if found["first_step"] is None:
                found["first_step"] = time.perf_counter() - began

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            found["seconds"].append(time.perf_counter() - self.began)
            found["mebibytes"].append(mebibytes())

    size = {} if x is batches else {"batch_size": _BATCH}
    model.fit(x, epochs=epochs, verbose=0, callbacks=[Clock()], **size)
    again = time.perf_counter()
    for _ in batches:
        pass
    return {**found, "input_seconds": time.perf_counter() - again}


def mebibytes() -> float:
    """Memory of this process that is in use now; its peak where that is unknown."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return pages * resource.getpagesize() / 2**20


PARTS: dict[str, Callable[[BenchmarkOptions], Iterator[Row]]] = {
    "startup": startup,
    "memory": memory,
    "large_data": large_data,
    "workers": workers.scale,
}


if __name__ == "__main__":
    _kind, _path, _epochs, _device = sys.argv[1:]
    _found = train_on(_kind, Path(_path), int(_epochs), _device)
    sys.stdout.write(json.dumps(_found) + "\n")
