"""What the engine knows of a model: a step, a state, and how its batches are read."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf


class _OldName:
    """The name of `needs_global_batch` in 0.1.0, of classes and of models."""

    def __get__(self, model: Any, kind: Any) -> bool:
        return bool((kind if model is None else model).needs_global_batch)

    def __set__(self, model: Any, value: bool) -> None:
        model.needs_global_batch = value


class StepModel(keras.Model):
    """A `keras.Model` that makes its own steps: the base of all that the engine trains.

    A subclass has to give

    - `train_step(data)` and `test_step(data)`, which return `get_metrics_result()`. A
      training step adds 1 to `step`, unless it met what is not finite and left the
      weights as they were (see `engine.divergence.apply_if_finite`);
    - `build()`, without arguments, which makes all state, `step` among it;
    - `data_shape`, and the methods here that raise NotImplementedError: how a batch is
      read, and whether data fit.

    All else here may be overridden.
    """

    # The state.

    step: keras.Variable
    """Training steps so far, an int64 scalar that is saved with the model."""
    seed: int
    """Of the order of examples, and of what noise there is."""
    after_step: Callable[[tf.Tensor], None] | None = None
    """Called in the graph after each training step with the count of steps, outside of
    the replicas; set it before training."""

    # The objective.

    needs_global_batch: bool = False
    """Whether the objective takes the examples of a batch together."""
    couples_examples = _OldName()
    derived_metrics: tuple[str, ...] = ()
    """Names of the metrics that are sums of others."""

    # Data.

    data_shape: tuple[int, ...]
    """Of one example."""
    checks_batches: bool = True
    """Whether each batch of a dataset is checked before its step; set it to False for
    datasets made of what was checked whole."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "couples_examples" in vars(cls):
            cls.needs_global_batch = vars(cls)["couples_examples"]

    # Whether data fit, and how a batch is read.

    def check_examples(self, x: Any) -> None:
        """Refuses examples that the model cannot be trained on.

        Args:
            x: (n, *data_shape), an array, or what is read when asked for, of which
                the shape alone is known.

        Raises:
            ValueError: If the model cannot be trained on them.
        """
        raise NotImplementedError

    def check_input(self, x: Any) -> None:
        """Refuses examples that a trained model cannot be given.

        Args:
            x: As for `check_examples`; maybe few, that say nothing of the others.

        Raises:
            ValueError: If they do not fit the model at all.
        """
        raise NotImplementedError

    def check_targets(self, y: Any, n: int) -> Any:
        """Returns the y of n examples as steps take it: as it came, here."""
        return y

    def parts_of(self, data: Any) -> tuple[Any, Any, tf.Tensor | None]:
        """Returns x, y and the weights of a replica's batch, None for what it has not.

        Args:
            data: What `train_step` is given: x, or a tuple that starts with it.

        Returns:
            x and y as they came, and the weights, float32 (batch,).

        Raises:
            ValueError: If they are of a type or a shape that the model cannot take.
        """
        raise NotImplementedError

    def batch_fits(self, data: Any) -> tf.Tensor:
        """Whether a step may see a replica's batch, a boolean scalar.

        Called in the graph, before the step.
        """
        raise NotImplementedError

    def batch_arrays(self, data: Any) -> list[tf.Tensor]:
        """Returns what `check_batch` takes of a replica's batch: x, y and the weights.

        Called in the graph. Each is float32, of shape (0, 0) where there is none.
        """
        raise NotImplementedError

    def check_batch(self, x: np.ndarray, y: np.ndarray, weight: np.ndarray) -> None:
        """Says what is wrong with a batch for which `batch_fits` is false.

        Args:
            x: As `batch_arrays` gives it, and so the others.
            y: Of the examples, or of shape (0, 0).
            weight: Of the examples, or of shape (0, 0).

        Raises:
            ValueError: If the batch does not fit the model.
        """
        raise NotImplementedError

    def rows_of_epoch(self, y: Any) -> np.ndarray | None:
        """Returns which examples an epoch of `fit` takes; None is all once."""
        return None

    def likely_mistakes(self) -> Sequence[Warning]:
        """Returns what to warn of before training: what is hardly ever meant."""
        return ()

    def failed_terms(self, metrics: Sequence[str]) -> list[str]:
        """Returns what was not finite in a step, in words, from names of metrics."""
        return [n for n in metrics if n != "loss" and n not in self.derived_metrics]

    # Optimizers.

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

    # Built when asked for: shapes are known from the arguments.

    def ensure_built(self) -> None:
        """Builds the model, and the optimizer's state once there is an optimizer."""
        with self.distribute_strategy.scope():
            if not self.built:
                self.build()
            if self.compiled:
                pairs = zip(self.optimizers, self.optimized_variables, strict=True)
                for optimizer, variables in pairs:
                    if not optimizer.built:
                        optimizer.build(variables)

    def _maybe_symbolic_build(
        self, iterator: Any = None, data_batch: Any = None
    ) -> None:
        # Keras would average a first batch over replicas to learn its shape, which
        # fails where they hold different numbers of examples.
        self.ensure_built()

    def save(self, filepath: Any, overwrite: bool = True, **kwargs: Any) -> None:
        """Writes the whole model. As `keras.Model.save`, also before the first step."""
        self.ensure_built()
        super().save(filepath, overwrite, **kwargs)

    def load_weights(self, *args: Any, **kwargs: Any) -> None:
        """As `keras.Model.load_weights`, also before the first step."""
        self.ensure_built()
        super().load_weights(*args, **kwargs)

    def save_weights(self, *args: Any, **kwargs: Any) -> None:
        """As `keras.Model.save_weights`, also before the first step."""
        self.ensure_built()
        super().save_weights(*args, **kwargs)

    def get_weights(self) -> list[Any]:
        """As `keras.Model.get_weights`, also before the first step."""
        self.ensure_built()
        return super().get_weights()

    def set_weights(self, weights: Any) -> None:
        """As `keras.Model.set_weights`, also before the first step."""
        self.ensure_built()
        super().set_weights(weights)

    def count_params(self) -> int:
        """As `keras.Model.count_params`, also before the first step."""
        self.ensure_built()
        return super().count_params()
