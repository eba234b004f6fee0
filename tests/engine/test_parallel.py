"""Calls side by side: in order, no further ahead than there are cores, and stopped."""

import os
import threading

import numpy as np
import pytest
import tensorflow as tf

import keras_vae
from keras_vae.engine import chunks, parallel


@pytest.fixture(params=[1, 3])
def at_once(request, monkeypatch):
    monkeypatch.setattr(parallel, "calls_at_once", lambda: request.param)
    return request.param


def test_results_come_in_the_order_of_the_items(at_once):
    last = threading.Event()

    def slow_at_first(item):
        if at_once > 1 and item == 0:
            assert last.wait(10)
        if item == 2:
            last.set()
        return 10 * item

    assert list(parallel.mapped(slow_at_first, range(3))) == [0, 10, 20]


def test_items_are_asked_for_no_further_ahead_than_calls_run(at_once):
    asked = []

    def items():
        for item in range(20):
            asked.append(item)
            yield item

    results = parallel.mapped(lambda item: item, items())
    assert next(results) == 0
    assert len(asked) <= at_once + 1
    assert list(results) == list(range(1, 20))


def test_what_a_call_raises_is_raised_and_ends_the_rest(at_once):
    done = []

    def third_fails(item):
        if item == 2:
            raise ValueError("third")
        done.append(item)

    with pytest.raises(ValueError, match="third"):
        list(parallel.mapped(third_fails, range(100)))
    assert len(done) <= 2 + 2 * at_once


def test_a_call_that_stops_iteration_does_not_end_it_early(at_once):
    with pytest.raises(RuntimeError):
        list(parallel.mapped(next, [iter([1]), iter([])]))


def set_threads(monkeypatch, result):
    """Stands in for what TensorFlow allows once in a process."""
    set_to, threads = [], tf.config.threading

    def set_or_raise(number):
        if isinstance(result, Exception):
            raise result
        set_to.append(number)

    monkeypatch.setattr(threads, "set_intra_op_parallelism_threads", set_or_raise)
    monkeypatch.setattr(parallel, "_asked_for", False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(5)))
    return set_to


def test_calls_run_side_by_side_once_operations_use_one_core(monkeypatch):
    set_to = set_threads(monkeypatch, None)
    assert parallel.calls_at_once() == 1
    parallel.one_core_per_call()
    assert set_to == [1]
    assert parallel.calls_at_once() == parallel.cores() == 5


def test_calls_run_in_turn_where_tensorflow_has_started(monkeypatch):
    set_threads(monkeypatch, RuntimeError("cannot be modified after initialization"))
    parallel.one_core_per_call()
    assert parallel.calls_at_once() == 1


@pytest.mark.parametrize(
    ("n", "sizes"), [(10, [2] * 5), (3, [1] * 3), (12, [3] * 4), (0, [0])]
)
def test_few_examples_are_shared_among_the_calls(n, sizes, monkeypatch):
    monkeypatch.setattr(parallel, "calls_at_once", lambda: 5)
    model = keras_vae.VAE(2, (4,), seed=0)
    parts = chunks.examples(model, np.zeros((n, 4), np.float32))
    assert [len(part.x) for part in parts] == sizes
    z = np.arange(2.0 * max(n, 1), dtype=np.float32).reshape(-1, 2)
    twice = chunks.over_latents(model, "twice", lambda z, given, first: 2 * z, z)
    np.testing.assert_array_equal(twice, 2 * z)


@pytest.mark.slow
def test_likelihoods_are_the_same_when_chunks_run_side_by_side(run_python):
    """In a process of its own, since threads are set before TensorFlow starts."""
    program = """
import os
import keras, numpy as np
from keras_vae import VAE
from keras_vae.engine import chunks, parallel
from keras_vae.evaluation.likelihood import elbo_terms, importance_weighted_nll

os.sched_getaffinity = lambda pid: {0, 1, 2}
parallel.one_core_per_call()
keras.utils.set_random_seed(0)
model = VAE(2, (6,), seed=0)
x = (np.random.default_rng(0).random((50, 6)) > 0.5).astype(np.float32)
chunks.NUMBERS_PER_CALL["CPU"] = 16 * 7 * model.numbers_per_sample
told = []
assert parallel.calls_at_once() == 3
beside = importance_weighted_nll(model, x, 40, progress=lambda *done: told.append(done))
terms = elbo_terms(model, x)
assert [done for done, _ in told] == sorted({done for done, _ in told})
assert told[-1] == (2000, 2000)
parallel.calls_at_once = lambda: 1
alone = importance_weighted_nll(model, x, 40)
np.testing.assert_array_equal(beside.log_prob, alone.log_prob)
np.testing.assert_array_equal(terms.neg_elbo, elbo_terms(model, x).neg_elbo)
"""
    made = run_python("-c", program, timeout=300)
    assert made.returncode == 0, made.stderr
