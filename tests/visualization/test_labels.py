import numpy as np
import pytest

from keras_vae.visualization import labels


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("0", "1", "10"), ["0", "1", "10"]),
        (("Trouser", "Bag"), ["Tr", "Ba"]),
        (("Sea Lake", "Seaside"), ["Se", "Sa"]),
        (("AnnualCrop", "Andes"), ["An", "Ad"]),
        (("Sh", "Sharp"), ["Sh", "Sa"]),
        (("$%", "a_b"), ["0", "1"]),
        (("x", "x"), ["0", "1"]),
    ],
)
def test_marks_are_short_and_differ(names, expected):
    assert labels.marks(names) == expected


@pytest.mark.parametrize("count", [2, 30, 100])
def test_marks_of_many_long_names_are_at_most_two_letters(count):
    names = [f"A class of things, the kind {i}" for i in range(count)]
    marks = labels.marks(names)
    assert len(set(marks)) == count
    assert max(map(len, marks)) <= 2


def test_shortened_text_keeps_both_ends_and_fits():
    text = "Herbaceous vegetation of the north"
    short = labels.shortened(text, 80.0, 9.0)
    assert labels.text_width(short, 9.0) <= 80.0
    assert short[:4] == "Herb" and short[-3:] == "rth"
    assert labels.shortened("short", 80.0, 9.0) == "short"


def test_lines_are_of_about_equal_length():
    lines = labels.wrapped("one two three four five six seven eight", 130, 9).split(
        "\n"
    )
    widths = [labels.text_width(line, 9) for line in lines]
    assert len(lines) == 2 and max(widths) <= 130 < sum(widths)
    assert max(widths) - min(widths) < 40


@pytest.mark.parametrize("text", ["AnnualCropOfTheNorth", "a" * 90, "a b " * 30])
def test_fitted_text_has_so_many_lines_of_a_width(text):
    lines = labels.fitted(text, 60.0, 9.0).split("\n")
    assert len(lines) <= 3
    assert max(labels.text_width(line, 9.0) for line in lines) <= 60.0


@pytest.mark.parametrize("count", [2, 10, 25])
def test_labels_at_one_place_part_and_stay_inside(count):
    sizes = np.full((count, 2), [24.0, 12.0])
    places, kept = labels.placed(np.full((count, 2), 50.0), sizes, (0, 0), (400, 300))
    assert kept.all()
    between = np.abs(places[:, None] - places)
    clear = (between > sizes[0] - 0.5).any(axis=-1)
    assert clear[~np.eye(count, dtype=bool)].all()
    assert (places >= sizes / 2).all() and (places <= [388, 294]).all()


def test_labels_that_are_not_in_the_way_stay():
    anchors = np.array([[50.0, 50.0], [60.0, 50.0], [300.0, 200.0]])
    places, _ = labels.placed(anchors, np.full((3, 2), 20.0), (0, 0), (400, 300))
    np.testing.assert_allclose(places[2], anchors[2], atol=0.01)
    assert np.abs(places - anchors).max() < 20


def test_labels_without_room_are_told():
    _, kept = labels.placed(
        np.full((50, 2), 10.0), np.full((50, 2), 20), (0, 0), (60, 60)
    )
    assert 1 <= kept.sum() <= 9


def test_labels_cover_no_obstacle():
    anchors = np.full((2, 2), 50.0)
    places, kept = labels.placed(
        anchors, np.full((2, 2), 20.0), (0, 0), (99, 99), [[50.0, 50.0], [52.0, 70.0]]
    )
    assert kept.all()
    for point in ([50.0, 50.0], [52.0, 70.0]):
        assert (np.abs(places - point).max(axis=1) >= 10).all()


def test_labels_spare_points_where_there_is_room():
    points = [[50.0, 50.0], [54.0, 46.0]]
    sizes = np.full((1, 2), 20.0)
    places, _ = labels.placed([[50.0, 50.0]], sizes, (0, 0), (99, 99), spared=points)
    assert (np.abs(places - points).max(axis=1) >= 10).all()
    _, kept = labels.placed([[50.0, 50.0]], sizes, (30, 30), (70, 70), spared=points)
    assert kept.all()
