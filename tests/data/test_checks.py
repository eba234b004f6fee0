import numpy as np
import pytest

from keras_vae.data import checks, memory


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_to_unit_maps_the_range_of_integers_to_zero_and_one(dtype):
    top = np.iinfo(dtype).max
    x = np.array([0, top // 3, top], dtype)
    unit = checks.to_unit(x)
    assert unit.dtype == np.float32
    assert unit[0] == 0 and unit[2] == 1
    np.testing.assert_allclose(unit, x / top, rtol=1e-6)


def test_to_unit_leaves_other_numbers_as_they_are():
    x = np.array([-2.5, 0.0, 300.0])
    np.testing.assert_array_equal(checks.to_unit(x), x.astype(np.float32))
    np.testing.assert_array_equal(checks.to_unit(np.array([7, -7])), [7, -7])


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("u1", "uint8"),
        ("<u2", "uint16"),
        (">u2", "uint16"),
        (">f4", "float32"),
        ("f8", "float32"),
        ("f2", "float32"),
        ("i8", "float32"),
        ("u4", "float32"),
    ],
)
def test_numbers_are_stored_as_bytes_or_float32_with_their_values(given, kept):
    x = np.array([[0, 3], [200, 120]], given)
    stored = checks.check_examples("x", x)
    assert stored.dtype == np.dtype(kept) and stored.dtype.isnative
    np.testing.assert_array_equal(stored, x)


def test_booleans_become_black_and_white_bytes():
    stored = checks.check_examples("x", np.array([[True, False]]))
    assert stored.dtype == np.uint8
    assert checks.to_unit(stored).tolist() == [[1.0, 0.0]]


def test_bytes_that_mean_zero_and_one_are_refused():
    with pytest.raises(ValueError, match="no value above 1.*multiply it by 255"):
        checks.check_examples("x", np.eye(4, dtype=np.uint8))
    black = np.zeros((2, 4), np.uint8)
    np.testing.assert_array_equal(checks.check_examples("x", black), black)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30, 1e300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_number_that_cannot_be_trained_on_is_refused_with_its_place(bad, dtype):
    x = np.zeros((5, 3, 4))
    x[3, 2, 1] = bad
    with np.errstate(over="ignore"):
        x = x.astype(dtype)
    with pytest.raises(ValueError, match=r"row 3, position \(2, 1\)"):
        checks.check_examples("x", x)


def test_the_place_of_a_bad_number_is_right_far_from_the_first_row():
    # More than is looked at together.
    x = np.zeros((5_000_000, 2), np.float32)
    x[4_900_041, 1] = np.nan
    with pytest.raises(ValueError, match="nan at row 4900041, column 1"):
        checks.check_finite("x", x)


@pytest.mark.parametrize(
    ("x", "words"),
    [
        (np.array([["a", "b"]]), "real numbers"),
        (np.array([[1j, 2]]), "real numbers"),
        (np.array([["2020-01-01"]], "M8[D]"), "real numbers"),
        (np.array([[None, 1]]), "never unpickled"),
        (np.zeros((0, 4)), "empty"),
        (np.zeros((4, 0)), "empty"),
        (np.zeros((2, 1), "f4,u1"), "real numbers"),
    ],
)
def test_what_is_no_number_is_refused(x, words):
    with pytest.raises(ValueError, match=words):
        checks.check_examples("x", x)


def test_an_example_too_large_for_any_network_is_refused():
    x = np.broadcast_to(np.float32(0), (1, 10_000, 10_000))
    with pytest.raises(ValueError, match=r"\(10000, 10000\).*make it smaller"):
        checks.check_examples("x", x)


@pytest.mark.parametrize(
    "y",
    [
        np.array([0, 2, -1], np.int64),
        np.array([[0], [2], [-1]], np.int8),
        np.array([0.0, 2.0, -1.0]),
    ],
)
def test_whole_numbers_of_any_type_are_labels(y):
    labels = checks.check_labels("y", y)
    assert labels.dtype == np.int32
    assert labels.tolist() == [0, 2, -1]


def test_booleans_are_labels():
    assert checks.check_labels("y", np.array([True, False])).tolist() == [1, 0]


@pytest.mark.parametrize("bad", [0.5, np.nan, np.inf, -2, 100_000, 1e30])
def test_a_label_out_of_range_is_refused_with_its_row(bad):
    with pytest.raises(ValueError, match="row 1 .*whole numbers from 0"):
        checks.check_labels("y", np.array([0, bad, 1]))


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.eye(3), "argmax"),
        (np.array(3), "one label for each"),
        (np.array([1j]), "real numbers"),
        (np.array([{}, 1], object), "never unpickled"),
    ],
)
def test_what_is_no_label_is_refused(y, words):
    with pytest.raises(ValueError, match=words):
        checks.check_labels("y", y)


def test_text_labels_are_numbered_alike_in_all_parts():
    parts = {"y_train": np.array(["dog", "", "ant "]), "y_test": np.array(["cat"])}
    codes, names = checks.encode_labels(parts)
    assert names == ("ant", "cat", "dog")
    assert codes["y_train"].tolist() == [2, -1, 0]
    assert codes["y_test"].tolist() == [1]
    assert codes["y_test"].dtype == np.int32


def test_byte_text_is_text():
    labels = checks.check_labels("y", np.array(["ä".encode(), b"b"]))
    assert checks.encode_labels({"y": labels})[1] == ("b", "ä")


def test_text_and_numbers_do_not_mix():
    with pytest.raises(ValueError, match="mix text and numbers"):
        checks.encode_labels({"y_train": np.array(["a"]), "y_test": np.array([1])})


def test_memory_beyond_the_machine_is_refused():
    checks.require_memory("x", 1000)
    with pytest.raises(ValueError, match="needs 1,000,000.0 GiB"):
        checks.require_memory("x", 10**6 * 2**30)


def test_half_of_what_is_free_may_be_data():
    assert checks.memory_limit() == pytest.approx(memory.available() / 2, rel=0.1)


def test_a_foreign_error_is_cut_to_a_part_of_a_sentence():
    assert checks.one_line(ValueError("one\n  two")) == "one two"
    assert checks.one_line(KeyError()) == "KeyError"
    assert len(checks.one_line("x" * 1000)) == 120
