"""Several training or evaluation steps in one call, on any strategy.

Keras calls its train function once a step. For small models the host's work between
two steps then costs as much as the step. `StepFunction` runs the next few steps in one
graph call, and answers the calls that Keras makes for the steps already run at once,
without work; `MultiStepCallbacks` tells callbacks of the ends of such calls only, so
that what they see (weights, metrics, the number of the batch) is always one state, and
has calls end where Keras' callbacks save or write every few batches. Keras' own
`steps_per_execution` does not run under strategies with two or more replicas.
"""

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import tensorflow as tf

from keras_vae.engine import workers
from keras_vae.engine.batch_check import BatchCheck, nothing_refused
from keras_vae.engine.divergence import diagnosis
from keras_vae.engine.inputs import without_optionals
from keras_vae.engine.model import StepModel
from keras_vae.engine.optimizers import fused_updates

_AUTO_SECONDS = 0.25  # what a call should last; calls stay below half a second
_AUTO_GROWTH = 8  # how much longer than the last call the next may be
_UNKNOWN = 2**31 - 1  # steps of a pass whose end is where the data end


class StepFunction:
    """What Keras calls for each batch: runs many steps, then skips the calls for these.

    `fit` and `evaluate` call `expect` before a training or an evaluation, `fit` also
    `follow` where it knows how to make any batch; Keras then calls `start` at the
    beginning of each pass over the data (by `reset_metrics`) and this object once for
    each batch of it.

    Args:
        model: The model whose strategy, `run_eagerly` and `jit_compile` hold.
        step: `step(batch)`, the model's `train_step` or `test_step`.
        steps_per_execution: Steps of one call, or "auto" for calls of a quarter second.
    """

    def __init__(
        self,
        model: StepModel,
        step: Callable[[Any], Any],
        steps_per_execution: int | str,
    ) -> None:
        self._model = model
        self._steps_per_execution = steps_per_execution
        self._steps_per_call = 1
        self._traced = False
        self._logs: dict[str, Any] = {}
        self._batches = BatchCheck(model)
        self._checked = False
        self._made = tf.Variable(0, dtype=tf.int64, trainable=False)  # in a call
        self._run = self._make_run(step)
        self._steps: int | None = None
        self._left: int | None = None
        # Steps of the pass that were run before it began; None once a call was made.
        self._done_before: int | None = 0
        self._ended: Exception | None = None
        self._place: _Place | None = None
        self._steps_run = 0  # steps since training began
        self.calls_to_skip = 0
        """For how many more batches Keras need not be answered by work."""
        self.ends_calls_every: tuple[int, ...] = ()
        """Numbers of steps at whose multiples, counted from the beginning of training,
        a call ends."""
        self.first_step_alone = False
        """Whether the first step of a pass has a call of its own."""
        self.returns_nan = False
        """Whether a step that is not finite gives a loss of NaN and raises nothing."""

    def expect(self, steps: int | None, checked: bool = False) -> None:
        """Prepares for passes over the data.

        Args:
            steps: Of a pass; None, not known: calls end where the data do.
            checked: Whether the data were checked whole, so that no batch need be.
        """
        self._steps, self._checked = steps, checked
        self._place, self._steps_run = None, 0

    def follow(self, batches_from: Callable[[int], Iterable[Any]], first: int) -> None:
        """Takes over which batches come, where the model's count of steps is changed.

        Args:
            batches_from: Makes the batches from one on; batches are counted over
                passes.
            first: The batch that Keras' iterator begins with.
        """
        self._place = _Place(batches_from, first, self._step())

    def part_done(self, steps: int) -> int:
        """Returns how many of the steps since a pass began can be left out of it."""
        if self._place is None or self._steps is None:
            return 0  # batches that cannot be gone to come from the first on
        return min(max(steps, 0), self._steps)

    def start(self, done: int = 0) -> None:
        """Begins a pass, of which `done` steps were run before (by a resumed run)."""
        self._left = None if self._steps is None else self._steps - done
        self._logs = self._model.get_metrics_result() if done else {}
        self._ended = None
        self._steps_run += done
        self.calls_to_skip = done
        self._done_before = done

    def _step(self) -> int:
        return int(self._model.step.numpy())

    def __call__(self, iterator: Any) -> dict[str, Any]:
        """Runs the next steps unless they have been run; returns the metrics.

        Raises:
            Diverged: If a step met what is not finite.
            ValueError: If a batch does not fit the model; there is no step on it.
        """
        if self.calls_to_skip:
            self.calls_to_skip -= 1
            return self._logs
        if self._ended is not None:
            raise self._ended
        if isinstance(iterator, tf.data.Iterator | tf.distribute.DistributedIterator):
            steps = self._next_steps()
            if self._place is not None:
                if self._done_before is not None:
                    # An epoch begins where one of the data does, the rest of one that
                    # was interrupted where it was.
                    whole = 1 if self._done_before else self._steps or 1
                    self._place.go_to(self._step(), whole)
                iterator = self._place.iterator(iterator)
        else:  # the one batch of `train_on_batch`
            iterator = iter(tf.data.Dataset.from_tensors(next(iterator)))
            steps, self._checked = 1, False
        self._batches.expect(iterator.element_spec)
        began = time.perf_counter()
        steps = self._make_steps(iterator, steps)
        if self._place is not None:
            self._place.went_on(steps, self._step())
        self._done_before = None
        if self._steps_per_execution == "auto":
            for value in self._logs.values():
                float(value)  # waits for the device, so that the clock tells the truth
            spent = round(1e6 * min(time.perf_counter() - began, 2_000))
            strategy = self._model.distribute_strategy
            self._tune(steps, workers.largest(strategy, [spent])[0] / 1e6)
        self.calls_to_skip = steps - 1
        self._steps_run += steps
        if self._left is not None:
            self._left -= steps
        return self._logs

    def _make_steps(self, iterator: Any, steps: int) -> int:
        """Runs steps, sets the metrics, and returns how many there were."""
        self._made.assign(0)
        sound, refused = tf.constant(True), nothing_refused()
        try:
            sound, refused = self._run(iterator, tf.constant(steps), self._checked)
        except (tf.errors.OutOfRangeError, StopIteration) as error:
            if not int(self._made.numpy()):
                raise
            # For the next call: these steps have been made. Its frames would keep the
            # data, with all that they buffer, until then.
            self._ended = error.with_traceback(None)
        if len(refused):
            self._batches.refuse(refused)
        if not sound and not self.returns_nan:
            raise diagnosis(self._model)
        self._logs = self._model.get_metrics_result()
        if not sound:
            self._logs = {**self._logs, "loss": math.nan}
        return int(self._made.numpy())

    def _next_steps(self) -> int:
        model, left = self._model, self._left
        replicas = model.distribute_strategy.num_replicas_in_sync
        if left is None:
            # Replicas would have to agree where the data end.
            left = 1 if replicas > 1 else _UNKNOWN
        wanted = (
            self._steps_per_call
            if self._steps_per_execution == "auto"
            else int(self._steps_per_execution)
        )
        if model.needs_global_batch and replicas > 1:
            # Exchanged arrays must have one shape in all steps of a call, and the last
            # batch may be smaller.
            left = max(1, left - 1)
        if self.first_step_alone and self._done_before is not None:
            left = 1
        ends = [every - self._steps_run % every for every in self.ends_calls_every]
        return max(1, min(wanted, left, *ends))

    def _tune(self, steps: int, seconds: float) -> None:
        if not self._traced:
            self._traced = True  # the first call was spent on tracing
            return
        target = int(steps * _AUTO_SECONDS / max(seconds, 1e-6))
        self._steps_per_call = max(1, min(target, steps * _AUTO_GROWTH))

    def _make_run(
        self, step: Callable[[Any], Any]
    ) -> Callable[[Any, tf.Tensor, bool], tuple[tf.Tensor, tf.Tensor]]:
        """Returns what runs steps, on batches that were checked before or not.

        It says whether all of them could be made, and gives the batch that does not fit
        the model, if one came.
        """
        model, batches, made = self._model, self._batches, self._made
        strategy = model.distribute_strategy
        trains = step == model.train_step
        step_on, averages = _on_batches(step, model), _Averages(model)
        fits, packed = map(
            tf.autograph.experimental.do_not_convert, (batches.fits, batches.packed)
        )

        def run(
            iterator: Any, steps: tf.Tensor, checked: bool
        ) -> tuple[tf.Tensor, tf.Tensor]:
            sound, refused = tf.constant(True), nothing_refused()
            for _ in tf.range(steps):
                tf.autograph.experimental.set_loop_options(
                    shape_invariants=[(refused, tf.TensorShape([None]))]
                )
                batch = without_optionals(next(iterator))
                if not (checked or fits(batch)):
                    refused = packed(batch)
                    break
                before = tf.convert_to_tensor(model.step.value)
                averages_before = averages.values()
                with tf.control_dependencies(_tensors(batch)):
                    made.assign_add(1)
                with fused_updates(model.optimizers):
                    strategy.run(step_on, args=(batch,))
                if trains:
                    sound = model.step.value > before
                    if not sound:  # what is not finite has not been used
                        averages.set_back(averages_before)
                        break
                    if model.after_step is not None:
                        model.after_step(model.step.value)
            return sound, refused

        if model.run_eagerly:
            return run
        return tf.function(run, reduce_retracing=True)


def _on_batches(step: Callable[[Any], Any], model: StepModel) -> Callable[[Any], None]:
    """Returns a step that depends on its batch as a whole.

    At the end of the data TensorFlow would otherwise run what does not read the batch,
    such as the count of steps.
    """
    step = tf.autograph.experimental.do_not_convert(step)
    if model.jit_compile and not model.run_eagerly:
        step = tf.function(step, jit_compile=True, reduce_retracing=True)

    @tf.autograph.experimental.do_not_convert
    def step_on(batch: Any) -> None:
        with tf.control_dependencies(_tensors(batch)):
            step(batch)

    return step_on


def _tensors(batch: Any) -> list[tf.Tensor]:
    parts = tf.nest.flatten(batch, expand_composites=True)
    return [part for part in parts if part is not None]


class _Averages:
    """What calling a model's layers changes: the averages of batch normalisation."""

    def __init__(self, model: StepModel) -> None:
        weights = model.non_trainable_weights
        self._variables = [v for v in weights if "float" in v.dtype]

    def values(self) -> list[tf.Tensor]:
        """Returns what they are now."""
        return [tf.identity(variable.value) for variable in self._variables]

    def set_back(self, values: list[tf.Tensor]) -> None:
        """Makes them what they were, after a step that is not used."""
        for variable, value in zip(self._variables, values, strict=True):
            variable.value.assign(value)


class _Place:
    """Which batch comes next, where a callback may set the count of steps back.

    Args:
        batches_from: Makes the batches from one on.
        batch: The number of the batch that Keras' iterator begins with.
        step: The model's count of steps at it.
    """

    def __init__(
        self, batches_from: Callable[[int], Iterable[Any]], batch: int, step: int
    ) -> None:
        self._batches_from = batches_from
        self._batch, self._step = batch, step
        self._own: Iterator[Any] | None = None

    def go_to(self, step: int, whole: int) -> None:
        """Goes to the batch of a step, or to the next multiple of `whole` from it."""
        if step != self._step:
            batch = max(0, self._batch + step - self._step)
            self._batch = -(-batch // whole) * whole
            self._own, self._step = iter(self._batches_from(self._batch)), step

    def went_on(self, batches: int, step: int) -> None:
        """Takes note of batches that were used, and of the step after them."""
        self._batch, self._step = self._batch + batches, step

    def iterator(self, given: Any) -> Any:
        """Returns what to take batches of: Keras' iterator, or one of its own."""
        return given if self._own is None else self._own


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
        function.ends_calls_every = tuple(number for number in every if number)
        restoring = [
            callback
            for callback in self.callbacks
            if isinstance(callback, keras.callbacks.BackupAndRestore)
            and _batches_between(callback)
        ]
        # It counts the first batch of an epoch by itself.
        function.first_step_alone = bool(restoring)
        function.returns_nan = any(
            isinstance(callback, keras.callbacks.TerminateOnNaN)
            for callback in self.callbacks
        )
        super().on_train_begin(logs)
        if restoring:
            epochs = (self.model._initial_epoch or self.first_epoch) - self.first_epoch
            made = self._counts()[0] - step
            self._done = function.part_done(made - epochs * (self.params["steps"] or 0))

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
        function = self.model.train_function
        function.ends_calls_every, function.first_step_alone = (), False
        function.returns_nan = False

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
        if not self.model.train_function.calls_to_skip:
            self._began = True
            super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """After a call, with the number of its last batch."""
        # Steps that a resumed run made before are over without having begun.
        if self._began and not self.model.train_function.calls_to_skip:
            self._began = False
            super().on_train_batch_end(batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Before a call that runs steps."""
        if not self.model.test_function.calls_to_skip:
            super().on_test_batch_begin(batch, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """After a call, with the number of its last batch."""
        if not self.model.test_function.calls_to_skip:
            super().on_test_batch_end(batch, logs)


def _batches_between(callback: keras.callbacks.Callback) -> int:
    """Returns after how many batches a callback of Keras acts; 0: at ends of epochs."""
    every = getattr(callback, "save_freq", None)
    if isinstance(every, int) and not isinstance(every, bool) and every > 0:
        return every
    # TensorBoard counts what it hears of, and so has to hear of every batch.
    return 1 if isinstance(getattr(callback, "update_freq", None), int) else 0
