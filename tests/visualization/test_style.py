import numpy as np
import pytest

from keras_vae.visualization import style


def drawn(ending, tmp_path, title="Title"):
    picture = np.zeros((20, 30, 1), np.uint8)
    figure = style.framed(picture, title)
    return style.write_figure(tmp_path / f"figure.{ending}", figure)


def test_a_framed_picture_keeps_its_pixels():
    picture = np.random.default_rng(0).integers(0, 256, (61, 47, 3), np.uint8)
    figure = style.framed(
        picture, "A title", rows=["one", "two"], columns=["a"], x="x", y="y"
    )
    whole = style.as_picture(figure)
    windows = np.lib.stride_tricks.sliding_window_view(whole, (61, 47, 3))
    assert (windows[..., 0, :, :, :] == picture).all(axis=(-3, -2, -1)).any()


def test_labels_stand_at_the_middle_of_their_rows():
    picture = np.zeros((90, 60, 1), np.uint8)
    axes = style.framed(picture, "", rows=["a", "b", "c"], columns=["d", "e"]).axes[0]
    np.testing.assert_allclose(axes.get_yticks(), [15, 45, 75])
    np.testing.assert_allclose(axes.get_xticks(), [15, 45])
    assert axes.yaxis_inverted()


def test_a_title_is_broken_into_lines_of_about_equal_length():
    title = "one two three four five six seven eight nine ten eleven twelve"
    figure = style.framed(np.zeros((64, 400, 1), np.uint8), title)
    lengths = [len(line) for line in figure.texts[0].get_text().split("\n")]
    assert len(lengths) == 2
    assert max(lengths) - min(lengths) < 8


def test_nothing_that_is_written_is_cut_off():
    picture = np.zeros((64, 64, 1), np.uint8)
    words = "Many words about what a very small picture shows, in one long title"
    figure = style.framed(
        picture, words, rows=["a long label of a row"], columns=["a wide column"], x="x"
    )
    figure.canvas.draw()
    box = figure.get_tightbbox()
    assert box.x0 >= 0 and box.y0 >= 0
    assert box.x1 <= figure.get_figwidth() and box.y1 <= figure.get_figheight()


@pytest.mark.parametrize(
    ("ending", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_the_ending_says_the_format_and_files_repeat(tmp_path, ending, start):
    first = drawn(ending, tmp_path).read_bytes()
    assert first.startswith(start)
    assert drawn(ending, tmp_path).read_bytes() == first


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match="'jpg'"):
        drawn("jpg", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_pyplot_state_is_left_behind(tmp_path):
    import matplotlib.pyplot as plt

    before = dict(plt.rcParams)
    drawn("pdf", tmp_path)
    style.new_figure(2, 2)
    assert plt.get_fignums() == []
    assert dict(plt.rcParams) == before


@pytest.mark.parametrize(
    ("values", "limit"),
    [
        ([0.1, -0.2], 4),
        ([4.5, -1], 6),
        (np.r_[np.zeros(1000), 99.0], 4),
        ([-35.0], 40),
        ([np.nan, np.inf], 4),
        ([], 4),
    ],
)
def test_ranges_are_a_few_fixed_ones(values, limit):
    assert style.fixed_limit(values) == limit


@pytest.mark.parametrize("width", [30, 64, 200])
def test_labels_of_columns_do_not_reach_each_other(width):
    names = ["Herbaceous vegetation", "SeaLake", "a", "Forty letters without any space"]
    picture = np.zeros((64, 4 * width, 1), np.uint8)
    figure = style.framed(picture, "Title", columns=names)
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].get_xticklabels()]
    for left, right in zip(boxes, boxes[1:], strict=False):
        assert left.x1 < right.x0
    assert min(box.y0 for box in boxes) >= 0


def test_labels_with_none_beside_them_keep_their_length():
    figure = style.framed(
        np.zeros((64, 400, 1), np.uint8), "", columns=["long label", "", "", "b"]
    )
    labels = [text.get_text() for text in figure.axes[0].get_xticklabels()]
    assert labels == ["long label", "", "", "b"]


def test_a_foot_makes_room_below_the_picture():
    picture = np.zeros((60, 300, 1), np.uint8)
    bare, footed = (style.framed(picture, "Title", foot=f) for f in ("", "What it is"))
    assert footed.get_figheight() > bare.get_figheight()
    assert footed.texts[-1].get_text() == "What it is"
    box = footed.texts[-1].get_window_extent()
    assert box.y0 >= 0
    assert box.y1 <= footed.axes[0].get_window_extent().y0
