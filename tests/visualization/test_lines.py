import numpy as np
import pytest

from keras_vae.visualization import lines


def inked(picture):
    """Where something darker than the cells' frames is drawn."""
    return picture.min(axis=-1) < 150


def test_a_higher_value_is_drawn_higher():
    rising = np.linspace(0, 1, 20)[None, :, None]
    picture = lines.line_grid(rising, columns=1)
    ink = inked(picture)
    rows = [np.flatnonzero(ink[:, column]).mean() for column in range(20, 130, 10)]
    assert (np.diff(rows) < 0).all()


def test_the_reference_fixes_the_range():
    reference = np.array([[-1.0], [1.0]])[:, None] * np.ones((1, 5, 1))
    small = lines.line_grid(np.full((1, 5, 1), 0.0), reference=reference)
    rows = np.flatnonzero(inked(small).any(axis=1))
    assert abs(rows.mean() / small.shape[0] - 0.5) < 0.02
    beyond = lines.line_grid(np.full((1, 5, 1), 9.0), reference=reference)
    assert np.flatnonzero(inked(beyond).any(axis=1)).max() < small.shape[0] * 0.15


def test_features_in_different_units_share_one_cell():
    x = np.array([[0.0, 1000.0, 0.001], [1.0, 3000.0, 0.003], [0.5, 2000.0, 0.002]])
    middle = inked(lines.line_grid(x, columns=1))[240:]
    assert np.ptp(np.flatnonzero(middle.any(axis=1))) <= 6  # of a dot


@pytest.mark.parametrize(
    "shape", [(1, 1), (7, 3), (1, 1, 1), (3, 50, 1), (2, 9, 20), (64, 4, 2)]
)
def test_any_number_of_examples_steps_and_channels_is_drawn(shape):
    x = np.random.default_rng(0).normal(size=shape)
    picture = lines.line_grid(x, x + 0.1, labels=("original", "reconstruction"))
    assert picture.dtype == np.uint8
    assert picture.ndim == 3
    assert inked(picture).any()


def test_a_model_that_gives_nan_still_makes_a_picture():
    x = np.random.default_rng(0).normal(size=(4, 6))
    nan = lines.line_grid(x, np.full_like(x, np.nan))
    assert (nan != lines.line_grid(x, x)).any()
    assert lines.line_grid(np.full_like(x, np.nan)).shape == nan.shape


def test_titles_and_labels_are_drawn():
    x = np.zeros((2, 5, 1))
    plain = lines.line_grid(x)
    assert (lines.line_grid(x, titles=["t=0.00", "t=1.00"]) != plain).any()
    assert lines.line_grid(x, labels=["original"]).shape[0] > plain.shape[0]


def test_no_pyplot_state_is_left_behind():
    import matplotlib.pyplot as plt

    lines.line_grid(np.zeros((2, 5)))
    assert plt.get_fignums() == []


def test_sequences_of_many_channels_are_images_with_time_to_the_right():
    x = np.zeros((2, 20, 16))
    x[:, 15:, 12:] = 1.0  # late and high
    picture = lines.line_grid(x, columns=1)[..., 0]
    half = picture.shape[0] // 2
    bright = np.argwhere(picture[:half] == 255)
    assert len(bright) and (bright[:, 0] < half / 3).all()
    assert (bright[:, 1] > picture.shape[1] * 0.7).all()
    both = lines.line_grid(x, 1.0 - x, columns=2)
    assert (both.shape[0] > half) and (both[half + 5 :, :20] == 255).any()


def test_images_of_channels_keep_the_range_of_the_reference():
    reference = np.stack([np.full((5, 13), -1.0), np.full((5, 13), 1.0)])
    middle = lines.line_grid(np.zeros((1, 5, 13)), reference=reference)
    assert abs(int(np.median(middle)) - 127) <= 1


def test_features_of_a_point_are_bars_that_nothing_joins():
    x = np.array([[0.0, 1.0, 0.5]])
    picture = lines.line_grid(x, reference=[[0.0] * 3, [1.0] * 3], columns=1)
    ink = inked(picture)
    (columns,) = np.nonzero(ink.any(axis=0))
    bars = np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
    ends = [np.flatnonzero(ink[:, bar].any(axis=1)) for bar in bars]
    low, high, middle = (rows.mean() / picture.shape[0] for rows in ends)
    assert low > middle + 0.15 and high < middle - 0.15
    assert len(ends[2]) < len(ends[0]) / 4


@pytest.mark.parametrize("shape", [(64, 32), (20, 16), (300, 13)])
def test_spectra_are_as_large_as_lines(shape):
    x = np.random.default_rng(0).uniform(size=(4, *shape))
    for picture in (lines.line_grid(x, columns=2), lines.line_grid(x, x, columns=2)):
        assert 0.75 * lines.CELL <= picture.shape[1] / 2 <= 2 * lines.CELL


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((3,), "the 3 features from left to right"),
        ((3,), "as a bar from the middle"),
        ((8, 1), "channels upwards"),
        ((8, 2), "channels (blue, orange) upwards"),
        ((8, 20), "black is lowest"),
    ],
)
def test_what_a_cell_shows_is_said_in_words(shape, words):
    assert words in lines.explained(shape)


def test_a_larger_scale_draws_the_same_larger():
    x = np.sin(np.arange(40, dtype=np.float32)).reshape(2, 10, 2)
    small, large = lines.line_grid(x), lines.line_grid(x, scale=2.0)
    assert large.shape == (2 * small.shape[0], 2 * small.shape[1], 3)
    pooled = large.reshape(small.shape[0], 2, small.shape[1], 2, 3).mean(axis=(1, 3))
    assert np.abs(pooled - small).mean() < 8
