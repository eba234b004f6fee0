"""Keras' methods for one batch and for weights, with the checks that `fit` makes."""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from keras_vae.engine.given import as_data, check_weights, refuse_class_weight


class SingleBatches(keras.Model):
    """A model whose shapes are known from its arguments.

    So it is built when its weights are asked for, and a batch is checked before use.
    Subclasses give `ensure_built`, `parts_of` and the checks that follow.
    """

    data_shape: tuple[int, ...]
    predict_function: Callable[..., Any] | None
    check_examples: Callable[[Any], None]
    """Raises a ValueError where the model cannot be trained on examples."""
    check_input: Callable[[Any], None]
    """Raises a ValueError where examples do not fit the model."""
    check_batch: Callable[[Any, Any, Any], None]
    """Raises a ValueError where x, y and weights of a batch do not fit the model."""

    def ensure_built(self) -> None:
        """Makes the state of the model."""
        self.build()

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Makes one training step. As `keras.Model.train_on_batch`.

        Raises:
            ValueError: As `fit`.
        """
        refuse_class_weight(class_weight)
        x, weight = self._batch(x, sample_weight)
        return super().train_on_batch(x, y, weight, return_dict=return_dict)

    def test_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Evaluates one batch. As `keras.Model.test_on_batch`.

        Raises:
            ValueError: As `evaluate`.
        """
        x, weight = self._batch(x, sample_weight)
        return super().test_on_batch(x, y, weight, return_dict=return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Returns `predict_step` of one batch. As `keras.Model.predict_on_batch`.

        Raises:
            ValueError: As `predict`.
        """
        self.ensure_built()
        pair = isinstance(x, tuple | list) and len(x) == 2
        given = tuple(x) if pair else (as_data(x, self.data_shape),)
        return super().predict_on_batch(given if pair else given[0])

    def _batch(self, x: Any, weight: Any) -> tuple[Any, Any]:
        self.ensure_built()
        if not isinstance(x, tuple | list):  # the pair of x and y of some models
            x = as_data(x, self.data_shape)
        if weight is not None:
            weight = check_weights(weight, len(x))
        return x, weight

    def make_predict_function(self, force: bool = False) -> Callable[..., Any]:
        """Makes what Keras calls for each batch of `predict`."""
        if self.predict_function is None or force:
            super().make_predict_function(force=True)
            run: Any = self.predict_function
            each = self.distribute_strategy.experimental_local_results

            def predict(batches: Any) -> Any:
                for batch in batches:
                    for part in _replicas(batch, each):
                        self.check_input(self.parts_of(part)[0])
                return run(batches)

            self.predict_function = predict
        return self.predict_function

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


def _replicas(batch: Any, local_results: Callable[[Any], Any]) -> list[Any]:
    """Returns what each replica gets of a batch."""
    leaves = [local_results(leaf) for leaf in tf.nest.flatten(batch)]
    return [tf.nest.pack_sequence_as(batch, part) for part in zip(*leaves, strict=True)]
