"""Callbacks, where several steps are run in one call.

`MultiStepCallbacks` tells callbacks of the ends of calls only, so that what they see
(weights, metrics, the number of the batch) is always one state, and has calls end where
Keras' callbacks save or write every few batches.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras

from keras_vae.engine.execution import CallRules


class MultiStepCallbacks(keras.callbacks.CallbackList):
    """A callback list that hears of batches only where a call of many steps ends.

    Calls end where a callback of Keras saves or writes every few batches. Where a
    callback puts older weights into the model without the optimizer's state, the
    model's count of steps goes on, so that noise, order and schedules do.
    """

    first_epoch = 0
    _began = False
    _done = 0  # steps of the first epoch, made before a restart

    def on_train_begin(self, logs: Any = None) -> None:
        """Prepares the calls for the callbacks there are, which may restore a state."""
        function, (step, _) = self.model.train_function, self._counts()
        every = [_batches_between(callback) for callback in self.callbacks]
        restoring = [
            callback
            for callback in self.callbacks
            if isinstance(callback, keras.callbacks.BackupAndRestore)
            and _batches_between(callback)
        ]
        function.rules = CallRules(
            end_every=tuple(number for number in every if number),
            # `BackupAndRestore` counts the first batch of an epoch by itself.
            first_step_alone=bool(restoring),
            returns_nan=any(
                isinstance(callback, keras.callbacks.TerminateOnNaN)
                for callback in self.callbacks
            ),
        )
        super().on_train_begin(logs)
        if restoring:
            epochs = (self.model._initial_epoch or self.first_epoch) - self.first_epoch
            made = self._counts()[0] - step
            made -= epochs * (self.params["steps"] or 0)
            self._done = function.steps_to_leave_out(made)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """At the begin of an epoch, of which some steps may have been made before."""
        super().on_epoch_begin(epoch, logs)
        if self._done:
            self.model.train_function.start(self._done)
            self._done = 0

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """At the end of an epoch."""
        with self._step_count_kept():
            super().on_epoch_end(epoch, logs)

    def on_train_end(self, logs: Any = None) -> None:
        """At the end of training."""
        with self._step_count_kept():
            super().on_train_end(logs)
        self.model.train_function.rules = CallRules()

    def _counts(self) -> tuple[int, int]:
        """Returns the model's count of steps and its optimizer's."""
        model = self.model
        return int(model.step.numpy()), int(model.optimizer.iterations.numpy())

    @contextlib.contextmanager
    def _step_count_kept(self) -> Iterator[None]:
        """Keeps it where weights are set back, as `EarlyStopping` may do."""
        step, updates = self._counts()
        yield
        now, made = self._counts()
        if now < step and made == updates:
            self.model.step.assign(step)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before a call that runs steps."""
        if self.model.train_function.between_calls:
            self._began = True
            super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """After a call, with the number of its last batch."""
        # Steps that a resumed run made before are over without having begun.
        if self._began and self.model.train_function.between_calls:
            self._began = False
            super().on_train_batch_end(batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before a call that runs steps."""
        if self.model.test_function.between_calls:
            super().on_test_batch_begin(batch, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """After a call, with the number of its last batch."""
        if self.model.test_function.between_calls:
            super().on_test_batch_end(batch, logs)


def _batches_between(callback: keras.callbacks.Callback) -> int:
    """Returns after how many batches a callback of Keras acts; 0: at ends of epochs."""
    every = getattr(callback, "save_freq", None)
    if isinstance(every, int) and not isinstance(every, bool) and every > 0:
        return every
    # TensorBoard counts what it hears of, and so has to hear of every batch.
    return 1 if isinstance(getattr(callback, "update_freq", None), int) else 0
