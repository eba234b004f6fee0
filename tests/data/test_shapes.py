"""The sprites: what is drawn, that no two are alike, and the ways to ask for them."""

import hashlib

import numpy as np
import pytest
import tensorflow as tf

from keras_vae.data.shapes import FACTOR_NAMES, FACTOR_SIZES, Shapes

SIZES = [32, 64]


def row_of(**values: int) -> int:
    """The row with the given factor values, the others in the middle of the range."""
    middle = {"shape": 0, "scale": 5, "orientation": 0, "x": 16, "y": 16}
    combined = middle | values
    return int(np.ravel_multi_index([combined[n] for n in FACTOR_NAMES], FACTOR_SIZES))


def center(image: np.ndarray) -> tuple[float, float]:
    """The centre of mass (x, y) in pixels of the image, from its top left corner."""
    mass = image[..., 0] / image.sum()
    middle = np.arange(len(mass)) + 0.5
    return float(mass.sum(axis=0) @ middle), float(mass.sum(axis=1) @ middle)


@pytest.mark.parametrize("size", SIZES)
def test_the_dataset_states_its_size(size: int) -> None:
    sprites = Shapes(size)
    assert len(sprites) == 3 * 6 * 10 * 32 * 32
    assert sprites.shape == (size, size, 1)
    assert sprites.dtype == "uint8"
    assert sprites[7].shape == (size, size, 1)
    assert sprites[[7, 8]].dtype == np.uint8


def test_every_combination_of_factors_is_one_row() -> None:
    factors = Shapes(32).factors()
    assert factors.dtype == np.int32
    assert len(np.unique(factors, axis=0)) == len(Shapes(32))
    np.testing.assert_array_equal(factors.max(axis=0) + 1, FACTOR_SIZES)
    np.testing.assert_array_equal(factors[row_of(x=3, y=9, shape=2)], [2, 5, 0, 3, 9])


@pytest.mark.parametrize("size", SIZES)
def test_no_two_sprites_are_alike_at_one_position(size: int) -> None:
    sprites = Shapes(size)
    for x, y in [(16, 16), (15, 16), (16, 15), (15, 15)]:
        rows = np.arange(3 * 6 * 10) * 32**2 + 32 * x + y
        images = sprites[rows].reshape(len(rows), -1)
        assert len(np.unique(images, axis=0)) == len(rows)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_no_two_pictures_are_alike(size: int) -> None:
    sprites = Shapes(size)
    seen = {
        hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        for first in range(0, len(sprites), 4096)
        for image in sprites[first : first + 4096]
    }
    assert len(seen) == len(sprites)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("shape", range(3))
def test_the_center_follows_x_and_y(size: int, shape: int) -> None:
    sprites = Shapes(size)
    for x, y in [(0, 0), (31, 31), (5, 24), (20, 7)]:
        image = sprites[row_of(shape=shape, x=x, y=y, orientation=3)]
        expected = np.array([x + 16.5, y + 16.5]) * size / 64
        np.testing.assert_allclose(center(image), expected, atol=0.02)


@pytest.mark.parametrize("size", SIZES)
def test_no_sprite_is_cut_off_or_moved_by_its_position(size: int) -> None:
    sprites = Shapes(size)
    rows = np.arange(3 * 6 * 10) * 32**2
    corner, opposite = sprites[rows], sprites[rows + 30 * 32 + 30]
    shift = 30 * size // 64
    moved = np.roll(corner, (shift, shift), axis=(1, 2))
    np.testing.assert_array_equal(moved, opposite)
    last = sprites[rows + 31 * 32 + 31]
    for image in (corner, last):
        edges = [image[:, 0], image[:, -1], image[:, :, 0], image[:, :, -1]]
        assert max(edge.max() for edge in edges) == 0


def test_area_follows_scale_and_is_the_same_for_all_shapes() -> None:
    sprites = Shapes(64)
    for shape in range(3):
        for scale in range(6):
            image = sprites[row_of(shape=shape, scale=scale, orientation=4)]
            expected = 324 * (0.5 + 0.1 * scale) ** 2
            assert image.sum() / 255 == pytest.approx(expected, rel=0.02)


def test_orientation_turns_counter_clockwise_by_nine_degrees() -> None:
    sprites = Shapes(64)
    line = np.arange(64) + 0.5 - 32.5
    x, y = np.meshgrid(line, -line)
    for orientation in range(1, 10):
        mass = sprites[row_of(shape=1, orientation=orientation)][..., 0] / 255.0
        xx, yy, xy = ((mass * m).sum() for m in (x * x, y * y, x * y))
        angle = np.rad2deg(0.5 * np.arctan2(2 * xy, xx - yy))
        assert angle == pytest.approx(9 * orientation, abs=0.5)


def test_the_tip_of_the_upright_heart_is_below() -> None:
    image = Shapes(64)[row_of(shape=2)][..., 0] > 127
    rows = np.flatnonzero(image.any(axis=1))
    widths = image.sum(axis=1)[rows]
    assert widths[-1] < widths[len(rows) // 3]
    np.testing.assert_array_equal(image[:, :65], np.roll(image[:, ::-1], 1, axis=1))


def test_only_the_square_closes_its_circle_of_orientations() -> None:
    sprites = Shapes(64)

    def distance(shape: int, a: int, b: int) -> float:
        images = sprites[
            [row_of(shape=shape, orientation=orientation) for orientation in (a, b)]
        ].astype(float)
        return float(np.abs(images[0] - images[1]).sum())

    assert distance(0, 9, 0) == pytest.approx(distance(0, 9, 8), rel=0.1)
    for shape in (1, 2):
        assert distance(shape, 9, 0) > 2 * distance(shape, 9, 8)


def test_the_small_picture_is_the_block_mean_of_the_large_one() -> None:
    rows = np.random.default_rng(0).integers(0, len(Shapes(32)), 500)
    large = Shapes(64)[rows].reshape(500, 32, 2, 32, 2).astype(float)
    difference = Shapes(32)[rows][..., 0] - large.mean(axis=(2, 4))
    assert np.abs(difference).max() <= 1.0


def test_edges_are_antialiased_and_the_rest_is_black_and_white() -> None:
    images = Shapes(64)[::4999]
    grey = (images > 0) & (images < 255)
    assert 0.005 < grey.mean() < 0.03
    assert (images == 255).any(axis=(1, 2, 3)).all()
    assert len(np.unique(images)) > 40


def test_gather_in_a_pipeline_equals_indexing() -> None:
    sprites = Shapes(32).take(np.arange(0, len(Shapes(32)), 1009))
    dataset = tf.data.Dataset.range(len(sprites)).batch(50).map(sprites.gather)
    assert dataset.element_spec.shape.as_list() == [None, 32, 32, 1]
    assert dataset.element_spec.dtype == tf.uint8
    drawn = np.concatenate(list(dataset.as_numpy_iterator()))
    np.testing.assert_array_equal(drawn, sprites[:])


def test_two_datasets_draw_the_same() -> None:
    rows = [0, 99_999, 184_319]
    np.testing.assert_array_equal(Shapes(64)[rows], Shapes(64)[rows])
    digest = hashlib.sha256(Shapes(32)[::997].tobytes()).hexdigest()
    assert digest.startswith("a48371980c917532")


def test_indexing_is_that_of_numpy() -> None:
    sprites = Shapes(32)
    np.testing.assert_array_equal(sprites[-1], sprites[len(sprites) - 1])
    np.testing.assert_array_equal(sprites[10:14:2], sprites[np.array([10, 12])])
    chosen = np.zeros(len(sprites), bool)
    chosen[[3, 5000]] = True
    np.testing.assert_array_equal(sprites[chosen], sprites[[3, 5000]])
    assert sprites[5:5].shape == (0, 32, 32, 1)
    with pytest.raises(IndexError):
        sprites[len(sprites)]


def test_head_is_the_first_rows_or_all() -> None:
    sprites = Shapes(32).take([700, 5, 90_000])
    np.testing.assert_array_equal(sprites.head(2), Shapes(32)[[700, 5]])
    assert len(sprites.head(10)) == 3


def test_a_part_has_the_pictures_and_factors_of_its_rows() -> None:
    whole = Shapes(32)
    rows = np.random.default_rng(1).permutation(len(whole))[:100]
    part = whole.take(rows).take(slice(10, 30))
    assert len(part) == 20
    np.testing.assert_array_equal(part[:], whole[rows[10:30]])
    np.testing.assert_array_equal(part.factors(), whole.factors(rows[10:30]))
    np.testing.assert_array_equal(part.factors([4]), whole.factors(rows[14]))
