"""A batch in a graph is asked what an array is asked."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vae.probability.likelihoods import LIKELIHOODS

RNG = np.random.default_rng(0)
GREY = (RNG.integers(1, 255, (20, 4, 4, 1)) / 255).astype(np.float32)


def changed(value):
    x = GREY.copy()
    x[13, 2, 1, 0] = value
    return x


BATCHES = {
    "grey": GREY,
    "bytes in floats": 255 * GREY,
    "just outside": changed(1.001),
    "rounded": changed(1.0000001),
    "negative": changed(-0.01),
    "NaN": changed(np.nan),
    "infinite": changed(np.inf),
    "minus infinity": changed(-np.inf),
    "off the grey levels": changed(100.5 / 255),
    "binarised": np.rint(GREY),
    "black": np.zeros_like(GREY),
    "none": GREY[:0],
}


@pytest.mark.parametrize("x", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_a_batch_fits_where_an_array_passes(name, x):
    likelihood = LIKELIHOODS[name]()
    try:
        likelihood.check(x)
        passes = True
    except ValueError:
        passes = False
    assert bool(tf.function(likelihood.fits)(tf.constant(x))) == passes


def test_a_few_black_and_white_examples_may_be_so_by_chance():
    likelihood = LIKELIHOODS["continuous_bernoulli"]()
    few = np.rint(GREY[:4])
    assert bool(likelihood.fits(tf.constant(few)))
    assert likelihood.check_support(few) is None
    with pytest.raises(ValueError, match="0 or 1"):
        likelihood.check(few)


@pytest.mark.parametrize("dtype", [">u1", ">u2", "<u2"])
def test_stored_images_fit_in_either_byte_order(dtype):
    x = np.full((2, 4, 4, 1), np.iinfo(dtype).max, dtype)
    assert LIKELIHOODS["bernoulli"]().check(x) is None
