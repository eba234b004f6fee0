import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import ExifTags, Image, ImageOps

from keras_vae.data.datasets import load
from keras_vae.data.folder import ImageFolder

PIXELS = np.random.default_rng(2).integers(0, 256, (20, 6, 5, 3), np.uint8)


@pytest.fixture
def folder(tmp_path):
    for place, pixels in enumerate(PIXELS):
        Image.fromarray(pixels).save(tmp_path / f"{place:02}.png")
    return tmp_path


def _one(tmp_path, mode, ending="png", **options):
    Image.fromarray(PIXELS[0]).convert(mode).save(tmp_path / f"1.{ending}", **options)
    return Image.open(tmp_path / f"1.{ending}")


def test_a_folder_is_an_array_that_is_read_when_asked_for(folder):
    images = ImageFolder(folder)
    assert (len(images), images.shape, images.dtype) == (20, (6, 5, 3), "uint8")
    np.testing.assert_array_equal(images[:], PIXELS)
    np.testing.assert_array_equal(images[-3:], PIXELS[-3:])
    np.testing.assert_array_equal(images[4], PIXELS[4])
    np.testing.assert_array_equal(images[[7, 2, 7]], PIXELS[[7, 2, 7]])
    np.testing.assert_array_equal(images.head(3), PIXELS[:3])
    assert images[:0].shape == (0, 6, 5, 3)
    with pytest.raises(IndexError):
        images[20]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_are_turned_upright(tmp_path, orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored = PIXELS[0].swapaxes(0, 1) if orientation >= 5 else PIXELS[0]
    Image.fromarray(stored).save(tmp_path / "1.png", exif=exif)
    Image.fromarray(PIXELS[1]).save(tmp_path / "2.png")
    images = ImageFolder(tmp_path)
    with Image.open(tmp_path / "1.png") as image:
        expected = np.asarray(ImageOps.exif_transpose(image))
    np.testing.assert_array_equal(images[0], expected)
    np.testing.assert_array_equal(images.take([1, 0])[:], [PIXELS[1], expected])
    assert images.first_broken() is None


def test_a_read_of_more_than_a_chunk_is_in_order(folder):
    rows = np.arange(600) % 20
    np.testing.assert_array_equal(ImageFolder(folder)[rows], PIXELS[rows])


def test_a_part_holds_its_images_in_its_order(folder):
    images = ImageFolder(folder)
    images.head(1)
    part = images.take(np.array([5, 3]))
    assert len(part) == 2 and part.files == ("05.png", "03.png")
    np.testing.assert_array_equal(part[:], PIXELS[[5, 3]])
    np.testing.assert_array_equal(images.head(1), PIXELS[:1])


def test_images_are_read_in_the_graph_of_a_pipeline(folder):
    images = ImageFolder(folder)
    dataset = tf.data.Dataset.range(20).batch(8).map(images.gather)
    assert dataset.element_spec.shape.as_list() == [None, 6, 5, 3]
    batches = list(dataset.as_numpy_iterator())
    assert [len(batch) for batch in batches] == [8, 8, 4]
    np.testing.assert_array_equal(np.concatenate(batches), PIXELS)


@pytest.mark.parametrize("name", ["a b.png", "äöü 漢.png", "{x}*?[1].png", "%41.png"])
def test_any_name_is_read(tmp_path, name):
    place = tmp_path / "s3: ü"
    place.mkdir()
    Image.fromarray(PIXELS[0]).save(place / name)
    np.testing.assert_array_equal(ImageFolder(place)[0], PIXELS[0])


@pytest.mark.parametrize(
    ("mode", "ending"), [("L", "png"), ("1", "png"), ("L", "bmp"), ("L", "jpg")]
)
def test_grey_images_have_one_channel(tmp_path, mode, ending):
    expected = np.asarray(_one(tmp_path, mode, ending).convert("L"))
    images = ImageFolder(tmp_path)
    assert images.shape == (6, 5, 1)
    np.testing.assert_allclose(images[0][..., 0], expected, atol=3)


@pytest.mark.parametrize(
    ("mode", "ending"),
    [
        ("RGB", "png"),
        ("P", "png"),
        ("RGB", "bmp"),
        ("P", "gif"),
        ("RGB", "jpg"),
        ("CMYK", "jpg"),
    ],
)
def test_colour_images_have_three_channels(tmp_path, mode, ending):
    expected = np.asarray(_one(tmp_path, mode, ending).convert("RGB"))
    images = ImageFolder(tmp_path)
    assert images.shape == (6, 5, 3)
    tolerance = 8 if ending == "jpg" else 0  # decoders of JPEG may differ
    np.testing.assert_allclose(images[0], expected, atol=tolerance)


def test_grey_and_colour_together_are_colour(tmp_path):
    Image.fromarray(PIXELS[0]).save(tmp_path / "1.png")
    Image.fromarray(PIXELS[1, ..., 0]).save(tmp_path / "2.png")
    Image.fromarray(PIXELS[2, ..., 0]).save(tmp_path / "3.bmp")
    images = ImageFolder(tmp_path)[:]
    np.testing.assert_array_equal(images[0], PIXELS[0])
    for channel in range(3):
        np.testing.assert_array_equal(images[1, ..., channel], PIXELS[1, ..., 0])
        np.testing.assert_array_equal(images[2, ..., channel], PIXELS[2, ..., 0])


@pytest.mark.parametrize("colour", [True, False])
def test_what_is_transparent_is_laid_on_black(tmp_path, colour):
    pixels = PIXELS[0] if colour else PIXELS[0, ..., :1]
    alpha = PIXELS[1, ..., :1]
    both = np.concatenate([pixels, alpha], -1)
    Image.fromarray(both, "RGBA" if colour else "LA").save(tmp_path / "1.png")
    expected = np.rint(pixels * (alpha / 255.0))
    np.testing.assert_array_equal(ImageFolder(tmp_path)[0], expected)


def test_a_transparent_colour_of_a_palette_is_black(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([200, 100, 50, 10, 20, 30])
    image.putdata([0, 1])
    image.save(tmp_path / "1.png", transparency=0)
    assert ImageFolder(tmp_path)[0].tolist() == [[[0, 0, 0], [10, 20, 30]]]


def test_of_sixteen_bits_the_upper_eight_are_taken(tmp_path):
    deep = (PIXELS[0, ..., 0].astype(np.uint16) << 8) | PIXELS[0, ..., 1]
    Image.fromarray(deep).save(tmp_path / "1.png")
    images = ImageFolder(tmp_path)
    assert images.shape == (6, 5, 1)
    np.testing.assert_array_equal(images[0][..., 0], PIXELS[0, ..., 0])


def test_of_an_animation_the_first_picture_is_taken(tmp_path):
    frames = [Image.fromarray(pixels).quantize(8) for pixels in PIXELS[:3]]
    frames[0].save(tmp_path / "1.gif", save_all=True, append_images=frames[1:])
    expected = np.asarray(frames[0].convert("RGB"))
    np.testing.assert_array_equal(ImageFolder(tmp_path)[0], expected)


def test_an_image_of_one_pixel_is_read(tmp_path):
    Image.fromarray(PIXELS[0, :1, :1]).save(tmp_path / "1.png")
    np.testing.assert_array_equal(ImageFolder(tmp_path)[0], PIXELS[0, :1, :1])


@pytest.mark.slow
def test_an_image_of_ten_thousand_pixels_a_side_is_refused(tmp_path):
    Image.new("1", (10_000, 10_000)).save(tmp_path / "1.png")
    with pytest.raises(ValueError, match=r"\(10000, 10000, 1\).*make it smaller"):
        ImageFolder(tmp_path)


def _damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def test_a_damaged_image_is_named_when_it_is_read(folder):
    images = ImageFolder(folder)
    _damage(folder / "13.png")
    np.testing.assert_array_equal(images[:13], PIXELS[:13])
    with pytest.raises(ValueError, match="13.png' cannot be decoded.*replace or remov"):
        images[:]


def test_a_damaged_image_is_named_when_a_pipeline_stops_at_it(folder):
    images = ImageFolder(folder)
    _damage(folder / "07.png")
    dataset = tf.data.Dataset.range(20).batch(4).map(images.gather)
    with pytest.raises(ValueError, match="07.png' cannot be decoded"):
        with images.naming_files():
            for _ in dataset:
                continue


def test_an_image_that_changes_size_or_goes_is_named(folder):
    images = ImageFolder(folder)
    assert images.first_broken() is None
    Image.fromarray(PIXELS[0, :2]).save(folder / "04.png")
    with pytest.raises(ValueError, match="04.png' cannot be decoded"):
        images[:]
    (folder / "02.png").unlink()
    with pytest.raises(ValueError, match="02.png' is no longer there"):
        images[:]


def test_an_error_that_is_not_of_the_images_passes(folder):
    with pytest.raises(tf.errors.InvalidArgumentError, match="other"):
        with ImageFolder(folder).naming_files():
            raise tf.errors.InvalidArgumentError(None, None, "other")


@pytest.mark.slow
def test_a_folder_is_not_held_in_memory(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (400, 400, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "0000.bmp")
    for place in range(1, 800):
        shutil.copy(tmp_path / "0000.bmp", tmp_path / f"{place:04}.bmp")
    images = ImageFolder(tmp_path)  # 366 MiB of pixels
    images.head(32)
    before = _resident_mebibytes()
    dataset = tf.data.Dataset.range(800).batch(32).map(images.gather)
    grown = [_resident_mebibytes() - before for _ in dataset]
    assert len(grown) == 25 and max(grown) < 150, grown


def _resident_mebibytes():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def test_a_label_whose_name_is_no_text_becomes_one(tmp_path):
    for name in (b"\xff", "ä".encode()):
        place = os.path.join(os.fsencode(tmp_path), name)
        os.mkdir(place)
        Image.fromarray(PIXELS[0]).save(os.fsdecode(place) + "/1.png")
    assert sorted(load(tmp_path).label_names) == [r"\xff", "ä"]
