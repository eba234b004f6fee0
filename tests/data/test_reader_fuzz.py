"""Damaged files of every kind: each loads or is refused in one sentence."""

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from keras_vae.data.datasets import load

FULL = os.environ.get("KERAS_VAE_FULL_TESTS") == "1"
INPUTS = 10_000 if FULL else 300


def _saved(write: Callable, *args: object, **kwargs: object) -> bytes:
    stream = io.BytesIO()
    write(stream, *args, **kwargs)
    return stream.getvalue()


def _picture(mode: str, ending: str) -> bytes:
    pixels = np.random.default_rng(7).integers(0, 256, (9, 8, 3), np.uint8)
    return _saved(Image.fromarray(pixels).convert(mode).save, format=ending)


def _sound_files() -> dict[str, bytes]:
    rng = np.random.default_rng(3)
    x = rng.integers(0, 256, (12, 4, 3), np.uint8)
    y = np.arange(12) % 3
    table = "\n".join(f"{a:.3f},{b:.3f},{c}" for a, b, c in rng.normal(size=(9, 3)))
    return {
        "stored.npz": _saved(np.savez, x_train=x, y_train=y, x_test=x[:4]),
        "packed.npz": _saved(np.savez_compressed, x_train=x / 255, y_train=y),
        "bytes.npy": _saved(np.save, x),
        "floats.npy": _saved(np.save, x.reshape(12, -1) / 255),
        "table.csv": f"a,b,c\n{table}\n".encode(),
        "bare.csv": table.encode(),
        "grey.png": _picture("L", "PNG"),
        "clear.png": _picture("RGBA", "PNG"),
        "palette.png": _picture("P", "PNG"),
        "colour.jpg": _picture("RGB", "JPEG"),
        "colour.bmp": _picture("RGB", "BMP"),
        "colour.gif": _picture("RGB", "GIF"),
    }


def _load(place: Path, name: str, content: bytes) -> None:
    folder = place / "images"
    path = folder / name if name.endswith((".png", ".jpg", ".bmp", ".gif")) else None
    if path is None:
        (place / name).write_bytes(content)
        data = load(place / name)
        assert np.isfinite(data.train.x).all() and len(data.train) > 0
        return
    folder.mkdir(exist_ok=True)
    path.write_bytes(content)
    try:
        images = load(folder).train.x
        assert images.head(1).shape == (1, *images.shape)
    finally:
        path.unlink()


@pytest.mark.slow
def test_a_damaged_file_loads_or_is_refused_in_one_sentence(damaged, tmp_path):
    sound = _sound_files()
    refused = loaded = 0
    for number in range(INPUTS):
        rng = np.random.default_rng([17, number])
        name = list(sound)[number % len(sound)]
        content = damaged(sound[name], rng)
        try:
            _load(tmp_path, name, content)
            loaded += 1
        except ValueError as error:
            refused += 1
            sentence = str(error)
            assert sentence.startswith("dataset: "), (number, name, sentence)
            assert "\n" not in sentence and len(sentence) < 1000, (number, sentence)
        except Exception as error:
            raise AssertionError(f"input {number}, {name}: {error!r}") from error
    assert refused > INPUTS // 3 and loaded > INPUTS // 30, (refused, loaded)


def test_the_files_that_are_damaged_are_sound(tmp_path):
    for name, content in _sound_files().items():
        _load(tmp_path, name, content)
    assert list(tmp_path.glob("*.npz")), "the sound files were written"
