"""Keras' methods for one batch, with the checks that `fit` makes."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from keras_vae.engine.inputs import as_data, check_weights, refuse_class_weight
from keras_vae.engine.model import StepModel
from keras_vae.engine.tracing import own_graph


class SingleBatches(StepModel):
    """A model that trains on, evaluates and predicts a batch at a time."""

    predict_function: Callable[..., Any] | None

    _alone = False  # whether what is run is one batch, and no pass over data

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
        with self._one_batch():
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
        with self._one_batch():
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

    @contextlib.contextmanager
    def _one_batch(self) -> Iterator[None]:
        self._alone = True
        try:
            yield
        finally:
            self._alone = False

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
            if not self.run_eagerly:
                run = own_graph(run.python_function)
            each = self.distribute_strategy.experimental_local_results

            def predict(batches: Any) -> Any:
                for batch in batches:
                    for part in _replicas(batch, each):
                        self.check_input(self.parts_of(part)[0])
                return run(batches)

            self.predict_function = predict
        return self.predict_function


def _replicas(batch: Any, local_results: Callable[[Any], Any]) -> list[Any]:
    """Returns what each replica gets of a batch."""
    leaves = [local_results(leaf) for leaf in tf.nest.flatten(batch)]
    return [tf.nest.pack_sequence_as(batch, part) for part in zip(*leaves, strict=True)]
