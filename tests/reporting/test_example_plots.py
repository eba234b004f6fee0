import numpy as np
import pytest

from keras_vae.reporting import example_plots
from keras_vae.reporting.subject import LeftOut


def test_the_overview_ends_at_the_second_example(make_subject, cell_of, read_z):
    subject = make_subject()
    figure = example_plots.overview(subject)["overview"]
    rows = subject.varied(10)
    for row, column, place in ((0, 0, 0), (1, 9, 9), (2, 0, 0), (2, 9, 1)):
        z = read_z(cell_of(figure, 3, 10, row, column), 2)
        np.testing.assert_allclose(z, subject.z[rows[place]], atol=0.03)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["original", "reconstruction", "first to second"]


def test_grids_show_both_parts_and_samples(make_subject, cell_of, read_z):
    subject = make_subject()
    drawings = example_plots.grid_3x3(subject)
    parts = ["train", "train_reconstructed", "test", "test_reconstructed", "sampled"]
    assert list(drawings) == parts
    last = read_z(cell_of(drawings["test"], 3, 3, 2, 2), 2)
    np.testing.assert_allclose(last, subject.z[-1], atol=0.03)


def test_without_a_test_part_training_examples_are_shown(make_subject):
    import dataclasses

    run = make_subject().run
    run = dataclasses.replace(run, data=dataclasses.replace(run.data, test=None))
    from keras_vae.reporting.subject import Subject

    drawings = example_plots.grid_3x3(Subject(run))
    assert list(drawings) == ["train", "train_reconstructed", "sampled"]


def test_an_autoencoder_without_a_density_samples_from_a_normal(make_subject):
    subject = make_subject()
    subject.model.has_kl = False
    subject.model.sample = None
    figure = example_plots.grid_3x3(subject)["sampled"]
    assert "fitted to the latents" in figure.texts[0].get_text()


@pytest.mark.parametrize("shape", [(6, 4, 1), (24,), (12, 2)])
def test_pairs_stand_side_by_side(make_subject, shape):
    figure = example_plots.pairs(make_subject(shape=shape))["pairs"]
    labels = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert labels == ["input", "output"] * 3


def test_an_interpolation_has_both_ends_and_even_steps(make_subject, picture_of):
    subject = make_subject()
    drawings = example_plots.interpolation(subject)
    picture = picture_of(drawings["interpolation"])
    height, width = picture.shape[0] // 9, picture.shape[1] // 9
    found = []
    for row, column in ((0, 0), (4, 4), (8, 8)):
        right, bottom = column * width + 1, (row + 1) * height
        scale = (width - 1) // 4
        pixel = picture[bottom - 6 * scale + 2, right + scale // 2, 0]
        found.append(pixel / 255 * 8 - 4)
    first, last = subject.z[list(subject.pair), 0]
    np.testing.assert_allclose(found, [first, (first + last) / 2, last], atol=0.05)
    assert len(drawings["interpolation_walk"].frames) == 160


def test_a_class_walks_to_itself_without_moving(make_subject):
    frames = example_plots.all_pairs(make_subject(classes=8))["all_pairs"].frames
    assert len(frames) == 22
    side_y, side_x = frames[0].shape[0] // 8, frames[0].shape[1] // 8
    still = [frame[side_y : 2 * side_y, side_x : 2 * side_x] for frame in frames]
    moving = [frame[:side_y, side_x : 2 * side_x] for frame in frames]
    assert all((cell == still[0]).all() for cell in still)
    assert (moving[0] != moving[11]).any()


def test_the_montage_is_left_out_for_what_is_no_image(make_subject):
    with pytest.raises(LeftOut, match="images"):
        example_plots.all_pairs(make_subject(shape=(24,)))


def test_the_expected_reconstruction_of_a_linear_decoder_is_that_of_the_mean(
    make_subject, cell_of, read_z
):
    subject = make_subject(variance=np.array([0.3, 0.3]))
    figure = example_plots.expected_reconstruction(subject)
    figure = figure["expected_reconstruction"]
    means, expected, draws = (
        [read_z(cell_of(figure, 4, 10, row, column), 2) for column in range(10)]
        for row in (1, 2, 3)
    )
    assert np.abs(np.subtract(expected, means)).max() < 0.2  # 5 standard errors
    assert np.abs(np.subtract(draws, means)).max() > 0.4


def test_what_draws_no_z_has_no_expected_reconstruction(make_subject):
    subject = make_subject()
    subject.model.has_kl = False
    with pytest.raises(LeftOut, match="draws no z"):
        example_plots.expected_reconstruction(subject)


# Models that are given labels.


def test_the_overview_reaches_the_second_example_under_its_label(
    given_labels, cell_of, read_label
):
    subject = given_labels()
    figure = example_plots.overview(subject)["overview"]
    first, second = subject.shown_classes[subject.varied(10)[:2]]
    seen = [read_label(cell_of(figure, 3, 10, 2, column)) for column in range(10)]
    assert seen == [first] * 5 + [second] * 5


def test_each_half_of_an_interpolation_has_the_label_of_its_end(
    given_labels, picture_of, read_label
):
    subject = given_labels()
    drawings = example_plots.interpolation(subject)
    picture = picture_of(drawings["interpolation"])[..., 0]
    height, width = picture.shape[0] // 9, picture.shape[1] // 9
    seen = [
        read_label(picture[:height, :width])
        for picture in (
            picture[row * height + 1 :, column * width + 1 :][: height - 1, : width - 1]
            for row in range(9)
            for column in range(9)
        )
    ]
    assert seen == [0] * 41 + [7] * 40
    walk = [frame[..., 0] for frame in drawings["interpolation_walk"].frames]
    ends = [read_label(frame[:-1, 1:-1]) for frame in (walk[0], walk[80])]
    assert ends == [0, 7]
    assert "each half given the class of its end" in " ".join(
        drawings["interpolation"].texts[0].get_text().split()
    )


def test_every_cell_of_the_montage_goes_from_its_row_to_its_column(
    given_labels, read_label
):
    frames = example_plots.all_pairs(given_labels(classes=4))["all_pairs"].frames
    side_y, side_x = frames[0].shape[0] // 4, frames[0].shape[1] // 4
    for row in range(4):
        for column in range(4):
            cells = [
                frame[row * side_y + 1 :, column * side_x + 1 :][
                    : side_y - 1, : side_x - 1, 0
                ]
                for frame in (frames[0], frames[11])
            ]
            assert [read_label(cell) for cell in cells] == [row, column]
