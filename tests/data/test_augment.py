"""Turned, scaled and moved images: how far, how many, and the same for any batching."""

import numpy as np
import pytest
import tensorflow as tf

from keras_vae.data.augment import affine
from keras_vae.noise import RowNoise

SIDES = (24, 30)


@pytest.fixture(scope="module")
def blobs():
    """200 images of one round spot in the middle."""
    y, x = np.mgrid[: SIDES[0], : SIDES[1]]
    far = (y - (SIDES[0] - 1) / 2) ** 2 + (x - (SIDES[1] - 1) / 2) ** 2
    spot = np.exp(-far / 8).astype(np.float32)[..., np.newaxis]
    return np.repeat(spot[np.newaxis], 200, axis=0)


def moved(images, first_row=0):
    noise = RowNoise(tf.constant([3, 4]), 0, first_row, "data")
    return affine(tf.constant(images), noise).numpy()


def test_half_of_the_images_stay_as_they_are(blobs):
    changed = np.abs(moved(blobs) - blobs).max(axis=(1, 2, 3)) > 0
    assert 0.4 < changed.mean() < 0.6


def test_what_is_in_the_middle_stays_near_it(blobs):
    images = moved(blobs)[..., 0]
    mass = images.sum(axis=(1, 2))
    for axis, side in enumerate(SIDES):
        places = np.arange(side) - (side - 1) / 2
        along = images.sum(axis=2 - axis) @ places / mass
        assert np.abs(along).max() < 0.025 * side
        assert np.abs(along).max() > 0.005 * side


def test_an_image_is_moved_the_same_way_in_every_batch(blobs):
    whole = moved(blobs)
    np.testing.assert_array_equal(moved(blobs[50:], first_row=50), whole[50:])


def test_what_comes_in_from_outside_is_black():
    images = moved(np.ones((100, *SIDES, 1), np.float32))
    assert images.min() == 0.0
    assert images.max() <= 1.0 + 1e-6
