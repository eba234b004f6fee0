"""Keeps a run's state while it trains, and continues from it.

`KeepState` writes `history.csv` and the checkpoint; after Ctrl-C or SIGTERM it saves at
the end of the current call of steps and raises. Started on a checkpoint it puts the
model, the metrics and the place in the epoch back where they were.
"""

import csv
import io
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, Protocol

import keras
import numpy as np

from keras_vae import files
from keras_vae.training import checkpoint
from keras_vae.training.folder import RunFolder

_SECONDS_BETWEEN = 20.0  # checkpoints at ends of epochs come no closer than that


class Stateful(Protocol):
    """A callback whose own state is part of a checkpoint."""

    def get_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Returns what JSON can hold, and arrays."""
        ...

    def set_state(self, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Takes back what `get_state` returned."""
        ...


class KeepState(keras.callbacks.Callback):
    """Writes a run's history and checkpoints; first in the list of callbacks.

    Args:
        folder: The run's.
        steps_per_epoch: Steps of an epoch.
        others: Callbacks with a state of their own, by name.
        writes: Whether this process writes files (a chief does).
        interrupt: Called with the signal's number once the state is saved; raises.
    """

    def __init__(
        self,
        folder: RunFolder,
        steps_per_epoch: int,
        others: dict[str, Stateful] | None = None,
        writes: bool = True,
        interrupt: Callable[[int], None] | None = None,
    ) -> None:
        super().__init__()
        self.rows: list[dict[str, float]] = []
        self.seconds = 0.0
        self.epoch = 0
        self.finished = False
        self._folder = folder
        self._steps_per_epoch = steps_per_epoch
        self._others = others or {}
        self._writes = writes
        self._interrupt = interrupt
        self._signal = 0
        self._training = self._started = False
        self._done = 0
        self._metrics: dict[str, np.ndarray] = {}
        self._began = self._saved = time.monotonic()

    def restore(self) -> bool:
        """Continues from the checkpoint if there is one; says whether there was.

        The model must be compiled and built, and set on this callback.
        """
        found = checkpoint.load(self._folder.checkpoint)
        if found is None:
            return False
        arrays, state = found
        checkpoint.restore(self.model, arrays)
        self.epoch, self._done = state["epoch"], state["done"]
        self.rows, self.seconds = state["history"], state["seconds"]
        self.finished = state["finished"]
        for name, other in self._others.items():
            prefix = f"callback/{name}/"
            own = {
                key.removeprefix(prefix): value
                for key, value in arrays.items()
                if key.startswith(prefix)
            }
            other.set_state(state["callbacks"][name], own)
        self._metrics = {k: v for k, v in arrays.items() if k.startswith("metric/")}
        return True

    def save(self) -> None:
        """Writes the checkpoint of this moment."""
        arrays = checkpoint.snapshot(self.model)
        arrays.update(self._metrics)
        states = {}
        for name, other in self._others.items():
            states[name], own = other.get_state()
            arrays.update({f"callback/{name}/{k}": v for k, v in own.items()})
        state = {
            "epoch": self.epoch,
            "done": self._done,
            "finished": self.finished,
            "history": self.rows,
            "seconds": self.total_seconds(),
            "callbacks": states,
        }
        if self._writes:
            checkpoint.save(self._folder.checkpoint, arrays, state)
            self._write_history()
        self._saved = time.monotonic()

    def total_seconds(self) -> float:
        """Returns the seconds of training, over all starts of the run."""
        return self.seconds + time.monotonic() - self._began

    # Signals. Between calls of steps the state is one; inside it is not. So a signal in
    # the middle of training waits for the end of the call, a quarter of a second, and
    # one at any other time raises at once.

    def handle_signals(self) -> dict[int, Any]:
        """Takes SIGINT and SIGTERM over; returns the handlers that were there."""
        if threading.current_thread() is not threading.main_thread():
            return {}
        return {
            number: signal.signal(number, self._on_signal)
            for number in (signal.SIGINT, signal.SIGTERM)
        }

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signal or not self._training:
            self._raise(number)
        self._signal = number

    def _raise(self, number: int) -> None:
        self._training = False
        if self._interrupt is not None:
            self._interrupt(number)
        raise KeyboardInterrupt

    # Callbacks.

    def on_train_begin(self, logs: Any = None) -> None:
        """Starts the clock."""
        self._began = self._saved = time.monotonic()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Puts the metrics and the place in the epoch back, in a resumed epoch."""
        self.epoch = epoch
        if self._done:
            table = checkpoint.variables(self.model)
            for name, value in self._metrics.items():
                table[name].assign(value)
            self.model.train_function.start(self._done)
        self._metrics = {}

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """A call of steps begins."""
        self._training = self._started

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """A call of steps has ended: the state is one."""
        self._started = True  # the first call is mostly tracing: nothing to save yet
        self._done = batch + 1
        if self._signal:
            self.save()
            self._raise(self._signal)

    def on_test_begin(self, logs: Any = None) -> None:
        """Validation clears the metrics, which belong to the epoch's state."""
        table = checkpoint.variables(self.model)
        self._metrics = {
            name: np.asarray(keras.ops.convert_to_numpy(variable))
            for name, variable in table.items()
            if name.startswith("metric/")
        }

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Interrupted in validation: the epoch's steps are done, validation is not."""
        if self._signal:
            self.save()
            self._raise(self._signal)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Adds the epoch's row and, now and then, writes the checkpoint."""
        row = {name: float(value) for name, value in (logs or {}).items()}
        self.rows.append({"epoch": epoch + 1, **row})
        self.epoch, self._done, self._metrics = epoch + 1, 0, {}
        if time.monotonic() - self._saved > _SECONDS_BETWEEN:
            self.save()
        elif self._writes:
            self._write_history()

    def on_train_end(self, logs: Any = None) -> None:
        """Keeps the state that evaluation and export start from."""
        self._training, self.finished = False, True
        self.save()
        if self._signal:
            self._raise(self._signal)

    def _write_history(self) -> None:
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        files.write_text(self._folder.history, text.getvalue())
