"""Layouts of classes with names: nothing lies on another thing or is cut off."""

import itertools

import numpy as np
import pytest
from matplotlib.text import Text

from keras_vae.visualization import latents, style

AXES = {
    "title": "Latents of 1,000 test examples, principal components",
    "axes_labels": ("first (27% of the variance)", "second (25% of the variance)"),
}


def named(count, letters):
    words = ("Annual crop", "Forest", "Herbaceous vegetation", "Sea or lake", "River")
    texts = (f"{words[k % 5]} {k} of the north-eastern region" for k in range(count))
    return [
        f"{k:03}" if letters == 3 else text[:letters] for k, text in enumerate(texts)
    ]


def classes(count, spread=1.0):
    rng = np.random.default_rng(0)
    y = np.arange(200) % count
    return spread * (
        rng.normal(size=(count, 2))[y] + 0.2 * rng.normal(size=(200, 2))
    ), y


def written(axes):
    return [text for text in axes.texts if text.get_text() and text.get_zorder() == 4]


def inside(box, other, slack=2):
    return (box.min >= other.min - slack).all() and (box.max <= other.max + slack).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("count", "letters"), [(2, 40), (10, 3), (10, 40), (30, 40), (100, 3)]
)
def test_title_legend_and_names_have_their_own_place(count, letters):
    points, y = classes(count)
    names = named(count, letters)
    figure = latents.scatter(points, y, names, **AXES)
    figure.draw_without_rendering()
    axes, (legend,) = figure.axes[0], figure.legends
    boxes = [axes.title, axes.xaxis.label, axes.yaxis.label, legend]
    boxes = [artist.get_window_extent() for artist in boxes]
    for box in boxes:
        assert inside(box, figure.bbox)
    for one, other in itertools.combinations([*boxes, axes.get_window_extent()], 2):
        assert not one.overlaps(other)
    assert len(legend.get_texts()) == count
    texts = [Text.get_window_extent(text) for text in written(axes)]
    assert len(texts) >= 0.9 * count
    assert all(inside(box, axes.get_window_extent()) for box in texts)
    for one, other in itertools.combinations(texts, 2):
        shared = np.minimum(one.max, other.max) - np.maximum(one.min, other.min)
        assert shared.min() < 0.3 * style.TEXT * style.DPI / 72


def test_long_names_have_short_marks_that_the_legend_explains():
    points, y = classes(10)
    figure = latents.scatter(points, y, named(10, 40), **AXES)
    marks = {text.get_text() for text in written(figure.axes[0])}
    keys = {text.get_text().split()[0] for text in figure.legends[0].get_texts()}
    assert marks == keys and max(map(len, marks)) <= 2


@pytest.mark.parametrize("spread", [1.0, 1e-3])
def test_names_stay_near_their_classes(spread):
    points, y = classes(10, spread)
    axes = latents.scatter(points, y, named(10, 3), **AXES).axes[0]
    for text in written(axes):
        assert np.linalg.norm(text.get_position()) < 40  # points from its mean


@pytest.mark.parametrize("letters", [3, 40])
def test_an_arrow_is_seen_and_no_name_lies_on_it(letters):
    points, y = classes(10)
    means = latents.class_means(points, y, 10)[[0, 7]]
    figure = latents.scatter(points, y, named(10, letters), arrow=means, **AXES)
    figure.draw_without_rendering()
    axes = figure.axes[0]
    (arrow,) = [text for text in axes.texts if text.get_zorder() == 5]
    np.testing.assert_allclose(arrow.xy, means[1])
    np.testing.assert_allclose(arrow.xyann, means[0])
    t = np.linspace(0, 1, 50)[:, None]
    pixels = axes.transData.transform((1 - t) * means[0] + t * means[1])
    for text in written(axes):
        box = Text.get_window_extent(text)
        assert not ((pixels > box.min) & (pixels < box.max)).all(axis=1).any()


def test_of_an_arrow_without_a_length_it_is_said():
    points, y = classes(4)
    axes = latents.scatter(
        points, y, named(4, 3), arrow=[[0, 0], [0, 1e-4]], **AXES
    ).axes[0]
    assert any("one place" in text.get_text() for text in axes.texts)
    assert len(written(axes)) <= 2
