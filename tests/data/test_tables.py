import numpy as np
import pytest

from keras_vae.data.datasets import load


def _table(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "table.csv"
    path.write_text(text, encoding=encoding, newline="")
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("header", ["", "a{0}b{0}c\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_table_is_read_with_or_without_a_header(tmp_path, separator, header, end):
    text = header.format(separator) + "\n".join(
        separator.join(row) for row in (["1", "2.5", "-3e2"], ["4", " 5", "6"])
    )
    data = load(_table(tmp_path, text.replace("\n", end)))
    assert data.kind == "vectors" and data.input_shape == (3,)
    assert data.train.x.dtype == np.float32
    assert data.train.x.tolist() == [[1, 2.5, -300], [4, 5, 6]]
    assert data.train.y is None and data.test is None


def test_quotes_blank_lines_and_a_byte_order_mark_are_understood(tmp_path):
    text = '"a, of x",b\n\n"1",2\n\n3,4\n\n'
    data = load(_table(tmp_path, text, "utf-8-sig"))
    assert data.train.x.tolist() == [[1, 2], [3, 4]]


def test_the_columns_of_pandas_without_names_are_a_header(tmp_path):
    text = ",".join(map(str, range(8))) + "\n" + ",".join(["7"] * 8)
    assert load(_table(tmp_path, text)).train.x.tolist() == [[7.0] * 8]


def test_a_first_line_that_counts_to_two_is_an_example(tmp_path):
    assert len(load(_table(tmp_path, "0,1,2\n3,4,5")).train) == 2


@pytest.mark.parametrize("label_column", ["kind", "1", 1, -2])
def test_a_label_column_is_named_or_counted(tmp_path, label_column):
    path = _table(tmp_path, "a,kind,b\n1,0,2\n3,2,4\n5,,6\n")
    data = load(path, label_column=label_column)
    assert data.train.x.tolist() == [[1, 2], [3, 4], [5, 6]]
    assert data.train.y.tolist() == [0, 2, -1]
    assert data.label_names is None


@pytest.mark.parametrize("header", ["", "a,b,kind\n"])
def test_text_labels_are_kept_as_names(tmp_path, header):
    path = _table(tmp_path, header + "1,2,rose\n3,4,iris\n5,6,\n")
    data = load(path, label_column="2")
    assert data.train.y.tolist() == [1, 0, -1]
    assert data.label_names == ("iris", "rose")
    assert data.train.x.shape == (3, 2)


def test_a_number_is_a_place_even_where_the_first_line_has_it_as_a_value(tmp_path):
    data = load(_table(tmp_path, "7,0,3\n8,1,4\n"), label_column="1")
    assert data.train.y.tolist() == [0, 1]
    assert data.train.x.tolist() == [[7, 3], [8, 4]]


def test_a_number_is_a_name_where_the_header_counts(tmp_path):
    path = _table(tmp_path, "label,1,0\n2,30,40\n")
    assert load(path, label_column="label").train.x.tolist() == [[30, 40]]


@pytest.mark.parametrize(
    ("text", "label_column", "words"),
    [
        ("a,b\n1,x\n", None, r"line 2, column 2 \('b'\) of .* is 'x', not a number"),
        ("1,2\n3,\n", None, "line 2, column 2 of .* is '', not a number"),
        ("1,x,3\n1,2,3\n", None, "line 1, column 2 .* is 'x'"),
        ("k,a,b\nu,1,2\nv,3,oh\n", "k", r"line 3, column 3 \('b'\)"),
        ("a,b\n1,2\n3,nan\n", None, r"line 3, column 2 \('b'\) of .* is nan"),
        ("1,2\n\n3,-inf\n", None, "line 3, column 2 of .* is -inf"),
        ("1,2\n1e30,4\n", None, "line 2, column 1 of .* is 1e\\+30"),
        ("1,2\n3\n", None, "line 2 of .* has 1 values, the first line 2"),
        ("1,2\n3,4,5\n", None, "line 2 of .* has 3 values"),
        ("a,b\n", None, "no line of numbers"),
        ("", None, "no line of numbers"),
        ("\n\n", None, "no line of numbers"),
        ("1,2\n3,4\n", "9", "label_column: .*has 2 columns"),
        ("1,2\n3,4\n", "-3", "label_column: .*has 2 columns"),
        ("klass,b\n3,4\n", "class", "label_column: .*Did you mean 'klass'"),
        ("1,2\n3,4\n", "class", "label_column: .*no column 'class'"),
        ("k\n1\n", "k", "no column besides the label"),
        ("a,k\n1,0.5\n", "k", "label 0.5 at row 0"),
        ("a,k\n1,-2\n", "k", "label -2.0 at row 0"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused_with_the_place(
    tmp_path, text, label_column, words
):
    with pytest.raises(ValueError, match=words):
        load(_table(tmp_path, text), label_column=label_column)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"PK\x03\x04\xff\xfe\x00" * 9)
    with pytest.raises(ValueError, match="not UTF-8 text.*saving it as CSV"):
        load(tmp_path / "a.csv")


def test_blocks_are_put_together_in_order(tmp_path):
    # More values than are parsed together.
    width, lines = 6000, 400
    zeros = "0," * (width - 1)
    text = "\n".join(f"{zeros}{line}.5,{line}" for line in range(lines))
    data = load(_table(tmp_path, text), label_column=width)
    np.testing.assert_array_equal(data.train.x[:, -1], np.arange(lines) + 0.5)
    np.testing.assert_array_equal(data.train.y, np.arange(lines))


def test_a_line_without_end_is_refused(tmp_path):
    with pytest.raises(ValueError, match="a line of over 33,554,432 characters"):
        load(_table(tmp_path, "1" * (2**25 + 1)))


def test_a_table_beyond_the_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_vae.data.checks.memory_limit", lambda: 10)
    with pytest.raises(ValueError, match="this machine has"):
        load(_table(tmp_path, "1,2\n3,4\n"))


def test_a_series_a_line_is_a_sequence_on_request(tmp_path):
    data = load(_table(tmp_path, "1,2,3\n4,5,6\n"), data_kind="sequences")
    assert data.kind == "sequences" and data.input_shape == (3, 1)


@pytest.mark.parametrize("dropped", [["id", "note"], ["0", "-1"], [0, "note"]])
def test_columns_that_hold_anything_can_be_left_out(tmp_path, dropped):
    path = _table(tmp_path, "id,a,kind,b,note\nx1,1,0,2,\nx2,3,1,4,why\n")
    data = load(path, label_column="kind", drop_columns=dropped)
    assert data.train.x.tolist() == [[1, 2], [3, 4]]
    assert data.train.y.tolist() == [0, 1]


def test_a_cell_that_is_no_number_is_found_in_its_own_column(tmp_path):
    path = _table(tmp_path, "id,a,b\nx,1,2\ny,3,oops\n")
    with pytest.raises(ValueError, match="line 3, column 3 .'b'.*drop_columns"):
        load(path, drop_columns=["id"])


@pytest.mark.parametrize("dropped", [["c"], [7], ["a", "b"]])
def test_columns_that_are_not_there_or_all_there_are_cannot_be_left_out(
    tmp_path, dropped
):
    with pytest.raises(ValueError, match="drop_columns"):
        load(_table(tmp_path, "a,b\n1,2\n"), drop_columns=dropped)


def test_sequences_of_several_features_are_lines_of_numbers(tmp_path):
    path = _table(tmp_path, "1,2,3,4,5,6\n7,8,9,10,11,12\n")
    data = load(path, features_per_step=2)
    assert (data.kind, data.input_shape) == ("sequences", (3, 2))
    assert data.train.x[0].tolist() == [[1, 2], [3, 4], [5, 6]]
    for wrong in (4, 0):
        with pytest.raises(ValueError, match="features_per_step"):
            load(path, features_per_step=wrong)
    with pytest.raises(ValueError, match="features_per_step"):
        load(path, features_per_step=2, data_kind="vectors")
