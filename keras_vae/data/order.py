"""The order in which the examples of an epoch are seen.

A keyed permutation of the positions of an epoch, computed for those of one batch at a
time: nothing is stored, and a run can start at any step. It is a Feistel network over
pairs of numbers (Luby and Rackoff 1988; Black and Rogaway 2002), whose round functions
are tables of random numbers of the seed and the epoch, all 64 bits of each; what falls
outside of the examples is permuted again (cycle walking).
"""

import math
from typing import Any

import tensorflow as tf

from keras_vae.noise import Domain, RowNoise

VERSION = 2
"""Of the order: another number where the same seed gives another one. 0.1.0 had 1."""

_ROUNDS = 12  # then all orders of up to 8 examples are equally frequent


def shuffled(positions: tf.Tensor, seed: Any, epoch: Any, n: int) -> tf.Tensor:
    """Returns the examples at some positions of an epoch, each once in n of them.

    Args:
        positions: int64 (k,), in [0, n).
        seed: A Python int, or an int32 tensor of shape (2,), 64 bits.
        epoch: The number of the epoch, an int64 scalar.
        n: Number of examples.

    Returns:
        int64 (k,), in [0, n).
    """
    # An even number of columns: else the network has even permutations only.
    columns = max(4, math.isqrt(n - 1) + 1)
    columns += columns % 2
    rows = max(3, -(-n // columns))
    noise = RowNoise(seed, epoch, domain=Domain.ORDER)
    drawn = noise.bits32(_ROUNDS, (max(columns, rows),), "rounds")
    tables = tf.unstack(drawn)

    def permuted(numbers: tf.Tensor) -> tf.Tensor:
        column, row = numbers % columns, numbers // columns
        for of_row, of_column in zip(tables[::2], tables[1::2], strict=True):
            column = (column + tf.gather(of_row, row)) % columns
            row = (row + tf.gather(of_column, column)) % rows
        return row * columns + column

    def walk(found: tf.Tensor) -> tuple[tf.Tensor]:
        return (tf.where(found < n, found, permuted(found)),)

    (found,) = tf.while_loop(
        lambda found: tf.reduce_any(found >= n), walk, (permuted(positions),)
    )
    return found
