"""What holds of batches for any number of examples, batch size and type."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_vae.data.pipeline import batches, num_batches
from keras_vae.units import to_unit

DTYPES = ("uint8", "uint16", "float32", "float64")
SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple)
many = settings(max_examples=15, deadline=None, derandomize=True, database=None)


def examples(rng, n, shape, dtype):
    if dtype.startswith("uint"):
        return rng.integers(0, np.iinfo(dtype).max + 1, (n, *shape)).astype(dtype)
    return rng.normal(size=(n, *shape)).astype(dtype)


@pytest.mark.slow
@many
@given(
    n=st.integers(1, 40),
    batch_size=st.integers(1, 50),
    shape=SHAPES,
    dtype=st.sampled_from(DTYPES),
    shuffle=st.booleans(),
    seed=st.integers(-(2**63), 2**64),
    epoch=st.integers(0, 10**6),
)
def test_an_epoch_shows_every_row_once(
    n, batch_size, shape, dtype, shuffle, seed, epoch
):
    x = examples(np.random.default_rng(n), n, shape, dtype)
    steps = num_batches(n, batch_size)
    shown = list(
        batches(
            x,
            np.arange(n),
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            start_step=epoch * steps,
            repeat=False,
        ).as_numpy_iterator()
    )
    assert [len(part) for part, _ in shown[:-1]] == [batch_size] * (steps - 1)
    values, rows = (np.concatenate(parts) for parts in zip(*shown, strict=True))
    assert sorted(rows) == list(range(n))
    assert shuffle or rows.tolist() == list(range(n))
    assert values.dtype == np.float32
    np.testing.assert_allclose(values, to_unit(x)[rows], rtol=1e-6)


@pytest.mark.slow
@many
@given(
    n=st.integers(1, 40),
    batch_size=st.integers(1, 50),
    seed=st.integers(0, 2**31),
    step=st.integers(0, 200),
    binarize=st.sampled_from(("none", "static", "dynamic")),
)
def test_a_start_at_any_step_is_the_rest_of_the_whole(
    n, batch_size, seed, step, binarize
):
    x = np.random.default_rng(0).integers(0, 256, (n, 3), np.uint8)
    options = {"batch_size": batch_size, "seed": seed, "binarize": binarize}
    steps = num_batches(n, batch_size)
    first = step - step % steps
    whole = batches(x, **options, start_step=first).take(step - first + 3)
    rest = batches(x, **options, start_step=step).take(3)
    for a, b in zip(
        list(whole.as_numpy_iterator())[step - first :],
        rest.as_numpy_iterator(),
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
@many
@given(
    n=st.integers(1, 30),
    rows=st.lists(st.integers(0, 10**6), min_size=1, max_size=60),
    batch_size=st.integers(1, 70),
)
def test_rows_that_are_chosen_are_shown_as_often_as_they_are_chosen(
    n, rows, batch_size
):
    rows = np.array(rows) % n
    x = np.arange(n, dtype=np.float32)[:, np.newaxis]
    shown = batches(x, batch_size=batch_size, rows=rows, repeat=False)
    values = np.concatenate(list(shown.as_numpy_iterator()))[:, 0]
    assert sorted(values) == sorted(rows)
