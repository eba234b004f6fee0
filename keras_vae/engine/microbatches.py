"""A replica's batch, as a whole or in microbatches whose gradients make one update."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf


class ReplicaBatch(NamedTuple):
    """Which examples of the global batch a replica has."""

    first: Any
    """The index of its first example in the global batch."""
    count: Any
    """Its number of examples; 0 for a replica that went away empty."""
    total: Any
    """The number of examples in the global batch."""


def replica_batch(x: tf.Tensor) -> ReplicaBatch:
    """Returns which examples of the global batch the calling replica has as `x`.

    Under a strategy the replicas exchange their sizes, since partial batches are split
    unevenly; called by every replica, in the replica context.
    """
    count = tf.shape(x)[0]
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return ReplicaBatch(0, count, count)
    me, replicas = context.replica_id_in_sync_group, context.num_replicas_in_sync
    sizes = context.all_reduce(
        tf.distribute.ReduceOp.SUM, tf.one_hot(me, replicas, dtype=tf.int32) * count
    )
    before = tf.reduce_sum(tf.where(tf.range(replicas) < me, sizes, 0))
    return ReplicaBatch(before, count, tf.reduce_sum(sizes))


def gathered(x: tf.Tensor) -> tf.Tensor:
    """Returns the examples of all replicas, (global batch, ...), in their order.

    Each replica puts the bits of its own in their places, and integers are summed over
    replicas: exact, and without the collective operations on floats that TensorFlow
    mixes up where a loop holds more than the optimizer's.
    """
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return x
    span = replica_batch(x)

    def sum_over_replicas(bits: tf.Tensor) -> tf.Tensor:
        total = context.all_reduce(tf.distribute.ReduceOp.SUM, bits)
        return tf.bitcast(total, tf.float32)

    @tf.custom_gradient
    def gather(rows: tf.Tensor) -> Any:
        before, count = span.first, span.count
        rest = [[0, 0]] * (rows.shape.rank - 1)
        after = span.total - before - count
        placed = tf.pad(
            tf.bitcast(rows, tf.int32), tf.concat([[[before, after]], rest], axis=0)
        )

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            me = tf.one_hot(
                context.replica_id_in_sync_group,
                context.num_replicas_in_sync,
                dtype=tf.int32,
            )
            bits = tf.tensordot(me, tf.bitcast(upstream, tf.int32), axes=0)
            of_all = tf.reduce_sum(sum_over_replicas(bits), axis=0)
            return of_all[before : before + count]

        return sum_over_replicas(placed), gradient

    return gather(x)


class Microbatch(NamedTuple):
    """Examples that go through the model together: a replica's batch, or some of it."""

    inputs: Any
    """What the model is called with: x, or the pair of x and a condition."""
    x: Any
    """(count, *input_shape)"""
    weight: Any
    """Of each example in the mean over the global batch, (count,)."""
    span: ReplicaBatch
    """Which examples of the global batch these are."""
    microbatches: Any = 1
    """How many of them the replica's batch is cut into."""

    def cut(self, number: Any, microbatches: Any) -> "Microbatch":
        """Returns the one of that number, from 0, of so many of about equal size."""
        before, count, total = self.span
        first = number * count // microbatches
        last = (number + 1) * count // microbatches
        span = ReplicaBatch(before + first, last - first, total)
        inputs = keras.tree.map_structure(lambda rows: rows[first:last], self.inputs)
        x, weight = self.x[first:last], self.weight[first:last]
        return Microbatch(inputs, x, weight, span, microbatches)


def weighted_batch(inputs: Any, x: tf.Tensor, sample_weight: Any) -> Microbatch:
    """Returns a replica's batch, each example with its weight in the global mean.

    That is 1 / (number of examples in the global batch), times its `sample_weight` if
    there is one. Called by every replica, in the replica context.
    """
    span = replica_batch(x)
    weight = tf.fill([span.count], 1.0 / tf.cast(span.total, tf.float32))
    if sample_weight is not None:
        weight = weight * sample_weight
    return Microbatch(inputs, x, weight, span)


Work = Callable[[Microbatch], tuple[tf.Tensor, list[list[Any]]]]
"""Returns a loss and its gradients by optimizer and variable, None where there is none;
those of microbatches sum to those of the batch."""


def accumulated(
    work: Work,
    batch: Microbatch,
    microbatches: int,
    variables: Sequence[Sequence[keras.Variable]],
) -> tuple[tf.Tensor, list[list[Any]]]:
    """Returns the loss and the gradients of a batch, worked on in microbatches in turn.

    Args:
        work: Of one microbatch.
        batch: A replica's.
        microbatches: How many it is cut into, or as many as there are examples.
        variables: Of each optimizer.
    """
    if microbatches == 1:
        return work(batch)
    count = tf.clip_by_value(batch.span.count, 1, microbatches)
    untouched = set()

    def add(number: tf.Tensor, loss: tf.Tensor, sums: list[Any]) -> Any:
        more, gradients = work(batch.cut(number, count))
        for i, own in enumerate(gradients):
            for j, gradient in enumerate(own):
                if gradient is None:
                    untouched.add((i, j))
                else:
                    gradient = tf.convert_to_tensor(gradient)
                    sums[i][j] += tf.ensure_shape(gradient, sums[i][j].shape)
        return number + 1, loss + more, sums

    zeros = [[tf.zeros(v.shape, v.dtype) for v in own] for own in variables]
    _, loss, sums = tf.while_loop(
        lambda number, *_: number < count,
        add,
        (0, tf.zeros(()), zeros),
        parallel_iterations=1,
    )
    gradients = [
        [None if (i, j) in untouched else total for j, total in enumerate(own)]
        for i, own in enumerate(sums)
    ]
    return loss, gradients
