"""The order of examples, where it can start, and what is done to their values."""

import gc
import weakref
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae.data import pipeline
from keras_vae.data.pipeline import Share, batches, binarize_once, num_batches
from keras_vae.noise import RowNoise

N = 10


class Streamed:
    """Examples that are read in the graph, as those of an `ImageFolder`."""

    def __init__(self, x):
        self._x = tf.constant(x)
        self.shape = x.shape[1:]

    def __len__(self):
        return len(self._x)

    def gather(self, rows):
        return tf.gather(self._x, rows)


def numbered(n=N):
    """Returns examples that hold their own number, float32 (n, 1)."""
    return np.arange(n, dtype=np.float32)[:, np.newaxis]


def taken(count, x, **options):
    """Returns the first batches as arrays."""
    options = {"batch_size": 4, **options}
    return [part.numpy() for part in batches(x, **options).take(count)]


def order(epochs, n=N, batch_size=4, **options):
    """Returns the order of the examples, (epochs, n)."""
    steps = num_batches(n, batch_size) * epochs
    parts = taken(steps, numbered(n), batch_size=batch_size, **options)
    return np.concatenate(parts).reshape(epochs, n).astype(int)


def images(dtype, n=6):
    """Returns (n, 2, 3, 1) images over the whole range of a dtype."""
    grey = np.linspace(0, 1, n * 6).reshape(n, 2, 3, 1)
    top = {"uint8": 255, "uint16": 65_535}.get(np.dtype(dtype).name, 1)
    return (grey * top).astype(dtype)


# Order


@pytest.mark.parametrize("batch_size", [1, 4, 10, 64])
def test_each_epoch_is_a_permutation_and_another_one(batch_size):
    epochs = order(5, batch_size=batch_size)
    np.testing.assert_array_equal(np.sort(epochs), np.tile(np.arange(N), (5, 1)))
    assert len({tuple(epoch) for epoch in epochs}) == 5


def test_the_order_does_not_depend_on_the_batch_size():
    np.testing.assert_array_equal(order(2, batch_size=3), order(2, batch_size=10))


@pytest.mark.slow
def test_no_order_comes_again_after_256_epochs_or_seeds():
    assert len({tuple(epoch) for epoch in order(300, n=20)}) == 300
    assert not np.array_equal(order(1, seed=1), order(1, seed=257))
    assert not np.array_equal(order(1, seed=1), order(1, seed=1 + 2**40))


@pytest.mark.slow
def test_the_order_depends_on_the_seed():
    assert not np.array_equal(order(1, seed=1), order(1, seed=2))
    np.testing.assert_array_equal(order(1, seed=1), order(1, seed=1))


def test_every_example_comes_first_at_some_time():
    assert set(order(100)[:, 0]) == set(range(N))


def test_without_shuffling_the_order_is_that_of_the_data():
    expected = np.tile(np.arange(N), (2, 1))
    np.testing.assert_array_equal(order(2, shuffle=False), expected)


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_examples_are_shuffled_too(n):
    np.testing.assert_array_equal(np.sort(order(3, n=n)), [range(n)] * 3)


def test_the_last_batch_of_an_epoch_holds_what_is_left():
    assert [len(part) for part in taken(6, numbered())] == [4, 4, 2, 4, 4, 2]


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("start_step", [1, 3, 7])
def test_a_start_at_any_step_continues_the_same_sequence(start_step, shuffle):
    whole = taken(start_step + 5, numbered(), shuffle=shuffle)
    rest = taken(5, numbered(), shuffle=shuffle, start_step=start_step)
    for a, b in zip(whole[start_step:], rest, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(("start_step", "left"), [(0, 3), (1, 2), (3, 3), (5, 1)])
def test_without_repeating_it_stops_at_the_end_of_the_epoch(start_step, left):
    dataset = batches(numbered(), batch_size=4, repeat=False, start_step=start_step)
    assert int(dataset.cardinality()) == left
    assert len(list(dataset)) == left


def test_repeating_has_no_end():
    dataset = batches(numbered(), batch_size=4)
    assert int(dataset.cardinality()) == tf.data.INFINITE_CARDINALITY


# Rows that belong together


def test_labels_and_weights_go_with_their_examples():
    x = numbered()
    data = batches(x, x[:, 0] * 2, sample_weight=list(x[:, 0] * 3), batch_size=4)
    for part, y, weight in data.take(3):
        np.testing.assert_array_equal(y, part[:, 0] * 2)
        np.testing.assert_array_equal(weight, part[:, 0] * 3)


def test_weights_without_labels_leave_their_place_empty():
    x = numbered()
    part, y, weight = next(iter(batches(x, sample_weight=x[:, 0], batch_size=4)))
    assert y is None
    np.testing.assert_array_equal(weight, part[:, 0])


def test_labels_keep_their_dtype():
    y = np.arange(N, dtype=np.int32)
    assert batches(numbered(), y, batch_size=4).element_spec[1].dtype == tf.int32


# Values


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("wrap", [np.asarray, tf.constant, Streamed])
def test_stored_integers_are_scaled_and_floats_are_not(dtype, wrap):
    x = images(dtype)
    (got,) = taken(1, wrap(x), batch_size=6, shuffle=False)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, images("float64"), atol=1 / 250)
    assert got.min() == 0 and got.max() == 1


@pytest.mark.parametrize("dtype", ["bool", "int32", "int64"])
def test_other_numbers_are_taken_as_they_are(dtype):
    x = np.array([[0, 1, 1]], dtype)
    np.testing.assert_array_equal(taken(1, x)[0], [[0.0, 1.0, 1.0]])


@pytest.fixture
def uncopied(monkeypatch):
    """All arrays are large ones, which TensorFlow has no copy of."""
    monkeypatch.setattr(pipeline, "_MOST_COPIED", 0)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", ">f4", "float64"])
@pytest.mark.parametrize("size", [4, 5])
def test_large_arrays_are_read_from_where_they_are(dtype, size, tmp_path, uncopied):
    x = np.random.default_rng(0).integers(0, 200, (N, 2, 3, 1)).astype(dtype)
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    y, options = np.arange(N), {"batch_size": size, "binarize": "dynamic"}
    if dtype != "uint8":
        options["binarize"] = "none"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "_MOST_COPIED", 10**9)
        expected = list(batches(x, y, **options).take(5))
    for large in (x, mapped, x[::-1][::-1]):
        found = batches(large, y, **options)
        assert found.element_spec[0].shape == (5 if size == 5 else None, 2, 3, 1)
        for one, other in zip(found.take(5), expected, strict=True):
            np.testing.assert_array_equal(one[0], other[0])
            np.testing.assert_array_equal(one[1], other[1])


@pytest.mark.slow
def test_replicas_read_large_arrays_too(replicas, monkeypatch):
    x = np.random.default_rng(0).integers(0, 256, (20, 2, 3, 1), np.uint8)
    histories = []
    for number, most in ((1, 10**9), (2, 0)):
        monkeypatch.setattr(pipeline, "_MOST_COPIED", most)
        with replicas(number).scope():
            keras.utils.set_random_seed(0)
            model = keras_vae.VAE(2, (2, 3, 1), seed=0)
            model.compile()
        fitted = model.fit(x, batch_size=8, epochs=2, validation_data=x, verbose=0)
        histories.append(fitted.history)
    one, two = histories
    for name, values in one.items():
        np.testing.assert_allclose(two[name], values, rtol=1e-4)


@pytest.mark.slow
def test_a_large_array_is_forgotten_once_nothing_uses_it(uncopied):
    x = np.zeros((20, 2, 3, 1), np.uint8)
    model = keras_vae.VAE(2, (2, 3, 1), seed=0)
    model.compile()
    model.fit(x, np.zeros(20), batch_size=8, validation_split=0.2, verbose=0)
    iterator = iter(batches(x, batch_size=8))
    array = weakref.ref(x)
    del x, model
    gc.collect()
    assert next(iterator).shape == (8, 2, 3, 1)  # it alone keeps the array
    del iterator
    gc.collect()
    assert array() is None


def test_a_large_array_of_text_is_copied_as_small_ones_are(uncopied):
    y = np.array([*"abcdéfghij"])
    (part,) = batches(numbered(), y, batch_size=N, shuffle=False).take(1)
    assert [text.decode() for text in part[1].numpy()] == [*y]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
def test_training_on_an_array_makes_no_copy_of_it(tmp_path, run_python):
    np.save(tmp_path / "x.npy", np.zeros((200_000, 28, 28), np.uint8))  # 150 MiB
    program = r"""
import re, sys
from pathlib import Path
import keras, numpy as np
import keras_vae
def mebibytes():
    status = Path("/proc/self/status").read_text()
    return int(re.search("RssAnon:\s+(\d+)", status)[1]) / 1024
model = keras_vae.VAE(2, (28, 28))
model.compile()
few = np.zeros((512, 28, 28), np.uint8)
model.fit(few, epochs=1, verbose=0)
before = mebibytes()
x = np.load(sys.argv[1], mmap_mode="r")
model.fit(x, epochs=1, steps_per_epoch=20, validation_data=x[:256], verbose=0)
print(mebibytes() - before)
"""
    made = run_python("-c", program, tmp_path / "x.npy")
    assert made.returncode == 0, made.stderr
    assert float(made.stdout) < 75


def test_shapes_are_known_in_the_graph():
    spec = batches(images("uint8"), batch_size=4).element_spec
    assert spec.shape == (None, 2, 3, 1) and spec.dtype == tf.float32


@pytest.mark.parametrize("options", [{}, {"share": Share(0, 2, 2)}])
def test_the_batch_size_is_known_where_no_batch_of_one_worker_is_smaller(options):
    x = np.zeros((12, 3), np.uint8)
    (size, _), (smaller_last, _) = (
        batches(x, batch_size=batch_size, **options).element_spec.shape
        for batch_size in (4, 5)
    )
    assert size == (None if options else 4) and smaller_last is None


# Binarising


def shown(x, binarize, epochs=1, batch_size=50, **options):
    """Returns what is shown of x in its order, (epochs, n, ...)."""
    steps = num_batches(len(x), batch_size) * epochs
    options = {"shuffle": False, "batch_size": batch_size, **options}
    parts = taken(steps, x, binarize=binarize, **options)
    return np.concatenate(parts).reshape(epochs, *np.shape(x))


def test_threshold_gives_one_from_one_half_up():
    x = np.array([[0.0, 0.49, 0.5, 1.0]], np.float32)
    np.testing.assert_array_equal(shown(x, "threshold")[0], [[0, 0, 1, 1]])
    x = np.array([[0, 127, 128, 255]], np.uint8)
    np.testing.assert_array_equal(shown(x, "threshold")[0], [[0, 0, 1, 1]])


@pytest.mark.parametrize("binarize", ["static", "dynamic"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_grey_values_are_probabilities(binarize, dtype):
    grey = np.array([0, 1, 3, 64, 128, 254, 255]) / 255
    top = {"uint8": 255, "uint16": 65_535}.get(dtype, 1)
    x = np.tile((grey * top).astype(dtype), (20_000, 1))
    drawn = shown(x, binarize, batch_size=5000)[0]
    assert set(np.unique(drawn)) == {0.0, 1.0}
    error = np.sqrt(grey * (1 - grey) / len(x))
    assert np.all(np.abs(drawn.mean(axis=0) - grey) <= 4.5 * error + 1e-4)
    assert drawn[:, 0].max() == 0 and drawn[:, -1].min() == 1


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_dynamic_draws_afresh_each_time(dtype):
    half = np.full((20, 8), 128 if dtype == "uint8" else 0.5, dtype)
    first, second = shown(half, "dynamic", epochs=2)
    assert 0.3 < np.mean(first != second) < 0.7
    assert len(np.unique(first, axis=0)) > 15


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_dynamic_draws_continue_where_a_run_stopped(dtype):
    x = images(dtype)
    whole = taken(6, x, batch_size=4, binarize="dynamic")
    rest = taken(3, x, batch_size=4, binarize="dynamic", start_step=3)
    for a, b in zip(whole[3:], rest, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("wrap", [np.asarray, Streamed])
def test_static_draws_once(wrap):
    x = images("uint8", 20)
    expected = binarize_once(x, seed=5) / 255.0
    for batch_size in (1, 7, 64):
        parts = taken(
            num_batches(20, batch_size) * 2,
            wrap(x),
            batch_size=batch_size,
            binarize="static",
            shuffle=False,
            seed=5,
        )
        first, second = np.concatenate(parts).reshape(2, *x.shape)
        np.testing.assert_array_equal(first, expected)
        np.testing.assert_array_equal(second, expected)
    assert not np.array_equal(binarize_once(x, seed=6) / 255.0, expected)


def test_binarising_once_depends_on_the_row_and_not_on_the_size_of_the_data():
    x = images("float32", 30)
    drawn = binarize_once(x, seed=1)
    assert drawn.dtype == np.uint8 and set(np.unique(drawn)) == {0, 255}
    np.testing.assert_array_equal(binarize_once(x[:7], seed=1), drawn[:7])
    same = np.full((50, 40), 0.5, np.float32)
    assert len(np.unique(binarize_once(same, seed=1), axis=0)) == 50


# Augmenting


@pytest.mark.parametrize("wrap", [np.asarray, Streamed])
@pytest.mark.parametrize("binarize", ["threshold", "static", "dynamic"])
def test_images_are_augmented_before_they_are_binarised(wrap, binarize):
    def augment(x, noise):
        assert x.dtype == tf.float32
        return tf.ones_like(x) * tf.cast(tf.reduce_max(x) <= 1, tf.float32)

    (got,) = taken(1, wrap(images("uint8")), binarize=binarize, augment=augment)
    np.testing.assert_array_equal(got, np.ones((4, 2, 3, 1)))


def test_augmenting_draws_from_the_noise_of_the_step():
    def augment(x, noise):
        return noise.uniform(tf.shape(x)[0], (2, 3, 1), "test")

    x = images("uint8")
    drawn = taken(4, x, augment=augment, seed=3)
    expected = RowNoise(3, 2, domain="data").uniform(4, (2, 3, 1), "test")
    np.testing.assert_array_equal(drawn[2], expected)
    assert not np.array_equal(drawn[0], drawn[2])


def test_all_ways_of_binarising_are_named():
    for name in pipeline.BINARIZE:
        assert taken(1, images("uint8"), binarize=name)[0].shape == (4, 2, 3, 1)
