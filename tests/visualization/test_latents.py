import numpy as np
import pytest
from matplotlib.colors import to_hex

from keras_vae.visualization import latents, palette, style

AXES = {"title": "Latents", "axes_labels": ("$z_0$", "$z_1$")}


@pytest.fixture
def points():
    return np.random.default_rng(0).normal(size=(60, 2))


def test_principal_axes_are_those_of_largest_variance():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(5000, 4)) * [0.1, 2.0, 0.5, 1.0] + 7.0
    axes, share = latents.principal_plane(z)
    np.testing.assert_allclose(axes, np.eye(4)[[1, 3]], atol=0.06)
    np.testing.assert_allclose(share, np.array([4.0, 1.0]) / 5.26, atol=0.03)


def test_a_strip_keeps_z_and_has_a_row_for_each_class():
    z, labels = np.linspace(-1, 1, 50), np.arange(50) % 3
    points = latents.strip(z, labels)
    np.testing.assert_array_equal(points[:, 0], z)
    np.testing.assert_array_equal(np.rint(points[:, 1]), labels)
    assert np.abs(latents.strip(z)[:, 1]).max() <= 0.35


def test_class_means_are_nan_where_a_class_is_empty():
    means = latents.class_means([[0, 0], [2, 4], [5, 5]], [0, 0, 2], 3)
    np.testing.assert_array_equal(means, [[1, 2], [np.nan, np.nan], [5, 5]])


@pytest.mark.slow
@pytest.mark.parametrize("latent_dim", [1, 2, 20])
def test_tsne_keeps_clusters_together(latent_dim):
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 30)
    z = rng.normal(size=(60, latent_dim)) + 20.0 * labels[:, None]
    embedded = latents.tsne(z)
    assert embedded.shape == (60, 2)
    assert embedded.std() == pytest.approx(1.0)
    centres = latents.class_means(embedded, labels, 2)
    distance = np.linalg.norm(embedded[:, None] - centres, axis=-1)
    np.testing.assert_array_equal(distance.argmin(axis=1), labels)


def test_each_class_is_named_at_its_mean(points):
    labels = np.arange(60) % 3
    points[labels == 1] += 3
    points[labels == 2] -= 3
    axes = latents.scatter(points, labels, ("a", "b", "c"), **AXES).axes[0]
    means = latents.class_means(points, labels, 3)
    found = {text.get_text(): text.xy for text in axes.texts if text.get_text()}
    for name, mean in zip("abc", means, strict=True):
        np.testing.assert_allclose(found[name], mean, atol=1e-6)


def test_a_legend_has_an_entry_for_each_class_beside_the_axes(points):
    figure = latents.scatter(points, np.arange(60) % 3, ("a", "b", "c"), **AXES)
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["a", "b", "c"]
    figure.draw_without_rendering()
    assert legend.get_window_extent().x0 >= figure.axes[0].get_window_extent().x1


def test_points_without_a_label_are_grey(points):
    labels = np.r_[np.zeros(50, int), np.full(10, -1)]
    grey, known = latents.scatter(points, labels, ("a",), **AXES).axes[0].collections
    assert to_hex(grey.get_facecolor()[0]) == palette.UNKNOWN
    assert len(grey.get_offsets()) == 10
    assert len(known.get_offsets()) == 50


def notes(axes):
    return [text.get_text() for text in axes.texts if "outside" in text.get_text()]


@pytest.mark.parametrize("spread", [1e-3, 0.1, 30.0])
def test_axes_follow_the_points(points, spread):
    axes = latents.scatter(5.0 + spread * points, **AXES).axes[0]
    for (low, high), values in zip(
        (axes.get_xlim(), axes.get_ylim()), spread * points.T + 5.0, strict=True
    ):
        assert low < values.min() and values.max() < high
        assert high - low < 2 * np.ptp(values)
    assert axes.get_aspect() == 1 and notes(axes) == []


def test_a_strip_fills_its_axis_whatever_its_rows(points):
    strip = latents.strip(points[:, 0], np.arange(60) % 10)
    axes = latents.scatter(strip, limits=(None, (9.5, -0.5)), **AXES).axes[0]
    assert np.ptp(axes.get_xlim()) < 1.3 * np.ptp(points[:, 0])
    assert axes.get_ylim() == (9.5, -0.5)


def test_points_far_out_do_not_crush_the_others_and_are_counted(points):
    many = np.tile(points, (10, 1))
    many[:2] = 500.0
    axes = latents.scatter(many, **AXES).axes[0]
    assert np.ptp(axes.get_xlim()) < 20
    assert notes(axes) == ["2 of 600 lie outside"]


def test_a_collapsed_dimension_has_a_scale_of_its_own(points):
    axes = latents.scatter(points * [1.0, 1e-3], **AXES).axes[0]
    assert np.ptp(axes.get_ylim()) < 0.02
    assert "the axes differ in scale" in [text.get_text() for text in axes.texts]


def test_latents_that_are_all_one_are_drawn():
    axes = latents.scatter(np.full((20, 2), 3.0), **AXES).axes[0]
    assert axes.get_xlim()[0] < 3.0 < axes.get_xlim()[1]


def test_on_an_axis_that_goes_downwards_nothing_is_counted_as_outside():
    limits = ((-4, 4), (9.5, -0.5))
    axes = latents.scatter(np.ones((50, 2)), limits=limits, **AXES).axes[0]
    assert [text.get_text() for text in axes.texts] == []


def test_an_arrow_points_at_its_second_end(points):
    axes = latents.scatter(points, arrow=[[0, 1], [2, 3]], **AXES).axes[0]
    (arrow,) = [text for text in axes.texts if text.arrow_patch is not None]
    assert arrow.xy == (2, 3)
    assert arrow.xyann == (0, 1)


def test_letters_of_glyphs_have_one_size(points):
    axes = latents.glyph_scatter(
        points, np.arange(60) % 3, ("Ma", "Ill", "M"), **AXES
    ).axes[0]
    tall, short, one = (
        drawn.get_paths()[0].get_extents().height * drawn.get_transforms()[0, 1, 1]
        for drawn in axes.collections
    )
    assert tall == pytest.approx(one, rel=0.1) == pytest.approx(short, rel=0.1)


def test_of_many_examples_some_glyphs_are_drawn():
    z = np.zeros((4000, 2))
    figure = latents.glyph_scatter(z, np.arange(4000) % 2, ("a", "b"), **AXES)
    axes = figure.axes[0]
    assert sum(len(drawn.get_offsets()) for drawn in axes.collections) == 1000
    assert "1,000 drawn" in axes.get_title()


@pytest.mark.parametrize(
    "names", [("$x$", "a_b^{"), ("50%", "\\frac"), ("é", "$\\frac$")]
)
def test_names_are_taken_as_they_are_not_as_formulas(points, names):
    labels = np.arange(60) % 2
    for draw in (latents.scatter, latents.glyph_scatter):
        picture = style.as_picture(draw(points, labels, names, **AXES))
        assert picture.std() > 5


@pytest.mark.parametrize("n", [1, 2, 20, 200])
def test_bars_are_in_the_order_that_was_given(n):
    kl = np.random.default_rng(0).random(n)
    order = np.argsort(-kl)
    axes = latents.kl_bars(kl, order, "KL", "nats").axes[0]
    heights = [bar.get_height() for bar in axes.patches]
    np.testing.assert_allclose(heights, np.sort(kl)[::-1])
    assert axes.get_xticklabels()[0].get_text() == str(order[0])
    assert axes.get_ylim()[0] == 0.0
