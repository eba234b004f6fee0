import numpy as np
import pytest
import tensorflow as tf

from keras_vae.data import pipeline
from keras_vae.data.binarized import binarized

GREY = np.random.default_rng(0).integers(0, 256, (40, 3, 5, 1), np.uint8)


class Streamed:
    """Examples that are read when they are asked for."""

    def __init__(self, x):
        self._x = x
        self.shape = x.shape[1:]

    def __len__(self):
        return len(self._x)

    def take(self, rows):
        return Streamed(self._x[rows])

    def gather(self, rows):
        return tf.gather(self._x, rows)


def test_without_binarising_the_examples_are_as_they_are():
    assert binarized(GREY, "none") is GREY
    streamed = Streamed(GREY)
    assert binarized(streamed, "none") is streamed


@pytest.mark.parametrize("binarize", ["threshold", "static", "dynamic"])
def test_streamed_examples_are_the_same_as_those_in_memory(binarize):
    array = binarized(GREY, binarize)
    streamed = binarized(Streamed(GREY), binarize)
    assert (len(streamed), streamed.shape) == (40, (3, 5, 1))
    assert set(np.unique(array)) == {0, 255}
    np.testing.assert_array_equal(streamed[:], array)
    np.testing.assert_array_equal(streamed.head(7), array[:7])
    rows = np.array([9, 2, 2, 31])
    np.testing.assert_array_equal(streamed.gather(tf.constant(rows)), array[rows])


@pytest.mark.parametrize("binarize", ["threshold", "static"])
def test_an_example_is_drawn_alike_whichever_others_are_taken(binarize):
    array, rows = binarized(GREY, binarize), np.array([30, 4, 17])
    part = binarized(Streamed(GREY), binarize).take(rows)
    np.testing.assert_array_equal(part[:], array[rows])
    np.testing.assert_array_equal(part.take(np.array([2, 0]))[:], array[[17, 30]])


def test_static_and_dynamic_are_the_same_draw_of_another_seed():
    one = binarized(GREY, "static")
    np.testing.assert_array_equal(binarized(GREY, "dynamic"), one)
    np.testing.assert_array_equal(one, pipeline.binarize_once(GREY, 1))
    assert (binarized(GREY, "dynamic", seed=2) != one).any()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_the_threshold_is_one_half_as_in_training(dtype):
    top = 1 if dtype == np.float32 else np.iinfo(dtype).max
    x = (np.linspace(0, 1, 64, dtype=np.float64) * top).astype(dtype).reshape(8, 8)
    batch = next(
        iter(pipeline.batches(x, batch_size=8, shuffle=False, binarize="threshold"))
    )
    np.testing.assert_array_equal(binarized(x, "threshold") / 255, batch)
