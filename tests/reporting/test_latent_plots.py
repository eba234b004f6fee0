import numpy as np
import pytest

from keras_vae.reporting import latent_plots
from keras_vae.reporting.subject import LeftOut
from keras_vae.visualization import grids


def test_the_centre_of_the_manifold_is_what_0_decodes_to(make_subject, picture_of):
    subject = make_subject()
    drawings = latent_plots.manifold(subject)
    middle = grids.to_uint8(subject.model.decode(np.zeros((1, 2))))[0, ..., 0]
    for name in ("manifold", "manifold_quantiles"):
        picture = picture_of(drawings[name])[..., 0]
        scale = picture.shape[0] // 25 // 6
        down, right = (
            length // 2 + (np.arange(count) - (count - 1) / 2) * scale
            for length, count in zip(picture.shape, middle.shape, strict=True)
        )
        cell = picture[np.ix_(down.astype(int), right.astype(int))]
        np.testing.assert_array_equal(cell, middle)


def test_up_in_the_manifold_is_a_higher_second_latent(make_subject, cell_of, read_z):
    figure = latent_plots.manifold(make_subject())["manifold"]
    corners = {
        (0, 0): (-2, 2),
        (0, 24): (2, 2),
        (24, 0): (-2, -2),
        (24, 24): (2, -2),
    }
    picture = np.asarray(figure.axes[0].images[0].get_array())
    height, width = picture.shape[0] // 25, picture.shape[1] // 25
    for (row, column), z in corners.items():
        cell = picture[row * height :, column * width :][:height, :width, 0]
        cell = cell[:, grids.cell_gap(height, width) :]
        np.testing.assert_allclose(read_z(cell, 2), z, atol=0.03)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels[0] == "2"
    assert labels[-1] == "\N{MINUS SIGN}2"


def test_quantiles_of_the_manifold_hold_equal_shares(make_subject, picture_of, read_z):
    from statistics import NormalDist

    picture = picture_of(latent_plots.manifold(make_subject())["manifold_quantiles"])
    height, width = picture.shape[0] // 25, picture.shape[1] // 25
    bottom = picture[24 * height :, :, 0]
    z = [read_z(bottom[:, k * width : (k + 1) * width], 1)[0] for k in range(25)]
    shares = [NormalDist().cdf(value) for value in z]
    np.testing.assert_allclose(shares, (np.arange(25) + 0.5) / 25, atol=0.01)


def test_the_path_on_the_manifold_is_red_and_joins_the_two_examples(
    make_subject, picture_of
):
    z = [[-1.0, -1.5], [1.0, 1.5]]
    subject = make_subject(z=z, y=[0, 1])
    picture = picture_of(latent_plots.manifold(subject)["manifold"]).astype(int)
    red = (picture[..., 0] > 200) & (picture[..., 1] < 90)
    size = np.array(picture.shape[:2]) / 25
    for x, y in (*z, (0.0, 0.0)):
        right, down = (np.array([x, -y]) / 4 * 24 + 12.5) * size[::-1]
        assert red[int(down) - 4 : int(down) + 5, int(right) - 4 : int(right) + 5].any()
    assert not red[:, : int(2 * size[1])].any()


def test_ends_of_the_path_outside_of_the_manifold_are_told(make_subject):
    for far, words in ((1.0, "Red"), (3.5, "one end lies outside")):
        subject = make_subject(z=[[-1.0, 0.0], [far, 0.0]], y=[0, 1])
        text = latent_plots.manifold(subject)["manifold"].texts[0].get_text()
        assert words in " ".join(text.split())
        assert ("outside" in text) == (far > 2)


def test_one_latent_makes_a_manifold_of_one_row(make_subject, picture_of, read_z):
    picture = picture_of(latent_plots.manifold(make_subject(1))["manifold"])
    width = picture.shape[1] // 25
    z = [read_z(picture[:, k * width : (k + 1) * width, 0], 1)[0] for k in range(25)]
    np.testing.assert_allclose(
        np.delete(z, 12), np.delete(np.linspace(-2, 2, 25), 12), atol=0.03
    )


def test_a_traversal_moves_one_dimension_and_follows_the_kl(make_subject):
    variance = np.array([0.5, 0.001, 0.9, 0.05])
    subject = make_subject(4, variance=variance, z=0.1 * np.ones((5, 4)))
    t = np.linspace(-3, 3, 11)
    z = latent_plots.traversal(subject, subject.order, t).reshape(4, 11, 4)
    for row, dim in enumerate([1, 3, 0, 2]):
        np.testing.assert_allclose(z[row, :, dim], t, atol=1e-6)
        others = np.delete(z[row], dim, axis=1)
        np.testing.assert_allclose(others, 0.1, atol=1e-6)
    figure = latent_plots.traversals(subject)["traversals"]
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert [label[:7] for label in labels] == [
        "$z_{1}$",
        "$z_{3}$",
        "$z_{0}$",
        "$z_{2}$",
    ]


def test_a_walk_goes_from_minus_2_to_2_and_back(make_subject, read_z):
    walks = latent_plots.walks(make_subject())
    ends = {
        "walk_axis_1": ([-2, 0], [2, 0]),
        "walk_axis_2": ([0, -2], [0, 2]),
        "walk_diagonal_up": ([-2, -2], [2, 2]),
        "walk_diagonal_down": ([-2, 2], [2, -2]),
    }
    assert walks.keys() == ends.keys()
    for name, (first, last) in ends.items():
        frames = walks[name].frames
        assert len(frames) == 60
        np.testing.assert_allclose(read_z(frames[0][:-1, 1:, 0], 2), first, atol=0.03)
        np.testing.assert_allclose(read_z(frames[30][:-1, 1:, 0], 2), last, atol=0.03)
        np.testing.assert_array_equal(frames[1], frames[-1])


def test_the_arrow_names_what_neighbours_see_along_it(make_subject, cell_of, read_z):
    # Three clouds in a row: the way from the first to the last crosses the second.
    y = np.repeat([0, 1, 7], 20)
    centres = np.array([[-2.0, 0.0], [0.0, 0.0], [2.0, 0.0]])
    z = centres[np.repeat([0, 1, 2], 20)]
    z = z + 0.1 * np.random.default_rng(0).normal(size=z.shape)
    drawings = latent_plots.arrow(make_subject(z=z, y=y))
    axes = drawings["arrow_frames"].axes[0]
    seen = [label.get_text() for label in axes.get_xticklabels()]
    assert seen == ["0"] * 3 + ["1"] * 4 + ["7"] * 3
    first = cell_of(drawings["arrow_frames"], 1, 10, 0, 0)
    np.testing.assert_allclose(read_z(first, 1), [-2.0], atol=0.1)


def test_a_scatter_of_one_latent_has_a_row_for_each_class(make_subject):
    figure = latent_plots.scatter(make_subject(1, classes=4))["scatter"]
    axes = figure.axes[0]
    assert axes.get_ylim() == (3.5, -0.5)
    assert axes.get_ylabel() == "class"
    assert [label.get_text() for label in axes.get_yticklabels()] == list("0123")


def test_axes_of_many_latents_are_principal_components(make_subject):
    z = np.random.default_rng(0).normal(0, np.linspace(0.1, 1.0, 20), (300, 20))
    axes = latent_plots.scatter(make_subject(20, z=z))["scatter"].axes[0]
    assert axes.get_xlabel().startswith("principal component 1 of z (")


def test_factors_colour_points_where_there_are_no_classes(make_subject):
    z = np.random.default_rng(0).normal(size=(30, 2))
    subject = make_subject(z=z, labels=False, factors=z[:, :1])
    drawings = latent_plots.scatter(subject)
    assert list(drawings) == ["scatter"]
    colours = drawings["scatter"].axes[0].collections[0].get_array()
    np.testing.assert_allclose(colours, z[:, 0])


def test_the_swiss_roll_is_left_out_for_other_data(make_subject):
    with pytest.raises(LeftOut, match="--dataset swiss_roll"):
        latent_plots.swiss_roll(make_subject())


@pytest.mark.parametrize("latent_dim", [1, 2, 3])
def test_the_swiss_roll_is_drawn_beside_its_latents(make_subject, latent_dim):
    z = np.random.default_rng(0).normal(size=(40, latent_dim))
    subject = make_subject(
        latent_dim, (3,), z=z, labels=False, factors=np.linspace(4, 14, 40)[:, None]
    )
    figure = latent_plots.swiss_roll(subject)["swiss_roll"]
    rolled, flat = figure.axes[:2]
    assert rolled.name == "3d"
    assert len(flat.collections[0].get_offsets()) == 40


def test_a_kl_that_is_not_finite_is_left_out(make_subject):
    subject = make_subject(variance=np.array([0.0, 1.0]))
    with np.errstate(divide="ignore"), pytest.raises(LeftOut, match="diverged"):
        latent_plots.kl_per_dimension(subject)


def test_figures_of_classes_are_left_out_without_them(make_subject):
    with pytest.raises(LeftOut, match="class labels"):
        latent_plots.arrow(make_subject(labels=False))


@pytest.mark.slow
def test_tsne_is_drawn_in_the_plane_and_in_space(make_subject):
    drawings = latent_plots.tsne(make_subject(20, (6, 4, 1)))
    assert list(drawings) == ["tsne", "tsne_3d"]
    assert drawings["tsne_3d"].axes[0].name == "3d"
    few = make_subject(z=np.zeros((10, 2)))
    with pytest.raises(LeftOut, match="20 examples"):
        latent_plots.tsne(few)


def test_neighbours_name_the_class_of_the_nearest_training_latents(make_subject):
    subject = make_subject(classes=8)
    centres = np.linspace(0.5, 3.0, 8)[[0, 4, 7], None] * np.ones(2)
    assert latent_plots.neighbours_say(subject, centres) == ["0", "4", "7"]


# Models that are given labels.


def test_the_classes_along_an_arrow_are_those_that_are_seen(
    given_labels, cell_of, read_label
):
    y = np.repeat(np.arange(8), 5)
    z = 0.01 * np.random.default_rng(0).normal(size=(40, 2))  # hold nothing of y
    subject = given_labels(z=z, y=y)
    # What a class looks like: as the model decodes it.
    subject.train.x[:] = subject.model.decode(subject.z_train, subject.train.y)
    figure = latent_plots.arrow(subject)["arrow_frames"]
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    seen = [read_label(cell_of(figure, 1, 10, 0, column)) for column in range(10)]
    assert seen == [0] * 5 + [7] * 5
    assert labels == list(map(str, seen))
    assert "nearest training examples" in " ".join(figure.texts[0].get_text().split())


def test_captions_name_the_class_that_is_given(given_labels, cell_of, read_label):
    subject = given_labels(ends=("3", None))
    for figure in latent_plots.manifold(subject).values():
        assert "given class 3" in " ".join(figure.texts[0].get_text().split())
        assert read_label(cell_of(figure, 25, 25, 12, 12)) == 3
    figure = latent_plots.traversals(subject)["traversals"]
    first = subject.shown_classes[0]
    assert f"given class {first}" in " ".join(figure.texts[0].get_text().split())
    assert read_label(cell_of(figure, 2, 11, 0, 5)) == first


def test_labels_beyond_those_with_colours_are_still_named(given_labels):
    subject = given_labels(z=np.zeros((150, 2)), y=np.arange(150))
    assert subject.given() == ", given class 0"


def test_prior_and_aggregate_are_drawn_for_each_dimension(make_subject):
    subject = make_subject(5)
    figure = latent_plots.prior_and_aggregate(subject)["prior_and_aggregate"]
    radii, moments = figure.axes
    names = [text.get_text() for text in radii.get_legend().get_texts()]
    assert names == ["latents of examples", "draws of the prior"]
    means = moments.lines[0].get_ydata()
    expected = subject.z.mean(axis=0)[subject.order]
    np.testing.assert_allclose(means, expected, atol=0.5)
    assert len(means) == 5


def test_a_model_without_a_prior_has_nothing_to_compare(make_subject):
    subject = make_subject()
    subject.model.has_kl = False
    with pytest.raises(LeftOut):
        latent_plots.prior_and_aggregate(subject)
