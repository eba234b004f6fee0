"""Whether each batch fits the model, asked in the graph before its step is made.

Arrays are checked whole before training. Of datasets nothing is known but their types,
so each batch is looked at where it comes out. One that does not fit makes no step: no
weight, no statistic and no metric has seen it. Its examples then come out of the graph
and are refused by the check of arrays, in the same words.
"""

from typing import Any

import tensorflow as tf

from keras_vae.engine.inputs import without_optionals
from keras_vae.engine.model import StepModel
from keras_vae.errors import invalid_argument


class BatchCheck:
    """Looks at the batches of one pass after the other.

    Args:
        model: Says what a batch should be, with its `batch_fits`, `batch_arrays` and
            `check_batch`.
    """

    def __init__(self, model: StepModel) -> None:
        self._model = model
        self._expected: Any = None

    def expect(self, spec: Any) -> None:
        """Raises the model's ValueError where batches of a type cannot fit.

        Args:
            spec: The element's, of an iterator of a dataset, distributed or not.
        """
        spec = tf.nest.map_structure(_of_one_replica, without_optionals(spec))
        if spec != self._expected:
            graph = tf.function(self._model.batch_fits, autograph=False)
            graph.get_concrete_function(spec)
            self._expected = spec

    def fits(self, batch: Any) -> tf.Tensor:
        """Whether a batch fits on every replica, a boolean; not called in one."""
        strategy = self._model.distribute_strategy

        def misfits(part: Any) -> tf.Tensor:
            fits = self._model.batch_fits(part)
            # An integer, since sums of floats beside the optimizer's are mixed up.
            return tf.cast(tf.logical_not(fits), tf.int32)

        found = strategy.run(misfits, args=(batch,))
        if strategy.num_replicas_in_sync > 1:
            found = strategy.reduce(tf.distribute.ReduceOp.SUM, found, axis=None)
        return tf.equal(found, 0)

    def packed(self, batch: Any) -> tf.Tensor:
        """Returns the batch as this worker has it, for `refuse`; strings (parts,)."""
        strategy = self._model.distribute_strategy
        arrays = strategy.run(self._model.batch_arrays, args=(batch,))
        whole = [
            tf.concat(strategy.experimental_local_results(array), axis=0)
            for array in arrays
        ]
        return tf.stack([tf.io.serialize_tensor(array) for array in whole])

    def refuse(self, packed: tf.Tensor) -> None:
        """Raises the ValueError of a batch that does not fit."""
        arrays = [tf.io.parse_tensor(part, tf.float32).numpy() for part in packed]
        self._model.check_batch(*arrays)
        raise invalid_argument(
            "x",
            "batches that fit the model",
            received="one on another worker that does not",
            advice="See what that one says.",
        )


def nothing_refused() -> tf.Tensor:
    """What `BatchCheck.packed` returns, of no batch."""
    return tf.zeros([0], tf.string)


def _of_one_replica(spec: Any) -> Any:
    """The type of what one replica gets; None where it is no tensor."""
    if isinstance(spec, tf.TensorSpec | tf.RaggedTensorSpec | tf.SparseTensorSpec):
        return spec
    for part in tf.nest.flatten(spec, expand_composites=True):
        if isinstance(part, tf.TensorSpec):
            return part
    return None
