import os

import pytest

from keras_vae import files
from keras_vae.files import write_bytes, write_text, written_aside


def names(folder):
    return sorted(os.listdir(folder))


def fill(folder, **contents):
    folder.mkdir(parents=True)
    for name, text in contents.items():
        (folder / name).write_text(text)


def test_a_file_is_whole_and_nothing_is_left_beside_it(tmp_path):
    write_bytes(tmp_path / "a.bin", b"\x00\xff")
    assert (tmp_path / "a.bin").read_bytes() == b"\x00\xff"
    assert names(tmp_path) == ["a.bin"]


def test_text_is_utf_8_and_its_line_ends_stay(tmp_path):
    write_text(tmp_path / "a.txt", "ö\r\nλ\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xb6\r\n\xce\xbb\n"


def test_missing_folders_are_made(tmp_path):
    write_text(tmp_path / "new" / "folder" / "a.txt", "a")
    assert (tmp_path / "new" / "folder" / "a.txt").read_text() == "a"


def test_what_was_there_stays_until_the_new_file_is_complete(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with written_aside(path) as aside:
        aside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_what_was_there_stays_if_writing_fails(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), written_aside(path) as aside:
        aside.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_the_path_aside_has_the_same_folder_and_ending(tmp_path):
    # Keras decides by the ending what it writes, and only a rename is atomic.
    with written_aside(tmp_path / "model.keras") as aside:
        assert aside.parent == tmp_path
        assert aside.suffix == ".keras"
        assert aside.name.startswith(".")
        aside.write_text("")


def test_a_folder_is_replaced_whole(tmp_path):
    path = tmp_path / "saved"
    fill(path, old="1", both="1")
    with written_aside(path) as aside:
        fill(aside, both="2", new="2")
        assert names(path) == ["both", "old"]
    assert names(path) == ["both", "new"]
    assert (path / "both").read_text() == "2"
    assert names(tmp_path) == ["saved"]


def test_a_folder_stays_if_writing_fails(tmp_path):
    path = tmp_path / "saved"
    fill(path, old="1")
    with pytest.raises(ValueError, match="no"), written_aside(path) as aside:
        fill(aside, new="2")
        raise ValueError("no")
    assert names(path) == ["old"]
    assert names(tmp_path) == ["saved"]


def test_leftovers_of_a_killed_process_do_not_get_into_a_folder(tmp_path):
    path = tmp_path / "saved"
    with written_aside(path) as aside:
        fill(aside, first="1")
    fill(aside, junk="?")
    fill(aside.with_name(f".saved.{os.getpid()}.old"), junk="?")
    with written_aside(path) as aside:
        assert not aside.exists()
        fill(aside, second="2")
    assert names(path) == ["second"]
    assert names(tmp_path) == ["saved"]


def test_a_place_that_cannot_be_written_is_an_os_error(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        write_text(tmp_path / "file" / "a.txt", "a")


def test_a_file_never_takes_the_place_of_a_folder(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.png").write_text("precious")
    with pytest.raises(IsADirectoryError):
        files.write_text(tmp_path / "photos", "a table")
    assert (tmp_path / "photos" / "one.png").read_text() == "precious"
    assert os.listdir(tmp_path) == ["photos"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.txt", "--out: expected the name of a file that ends in .csv"),
        ("folder.csv", "--out: .*folder.csv is a folder; name a file"),
        ("file/a.csv", "--out: .* cannot be written .*; name another place"),
        ("gone/below/a.csv", "--out: there is no folder .*gone.below"),
        ("x" * 300 + ".csv", "cannot be written"),
    ],
)
def test_a_place_where_no_file_can_be_written_is_refused_before(tmp_path, name, words):
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ValueError, match=words):
        files.require_file("--out", tmp_path / name, ".csv")
    assert sorted(tmp_path.rglob("*")) == before


def test_a_place_for_a_file_is_left_as_it_was(tmp_path):
    (tmp_path / "a.csv").write_text("old")
    files.require_file("--out", tmp_path / "a.csv", ".csv")
    assert (tmp_path / "a.csv").read_text() == "old"
    assert os.listdir(tmp_path) == ["a.csv"]
