"""Keras' training loop, for models whose loss is their own.

`MultiStepTrainer` is a `keras.Model` whose `fit` and `evaluate` run many steps in a
call on any strategy, turn arrays into batches whose order depends on the seed alone,
and count examples over the global batch, so that one replica and four train the same
model.
"""

import warnings
from typing import Any

import keras
import numpy as np

from keras_vae.arguments import auto_or_count, in_range
from keras_vae.data import pipeline
from keras_vae.engine.callback_list import MultiStepCallbacks
from keras_vae.engine.execution import StepFunction
from keras_vae.engine.feeds import (
    Feed,
    checked_batch_size,
    evaluation_feed,
    training_feed,
)
from keras_vae.engine.inputs import (
    as_data,
    is_array,
    refuse_class_weight,
    refuse_lists_of_arrays,
    refuse_losses,
    split_off,
)
from keras_vae.engine.optimizers import OPTIMIZERS
from keras_vae.engine.single_batches import SingleBatches
from keras_vae.errors import invalid_argument


class MultiStepTrainer(SingleBatches):
    """A `StepModel` with Keras' methods: `compile`, `fit`, `evaluate`, `predict`.

    Args:
        seed: Of all that is random. None draws one; it is saved with the model.
    """

    train_function: StepFunction | None
    test_function: StepFunction | None

    def __init__(self, *, seed: int | None = None, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)
        if seed is None:
            seed = int(np.random.SeedSequence().generate_state(1)[0])
        self.seed = int(seed)
        self._steps_per_call: int | str = "auto"
        self.accumulate_steps = 1
        self._evaluating = False
        self._validation: Any = None  # batches of arrays that were checked whole

    # Compiling.

    def compile(
        self,
        optimizer: Any = "adam",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        *,
        run_eagerly: bool = False,
        steps_per_execution: int | str = "auto",
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
        accumulate_steps: int = 1,
        parallel_pieces: Any = "auto",
    ) -> None:
        """Sets the optimizer and how steps are run.

        Args:
            optimizer: A name or a `keras.optimizers.Optimizer`; "adam" is
                `keras_vae.Adam`. Keras' own `Adam`, `AdamW` and `SGD` are as fast: in
                training they update by the same kind of kernel.
            loss: Not taken: the model has its own.
            loss_weights: Not taken either.
            metrics: Not taken: the terms of the loss are reported.
            weighted_metrics: Not taken either.
            run_eagerly: Run steps without a graph, for debugging.
            steps_per_execution: Steps of one call of the graph, on any strategy, or
                "auto": as many as last a quarter of a second.
            jit_compile: Compile the step with XLA; "auto" is Keras' choice.
            auto_scale_loss: Scale the loss under the policy "mixed_float16".
            accumulate_steps: Microbatches that a batch is cut into, worked on one after
                the other, whose gradients make one update: the weights are those of the
                whole batch, the memory that of a microbatch. Batch normalisation sees
                the examples of a microbatch alone, and of what Keras sums over a batch
                (`activity_regularizer`) the loss has the mean of the microbatches.
            parallel_pieces: Deprecated and without effect.

        Raises:
            ValueError: If what is not taken is given, XLA cannot compile the step,
                `steps_per_execution` or `accumulate_steps` is below 1, or there are to
                be microbatches for an objective that takes the batch as a whole.
        """
        refuse_losses(loss, loss_weights, metrics, weighted_metrics)
        self._check_xla(jit_compile)
        steps_per_call = auto_or_count("steps_per_execution", steps_per_execution)
        microbatches = self._checked_microbatches(accumulate_steps)
        if parallel_pieces != "auto":
            _warn_without_effect("parallel_pieces", parallel_pieces)
        if isinstance(optimizer, str) and optimizer.lower() in OPTIMIZERS:
            optimizer = OPTIMIZERS[optimizer.lower()]()
        super().compile(
            optimizer=optimizer,
            run_eagerly=run_eagerly,
            jit_compile=jit_compile,
            auto_scale_loss=auto_scale_loss,
        )
        if jit_compile is True and not (self.jit_compile or run_eagerly):
            raise _no_xla("Keras compiles no step while operations are deterministic")
        self._steps_per_call = steps_per_call
        self.accumulate_steps = microbatches

    def _check_xla(self, jit_compile: Any) -> None:
        if jit_compile is True and not self.supports_jit:
            raise _no_xla(f"XLA cannot compile the steps of this {type(self).__name__}")

    def _checked_microbatches(self, accumulate_steps: Any) -> int:
        """Returns their number if a batch can be cut into as many."""
        count = in_range("accumulate_steps", accumulate_steps, 1, whole=True)
        if self.needs_global_batch and count != 1:
            raise invalid_argument(
                "accumulate_steps",
                "1, since the objective takes the examples of a batch together",
                accumulate_steps,
                advice="Leave it out.",
            )
        return int(count)

    def get_compile_config(self) -> dict[str, Any]:
        """Returns what `compile` was called with, serialised."""
        if not self.compiled:
            return {}
        known = super().get_compile_config()
        config = {
            key: known[key] for key in ("optimizer", "run_eagerly", "jit_compile")
        }
        return {
            **config,
            "steps_per_execution": self._steps_per_call,
            "accumulate_steps": self.accumulate_steps,
        }

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles as `get_compile_config` says and builds the optimizer's state."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.ensure_built()

    # Running.

    def make_train_function(self, force: bool = False) -> StepFunction:
        """Makes what Keras calls for each training batch."""
        if self.train_function is None or force:
            self.train_function = StepFunction(
                self, self.train_step, self._steps_per_call
            )
        return self.train_function

    def make_test_function(self, force: bool = False) -> StepFunction:
        """Makes what Keras calls for each evaluation batch."""
        if self.test_function is None or force:
            self.test_function = StepFunction(
                self, self.test_step, self._steps_per_call
            )
        return self.test_function

    def reset_metrics(self) -> None:
        """Starts the metrics, and with them a pass over the data, anew.

        Keras calls this at the start of each epoch and of each evaluation, and nothing
        else there that a model could take part in. It does so for single batches too,
        which are no pass.
        """
        super().reset_metrics()
        if self._alone:
            return
        # A callback may evaluate in the middle of an epoch, which then goes on.
        function = self.test_function if self._evaluating else self.train_function
        if function is not None:
            function.start()

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: Any = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int = 1,
        class_weight: Any = None,
    ) -> keras.callbacks.History:
        """Trains. As `keras.Model.fit`, but for a `batch_size` of 128 and what follows.

        Arrays are checked whole before the first step, the batches of datasets and of
        generators each before its own. uint8 and uint16 are scaled to [0, 1], all else
        is taken as it is. The order of arrays depends on the model's seed and the
        number of the epoch alone, counted from the model's first step: a second call
        goes on with orders not yet seen. Metrics are weighted by examples, so partial
        batches count as what they are. `batch_size` is the global one, of arrays: a
        dataset has batches of its own. Arrays of more than 128 MiB are not copied, and
        must not change meanwhile.

        Raises:
            ValueError: If the data do not fit the model; `class_weight` is given.
        """
        refuse_class_weight(class_weight)
        x = refuse_lists_of_arrays(as_data(x, self.data_shape))
        if validation_split and validation_data is None:
            training, validation_data = split_off(x, y, sample_weight, validation_split)
            x, y, sample_weight = training
        self._prepare_training()
        size = checked_batch_size(batch_size)
        feed = training_feed(
            self,
            x,
            y,
            sample_weight,
            batch_size=size,
            shuffle=shuffle,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
        )
        val_size = checked_batch_size(validation_batch_size, size)
        return self._fit(
            feed,
            self._validation_feed(validation_data, val_size, validation_steps),
            callbacks,
            epochs=epochs,
            verbose=verbose,
            initial_epoch=initial_epoch,
            validation_freq=validation_freq,
        )

    def _prepare_training(self) -> None:
        self.ensure_built()
        for mistake in self.likely_mistakes():
            warnings.warn(mistake, stacklevel=3)

    def _validation_feed(
        self, data: Any, batch_size: int, steps: int | None
    ) -> Feed | None:
        """Returns the batches of `validation_data`, which `evaluate` then knows."""
        self._validation = None
        if data is None:
            return None
        x, y, weight = keras.utils.unpack_x_y_sample_weight(data)
        x = refuse_lists_of_arrays(as_data(x, self.data_shape))
        feed = evaluation_feed(self, x, y, weight, batch_size=batch_size, steps=steps)
        self._validation = feed.x if feed.checked else None
        return feed

    def _fit(
        self,
        feed: Feed,
        validation: Feed | None,
        callbacks: Any,
        *,
        epochs: int,
        verbose: Any,
        initial_epoch: int,
        validation_freq: int,
    ) -> keras.callbacks.History:
        """Runs Keras' own loop."""
        function = self.make_train_function()
        function.expect(feed.num_batches, feed.checked)
        if feed.batches_from is not None:
            function.follow(feed.batches_from, feed.first)
        self.make_test_function()
        self._initial_epoch = None  # of an earlier call, by `BackupAndRestore`
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks = self._callback_list(
                callbacks, feed, verbose, epochs, add_history=True
            )
            callbacks.first_epoch = initial_epoch
        return super().fit(
            feed.x,
            feed.y,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            validation_data=None if validation is None else validation.data,
            shuffle=False,
            sample_weight=feed.sample_weight,
            initial_epoch=initial_epoch,
            steps_per_epoch=feed.steps,
            validation_steps=None if validation is None else validation.steps,
            validation_freq=validation_freq,
        )

    def _callback_list(
        self, callbacks: Any, feed: Feed, verbose: Any, epochs: int, **options: Any
    ) -> MultiStepCallbacks:
        return MultiStepCallbacks(
            callbacks,
            add_progbar=verbose != 0,
            verbose=verbose,
            epochs=epochs,
            steps=feed.num_batches,
            model=self,
            **options,
        )

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: Any = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """Returns the metrics on given data. As `keras.Model.evaluate`.

        The same for every batch size and number of replicas: the noise of an example
        depends on the model's seed and its running index. `batch_size` is 128 by
        default. Without `return_dict` those of `derived_metrics` are left out.
        """
        self.ensure_built()
        x = refuse_lists_of_arrays(as_data(x, self.data_shape))
        known = x is not None and x is self._validation
        feed = evaluation_feed(
            self, x, y, sample_weight, batch_size=batch_size, steps=steps
        )
        self.make_test_function().expect(feed.num_batches, feed.checked or known)
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks = self._callback_list(callbacks, feed, verbose, epochs=1)
        self._evaluating = True
        try:
            metrics = super().evaluate(
                feed.x,
                feed.y,
                verbose=verbose,
                sample_weight=feed.sample_weight,
                steps=feed.steps,
                callbacks=callbacks,
                return_dict=True,
                **kwargs,
            )
        finally:
            self._evaluating = False
        return metrics if return_dict else self._listed(metrics)

    def _listed(self, metrics: dict[str, Any]) -> Any:
        """Returns the metrics as Keras does, the one or a list of several."""
        listed = [
            metrics[name]
            for name in self.get_metrics_result()
            if name not in self.derived_metrics
        ]
        return listed[0] if len(listed) == 1 else listed

    def predict(self, x: Any, batch_size: int | None = None, **kwargs: Any) -> Any:
        """Returns `predict_step` of all examples. As `keras.Model.predict`."""
        self.ensure_built()
        x = refuse_lists_of_arrays(as_data(x, self.data_shape))
        if is_array(x):
            self.check_input(x)
            size = checked_batch_size(batch_size)
            x = pipeline.batches(x, batch_size=size, shuffle=False, repeat=False)
        return super().predict(x, **kwargs)


def _no_xla(why: str) -> ValueError:
    return invalid_argument(
        "jit_compile", f"False, since {why}", True, advice="Leave it out."
    )


def _warn_without_effect(argument: str, value: Any) -> None:
    warnings.warn(
        f"The argument `{argument}` has no effect and is deprecated. Leave it out. "
        f"Received: {argument}={value!r}.",
        DeprecationWarning,
        stacklevel=3,
    )
