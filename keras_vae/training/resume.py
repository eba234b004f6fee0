"""Keeps a run's state while it trains, and continues from it.

`KeepState` writes `history.csv` and the checkpoint; after Ctrl-C or SIGTERM it saves at
the end of the current call of steps and raises. Started on a checkpoint it puts the
model, the metrics and the position in the epoch back where they were.
"""

import csv
import io
import signal
import threading
import time
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Any, Protocol

import keras
import numpy as np

from keras_vae import files
from keras_vae.data import order
from keras_vae.data.digest import differences
from keras_vae.engine import checkpoint, workers
from keras_vae.training.folder import RunFolder

SECONDS_BETWEEN = 20.0
"""Checkpoints come no closer than that, and than `COST` times what one takes."""

COST = 100
"""Checkpoints take no more than a hundredth of a run."""

_SECONDS_BETWEEN_HISTORIES = 1.0
_STATE = {
    "epoch": (int,),
    "done": (int,),
    "steps_per_epoch": (int,),
    "finished": (bool,),
    "history": (list,),
    "seconds": (int, float),
    "callbacks": (dict,),
}


class Stateful(Protocol):
    """A callback whose own state is part of a checkpoint."""

    def get_state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Returns what JSON can hold, and arrays."""
        ...

    def set_state(self, state: dict[str, Any], arrays: dict[str, np.ndarray]) -> None:
        """Takes back what `get_state` returned.

        Raises:
            ValueError: If it is not that.
        """
        ...


class KeepState(keras.callbacks.Callback):
    """Writes a run's history and checkpoints; last in the list of callbacks.

    Last, so that at the end of an epoch the others have seen all of it.

    Args:
        folder: The run's, claimed.
        steps_per_epoch: Steps of an epoch.
        epochs: Of the whole run. A state that was finished with fewer is not finished.
        others: Callbacks with a state of their own, by name.
        interrupt: Called with the signal's number once the state is saved; raises.
        writes: Whether this process writes files (a chief does).
        data: A digest of the data, see `data.digest`; a run goes on with the same only.
    """

    def __init__(
        self,
        folder: RunFolder,
        steps_per_epoch: int,
        epochs: int,
        others: dict[str, Stateful] | None = None,
        interrupt: Callable[[int], None] | None = None,
        writes: bool = True,
        data: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.rows: list[dict[str, float]] = []
        self.epoch = 0
        self.finished = False
        self.extends = False
        self._folder = folder
        self._steps_per_epoch = steps_per_epoch
        self._epochs = epochs
        self._others = others or {}
        self._interrupt = interrupt
        self._writes = writes
        self._data = dict(data or {})
        self._done = 0  # steps of the epoch
        self._metrics: dict[str, np.ndarray] = {}  # of the epoch, where set aside
        self._seconds = 0.0
        self._began: float | None = None
        self._due = self._history_due = 0.0
        self._signal = 0
        self._past_first_call = False

    def restore(self, say: Callable[[str], None] | None = None) -> bool:
        """Continues from the checkpoint if there is one; says whether there was.

        The model must be compiled and built, and set on this callback and on the
        others. Called by all workers.

        Args:
            say: Takes a note where the newest checkpoint is damaged and the one before
                it is used.

        Raises:
            ValueError: If the checkpoint is damaged, of another version's order of
                examples, or not of this run.
        """
        if not checkpoint.is_in(self._folder.checkpoint):
            return False
        strategy = self.model.distribute_strategy
        if strategy.cluster_resolver is None:
            note = self._newest_sound(self._restore)
        else:
            # Setting variables that replicas hold apart is an exchange of all workers.
            note = workers.as_chief(strategy, lambda: self._newest_sound(self._read))
            workers.together(strategy, self._restore)
        if note and say is not None:
            say(note)
        return True

    def _newest_sound(self, take: Callable[[], Any]) -> str | None:
        """Takes the newest checkpoint; returns a note where it is the one before it."""
        try:
            take()
        except checkpoint.DamagedCheckpoint as error:
            if not checkpoint.drop_newest(self._folder.checkpoint):
                raise
            take()
            return (
                f"Note:   the newest checkpoint is damaged ({error.reason}), so the "
                "run continues from the one before it."
            )
        return None

    def _read(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Returns the checkpoint on disk, once it is known to be this run's.

        Raises:
            ValueError: If it is not.
        """
        folder = self._folder.checkpoint
        found = checkpoint.load(folder)
        if found is None:
            raise ValueError(
                f"There is no checkpoint in {folder} here: give all workers an "
                "--output_dir on a disk that all of them see."
            )
        arrays, state = found
        try:
            self._check(state)
        except ValueError as error:
            raise checkpoint.damaged(folder, str(error)) from error
        self._require_same_data(state)
        return arrays, state

    def _restore(self) -> None:
        """Takes the checkpoint on disk."""
        folder = self._folder.checkpoint
        arrays, state = self._read()
        checkpoint.restore(checkpoint.variables(self.model), arrays)
        for name, other in self._others.items():
            prefix = f"callback/{name}/"
            own = {
                key.removeprefix(prefix): value
                for key, value in arrays.items()
                if key.startswith(prefix)
            }
            try:
                other.set_state(state["callbacks"][name], own)
            except ValueError as error:
                raise checkpoint.damaged(folder, str(error)) from error
        self.epoch, self._done = state["epoch"], state["done"]
        self.rows, self._seconds = state["history"], state["seconds"]
        asked = state.get("epochs", self._epochs)  # not there before 0.2
        self.extends = state["finished"] and asked < self._epochs
        self.finished = state["finished"] and not self.extends
        self._metrics = {k: v for k, v in arrays.items() if k.startswith("metric/")}

    def _check(self, state: dict[str, Any]) -> None:
        """Raises a ValueError if a state is none that `save` wrote."""
        checkpoint.typed(state, _STATE)
        checkpoint.typed(state["callbacks"], dict.fromkeys(self._others, (dict,)))
        for number, row in enumerate(state["history"], start=1):
            values = row.values() if isinstance(row, dict) else [None]
            if not all(type(value) in (int, float) for value in values):
                raise ValueError(f"the history of epoch {number} is no numbers")
            if row.get("epoch") != number:
                raise ValueError(f"the history has no epoch {number}")
        if state["epoch"] != len(state["history"]):
            raise ValueError(
                f"epoch is {state['epoch']}, and the history has "
                f"{len(state['history'])}"
            )
        if not 0 <= state["done"] <= max(state["steps_per_epoch"], 0):
            raise ValueError(f"done is {state['done']}")
        checkpoint.typed({"epochs": 1, **state}, {"epochs": (int,)})
        if state["seconds"] < 0:
            raise ValueError(f"seconds is {state['seconds']}")

    def _require_same_data(self, state: dict[str, Any]) -> None:
        """Raises a ValueError if a run has other data now than when it began.

        Other data, or the same ones in another order.
        """
        if state.get("order", 1) != order.VERSION:
            raise ValueError(
                f"{self._folder.path} was begun by another version of keras_vae, which "
                "takes the examples in another order, so this one cannot continue it: "
                "train with --overwrite, or in another --output_dir."
            )
        steps = state["steps_per_epoch"]
        data = state.get("data", self._data)  # not there before 0.2
        names = differences(data, self._data) if isinstance(data, dict) else ["data"]
        if steps != self._steps_per_epoch:
            raise ValueError(
                f"{self._folder.path} was begun with epochs of {steps} steps and there "
                f"are {self._steps_per_epoch} now, so the data are not the same: train "
                "with --overwrite, or in another --output_dir."
            )
        if names:
            raise ValueError(
                f"{self._folder.path} was begun with other {' and other '.join(names)}:"
                " put the data back, train with --overwrite, or in another "
                "--output_dir."
            )

    def save(self) -> None:
        """Writes the checkpoint of this moment, and the history.

        Raises:
            OSError: If it cannot be written; what was written before stays.
        """
        began = time.monotonic()
        # All workers read the state, since some of it is held by all together.
        arrays = checkpoint.snapshot(checkpoint.variables(self.model))
        arrays.update(self._metrics)
        states = {}
        for name, other in self._others.items():
            states[name], own = other.get_state()
            arrays.update({f"callback/{name}/{k}": v for k, v in own.items()})
        if self._writes:
            state = {
                "order": order.VERSION,
                "epoch": self.epoch,
                "epochs": self._epochs,
                "done": self._done,
                "steps_per_epoch": self._steps_per_epoch,
                "finished": self.finished,
                "history": self.rows,
                "seconds": self.total_seconds(),
                "callbacks": states,
                "data": self._data,
            }
            checkpoint.save(self._folder.checkpoint, arrays, state)
            self.write_history()
        now = time.monotonic()
        self._due = now + max(SECONDS_BETWEEN, COST * (now - began))

    def total_seconds(self) -> float:
        """Returns the seconds of training, over all starts of the run."""
        now = time.monotonic()
        return self._seconds + now - (now if self._began is None else self._began)

    # Signals. The state is consistent between calls of steps and not within one. So a
    # signal in the middle of training waits for the end of the call, a quarter of a
    # second, and one at any other time raises at once.

    def handle_signals(self) -> dict[int, Any]:
        """Takes SIGINT and SIGTERM over; returns the handlers that were there."""
        if threading.current_thread() is not threading.main_thread():
            return {}
        return {
            number: signal.signal(number, self._on_signal)
            for number in (signal.SIGINT, signal.SIGTERM)
        }

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signal or not self._past_first_call:
            self._raise(number)
        self._signal = number

    def _raise(self, number: int) -> None:
        self._past_first_call = False
        if self._interrupt is not None:
            self._interrupt(number)
        raise KeyboardInterrupt

    def _save_if_due_or_signalled(self) -> None:
        """Saves where it is time to, and ends training where a signal asks for it.

        Raises:
            FolderLost: If there is nowhere to save to any more.
        """
        if self._writes:
            self._folder.require()
        due = int(self._writes and time.monotonic() >= self._due)
        strategy = self.model.distribute_strategy
        number, due = workers.largest(strategy, [self._signal, due])
        if number:  # here, or at another worker of the job
            self.save()
            self._raise(number)
        if due:
            self.save()

    # Callbacks.

    def on_train_begin(self, logs: Any = None) -> None:
        """Starts the clock."""
        self._began = time.monotonic()
        self._due = self._began + SECONDS_BETWEEN

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Puts the metrics and the position in the epoch back, in a resumed epoch."""
        self.epoch = epoch
        if self._done:
            checkpoint.restore(checkpoint.metric_variables(self.model), self._metrics)
            self.model.train_function.start(self._done)
        self._metrics = {}

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """A call of steps has ended, within which the state is not consistent."""
        self._past_first_call = True  # it is mostly tracing: nothing to save yet
        self._done = batch + 1
        self._save_if_due_or_signalled()

    def on_test_begin(self, logs: Any = None) -> None:
        """Validation clears the metrics, which belong to the epoch's state."""
        self._metrics = checkpoint.snapshot(checkpoint.metric_variables(self.model))

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Interrupted in validation: the epoch's steps are done, validation is not."""
        self._save_if_due_or_signalled()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Adds the epoch's row and, now and then, writes the checkpoint."""
        row = {name: float(value) for name, value in (logs or {}).items()}
        self.rows.append({"epoch": epoch + 1, **row})
        self.epoch, self._done, self._metrics = epoch + 1, 0, {}
        self.finished = self.model.stop_training or self.epoch == self.params["epochs"]
        self._save_if_due_or_signalled()
        if self.finished:  # evaluation and export start from here
            self.save()
        elif self._writes and time.monotonic() >= self._history_due:
            self.write_history()

    def on_train_end(self, logs: Any = None) -> None:
        """From here on there is nothing to save."""
        self._past_first_call = False

    def write_history(self) -> None:
        """Writes `history.csv`: a row for each epoch so far."""
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.rows)
        if self._writes:
            files.write_text(self._folder.history, text.getvalue())
        self._history_due = time.monotonic() + _SECONDS_BETWEEN_HISTORIES
