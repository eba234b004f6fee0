"""Several training or evaluation steps in one call, on any strategy.

Keras calls its train function once a step. For small models the host's work between
two steps then costs as much as the step. `StepFunction` runs the next few steps in one
graph call, and answers the calls that Keras makes for the steps already run at once,
without work; `engine.callback_list` tells callbacks of the ends of such calls only.
Keras' own `steps_per_execution` does not run under strategies with two or more
replicas.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import tensorflow as tf

from keras_vae.engine import workers
from keras_vae.engine.batch_check import BatchCheck, nothing_refused
from keras_vae.engine.divergence import diagnosis
from keras_vae.engine.inputs import without_optionals
from keras_vae.engine.model import StepModel
from keras_vae.engine.optimizers import fused_updates
from keras_vae.engine.tracing import own_graph

_AUTO_SECONDS = 0.25  # what a call should last; calls stay below half a second
_AUTO_GROWTH = 8  # how much longer than the last call the next may be
_UNKNOWN = 2**31 - 1  # steps of a pass whose end is where the data end


@dataclasses.dataclass(frozen=True)
class CallRules:
    """What callbacks ask of calls of many steps."""

    end_every: tuple[int, ...] = ()
    """A call ends at the multiples of these, in steps since training began."""
    first_step_alone: bool = False
    """Whether the first step of a pass has a call of its own."""
    returns_nan: bool = False
    """Whether a step that is not finite gives a loss of NaN, instead of `Diverged`."""


@dataclasses.dataclass
class _Pass:
    """Where a pass over the data (an epoch, an evaluation) is."""

    steps: int | None = None
    """Of the whole pass; None: it ends where the data do."""
    resumed_at: int = 0
    """Steps of it that an earlier run made, of which this one is the rest."""
    steps_before: int = 0
    """Steps of the passes before it, since training began."""
    made: int = 0
    """Steps of it so far, with those of the earlier run."""
    answered: int = 0
    """Calls of Keras so far, of which there is one for each step."""
    logs: dict[str, Any] = dataclasses.field(default_factory=dict)
    """The metrics after the last step."""
    ended: Exception | None = None
    """What the iterator raised at the end of the data."""

    @property
    def left(self) -> int | None:
        """Steps to be made, None where nobody knows."""
        return None if self.steps is None else self.steps - self.made

    @property
    def has_begun(self) -> bool:
        """Whether a step was made since it was started or resumed."""
        return self.made > self.resumed_at


class _CallLength:
    """How many steps a call has: a number, or "auto", what a quarter second holds."""

    def __init__(self, steps: int | str) -> None:
        self.adapts = steps == "auto"
        self.steps = 1 if self.adapts else int(steps)
        self._traced = False

    def adapt(self, steps: int, seconds: float) -> None:
        """Takes note of how long a call of so many steps took."""
        if not self._traced:
            self._traced = True  # the first call was spent on tracing
            return
        target = int(steps * _AUTO_SECONDS / max(seconds, 1e-6))
        self.steps = max(1, min(target, steps * _AUTO_GROWTH))


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
        self.rules = CallRules()
        """Set in training, by the callback list."""
        self._model = model
        self._length = _CallLength(steps_per_execution)
        self._batches = BatchCheck(model)
        self._checked = False
        self._made = tf.Variable(0, dtype=tf.int64, trainable=False)  # in a call
        self._run = self._make_run(step)
        self._pass = _Pass()
        self._position: _BatchPosition | None = None

    def expect(self, steps: int | None, checked: bool = False) -> None:
        """Prepares for passes over the data.

        Args:
            steps: Of a pass; None, not known: calls end where the data do.
            checked: Whether the data were checked whole, so that no batch need be.
        """
        self._pass, self._checked = _Pass(steps), checked
        self._position = None

    def follow(self, batches_from: Callable[[int], Iterable[Any]], first: int) -> None:
        """Takes over which batches come, where the model's count of steps is changed.

        Args:
            batches_from: Makes the batches from one on; batches are counted over
                passes.
            first: The batch that Keras' iterator begins with.
        """
        self._position = _BatchPosition(batches_from, first, self._step())

    def steps_to_leave_out(self, made: int) -> int:
        """Returns how many steps of a pass an earlier run, which made some, saves."""
        if self._position is None or self._pass.steps is None:
            return 0  # batches that cannot be gone to come from the first on
        return min(max(made, 0), self._pass.steps)

    def start(self, done: int = 0) -> None:
        """Begins a pass, of which `done` steps were run before (by a resumed run)."""
        before = self._pass
        self._pass = _Pass(
            before.steps,
            resumed_at=done,
            steps_before=before.steps_before + before.made,
            made=done,
            logs=self._model.get_metrics_result() if done else {},
        )

    @property
    def between_calls(self) -> bool:
        """Whether Keras has called for every step made, so that its next makes more."""
        return self._pass.answered >= self._pass.made

    def __call__(self, iterator: Any) -> dict[str, Any]:
        """Runs the next steps unless they have been run; returns the metrics.

        Raises:
            Diverged: If a step met what is not finite.
            ValueError: If a batch does not fit the model; there is no step on it.
        """
        if not isinstance(
            iterator, tf.data.Iterator | tf.distribute.DistributedIterator
        ):
            return self._on_one_batch(next(iterator))
        now = self._pass
        if self.between_calls:
            if now.ended is not None:
                raise now.ended
            iterator = self._positioned(iterator)
            now.made += self._make_steps(iterator, self._next_steps(), self._checked)
        now.answered += 1
        return now.logs

    def _on_one_batch(self, batch: Any) -> dict[str, Any]:
        """Makes the step of `train_on_batch` or `test_on_batch`; returns the metrics.

        A pass may be on its way, where a callback asks for it, and goes on behind it.
        """
        before, self._pass = self._pass, _Pass(steps=1)
        step = self._step()
        try:
            iterator = iter(tf.data.Dataset.from_tensors(batch))
            self._batches.expect(iterator.element_spec)
            self._run_graph(iterator, 1, checked=False)
            return self._pass.logs
        finally:
            self._pass = before
            if self._position is not None:
                self._position.made_elsewhere(self._step() - step)

    def _make_steps(self, iterator: Any, steps: int, checked: bool) -> int:
        """Makes the steps of a call, and returns how many there were."""
        self._batches.expect(iterator.element_spec)
        began = time.perf_counter()
        made = self._run_graph(iterator, steps, checked)
        if self._position is not None:
            self._position.went_on(made, self._step())
        if self._length.adapts:
            self._length.adapt(made, self._seconds_since(began))
        return made

    def _positioned(self, iterator: Any) -> Any:
        """Returns what to take batches of: Keras' iterator, or one of its own."""
        if self._position is None:
            return iterator
        now = self._pass
        if not now.has_begun:
            # An epoch begins where one of the data does, the rest of one that was
            # interrupted where it was.
            whole = 1 if now.resumed_at else now.steps or 1
            self._position.go_to(self._step(), whole)
        return self._position.iterator(iterator)

    def _step(self) -> int:
        return int(self._model.step.numpy())

    def _run_graph(self, iterator: Any, steps: int, checked: bool) -> int:
        """Runs steps, sets the metrics, and returns how many there were."""
        self._made.assign(0)
        sound, refused = tf.constant(True), nothing_refused()
        try:
            sound, refused = self._run(iterator, tf.constant(steps), checked)
        except (tf.errors.OutOfRangeError, StopIteration) as error:
            if not int(self._made.numpy()):
                raise
            # For the next call: these steps have been made. Its frames would keep the
            # data, with all that they buffer, until then.
            self._pass.ended = error.with_traceback(None)
        if len(refused):
            self._batches.refuse(refused)
        if not sound and not self.rules.returns_nan:
            raise diagnosis(self._model)
        self._pass.logs = self._model.get_metrics_result()
        if not sound:
            self._pass.logs = {**self._pass.logs, "loss": math.nan}
        return int(self._made.numpy())

    def _next_steps(self) -> int:
        """Returns how many steps the next call may make."""
        model, now, rules = self._model, self._pass, self.rules
        replicas, left = model.distribute_strategy.num_replicas_in_sync, now.left
        if left is None:
            # Replicas would have to agree where the data end.
            left = 1 if replicas > 1 else _UNKNOWN
        if model.needs_global_batch and replicas > 1:
            # Exchanged arrays must have one shape in all steps of a call, and the last
            # batch may be smaller.
            left = max(1, left - 1)
        if rules.first_step_alone and not now.has_begun:
            left = 1
        since_start = now.steps_before + now.made
        ends = [every - since_start % every for every in rules.end_every]
        return max(1, min(self._length.steps, left, *ends))

    def _seconds_since(self, began: float) -> float:
        """Returns how long a call took, on the slowest of the workers."""
        for value in self._pass.logs.values():
            float(value)  # waits for the device, so that the clock tells the truth
        spent = round(1e6 * min(time.perf_counter() - began, 2_000))
        strategy = self._model.distribute_strategy
        return workers.largest(strategy, [spent])[0] / 1e6

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
        return own_graph(run)


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


class _BatchPosition:
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

    def made_elsewhere(self, steps: int) -> None:
        """Takes note of steps on other batches than these."""
        self._step += steps

    def iterator(self, given: Any) -> Any:
        """Returns what to take batches of: Keras' iterator, or one of its own."""
        return given if self._own is None else self._own
