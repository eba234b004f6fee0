import os

import numpy as np
import pytest
from PIL import Image

from keras_vae.data.image_files import Headers, find_images

PIXELS = np.random.default_rng(2).integers(0, 256, (6, 4, 3), np.uint8)


def _save(path, mode="RGB", size=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(PIXELS).convert(mode)
    (image.resize(size) if size else image).save(path, **options)


def test_images_are_found_sorted_and_hidden_files_are_not(tmp_path):
    names = ["b/z.PNG", "b/a b ä.jpg", "a.jpeg", "c.gif", "c/deep/er/1.bmp"]
    for name in [*names, ".x.png", ".git/1.png", "__MACOSX/1.png"]:
        _save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not an image")
    assert find_images(str(tmp_path)) == sorted(names)


def test_a_name_that_is_no_text_is_found(tmp_path):
    _save(tmp_path / "1.png")
    odd = os.fsencode(tmp_path) + b"/\xff\xfe.png"
    os.rename(tmp_path / "1.png", odd)
    (found,) = find_images(str(tmp_path))
    assert os.fsencode(found) == b"\xff\xfe.png"
    assert Headers(str(tmp_path), [found]).width == 4


def test_links_are_followed_and_loops_end(tmp_path):
    _save(tmp_path / "data/a/1.png")
    _save(tmp_path / "elsewhere/2.png")
    (tmp_path / "data/a/up").symlink_to(tmp_path / "data")
    (tmp_path / "data/self").symlink_to(tmp_path / "data/self")
    (tmp_path / "data/b").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data/c.png").symlink_to(tmp_path / "elsewhere/2.png")
    assert find_images(str(tmp_path / "data")) == ["a/1.png", "b/2.png", "c.png"]


@pytest.mark.parametrize("ending", ["webp", "TIF", "heic"])
def test_an_image_that_would_be_left_out_is_refused(tmp_path, ending):
    _save(tmp_path / "1.png")
    (tmp_path / f"2.{ending}").write_bytes(b"")
    with pytest.raises(ValueError, match=f"2.{ending}.*convert it to PNG"):
        find_images(str(tmp_path))


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("not an image")
    with pytest.raises(ValueError, match="has no images.*.png, .jpg"):
        find_images(str(tmp_path))


def test_a_folder_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    _save(tmp_path / "1.png")
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ValueError, match="closed' may not be read"):
        find_images(str(tmp_path))


def test_images_of_different_sizes_are_refused_with_both_names(tmp_path):
    _save(tmp_path / "1.png")
    _save(tmp_path / "2.png", size=(5, 6))
    with pytest.raises(ValueError, match="1.png' has 4x6 .*2.png' has 5x6"):
        Headers(str(tmp_path), ["1.png", "2.png"])


@pytest.mark.parametrize("kept", [0, 10, 30])
@pytest.mark.parametrize("name", ["1.png", "1.jpg", "1.bmp", "1.gif"])
def test_a_header_that_is_cut_off_is_refused_by_name(tmp_path, name, kept):
    _save(tmp_path / name)
    content = (tmp_path / name).read_bytes()[: 5 if name == "1.gif" else kept]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"image .*{name}' cannot be read"):
        Headers(str(tmp_path), [name])


def test_another_kind_of_image_under_a_good_ending_is_refused(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "1.png", format="WEBP")
    with pytest.raises(ValueError, match="no PNG, JPEG, BMP or GIF"):
        Headers(str(tmp_path), ["1.png"])


@pytest.mark.parametrize("mode", ["P", "1"])
def test_a_bmp_that_would_be_misread_is_refused(tmp_path, mode):
    _save(tmp_path / "1.bmp", mode)
    with pytest.raises(ValueError, match="convert it to PNG"):
        Headers(str(tmp_path), ["1.bmp"])


def test_what_is_no_file_or_not_there_is_refused(tmp_path):
    os.mkfifo(tmp_path / "1.png")
    with pytest.raises(ValueError, match="1.png' is no regular file"):
        Headers(str(tmp_path), ["1.png"])
    (tmp_path / "2.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(ValueError, match=r"2.png' cannot be read \(No such file"):
        Headers(str(tmp_path), ["2.png"])


def test_a_file_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    _save(tmp_path / "1.png")

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Image, "open", refuse)
    with pytest.raises(ValueError, match=r"1.png' cannot be read \(Permission denied"):
        Headers(str(tmp_path), ["1.png"])


def test_an_image_is_opened_but_not_decoded(tmp_path):
    _save(tmp_path / "1.png")
    content = (tmp_path / "1.png").read_bytes()
    (tmp_path / "1.png").write_bytes(content[:-20])
    headers = Headers(str(tmp_path), ["1.png"])
    assert (headers.height, headers.width) == (6, 4)


@pytest.mark.parametrize(
    ("modes", "grey", "plain"),
    [
        (["L", "1"], True, True),
        (["L", "RGB"], False, True),
        (["P"], False, True),
        (["LA", "L"], True, False),
        (["RGBA"], False, False),
    ],
)
def test_grey_and_plain_are_what_all_files_are(tmp_path, modes, grey, plain):
    for mode in modes:
        _save(tmp_path / f"{mode}.png", mode)
    headers = Headers(str(tmp_path), [f"{mode}.png" for mode in modes])
    assert (headers.grey, headers.plain) == (grey, plain)
