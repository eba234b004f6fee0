import os

import numpy as np
import pytest
from PIL import Image

from keras_vae.visualization import grids, picture_files


def random_images(n, channels=1, seed=0):
    return np.random.default_rng(seed).random((n, 4, 5, channels))


def test_a_written_png_reads_back_as_it_was(tmp_path):
    for channels in (1, 3):
        picture = grids.tile(random_images(3, channels=channels))
        path = picture_files.write_png(tmp_path / "new" / "folder" / "a.png", picture)
        read = np.asarray(Image.open(path))
        np.testing.assert_array_equal(read.reshape(picture.shape), picture)


def test_files_are_renamed_into_place_and_leave_nothing_beside(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    picture_files.write_png(path, grids.tile(random_images(1)))
    before = path.read_bytes()

    def no_space(self, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", no_space)
    with pytest.raises(OSError, match="No space"):
        picture_files.write_png(path, grids.tile(random_images(9)))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.png"]


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4, 1)), np.zeros((4, 4, 2), np.uint8), np.zeros(4, np.uint8)]
)
def test_only_pictures_are_written(tmp_path, image):
    with pytest.raises(ValueError, match="`image`"):
        picture_files.write_png(tmp_path / "a.png", image)
    assert os.listdir(tmp_path) == []


def test_a_grey_gif_loops_for_ever_and_keeps_every_grey(tmp_path):
    frames = [grids.tile(random_images(2, seed=i)) for i in range(4)]
    path = picture_files.write_gif(
        tmp_path / "new" / "a.gif", iter(frames), duration_ms=120
    )
    with Image.open(path) as gif:
        assert gif.n_frames == 4
        assert gif.info["loop"] == 0
        assert gif.info["duration"] == 120
        for i, frame in enumerate(frames):
            gif.seek(i)
            np.testing.assert_array_equal(np.asarray(gif.convert("L")), frame[..., 0])


def test_a_colour_gif_stays_close_to_its_colours(tmp_path):
    ramp = np.linspace(0, 1, 12)
    red, green = np.meshgrid(ramp, ramp)
    base = np.stack([red, green, 1 - red], axis=-1)
    frames = [grids.tile(base[None] ** power, scale=1) for power in (0.5, 1.0, 2.0)]
    with Image.open(picture_files.write_gif(tmp_path / "a.gif", frames)) as gif:
        for i, frame in enumerate(frames):
            gif.seek(i)
            off = np.abs(np.asarray(gif.convert("RGB")).astype(int) - frame)
            assert off.mean() < 8
