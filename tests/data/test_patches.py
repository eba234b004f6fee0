"""Patches of photographs: where they are from, and that no pixel is in both splits."""

import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from keras_vae.data import patches
from keras_vae.data.datasets import load

COUNTS = {32: (8000, 156), 64: (4000, 36)}


@pytest.mark.parametrize(("name", "size"), [("patches", 32), ("patches64", 64)])
def test_patches_are_8_bit_colour_images_with_their_photograph(name, size):
    data = load(name)
    assert data.kind == "images" and data.input_shape == (size, size, 3)
    assert (len(data.train), len(data.test)) == COUNTS[size]
    assert data.train.x.dtype == data.test.x.dtype == np.uint8
    assert data.label_names == ("china", "flower")
    assert np.bincount(data.train.y).tolist() == [COUNTS[size][0] // 2] * 2
    again = load(name)
    np.testing.assert_array_equal(data.train.x[:50], again.train.x[:50])


@pytest.mark.parametrize("size", [32, 64])
def test_no_pixel_of_a_test_patch_is_in_a_training_patch(size):
    seen = np.zeros((2, 2, 427, 640), int)
    for split, of in enumerate((patches.training_places, patches.held_out_places)):
        for photograph, row, column in of(size):
            block = seen[split, photograph, row : row + size, column : column + size]
            assert block.shape == (size, size)  # none reaches beyond the picture
            block += 1
    assert not np.any((seen[0] > 0) & (seen[1] > 0))
    assert seen[1].max() == 1
    tested = np.zeros(640, bool)
    for first, behind in patches.TEST_COLUMNS:
        tested[first:behind] = True
    assert np.mean(seen[0][:, :, ~tested] > 0) > 0.97
    assert np.mean(seen[1][:, :, tested] > 0) > 0.89


@pytest.mark.slow
@pytest.mark.parametrize("size", [32, 64])
def test_the_splits_hold_the_same_kinds_of_patches(size):
    data = patches.patches(size)

    def contrasts(x):  # of a patch: what makes it hard to tell
        steps = np.abs(np.diff(x.astype(int), axis=2)).mean(axis=(1, 2, 3))
        return np.quantile(steps, [0.25, 0.5, 0.75])

    ratios = contrasts(data["x_test"]) / contrasts(data["x_train"])
    assert np.all((ratios > 0.5) & (ratios < 2.0))


def test_patches_are_what_the_photographs_hold_at_their_places():
    data, pictures = load("patches"), load_sample_images()
    order = [name.endswith("flower.jpg") for name in pictures.filenames]
    by_label = [pictures.images[order.index(label)] for label in (False, True)]
    for split, of in (
        (data.train, patches.training_places),
        (data.test, patches.held_out_places),
    ):
        for x, y, (photograph, row, column) in zip(
            split.x[:40], split.y[:40], of(32)[:40], strict=True
        ):
            assert y == photograph
            here = by_label[photograph][row : row + 32, column : column + 32]
            np.testing.assert_array_equal(x, here)
