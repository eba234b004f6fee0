import numpy as np
import pytest

from keras_vae.visualization import grids


def random_images(n, height=4, width=5, channels=1, seed=0):
    return np.random.default_rng(seed).random((n, height, width, channels))


def cell(picture, row, column, height, width, gap=1):
    """Cuts one cell out of a picture made by `tile`."""
    top, left = gap + row * (height + gap), gap + column * (width + gap)
    return picture[top : top + height, left : left + width]


# Values and channels


@pytest.mark.parametrize(
    ("value", "grey"),
    [(0.0, 0), (1.0, 255), (0.5, 128), (-3.0, 0), (7.0, 255)],
)
def test_floats_are_clipped_to_the_unit_range(value, grey):
    assert grids.to_uint8(np.full((1, 2, 2, 1), value)).ravel().tolist() == [grey] * 4


def test_a_dim_image_stays_dim():
    images = random_images(3) * 0.2
    assert grids.to_uint8(images).max() <= 51


def test_nan_is_black_and_infinity_is_clipped():
    images = np.array([np.nan, np.inf, -np.inf, 1.0]).reshape(1, 2, 2, 1)
    assert grids.to_uint8(images).ravel().tolist() == [0, 255, 0, 255]


def test_stored_integers_and_booleans_mean_what_they_do_as_data():
    byte = np.array([0, 128, 255], np.uint8).reshape(1, 1, 3, 1)
    word = np.array([0, 32896, 65535], np.uint16).reshape(1, 1, 3, 1)
    assert grids.to_uint8(byte).ravel().tolist() == [0, 128, 255]
    assert grids.to_uint8(word).ravel().tolist() == [0, 128, 255]
    assert grids.to_uint8(byte > 0).ravel().tolist() == [0, 255, 255]


def test_an_image_without_a_channel_axis_is_grey():
    images = random_images(2)
    np.testing.assert_array_equal(
        grids.to_uint8(images[..., 0]), grids.to_uint8(images)
    )


def test_each_number_of_channels_follows_its_rule():
    images = (random_images(2, channels=6) * 255).astype(np.uint8)
    assert grids.to_uint8(images[..., :1]).shape[-1] == 1
    np.testing.assert_array_equal(grids.to_uint8(images[..., :3]), images[..., :3])
    np.testing.assert_array_equal(grids.to_uint8(images), images[..., :3])
    np.testing.assert_array_equal(
        grids.to_uint8(images[..., :2]), images[..., [0, 1, 1]]
    )
    np.testing.assert_allclose(
        grids.to_uint8(images[..., :4]),
        images[..., :3] * (images[..., 3:4] / 255),
        atol=0.5,
    )


# Tiles


def test_tiles_lie_in_reading_order_with_lines_between():
    images = random_images(5)
    picture = grids.tile(images, columns=3, scale=1, gap=2, background=99)
    assert picture.shape == (2 * (4 + 2) + 2, 3 * (5 + 2) + 2, 1)
    expected = grids.to_uint8(images)
    for i in range(5):
        found = cell(picture, i // 3, i % 3, 4, 5, gap=2)
        np.testing.assert_array_equal(found, expected[i])
    assert (cell(picture, 1, 2, 4, 5, gap=2) == 99).all()
    assert (picture[:2] == 99).all()
    assert (picture[:, -2:] == 99).all()
    assert (picture[6:8] == 99).all()


def test_without_gap_the_cells_touch():
    images = random_images(4)
    picture = grids.tile(images, gap=0, scale=1)
    first, second, third, fourth = grids.to_uint8(images)
    np.testing.assert_array_equal(
        picture, np.block([[[first], [second]], [[third], [fourth]]])
    )


def test_enlargement_makes_each_pixel_a_sharp_square():
    images = random_images(1, height=2, width=3)
    picture = cell(grids.tile(images, scale=4), 0, 0, 8, 12)
    np.testing.assert_array_equal(
        picture, np.kron(grids.to_uint8(images)[0], np.ones((4, 4, 1)))
    )


@pytest.mark.parametrize(
    ("height", "width", "factor"),
    [(8, 8, 8), (28, 28, 3), (31, 45, 2), (64, 64, 1), (100, 7, 1), (1, 1, 64)],
)
def test_small_images_are_enlarged_until_they_can_be_seen(height, width, factor):
    picture = grids.tile(np.zeros((1, height, width)), gap=1)
    assert picture.shape == (height * factor + 2, width * factor + 2, 1)


def test_a_large_grid_is_enlarged_less():
    picture = grids.tile(np.zeros((625, 28, 28)), columns=25, gap=0)
    assert picture.shape == (1400, 1400, 1)


@pytest.mark.parametrize("side", [8, 28, 64, 200])
def test_images_that_fill_their_cells_do_not_touch(side):
    images = np.ones((4, side, side, 1))
    walks = images.reshape(2, 2, 1, side, side, 1)
    pictures = [
        grids.tile(images),
        grids.reconstruction_grid(images, images),
        grids.pairs_grid(images, images),
        grids.interpolation_grid(images, columns=2),
        grids.completion_grid(images, np.ones((1, side, side, 1)), images[:, None]),
        grids.manifold(images, [0.0, 1.0], [0.0, 1.0]),
        grids.montage_frames(walks)[0],
    ]
    for picture in pictures:
        white = picture[..., 0] == 255
        for lines in (white, white.T):
            line = lines[lines.sum(axis=1).argmax()]  # one that crosses cells
            edges = np.flatnonzero(np.diff(np.pad(line.astype(int), 1)))
            starts, ends = edges[::2], edges[1::2]
            assert len(starts) >= 2
            assert set((ends - starts) % side) == {0}  # whole factors
            assert (starts[1:] - ends[:-1]).min() >= max(1, (ends - starts)[0] / 50)


def test_colour_stays_colour():
    images = random_images(2, channels=3)
    picture = grids.tile(images, columns=1, scale=1)
    np.testing.assert_array_equal(cell(picture, 1, 0, 4, 5), grids.to_uint8(images)[1])


def test_titles_stand_above_their_images():
    images = np.zeros((3, 40, 64, 3))
    picture = grids.tile(images, columns=3, titles=["one", "", "three"])
    gap = grids.cell_gap(40, 64)
    strips = [cell(picture, 0, i, grids.CAPTION + 40, 64, gap) for i in range(3)]
    assert strips[0][: grids.CAPTION].max() > 150
    assert strips[1].max() == 0
    assert strips[0][grids.CAPTION :].max() == 0
    assert (strips[0] != strips[2]).any()


def test_titles_of_narrow_cells_do_not_run_together():
    picture = grids.tile(np.zeros((4, 60, 6)), 4, titles=["t=0.25"] * 4)[..., 0]
    gap = grids.cell_gap(60, 6)
    width = (picture.shape[1] - gap) // 4
    strip = picture[gap : gap + grids.CAPTION]
    for k in range(4):
        own = strip[:, k * width + gap : (k + 1) * width]
        inked = np.flatnonzero((own > 100).any(axis=0))
        assert inked[0] >= 1 and inked[-1] < own.shape[1] - 1


# Comparisons


def test_reconstructions_stand_below_their_originals():
    above, below = random_images(3), random_images(3, seed=1)
    picture = grids.reconstruction_grid(above, below, scale=1)
    assert picture.shape == (2 * 5 + 1, 3 * 6 + 1, 1)
    for i in range(3):
        np.testing.assert_array_equal(
            cell(picture, 0, i, 4, 5), grids.to_uint8(above)[i]
        )
        np.testing.assert_array_equal(
            cell(picture, 1, i, 4, 5), grids.to_uint8(below)[i]
        )


def test_many_reconstructions_go_on_in_further_blocks():
    above, below = random_images(5), random_images(5, seed=1)
    picture = grids.reconstruction_grid(above, below, columns=3, scale=1)
    second = picture[11 + grids.SEPARATOR :]
    assert second.shape == (11, 3 * 6 + 1, 1)
    np.testing.assert_array_equal(cell(second, 0, 1, 4, 5), grids.to_uint8(above)[4])
    np.testing.assert_array_equal(cell(second, 1, 1, 4, 5), grids.to_uint8(below)[4])
    assert (picture[11 : 11 + grids.SEPARATOR] == grids.LINES).all()


def test_originals_may_be_bytes_and_reconstructions_floats():
    below = random_images(2)
    above = grids.to_uint8(below)
    picture = grids.reconstruction_grid(above, below, scale=1)
    np.testing.assert_array_equal(picture[1:5], picture[6:10])


def test_three_rows_are_originals_reconstructions_and_interpolation():
    rows = [random_images(4, seed=seed) for seed in range(3)]
    picture = grids.three_row_grid(*rows, scale=1)
    for i, row in enumerate(rows):
        for j in range(4):
            np.testing.assert_array_equal(
                cell(picture, i, j, 4, 5), grids.to_uint8(row)[j]
            )


def test_rows_of_different_sizes_are_refused_with_both_shapes():
    with pytest.raises(ValueError, match=r"\(3, 4, 5, 1\).*\(2, 4, 5, 1\)"):
        grids.reconstruction_grid(random_images(3), random_images(2))
    with pytest.raises(ValueError, match=r"\(3, 4, 5, 1\).*\(3, 6, 5, 1\)"):
        grids.pairs_grid(random_images(3), random_images(3, height=6))


def test_pairs_stand_side_by_side_ten_rows_to_a_block():
    left, right = random_images(12), random_images(12, seed=1)
    picture = grids.pairs_grid(left, right, scale=1)
    assert picture.shape == (10 * 5 + 1, 2 * (2 * 6 + 1) + grids.SEPARATOR, 1)
    second = picture[:, 13 + grids.SEPARATOR :]
    for i in range(12):
        block, row = (picture, i) if i < 10 else (second, i - 10)
        np.testing.assert_array_equal(
            cell(block, row, 0, 4, 5), grids.to_uint8(left)[i]
        )
        np.testing.assert_array_equal(
            cell(block, row, 1, 4, 5), grids.to_uint8(right)[i]
        )


def test_an_interpolation_is_one_row_or_a_square_with_its_t_above():
    short = grids.interpolation_grid(random_images(10), scale=1)
    assert short.shape == (4 + 2, 10 * 6 + 1, 1)
    titled = grids.interpolation_grid(random_images(81), np.linspace(0, 1, 81), scale=8)
    gap = grids.cell_gap(32, 40)
    height = 9 * (32 + grids.CAPTION + gap) + gap
    assert titled.shape == (height, 9 * (40 + gap) + gap, 1)
    assert grids.t_titles([0, 0.25, 1]) == ["t=0.00", "t=0.25", "t=1.00"]


# Manifolds


def test_the_manifold_has_x_to_the_right_and_y_up():
    x, y = np.array([-1.0, 0.0, 1.0]), np.array([-2.0, 2.0])
    z = grids.lattice(x, y)
    assert z.tolist() == [[-1, -2], [0, -2], [1, -2], [-1, 2], [0, 2], [1, 2]]
    grey = (z[:, 0] + 1) / 10 + (z[:, 1] + 2) / 5
    picture = grids.manifold(grey[:, None, None, None], x, y, gap=0, scale=1)[..., 0]
    upper, lower = [0.8, 0.9, 1.0], [0.0, 0.1, 0.2]
    np.testing.assert_allclose(picture / 255, [upper, lower], atol=0.002)


def test_the_path_runs_in_red_through_the_lattice_points():
    ticks = np.array([-2.0, -0.5, 0.5, 2.0])  # unevenly apart, like quantiles
    images = np.full((16, 8, 8, 1), 0.5)
    path = [[-2.0, -2.0], [0.5, -2.0], [0.5, 2.0]]
    picture = grids.manifold(images, ticks, ticks, path, 0, scale=4).astype(int)
    assert picture.shape == (128, 128, 3)
    red = picture[..., 0] - picture[..., 1] > 60
    for column, row in [(0, 0), (1, 0), (2, 0), (2, 1), (2, 2)]:
        middle = red[112 - 32 * row, 16 + 32 * column]
        assert middle, (column, row)
    assert not red[:11].any()  # the end's ring is around the uppermost middle
    assert not red[:, 96:].any()
    assert not red[16:100, :48].any()


def test_a_path_may_leave_the_lattice():
    ticks = np.array([-1.0, 0.0, 1.0])
    picture = grids.manifold(
        np.zeros((9, 8, 8)), ticks, ticks, path=[[0, 0], [0, 40]], gap=0, scale=2
    )
    column = picture[:24, 24, 0]
    assert (column > 200).all()
    assert picture[26:, :, 0].max() > 200  # the dot it starts from
    assert picture[32:].max() == 0


def test_a_single_dimension_makes_one_row():
    x = np.array([-1.0, 0.0, 1.0])
    picture = grids.manifold(random_images(3), x, [0.0], path=[[-1, 0], [1, 0]])
    assert picture.shape[1] > 2 * picture.shape[0]


def test_a_manifold_with_images_missing_is_refused():
    with pytest.raises(ValueError, match="3 by 2 lattice"):
        grids.manifold(random_images(5), [0.0, 1.0], [0.0, 1.0, 2.0])


# Walks and completions


def test_a_montage_walks_every_cell_there_and_back():
    walks = np.random.default_rng(0).random((2, 3, 4, 8, 8, 1))
    frames = grids.montage_frames(walks)
    assert len(frames) == 6
    for frame, step in zip(frames, [0, 1, 2, 3, 2, 1], strict=True):
        at_step = walks[:, :, step].reshape(6, 8, 8, 1)
        np.testing.assert_array_equal(frame, grids.tile(at_step, columns=3))
    assert len(grids.montage_frames(walks, bounce=False)) == 4
    with pytest.raises(ValueError, match="steps"):
        grids.montage_frames(walks[0])


def test_a_completion_row_is_the_given_part_the_completions_and_the_image():
    originals, made = random_images(2), random_images(6, seed=1).reshape(2, 3, 4, 5, 1)
    given = np.zeros((1, 4, 5, 1))
    given[:, :, :2] = 1
    picture = grids.completion_grid(originals, given, made, scale=1)
    for row in range(2):
        part, *rest = (cell(picture, row, column, 4, 5) for column in range(5))
        whole = grids.to_uint8(originals[row : row + 1])[0]
        np.testing.assert_array_equal(part[:, :2], whole[:, :2])
        assert np.unique(part[:, 2:]).tolist() == [grids.MISSING]
        expected = [*grids.to_uint8(made[row]), whole]
        np.testing.assert_array_equal(np.stack(rest), expected)


def test_the_edges_of_a_cell_are_seen_where_its_image_is_not_given():
    images = random_images(1)
    picture = grids.completion_grid(images, np.zeros((1, 4, 5, 1)), images[:, None])
    assert len(np.unique(picture[:, : picture.shape[1] // 3])) == 2


def test_a_minus_sign_in_a_title_is_drawn_as_one():
    x = np.zeros((1, 40, 80, 1), np.uint8)
    hyphen, minus = (grids.tile(x, titles=[f"z={sign}2"]) for sign in "-\N{MINUS SIGN}")
    np.testing.assert_array_equal(hyphen, minus)
    assert hyphen.max() > 150
