import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from keras_vae.data.datasets import DATASETS, Data, Split, load, to_unit

RNG = np.random.default_rng(1)
GREY = RNG.integers(0, 256, (12, 5, 7), np.uint8)


def _npz(tmp_path, **arrays):
    np.savez(tmp_path / "own data.npz", **arrays)
    return tmp_path / "own data.npz"


def test_an_npz_gives_all_its_parts(tmp_path):
    path = _npz(
        tmp_path,
        x_train=GREY,
        y_train=np.arange(12) % 3,
        x_test=GREY[:4],
        y_test=np.zeros((4, 1)),
        condition_train=np.ones((12, 2)),
        condition_test=np.full((4, 2), 0.5),
    )
    data = load(path)
    assert (data.name, data.kind) == ("own data", "images")
    assert data.input_shape == (5, 7, 1)
    np.testing.assert_array_equal(data.train.x[..., 0], GREY)
    assert data.train.y.dtype == np.int32 and data.train.y.tolist() == [0, 1, 2] * 4
    assert data.test.y.tolist() == [0, 0, 0, 0]
    assert data.test.condition.dtype == np.float32
    assert data.test.condition.tolist() == [[0.5, 0.5]] * 4
    assert data.validation is None
    assert (len(data.train), len(data.test)) == (12, 4)


def test_no_test_part_is_made_up(tmp_path):
    data = load(_npz(tmp_path, x=GREY))
    assert data.test is None and data.validation is None and data.train.y is None


@pytest.mark.parametrize(
    ("shape", "data_kind", "kind", "input_shape"),
    [
        ((9, 6), "auto", "vectors", (6,)),
        ((9, 6, 5), "auto", "images", (6, 5, 1)),
        ((9, 6, 5, 2), "auto", "images", (6, 5, 2)),
        ((9, 6, 5), "images", "images", (6, 5, 1)),
        ((9, 1, 1, 1), "images", "images", (1, 1, 1)),
        ((9, 6, 5), "sequences", "sequences", (6, 5)),
        ((9, 6), "sequences", "sequences", (6, 1)),
        ((9, 6), "vectors", "vectors", (6,)),
        ((9, 6, 5, 2), "vectors", "vectors", (60,)),
    ],
)
def test_the_kind_follows_from_the_axes_or_from_the_request(
    tmp_path, shape, data_kind, kind, input_shape
):
    x = RNG.random(shape)
    np.save(tmp_path / "a.npy", x)
    data = load(tmp_path / "a.npy", data_kind=data_kind)
    assert (data.kind, data.input_shape) == (kind, input_shape)
    assert data.train.x.shape == (9, *input_shape)
    np.testing.assert_array_equal(data.train.x.ravel(), x.astype(np.float32).ravel())


@pytest.mark.parametrize(
    ("shape", "data_kind"),
    [
        ((), "auto"),
        ((9,), "auto"),
        ((9, 2, 2, 2, 2), "auto"),
        ((9, 6), "images"),
        ((9, 2, 2, 2), "sequences"),
        ((9,), "vectors"),
    ],
)
def test_axes_that_fit_no_kind_are_refused(tmp_path, shape, data_kind):
    np.save(tmp_path / "a.npy", np.zeros(shape))
    with pytest.raises(ValueError, match="array of shape .*expected images"):
        load(tmp_path / "a.npy", data_kind=data_kind)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_examples_stay_as_they_are_stored(tmp_path, dtype):
    x = (RNG.random((4, 3, 3)) * 99).astype(dtype)
    data = load(_npz(tmp_path, x_train=x))
    assert data.train.x.dtype == dtype
    unit = to_unit(data.train.x)
    scale = 1 if dtype == np.float32 else np.iinfo(dtype).max
    np.testing.assert_allclose(unit[..., 0], x / scale, rtol=1e-6)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y_train": np.zeros(11)}, r"y_train .*shape \(11,\).*12 examples"),
        ({"y_train": np.array(1)}, "one label for each example"),
        ({"y_test": np.zeros(3)}, "y_test .*x_test has 0 examples"),
        ({"x_test": GREY[:, :4]}, r"x_test of uint8 \(4, 7, 1\)"),
        ({"x_test": GREY[:0]}, "x_test .*is empty"),
        ({"x_test": np.float32(1)}, r"shape \(\)"),
        ({"x_test": GREY / 255}, "x_train of uint8 .*x_test of float32"),
        ({"condition_train": np.ones((12, 2)), "x_test": GREY}, "without the other"),
        ({"condition_train": np.full((12, 2), np.nan)}, "condition_train .* nan at r"),
        ({"condition_train": np.array(["a"] * 12)}, "condition_train .*real numbers"),
        ({"condition_train": np.ones(5)}, "condition_train .*12 examples"),
        ({"x_train": np.full((3, 4), np.inf)}, "x_train .* inf at row 0, column 0"),
        ({"y_train": np.arange(12) - 5}, "label -5 at row 0"),
    ],
)
def test_parts_that_do_not_go_together_are_refused(tmp_path, changes, words):
    with pytest.raises(ValueError, match=words):
        load(_npz(tmp_path, **{"x_train": GREY, **changes}))


def test_a_condition_of_bytes_is_scaled_and_one_number_has_an_axis(tmp_path):
    data = load(
        _npz(tmp_path, x_train=GREY, condition_train=np.arange(12, dtype=np.uint8))
    )
    assert data.train.condition.shape == (12, 1)
    np.testing.assert_allclose(data.train.condition[:, 0] * 255, np.arange(12))


def test_text_labels_of_an_npz_are_numbered_over_both_parts(tmp_path):
    data = load(
        _npz(
            tmp_path,
            x_train=GREY[:2],
            y_train=np.array(["b", "a"]),
            x_test=GREY[:1],
            y_test=np.array(["c"]),
        )
    )
    assert data.label_names == ("a", "b", "c")
    assert data.train.y.tolist() == [1, 0] and data.test.y.tolist() == [2]


def test_validation_is_a_part_of_training_chosen_by_the_seed(tmp_path):
    x = np.arange(40.0).reshape(20, 2)
    path = _npz(
        tmp_path, x_train=x, y_train=np.arange(20), x_test=x, condition_train=x,
        condition_test=x,
    )  # fmt: skip
    one, same, other = (
        load(path, validation_fraction=0.3, seed=seed) for seed in (5, 5, 6)
    )
    assert (len(one.train), len(one.validation), len(one.test)) == (14, 6, 20)
    rows = np.concatenate([one.train.y, one.validation.y])
    assert sorted(rows.tolist()) == list(range(20))
    assert one.validation.y.tolist() == same.validation.y.tolist()
    assert one.validation.y.tolist() != other.validation.y.tolist()
    for split in (one.train, one.validation):
        np.testing.assert_array_equal(split.x, x[split.y])
        np.testing.assert_array_equal(split.condition, x[split.y])


def test_a_small_fraction_sets_one_example_aside(tmp_path):
    data = load(_npz(tmp_path, x=GREY), validation_fraction=1e-9)
    assert (len(data.train), len(data.validation)) == (11, 1)


@pytest.mark.parametrize("fraction", [-0.1, 1.0, 2, float("nan"), float("inf")])
def test_a_fraction_out_of_range_is_refused(fraction):
    with pytest.raises(ValueError, match=r"validation_fraction.*\[0, 1\)"):
        load("digits", validation_fraction=fraction)


def test_a_fraction_that_leaves_nothing_to_train_on_is_refused(tmp_path):
    with pytest.raises(ValueError, match="leaves some of 1 examples"):
        load(_npz(tmp_path, x=GREY[:1]), validation_fraction=0.5)


def test_parts_are_taken_with_all_that_belongs_to_them():
    split = Split(GREY, np.arange(12), None, np.arange(24).reshape(12, 2))
    part = split.take(np.array([3, 1]))
    np.testing.assert_array_equal(part.x, GREY[[3, 1]])
    assert part.y.tolist() == [3, 1] and part.condition is None
    assert part.factors.tolist() == [[6, 7], [2, 3]]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("digit", "'digit' is neither.*Did you mean 'digits'"),
        ("fashion-mnist", "Did you mean 'fashion_mnist'"),
        ("no/such/file.npz", "nor a file or folder that is there"),
        ("", "nor a file or folder that is there"),
        ("a\0b", "nor a file or folder that is there"),
        ("x" * 5000, "nor a file or folder that is there"),
        ("~nobody-of-this-name/x.npy", "nor a file or folder that is there"),
        (os.devnull, "no regular file"),
        (3, "Expected a name or a path"),
        (None, "Expected a name or a path"),
        (GREY, "Expected a name or a path"),
    ],
)
def test_a_dataset_that_is_not_there_is_refused(name, words):
    with pytest.raises(ValueError, match=words) as caught:
        load(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", ["xlsx", "XLS", "ods"])
def test_a_spreadsheet_is_refused(tmp_path, ending):
    (tmp_path / f"table.{ending}").write_bytes(b"PK")
    with pytest.raises(ValueError, match="spreadsheet; save it as CSV"):
        load(tmp_path / f"table.{ending}")


@pytest.mark.parametrize("name", ["a.png", "a.h5", "a"])
def test_a_file_of_an_unknown_kind_is_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ValueError, match="expected a file that ends in .npz"):
        load(tmp_path / name)


def test_a_link_that_leads_to_itself_is_refused(tmp_path):
    (tmp_path / "a.npz").symlink_to(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="nor a file or folder that is there"):
        load(tmp_path / "a.npz")


def test_an_unknown_kind_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match="Did you mean 'images'"):
        load("digits", data_kind="image")


@pytest.mark.parametrize("name", ["digits", "own.npz"])
def test_a_label_column_without_a_table_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="label_column.*only a .csv"):
        load(name if name in DATASETS else tmp_path / name, label_column="y")


def test_a_path_may_start_at_home_and_end_in_capitals(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    np.save(tmp_path / "a.npy", GREY)
    (tmp_path / "a.npy").rename(tmp_path / "täst ä.NPY")
    assert load("~/täst ä.NPY").name == "täst ä"


def _folder(root, files):
    for place, file in enumerate(files):
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 6), place, np.uint8)).save(root / file)


def test_a_folder_is_streamed_images_with_labels(tmp_path):
    _folder(tmp_path / "my.tiles", ["cat/1.png", "dog/2.png", "dog/3.png", "new.png"])
    data = load(tmp_path / "my.tiles")
    assert (data.name, data.kind, data.input_shape) == ("my.tiles", "images", (4, 6, 1))
    assert data.label_names == ("cat", "dog")
    assert data.train.y.tolist() == [0, 1, 1, -1]
    assert data.train.x.head(9)[:, 0, 0, 0].tolist() == [0, 1, 2, 3]
    assert data.test is None


def test_a_folder_sets_validation_images_aside(tmp_path):
    _folder(tmp_path, [f"{i:02}.png" for i in range(10)])
    data = load(tmp_path, validation_fraction=0.2)
    parts = [part.x[:][:, 0, 0, 0].tolist() for part in (data.train, data.validation)]
    assert [len(part) for part in parts] == [8, 2]
    assert sorted(parts[0] + parts[1]) == list(range(10))
    assert data.train.y is None


def test_an_npz_may_have_a_validation_part(tmp_path):
    arrays = {
        f"{name}_{part}": GREY[:count] if name == "x" else np.arange(count)
        for part, count in (("train", 4), ("validation", 3), ("test", 2))
        for name in ("x", "y", "condition")
    }
    data = load(_npz(tmp_path, **arrays))
    for split, count in ((data.train, 4), (data.validation, 3), (data.test, 2)):
        assert len(split.x) == len(split.y) == len(split.condition) == count


@pytest.mark.parametrize(
    ("parts", "measured", "monitored"),
    [
        ((), "training", None),
        (("test",), "test", "test"),
        (("validation",), "validation", "validation"),
        (("validation", "test"), "test", "validation"),
    ],
)
def test_a_dataset_says_which_part_its_figures_are_of(parts, measured, monitored):
    splits = {part: Split(GREY[:2]) for part in ("validation", "test")}
    given = {part: splits[part] if part in parts else None for part in splits}
    data = Data("mine", "images", (1, 1, 1), Split(GREY), **given)
    assert data.measured[0] == measured
    if monitored is not None:
        assert data.monitored == (monitored, splits[monitored])
    else:
        assert data.monitored[1] is None


def test_a_folder_may_have_parts(tmp_path):
    files = ["train/b/1.png", "train/a/2.png", "test/b/3.png", "val/c/4.png"]
    _folder(tmp_path, files)
    data = load(tmp_path)
    assert data.label_names == ("a", "b", "c")
    assert data.train.y.tolist() == [0, 1]
    assert data.train.x[:][:, 0, 0, 0].tolist() == [1, 0]
    assert data.test.y.tolist() == [1] and data.test.x[0].max() == 2
    assert data.validation.y.tolist() == [2]
    with pytest.raises(ValueError, match="dataset has a validation split"):
        load(tmp_path, validation_fraction=0.1)


def test_a_class_called_train_is_a_class(tmp_path):
    _folder(tmp_path, ["train/1.png", "plane/2.png"])
    assert load(tmp_path).label_names == ("plane", "train")


@pytest.mark.parametrize("data_kind", ["sequences", "vectors"])
def test_a_folder_is_nothing_but_images(tmp_path, data_kind):
    _folder(tmp_path, ["1.png"])
    with pytest.raises(ValueError, match="images that are streamed"):
        load(tmp_path, data_kind=data_kind)


def test_loading_needs_no_tensorflow():
    code = (
        "import sys; from keras_vae.data.datasets import load; load('digits');"
        "sys.exit('tensorflow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
