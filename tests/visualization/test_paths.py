import numpy as np
import pytest

from keras_vae.visualization import paths


def inked(picture):
    return picture.min(axis=-1) < 200


def test_up_is_up_and_right_is_right() -> None:
    line = np.stack([np.linspace(0, 1, 9), np.linspace(0, 1, 9)], axis=-1)
    ink = inked(paths.path_grid(line[None]))
    rows, columns = np.nonzero(ink)
    assert np.corrcoef(rows, columns)[0, 1] < -0.99


def test_all_cells_have_one_scale() -> None:
    turn = np.linspace(0, 2 * np.pi, 50)
    circle = np.stack([np.cos(turn), np.sin(turn)], axis=-1)
    ink = inked(paths.path_grid(np.stack([circle, circle / 2])))
    middle = ink.shape[1] // 2
    widths = [
        np.ptp(np.nonzero(half)[1]) for half in (ink[:, :middle], ink[:, middle:])
    ]
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.05)
    one, two = ink[:, :middle], ink[:, middle:]
    heights = [np.ptp(np.nonzero(half)[0]) for half in (one, two)]
    assert widths == pytest.approx(heights, abs=2)  # a circle is round


def test_second_paths_arms_and_titles_are_drawn() -> None:
    path = np.random.default_rng(0).normal(size=(7, 12, 2))
    plain = paths.path_grid(path)
    arms = np.zeros((7, 3, 2)) + np.arange(3)[:, None] / 10
    for more in ({"second": path * 0.9}, {"arms": arms}):
        picture = paths.path_grid(path, **more)
        assert picture.shape == plain.shape and (picture != plain).any()
    titled = paths.path_grid(path, titles=list("abcdefg"))
    assert titled.shape[0] > plain.shape[0]


def test_a_model_that_gives_nan_still_makes_a_picture() -> None:
    path = np.ones((2, 5, 2))
    assert paths.path_grid(path, np.full_like(path, np.nan)).shape[-1] == 3
    assert paths.path_grid(np.full_like(path, np.nan)).shape[-1] == 3
