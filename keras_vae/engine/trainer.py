"""Keras' training loop, for models whose loss is their own.

`ChunkedTrainer` is a `keras.Model` whose `fit` and `evaluate` run many steps in a call
on any strategy, turn arrays into batches whose order depends on the seed alone, and
count examples over the global batch, so that one replica and four train the same model.
"""

import warnings
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_vae.arguments import auto_or_count, in_range
from keras_vae.data import pipeline
from keras_vae.engine.execution import ChunkedCallbacks, StepFunction
from keras_vae.engine.given import (
    as_data,
    cardinality,
    check_weights,
    is_array,
    refuse_class_weight,
    refuse_losses,
    split_off,
    trainable_data,
)
from keras_vae.engine.optimizers import OPTIMIZERS
from keras_vae.engine.single_batches import SingleBatches
from keras_vae.errors import invalid_argument

_BATCH_SIZE = 128


class ChunkedTrainer(SingleBatches):
    """A model with `train_step`, `test_step` and `step`, its own count of steps.

    Subclasses give `check_examples(x)` and define their state in `build`. `after_step`,
    where it is set before training, is called in the graph after each training step
    with the count of steps, outside of the replicas.
    """

    after_step: Callable[[tf.Tensor], None] | None = None
    couples_examples = False
    """Whether the objective takes the examples of a batch together."""
    checks_batches = True
    """Whether each batch of a dataset is checked before its step; set it to False for
    datasets made of what was checked whole."""
    derived_metrics: tuple[str, ...] = ()
    """Names of the metrics that are sums of others."""
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
                `keras_vae.Adam`.
            loss: Not taken: the likelihood is the loss.
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
        if jit_compile is True and not self.supports_jit:
            raise invalid_argument(
                "jit_compile",
                f"False, since XLA cannot compile the steps of this "
                f"{type(self).__name__}",
                jit_compile,
                advice="Leave it out.",
            )
        a_call = auto_or_count("steps_per_execution", steps_per_execution)
        microbatches = self._checked_microbatches(accumulate_steps)
        if parallel_pieces != "auto":
            warnings.warn(
                "The argument `parallel_pieces` has no effect and is deprecated. Leave "
                f"it out. Received: parallel_pieces={parallel_pieces!r}.",
                DeprecationWarning,
                stacklevel=2,
            )
        if isinstance(optimizer, str) and optimizer.lower() in OPTIMIZERS:
            optimizer = OPTIMIZERS[optimizer.lower()]()
        super().compile(
            optimizer=optimizer,
            run_eagerly=run_eagerly,
            jit_compile=jit_compile,
            auto_scale_loss=auto_scale_loss,
        )
        self._steps_per_call = a_call
        self.accumulate_steps = microbatches

    def _checked_microbatches(self, accumulate_steps: Any) -> int:
        """Returns their number if a batch can be cut into as many."""
        count = in_range("accumulate_steps", accumulate_steps, 1, whole=True)
        if self.couples_examples and count != 1:
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
            self._build_optimizers()

    @property
    def optimizers(self) -> list[keras.optimizers.Optimizer]:
        """Every optimizer of the model; its state is the run's."""
        return [self.optimizer]

    @property
    def optimized_variables(self) -> list[list[keras.Variable]]:
        """What each of `optimizers` trains."""
        return [self.trainable_variables]

    @property
    def losses(self) -> list[tf.Tensor]:
        """What `add_loss` collected, of the calling replica alone.

        Replicas are traced in turns that change wherever they communicate, and Keras
        keeps one list for all of them.
        """
        losses: list[tf.Tensor] = super().losses
        context = tf.distribute.get_replica_context()
        if context is None or context.num_replicas_in_sync == 1:
            return losses
        here = tf.constant(0).device
        return [loss for loss in losses if loss.device in ("", here)]

    # Building.

    def ensure_built(self) -> None:
        """Builds the model, and the optimizer's state once there is an optimizer."""
        with self.distribute_strategy.scope():
            if not self.built:
                self.build()
            if self.compiled:
                self._build_optimizers()

    def _build_optimizers(self) -> None:
        pairs = zip(self.optimizers, self.optimized_variables, strict=True)
        for optimizer, variables in pairs:
            if not optimizer.built:
                optimizer.build(variables)

    def _maybe_symbolic_build(
        self, iterator: Any = None, data_batch: Any = None
    ) -> None:
        # Keras would average a first batch over replicas to learn its shape, which
        # fails where they hold different numbers of examples. Shapes are known here.
        self.ensure_built()

    def save(self, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
        """Writes the whole model. As `keras.Model.save`, also before the first step."""
        self.ensure_built()
        super().save(filepath, overwrite, **kwargs)

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
        """Starts the metrics, and with them a pass over the data, anew."""
        super().reset_metrics()
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
        """Trains. As `keras.Model.fit`, with these differences.

        Arrays are checked whole before the first step, the batches of datasets and of
        generators each before its own. uint8 and uint16 are scaled to [0, 1], all else
        is taken as it is. The order of arrays depends on the model's seed and the
        number of the epoch alone, counted from the model's first step: a second call
        goes on with orders not yet seen. Metrics are weighted by examples, so partial
        batches count as what they are. `batch_size` (default 128) is the global one, of
        arrays: a dataset has batches of its own.

        Raises:
            ValueError: If arrays or a batch do not fit the model; `class_weight` is
                given.
        """
        refuse_class_weight(class_weight)
        x = trainable_data(as_data(x, self.data_shape))
        checked = _checked_whole(x) or not self.checks_batches
        if validation_split and validation_data is None:
            (x, y, sample_weight), validation_data = split_off(
                x, y, sample_weight, validation_split
            )
        self.ensure_built()
        self.warn_of_mistakes(stacklevel=3)
        size = _batch_size(batch_size)
        batches_from, first = None, 0
        if is_array(x):
            batches_from, first, steps_per_epoch = self._training_data(
                *(x, y, sample_weight),
                batch_size=size,
                shuffle=shuffle,
                initial_epoch=initial_epoch,
                steps_per_epoch=steps_per_epoch,
            )
            x, y, sample_weight = batches_from(first), None, None
        if validation_data is not None:
            val_x, *others = keras.utils.unpack_x_y_sample_weight(validation_data)
            val_x = trainable_data(as_data(val_x, self.data_shape))
            alone = all(other is None for other in others)
            validation_data = val_x if alone else validation_data
            self._validation = None
            if is_array(val_x):
                val_size = _batch_size(validation_batch_size, size)
                validation_data, validation_steps = self._evaluation_data(
                    val_x, *others, batch_size=val_size, steps=validation_steps
                )
                if _checked_whole(val_x):
                    self._validation = validation_data
        steps = steps_per_epoch or cardinality(x)
        function = self.make_train_function()
        function.expect(steps, checked)
        if batches_from is not None:
            function.follow(batches_from, first)
        self._initial_epoch = None  # of an earlier call, by `BackupAndRestore`
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            self.make_test_function()
            callbacks = ChunkedCallbacks(
                callbacks,
                add_history=True,
                add_progbar=verbose != 0,
                verbose=verbose,
                epochs=epochs,
                steps=steps,
                model=self,
            )
            callbacks.first_epoch = initial_epoch
        return super().fit(
            x,
            y,
            epochs=epochs,
            verbose=verbose,
            callbacks=callbacks,
            validation_data=validation_data,
            shuffle=False,
            sample_weight=sample_weight,
            initial_epoch=initial_epoch,
            steps_per_epoch=steps_per_epoch,
            validation_steps=validation_steps,
            validation_freq=validation_freq,
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
        depends on the model's seed and its running index. Without `return_dict` those
        of `derived_metrics` are left out.
        """
        self.ensure_built()
        x = trainable_data(as_data(x, self.data_shape))
        checked = _checked_whole(x) or not self.checks_batches
        checked |= x is not None and x is self._validation
        if is_array(x):
            size = _batch_size(batch_size)
            x, steps = self._evaluation_data(
                x, y, sample_weight, batch_size=size, steps=steps
            )
            y = sample_weight = None
        count = steps or cardinality(x)
        self.make_test_function().expect(count, checked)
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            callbacks = ChunkedCallbacks(
                callbacks,
                add_progbar=verbose != 0,
                verbose=verbose,
                epochs=1,
                steps=count,
                model=self,
            )
        self._evaluating = True
        try:
            metrics = super().evaluate(
                x,
                y,
                verbose=verbose,
                sample_weight=sample_weight,
                steps=steps,
                callbacks=callbacks,
                return_dict=True,
                **kwargs,
            )
        finally:
            self._evaluating = False
        if return_dict:
            return metrics
        listed = [
            metrics[name]
            for name in self.get_metrics_result()
            if name not in self.derived_metrics
        ]
        return listed[0] if len(listed) == 1 else listed

    def predict(self, x: Any, batch_size: int | None = None, **kwargs: Any) -> Any:
        """Returns `predict_step` of all examples. As `keras.Model.predict`."""
        self.ensure_built()
        x = trainable_data(as_data(x, self.data_shape))
        if is_array(x):
            self.check_input(x)
            size = _batch_size(batch_size)
            x = pipeline.batches(x, batch_size=size, shuffle=False, repeat=False)
        return super().predict(x, **kwargs)

    def _training_data(
        self,
        x: Any,
        y: Any,
        weight: Any,
        *,
        batch_size: int,
        shuffle: bool,
        initial_epoch: int,
        steps_per_epoch: int | None,
    ) -> tuple[Callable[[int], Any], int, int]:
        """Returns what makes batches, which comes first, and the steps of an epoch.

        The first is that of the model's next epoch; batches are counted over epochs.
        """
        self.check_examples(x)
        y = self.check_targets(y, len(x))
        weight = None if weight is None else check_weights(weight, len(x))
        rows = self.rows_of_epoch(y)
        shown = len(x) if rows is None else len(rows)
        steps = steps_per_epoch or pipeline.num_batches(shown, batch_size)
        epoch = pipeline.num_batches(int(self.step.numpy()), max(1, steps))

        def batches_from(first: int) -> Any:
            return pipeline.distributed(
                self.distribute_strategy,
                x,
                y,
                sample_weight=weight,
                batch_size=batch_size,
                shuffle=shuffle,
                seed=self.seed,
                start_step=first,
                rows=rows,
            )

        return batches_from, max(epoch, initial_epoch) * steps, steps

    def _evaluation_data(
        self, x: Any, y: Any, weight: Any, *, batch_size: int, steps: int | None
    ) -> tuple[Any, int]:
        """Returns batches in the order of x, and how many of them to take."""
        steps = steps or pipeline.num_batches(len(x), batch_size)
        self.check_examples(x)
        weight = None if weight is None else check_weights(weight, len(x))
        batches = pipeline.distributed(
            self.distribute_strategy,
            x,
            self.check_targets(y, len(x)),
            sample_weight=weight,
            batch_size=batch_size,
            shuffle=False,
        )
        return batches, steps

    def warn_of_mistakes(self, stacklevel: int = 2) -> None:
        """Warns before training of what is hardly ever meant: of nothing, here."""

    def check_targets(self, y: Any, n: int) -> Any:
        """Returns the y of n examples as steps take it: as it came, here."""
        return y

    def rows_of_epoch(self, y: Any) -> np.ndarray | None:
        """Returns which examples an epoch of `fit` shows; None is all once."""
        return None


def _checked_whole(x: Any) -> bool:
    """Whether `check_examples` reads all of x, not its shape alone."""
    return isinstance(x, np.ndarray | tf.Tensor)


def _batch_size(batch_size: Any, default: int = _BATCH_SIZE) -> int:
    if batch_size is None:
        return default
    return int(in_range("batch_size", batch_size, 1, whole=True))
