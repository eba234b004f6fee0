"""Several training or evaluation steps in one call, on any strategy.

Keras calls its train function once a step. For small models the host's work between
two steps then costs as much as the step. `StepFunction` runs the next few steps in one
graph call, and answers the calls that Keras makes for the steps already run at once,
without work; `ChunkedCallbacks` tells callbacks of the ends of such calls only, so that
what they see (weights, metrics, the number of the batch) is always one state. Keras'
own `steps_per_execution` does not run under strategies with two or more replicas.
"""

import time
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_vae.models import workers
from keras_vae.models.batch_check import BatchCheck, nothing_refused
from keras_vae.models.divergence import diagnosis
from keras_vae.models.given import without_optionals

_AUTO_SECONDS = 0.25  # what a call should last; calls stay below half a second
_AUTO_GROWTH = 8  # how much longer than the last call the next may be


class StepFunction:
    """What Keras calls for each batch: runs many steps, then rests as many calls.

    Args:
        model: The model whose strategy, `run_eagerly` and `jit_compile` hold.
        step: `step(batch)`, the model's `train_step` or `test_step`.
        steps_per_execution: Steps of one call, or "auto" for calls of a quarter second.
    """

    def __init__(
        self,
        model: keras.Model,
        step: Callable[[Any], Any],
        steps_per_execution: int | str,
    ) -> None:
        self._model = model
        self._steps_per_execution = steps_per_execution
        self._chunk = 1
        self._traced = False
        self._logs: dict[str, Any] = {}
        self._batches = BatchCheck(model)
        self._run = self._make_run(step)
        self._steps: int | None = None
        self._left: int | None = None
        self.resting = 0

    def expect(self, steps: int | None) -> None:
        """Sets the steps of a pass over the data; None, not known: one step a call."""
        self._steps = steps

    def start(self, done: int = 0) -> None:
        """Begins a pass, of which `done` steps were run before (by a resumed run)."""
        self._left = None if self._steps is None else self._steps - done
        self._logs = self._model.get_metrics_result() if done else {}
        self.resting = done

    def __call__(self, iterator: Any) -> dict[str, Any]:
        """Runs the next steps unless they have been run; returns the metrics.

        Raises:
            Diverged: If a step met what is not finite.
            ValueError: If a batch does not fit the model; there is no step on it.
        """
        if self.resting:
            self.resting -= 1
            return self._logs
        if isinstance(iterator, tf.data.Iterator | tf.distribute.DistributedIterator):
            steps = self._next_chunk()
        else:  # the one batch of `train_on_batch`
            iterator = iter(tf.data.Dataset.from_tensors(next(iterator)))
            steps = 1
        self._batches.expect(iterator.element_spec)
        began = time.perf_counter()
        sound, refused = self._run(iterator, tf.constant(steps))
        if len(refused):
            self._batches.refuse(refused)
        if not sound:
            raise diagnosis(self._model)
        self._logs = self._model.get_metrics_result()
        if self._steps_per_execution == "auto":
            for value in self._logs.values():
                float(value)  # waits for the device, so that the clock tells the truth
            spent = round(1e6 * min(time.perf_counter() - began, 2_000))
            strategy = self._model.distribute_strategy
            self._tune(steps, workers.largest(strategy, [spent])[0] / 1e6)
        self.resting = steps - 1
        if self._left is not None:
            self._left -= steps
        return self._logs

    def _next_chunk(self) -> int:
        if self._left is None:
            return 1
        wanted = (
            self._chunk
            if self._steps_per_execution == "auto"
            else int(self._steps_per_execution)
        )
        model, left = self._model, self._left
        if (
            model.couples_examples
            and model.distribute_strategy.num_replicas_in_sync > 1
        ):
            # Exchanged arrays must have one shape in all steps of a call, and the last
            # batch may be smaller.
            left = max(1, left - 1)
        return max(1, min(wanted, left))

    def _tune(self, steps: int, seconds: float) -> None:
        if not self._traced:
            self._traced = True  # the first call was spent on tracing
            return
        target = int(steps * _AUTO_SECONDS / max(seconds, 1e-6))
        self._chunk = max(1, min(target, steps * _AUTO_GROWTH))

    def _make_run(
        self, step: Callable[[Any], Any]
    ) -> Callable[[Any, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
        """Returns what runs steps.

        It says whether all of them could be made, and gives the batch that does not fit
        the model, if one came.
        """
        model, batches = self._model, self._batches
        strategy = model.distribute_strategy
        trains = step == model.train_step
        step = tf.autograph.experimental.do_not_convert(step)
        if model.jit_compile and not model.run_eagerly:
            step = tf.function(step, jit_compile=True, reduce_retracing=True)

        @tf.autograph.experimental.do_not_convert
        def step_on(batch: Any) -> None:
            # Where there is no next batch, what does not depend on it (the counters of
            # steps, say) must not happen either.
            parts = [part for part in tf.nest.flatten(batch) if part is not None]
            with tf.control_dependencies(parts):
                step(batch)

        # What calling layers changes: the averages of batch normalisation.
        averages = [v for v in model.non_trainable_weights if "float" in v.dtype]

        fits, packed = map(
            tf.autograph.experimental.do_not_convert, (batches.fits, batches.packed)
        )

        def run(iterator: Any, steps: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            sound, refused = tf.constant(True), nothing_refused()
            for _ in tf.range(steps):
                tf.autograph.experimental.set_loop_options(
                    shape_invariants=[(refused, tf.TensorShape([None]))]
                )
                batch = without_optionals(next(iterator))
                if not fits(batch):
                    refused = packed(batch)
                    break
                before = tf.convert_to_tensor(model.step.value)
                running = [tf.identity(variable.value) for variable in averages]
                strategy.run(step_on, args=(batch,))
                if trains:
                    sound = model.step.value > before
                    if not sound:  # what is not finite has not been used
                        for variable, value in zip(averages, running, strict=True):
                            variable.value.assign(value)
                        break
                    if model.after_step is not None:
                        model.after_step(model.step.value)
            return sound, refused

        if model.run_eagerly:
            return run
        return tf.function(run, reduce_retracing=True)


class ChunkedCallbacks(keras.callbacks.CallbackList):
    """A callback list that hears of batches only where a call of many steps ends."""

    _began = False

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Told before a call that runs steps."""
        if not self.model.train_function.resting:
            self._began = True
            super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Told with the number of the last batch of a call."""
        # Steps that a resumed run made before are over without having begun.
        if self._began and not self.model.train_function.resting:
            self._began = False
            super().on_train_batch_end(batch, logs)

    def on_test_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Told before a call that runs steps."""
        if not self.model.test_function.resting:
            super().on_test_batch_begin(batch, logs)

    def on_test_batch_end(self, batch: int, logs: Any = None) -> None:
        """Told with the number of the last batch of a call."""
        if not self.model.test_function.resting:
            super().on_test_batch_end(batch, logs)
