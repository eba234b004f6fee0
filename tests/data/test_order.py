"""The permutation of an epoch: uses the whole key, and prefers no example."""

import math
from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from keras_vae.data.order import shuffled


def orders(n, seeds, epochs):
    """Returns the order of each pair of a 64-bit seed and an epoch, (pairs, n)."""

    @tf.function
    def all_of(keys):
        return tf.map_fn(
            lambda key: shuffled(
                tf.range(n, dtype=tf.int64), tf.bitcast(key[0], tf.int32), key[1], n
            ),
            keys,
        )

    pairs = np.broadcast_arrays(np.asarray(seeds), np.asarray(epochs))
    return all_of(np.stack(pairs, axis=1).astype(np.int64)).numpy()


@pytest.fixture(scope="module")
def of_many_epochs():
    return orders(1000, 5, np.arange(10_000))


def test_no_order_comes_twice_in_10000_epochs(of_many_epochs):
    assert len(np.unique(of_many_epochs[:, :20], axis=0)) == 10_000


@pytest.mark.slow
def test_no_order_comes_twice_for_10000_seeds():
    seeds = [k << shift for k in range(1, 2501) for shift in (0, 16, 32, 48)]
    seeds = np.unique(np.array(seeds, np.uint64).view(np.int64))
    assert len(np.unique(orders(1000, seeds, 0)[:, :20], axis=0)) == len(seeds)


def test_every_bit_of_the_seed_and_of_the_epoch_counts():
    bits = 2 ** np.arange(63)
    keys = np.concatenate([[[0, 0]], [[b, 0] for b in bits], [[0, b] for b in bits]])
    found = orders(100, *keys.T)
    assert len(np.unique(found, axis=0)) == len(keys)
    differ = np.mean(found[1:] != found[0], axis=1)
    assert differ.min() > 0.9


@pytest.mark.parametrize("n", [1, 2, 3, 5, 12, 17, 99, 1000, 60_000])
def test_each_example_has_one_place(n):
    found = orders(n, 3, np.arange(4))
    np.testing.assert_array_equal(np.sort(found), np.tile(np.arange(n), (4, 1)))


def test_a_place_is_the_same_with_or_without_the_others():
    whole = shuffled(tf.range(1000, dtype=tf.int64), 7, 3, 1000)
    part = shuffled(tf.range(300, 428, dtype=tf.int64), 7, 3, 1000)
    np.testing.assert_array_equal(part, whole[300:428])


def excess(counts, expected, freedom=None):
    """Returns chi squared in standard deviations from what chance gives."""
    freedom = freedom or counts.size - 1
    chi_squared = np.sum((counts - expected) ** 2) / expected
    return (chi_squared - freedom) / math.sqrt(2 * freedom)


@pytest.mark.parametrize("n", [3, 4])
def test_all_orders_of_few_examples_are_equally_frequent(n):
    found = Counter(map(tuple, orders(n, 1, np.arange(4000)).tolist()))
    counts = np.array(list(found.values()))
    assert len(counts) == math.factorial(n)
    assert excess(counts, 4000 / len(counts)) < 4


def test_every_example_is_as_often_in_the_short_last_batch(of_many_epochs):
    shown = np.bincount(of_many_epochs[:, 896:].ravel(), minlength=1000) / 10_000
    assert np.abs(shown - 0.104).max() < 5 * math.sqrt(0.104 * 0.896 / 10_000)


def test_every_example_is_as_often_in_every_place(of_many_epochs):
    places = np.arange(1000) // 50
    cells = of_many_epochs * 20 + places
    counts = np.bincount(cells.ravel(), minlength=20_000)
    assert abs(excess(counts, 500, freedom=999 * 19)) < 5


def test_neighbours_in_the_data_are_no_neighbours_in_the_order(of_many_epochs):
    steps = np.diff(of_many_epochs[:, :200]) % 1000
    counts = np.bincount(steps.ravel(), minlength=1000)
    assert counts[0] == 0
    assert abs(excess(counts[1:], steps.size / 999)) < 5
