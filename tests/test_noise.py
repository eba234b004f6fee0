"""Noise by row: what it depends on, what it does not, and its distribution."""

import threading

import numpy as np
import pytest
import tensorflow as tf

from keras_vae.noise import (
    RowNoise,
    SamplesNoise,
    current_noise,
    noise_scope,
    samples_scope,
)

KINDS = pytest.mark.parametrize("kind", ["normal", "uniform", "bits16"])
EVENTS = pytest.mark.parametrize("event", [(), (1,), (3,), (4,), (2, 3), (5, 1, 2)])


def draw(kind, rows, event, first_row=0, seed=1, step=2, **options):
    stream = options.pop("stream", "z")
    noise = RowNoise(seed, step, first_row, **options)
    return getattr(noise, kind)(rows, event, stream).numpy()


@KINDS
@EVENTS
def test_a_row_has_the_same_noise_however_rows_are_split(kind, event):
    whole = draw(kind, 10, event)
    assert whole.shape == (10, *event)
    parts, first = [], 0
    for rows in (1, 0, 4, 3, 2):
        parts.append(draw(kind, rows, event, first))
        first += rows
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@KINDS
def test_rows_and_the_numbers_of_a_row_differ(kind):
    numbers = draw(kind, 100, (7,))
    assert len(np.unique(numbers)) > 0.98 * numbers.size


@KINDS
@pytest.mark.parametrize(
    "other",
    [
        {"seed": 2},
        {"seed": -1},
        {"seed": 1 + 2**40},
        {"step": 3},
        {"step": 2 + 2**33},
        {"domain": "evaluation"},
        {"stream": "x"},
    ],
    ids=str,
)
def test_each_part_of_the_key_gives_other_noise(kind, other):
    a = draw(kind, 500, (3,)).ravel().astype(float)
    b = draw(kind, 500, (3,), **other).ravel().astype(float)
    assert abs(np.corrcoef(a, b)[0, 1]) < 4.5 / np.sqrt(a.size)


@KINDS
def test_noise_of_one_step_is_not_that_of_another_row(kind):
    steps = np.concatenate([draw(kind, 50, (4,), step=s) for s in range(20)])
    assert len(np.unique(steps[:, 0])) > 0.98 * len(steps)


def test_a_seed_is_an_int_of_any_kind_or_its_two_halves():
    seed = 3 * 2**32 + 5
    expected = draw("normal", 4, (3,), seed=seed)
    for same in (np.int64(seed), tf.constant([5, 3]), np.array([5, 3]), seed + 2**64):
        np.testing.assert_array_equal(draw("normal", 4, (3,), seed=same), expected)


def in_graph(kind, **options):
    """Returns noise as a graph of (first row, rows), all else in the key dynamic."""

    @tf.function(reduce_retracing=True, **options)
    def noise(seed, step, first, rows):
        return getattr(RowNoise(seed, step, first), kind)(rows, (3,), "z")

    key = tf.constant([1, 0]), tf.constant(2, tf.int64)
    return lambda first, rows: noise(*key, tf.constant(first), rows).numpy()


@KINDS
def test_a_graph_gives_the_same_noise(kind):
    graph = in_graph(kind)
    np.testing.assert_array_equal(graph(6, tf.constant(5)), draw(kind, 5, (3,), 6))


@pytest.mark.slow
@KINDS
@pytest.mark.parametrize("rows", [3, 4])
def test_under_xla_too_a_row_has_the_same_noise_however_rows_are_split(kind, rows):
    graph = in_graph(kind, jit_compile=True)
    parts = [graph(0, rows), graph(rows, 10 - rows)]
    np.testing.assert_array_equal(np.concatenate(parts), graph(0, 10))


def test_normal_noise_has_the_moments_of_a_normal():
    x = draw("normal", 40_000, (5,)).astype(float).ravel()
    n = x.size
    for power, expected, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]:
        assert abs(np.mean(x**power) - expected) < 4.5 * np.sqrt(variance / n)


def test_uniform_noise_fills_the_unit_interval_evenly():
    x = draw("uniform", 40_000, (5,))
    assert x.dtype == np.float32
    assert x.min() >= 0 and x.max() < 1
    counts, _ = np.histogram(x, 50, (0, 1))
    expected = x.size / 50
    chi_square = np.sum((counts - expected) ** 2) / expected
    assert abs(chi_square - 49) < 4.5 * np.sqrt(2 * 49)


@pytest.mark.parametrize("event", [(5,), (6,)])
def test_16_bits_are_even_over_their_range(event):
    x = draw("bits16", 30_000, event)
    assert x.dtype == np.int32
    assert x.min() >= 0 and x.max() < 2**16
    for bits in (x >> 8, x & 0xFF):
        counts = np.bincount(bits.ravel(), minlength=256)
        expected = x.size / 256
        chi_square = np.sum((counts - expected) ** 2) / expected
        assert abs(chi_square - 255) < 4.5 * np.sqrt(2 * 255)


def test_the_numbers_of_a_row_do_not_depend_on_each_other():
    for kind in ("normal", "bits16"):
        x = draw(kind, 20_000, (6,)).astype(float)
        off_diagonal = np.corrcoef(x.T)[~np.eye(6, dtype=bool)]
        assert np.abs(off_diagonal).max() < 5 / np.sqrt(len(x))


def test_a_scope_is_innermost_first_and_ends():
    outer, inner = RowNoise(1), RowNoise(2)
    assert current_noise() is None
    with noise_scope(outer):
        with noise_scope(inner):
            assert current_noise() is inner
        assert current_noise() is outer
    assert current_noise() is None


def test_a_scope_ends_with_an_error():
    with pytest.raises(ValueError, match="no"), noise_scope(RowNoise(1)):
        raise ValueError("no")
    assert current_noise() is None


def test_a_scope_belongs_to_its_thread():
    seen = []
    with noise_scope(RowNoise(1)):
        thread = threading.Thread(target=lambda: seen.append(current_noise()))
        thread.start()
        thread.join()
    assert seen == [None]


SAMPLES = 3


def sampled(kind, rows, event, first_row=0):
    noise = SamplesNoise(RowNoise(1, 2, first_row), SAMPLES)
    return getattr(noise, kind)(rows, event, "z").numpy()


@KINDS
@EVENTS
def test_a_sample_of_a_row_has_the_same_noise_however_rows_are_split(kind, event):
    whole = sampled(kind, 10 * SAMPLES, event).reshape(SAMPLES, 10, *event)
    first = 0
    for rows in (4, 0, 6):
        part = sampled(kind, rows * SAMPLES, event, first).reshape(
            SAMPLES, rows, *event
        )
        np.testing.assert_array_equal(part, whole[:, first : first + rows])
        first += rows


@KINDS
def test_samples_of_rows_differ(kind):
    numbers = sampled(kind, 50 * SAMPLES, (7,))
    assert len(np.unique(numbers)) > 0.98 * numbers.size


@KINDS
def test_the_first_samples_have_the_noise_that_they_have_among_all(kind):
    whole = sampled(kind, 4 * SAMPLES, (5,)).reshape(SAMPLES, 4, 5)
    noise = SamplesNoise(RowNoise(1, 2, 0), SAMPLES, wanted=tf.constant(2))
    first = getattr(noise, kind)(4 * 2, (5,), "z").numpy().reshape(2, 4, 5)
    np.testing.assert_array_equal(first, whole[:2])


def test_a_row_that_is_lent_to_no_examples_has_noise_too():
    assert sampled("bits16", 1, (5,)).shape == (1, 5)


def test_inside_of_the_scope_noise_is_that_of_samples():
    with samples_scope(2):
        assert current_noise() is None
    with noise_scope(RowNoise(0)) as _, samples_scope(1):
        assert not isinstance(current_noise(), SamplesNoise)
    with noise_scope(RowNoise(0)), samples_scope(2):
        assert current_noise().num_samples == 2
