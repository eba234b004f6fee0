"""Colour patches of two photographs that come with scikit-learn, 8-bit.

A pagoda and a dahlia, of 427x640. Test patches are of three strips of 64 columns from
top to bottom of each, training patches of the columns between them, so that both hold
sky, leaves, roofs and petals and no pixel is in both. The label is the photograph.
"""

from pathlib import Path

import numpy as np

from keras_vae.data.files import Arrays

PHOTOGRAPHS = ("china", "flower")
"""The names of the labels."""

TEST_COLUMNS = ((112, 176), (288, 352), (464, 528))
"""First column of each test strip and first one behind it."""

_SHAPE = (427, 640)


def patches(size: int = 32) -> Arrays:
    """Returns square patches, uint8 `(n, size, size, 3)`, and their photographs.

    Args:
        size: Height and width, 32 or 64, of which there are 8,000 and 4,000 patches for
            training, at random points that overlap, and 156 and 36 for testing, side by
            side.
    """
    from sklearn.datasets import load_sample_images

    bunch = load_sample_images()
    by_name = {
        Path(name).stem: picture
        for name, picture in zip(bunch.filenames, bunch.images, strict=True)
    }
    views = [
        np.lib.stride_tricks.sliding_window_view(by_name[name], (size, size), (0, 1))
        for name in PHOTOGRAPHS
    ]
    arrays: Arrays = {"label_names": PHOTOGRAPHS}
    for split, of in (("train", training_places), ("test", held_out_places)):
        positions = of(size)
        x = np.empty((len(positions), size, size, 3), np.uint8)
        for label, view in enumerate(views):
            here = positions[:, 0] == label
            channels_first = view[positions[here, 1], positions[here, 2]]
            x[here] = np.moveaxis(channels_first, 1, -1)
        arrays[f"x_{split}"], arrays[f"y_{split}"] = x, positions[:, 0]
    return arrays


def training_places(size: int) -> np.ndarray:
    """Returns photograph, first row and first column of training patches, `(n, 3)`."""
    n = 256_000 // size
    random = np.random.RandomState(0)  # a stream that is frozen for ever
    height, width = _SHAPE
    starts = (0, *(behind for _, behind in TEST_COLUMNS))
    ends = (*(first for first, _ in TEST_COLUMNS), width)
    columns = np.concatenate(
        [
            np.arange(start, end - size + 1)
            for start, end in zip(starts, ends, strict=True)
        ]
    )
    return np.stack(
        [
            random.permutation(np.arange(n) % len(PHOTOGRAPHS)),
            random.randint(height - size + 1, size=n),
            random.choice(columns, size=n),
        ],
        axis=1,
    )


def held_out_places(size: int) -> np.ndarray:
    """Returns the same of test patches, a grid in a fixed random order."""
    height, _ = _SHAPE
    top = height % size // 2
    rows = np.arange(top, height - size + 1, size)
    columns = np.concatenate([np.arange(*strip, size) for strip in TEST_COLUMNS])
    grid = np.meshgrid(rows, columns, np.arange(len(PHOTOGRAPHS)), indexing="ij")
    row, column, photograph = (axis.ravel() for axis in grid)
    # In a mixed order: the first ones, which pictures show, are not all sky.
    order = np.random.RandomState(0).permutation(row.size)
    return np.stack([photograph, row, column], axis=1)[order]
