"""What TensorBoard shows of a run: its curves, and its latents as they spread out.

`tensorboard --logdir saved_models/<run>/logs` opens it. The pictures in it are those of
`training.callbacks`.
"""

import dataclasses
import math
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike
from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.histogram.summary_v2 import histogram_pb
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.scalar.summary_v2 import scalar_pb
from tensorboard.plugins.text.summary_v2 import text_pb
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from keras_vae.data import datasets
from keras_vae.data.datasets import Data, Split
from keras_vae.engine import workers
from keras_vae.errors import invalid_argument
from keras_vae.evaluation.agreement import standardized_means
from keras_vae.evaluation.latents import active_units
from keras_vae.evaluation.samplers import top_posterior
from keras_vae.training.config import TrainConfig
from keras_vae.training.folder import RunFolder
from keras_vae.training.labels import all_known
from keras_vae.training.targets import targets
from keras_vae.visualization import grids, picture_files

MOST = 2_000
"""Examples in the embedding projector that it turns without a stutter."""

_NUMBERS = 2**24  # in these examples, where they are large
_LOOKS = 20  # at the latents in a run, so that its length does not matter
_THUMBNAIL = 40  # pixels of the longer side, at most
_FLUSH_SECONDS = 2

_NO_SETTINGS = {"output_dir", "overwrite", "worker_index", "worker_timeout"}

Setting = bool | int | float | str


def for_run(
    config: TrainConfig, folder: RunFolder, data: Data, held: Split | None
) -> "TensorBoard":
    """Returns the callback of a run: it looks at the latents 20 times, and at the end.

    Args:
        config: The flags.
        folder: The run's.
        data: The dataset.
        held: The examples that it is monitored by; None takes those trained on.
    """
    split = held or data.train
    count = max(1, min(len(split), MOST, _NUMBERS // math.prod(data.input_shape)))
    # Evenly from all of them, since files may be in the order of their classes.
    some = split.take(np.linspace(0, len(split) - 1, count).astype(np.int64))
    x = datasets.to_unit(some.x[:])
    if config.binarize == "threshold":
        x = (x >= 0.5).astype(np.float32)
    return TensorBoard(
        folder.logs,
        x,
        _texts(some.y, data.label_names),
        all_known(targets(config, some)),
        num_examples=len(data.train),
        every=math.ceil(config.epochs / _LOOKS),
        settings=_settings_of(config),
    )


def _settings_of(config: TrainConfig) -> dict[str, Setting]:
    """Returns the flags of a run that have a value."""
    return {
        name: ",".join(map(str, value)) if isinstance(value, tuple) else value
        for name, value in dataclasses.asdict(config).items()
        if value is not None and name not in _NO_SETTINGS
    }


def _texts(y: np.ndarray | None, names: Sequence[str] | None) -> list[str] | None:
    if y is None:
        return None
    known = {} if names is None else dict(enumerate(names))
    return ["no label" if k < 0 else known.get(k, str(k)) for k in y.tolist()]


class TensorBoard(keras.callbacks.Callback):
    """Writes scalars, histograms of z and the embedding projector's files.

    Steps are epochs, the first of them 1. To TensorBoard's HParams `log_dir` is one
    training, with the `settings`, which are in its Text, too; to its other tabs each
    sub-folder is a run:

    - `train` and `validation`: the model's metrics, as `objective/loss`, `validation`
      being whatever `fit` validates on; `train` also has `training/kl_weight`,
      `training/learning_rate` and `training/images_per_second`, of training alone,
      without validation and callbacks. (In the first epoch the graph is built.)
    - `latents`, of the examples `x`: `z/active_units`; histograms of z drawn from the
      posterior, of its means and of its standard deviations; the projector's points,
      with labels and, for images, thumbnails.

    Under a `tf.distribute` strategy of several workers all of them encode, because a
    model may hold variables that are read by all together, and the chief alone writes.

    Args:
        log_dir: TensorBoard's folder.
        x: Examples to encode, `(n, *input_shape)`, at most 2,000, in the data's own
            units or uint8; None leaves `latents` out.
        labels: A text or number for each of them, shown with the points.
        condition: Theirs, for conditional models.
        num_examples: Training examples in an epoch, for `images_per_second`.
        every: Epochs from one look at the latents to the next; the last epoch is always
            looked at.
        settings: What the training was made with, by name; None leaves them out.

    Raises:
        ValueError: If the numbers of examples differ, or `every` is below 1.

    Example:
        ```python
        callback = TensorBoard("logs", x=x_test[:1000], labels=y_test[:1000])
        vae.fit(x_train, validation_data=x_test, callbacks=[callback])
        ```
    """

    def __init__(
        self,
        log_dir: str | os.PathLike[str],
        x: ArrayLike | None = None,
        labels: Sequence[Any] | None = None,
        condition: Any = None,
        num_examples: int | None = None,
        every: int = 1,
        settings: Mapping[str, Setting] | None = None,
    ) -> None:
        super().__init__()
        n = 0 if x is None else len(np.asarray(x))
        if n > MOST or (x is not None and n < 1):
            raise invalid_argument(
                "x",
                f"1 to {MOST:,} examples, of shape (n, *input_shape)",
                received=f"{n:,} of them",
            )
        for argument, values in (("labels", labels), ("condition", condition)):
            if values is not None and len(values) != n:
                raise invalid_argument(
                    argument,
                    f"one for each of the {n} examples in `x`",
                    received=str(len(values)),
                )
        if isinstance(every, bool) or every < 1:
            raise invalid_argument("every", "a whole number of at least 1", every)
        self.log_dir = Path(log_dir)
        self.every = int(every)
        self.x = None if x is None else np.asarray(x)
        self.labels = labels
        self._condition = condition
        self._num_examples = num_examples
        self._given = dict(settings or {})
        self._writers: dict[str, EventFileWriter] = {}
        self._writes = True

    # When.

    def on_train_begin(self, logs: dict | None = None) -> None:
        """Forgets an earlier run."""
        self._close()
        self._writes = workers.is_chief(self.model.distribute_strategy)
        self._begun = False
        self._epoch = self._looked = 0

    def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
        """Starts the clock."""
        if not self._begun:
            self._begin(epoch)
        self._step, self._seconds = self._model_step(), 0.0

    def on_train_batch_begin(self, batch: int, logs: dict | None = None) -> None:
        """Steps begin."""
        self._began = time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        """Steps have ended."""
        self._seconds += time.perf_counter() - self._began

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        """Writes the epoch's metrics and, when it is time, looks at the latents."""
        self._epoch = epoch + 1
        runs: dict[str, dict[str, float]] = {"train": {}, "validation": {}}
        for name, value in (logs or {}).items():
            run = "validation" if name.startswith("val_") else "train"
            runs[run][f"objective/{name.removeprefix('val_')}"] = float(value)
        runs["train"] |= self._settings()
        for run, scalars in runs.items():
            self._write(run, [scalar_pb(*scalar) for scalar in scalars.items()])
        if self._epoch % self.every == 0:
            self._look()

    def on_train_end(self, logs: dict | None = None) -> None:
        """Looks at the latents of the trained model, and closes the files."""
        if self._epoch > self._looked:
            self._look()
        self._close()

    # What.

    def _begin(self, epoch: int) -> None:
        """Opens the files: what an interrupted run left from here on is void."""
        self._begun = True
        if not self._writes:
            return
        runs = ["train", "validation"] + ["latents"] * (self.x is not None)
        for run in runs:
            folder = os.fspath(self.log_dir / run)
            writer = EventFileWriter(folder, flush_secs=_FLUSH_SECONDS)
            start = SessionLog(status=SessionLog.START)
            event = Event(wall_time=time.time(), step=epoch + 1, session_log=start)
            writer.add_event(event)
            self._writers[run] = writer
        if self._given:
            self._write_settings()

    def _write_settings(self) -> None:
        folder = os.fspath(self.log_dir)
        lines = [f"| {name} | {value} |" for name, value in self._given.items()]
        table = "\n".join(["| setting | value |", "|---|---|", *lines])
        writer = EventFileWriter(folder)
        for summary in (
            hparams_pb(self._given, trial_id=folder),
            text_pb("settings", table),
        ):
            writer.add_event(Event(wall_time=time.time(), step=0, summary=summary))
        writer.close()

    def _model_step(self) -> int:
        return int(self.model.step.numpy())

    def _settings(self) -> dict[str, float]:
        """What holds at the end of this epoch, besides the metrics."""
        scalars = {"training/learning_rate": float(self.model.optimizer.learning_rate)}
        if self.model.has_kl:
            scalars["training/kl_weight"] = float(self.model.beta_at(self.model.step))
        steps = self.params.get("steps")
        if self._num_examples and steps and self._seconds:
            shown = (self._model_step() - self._step) * self._num_examples / steps
            scalars["training/images_per_second"] = shown / self._seconds
        return scalars

    def _look(self) -> None:
        """Encodes the examples, and writes what comes of it."""
        self._looked = self._epoch
        if self.x is None:
            return
        z_mean, z_log_var = top_posterior(self.model, self.x, self._condition)
        standardized = standardized_means(self.model, z_mean, self.x, self._condition)
        if not self._writes:
            return
        deviation = np.exp(0.5 * z_log_var)
        noise = np.random.default_rng(0).standard_normal(z_mean.shape)
        active = float(active_units(standardized).sum())
        summaries = [scalar_pb("z/active_units", active)]
        if self.model.has_kl:
            summaries += [
                histogram_pb("z/drawn", z_mean + deviation * noise),
                histogram_pb("z/standard_deviation", deviation),
            ]
        summaries.append(histogram_pb("z/mean", z_mean))
        self._write("latents", summaries)
        write_projector(self.log_dir / "latents", z_mean, self.x, self.labels)

    def _write(self, run: str, summaries: Sequence[Summary]) -> None:
        if run not in self._writers or not summaries:
            return
        together = Summary()
        for summary in summaries:
            together.MergeFrom(summary)
        event = Event(wall_time=time.time(), step=self._epoch, summary=together)
        self._writers[run].add_event(event)

    def _close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}


def write_projector(
    folder: str | os.PathLike[str],
    z: ArrayLike,
    x: ArrayLike | None = None,
    labels: Sequence[Any] | None = None,
) -> None:
    """Writes the files that TensorBoard's embedding projector opens.

    Args:
        folder: A run's folder below TensorBoard's.
        z: The points, `(n, latent_dim)`.
        x: The examples, `(n, ...)`; of images, `(n, height, width, channels)`, there
            will be thumbnails.
        labels: A text or number for each; by default the index of each is shown.

    Raises:
        OSError: If a file cannot be written.
    """
    folder = Path(folder)
    # The projector shows three dimensions, and takes no fewer.
    points = np.asarray(z, np.float32)
    points = np.pad(points, ((0, 0), (0, max(0, 3 - points.shape[1]))))
    named = range(len(points)) if labels is None else labels
    lines = [
        'tensor_name: "latents"',
        'tensor_path: "latents.tsv"',
        'metadata_path: "labels.tsv"',
    ]
    if x is not None and np.ndim(x) == 4:
        sprite, height, width = thumbnails(x)
        picture_files.write_png(folder / "thumbnails.png", sprite)
        size = f"single_image_dim: {width} single_image_dim: {height}"
        lines.append(f'sprite {{ image_path: "thumbnails.png" {size} }}')
    rows = ("\t".join(map("{:.5g}".format, row)) for row in points.tolist())
    for name, text in (
        ("latents.tsv", "\n".join(rows)),
        ("labels.tsv", "\n".join(" ".join(str(label).split()) for label in named)),
        ("projector_config.pbtxt", "embeddings {\n  " + "\n  ".join(lines) + "\n}"),
    ):
        picture_files.write_bytes(folder / name, f"{text}\n".encode())


def thumbnails(x: ArrayLike) -> tuple[grids.Picture, int, int]:
    """Returns images as one sprite, and the height and width of each in it.

    The longer side of each is brought to 40 pixels at most, by averaging whole blocks.

    Args:
        x: `(n, height, width, channels)`, as `grids.to_uint8` takes them.
    """
    images = grids.to_uint8(x)
    n, height, width, channels = images.shape
    block = math.ceil(max(height, width) / _THUMBNAIL)
    if block > 1:
        height, width = max(1, height // block), max(1, width // block)
        rows, columns = (np.arange(size) * block for size in (height, width))
        sums = np.add.reduceat(images.astype(np.float32), rows, axis=1)
        sums = np.add.reduceat(sums, columns, axis=2)
        ones = np.ones(images.shape[1:3], np.float32)
        ones = np.add.reduceat(np.add.reduceat(ones, rows, axis=0), columns, axis=1)
        images = (sums / ones[..., np.newaxis] + 0.5).astype(np.uint8)
    sprite = grids.tile(images, math.ceil(math.sqrt(n)), gap=0, scale=1, background=0)
    return sprite, height, width
