"""Helpers for tests that train: runs in this process and in processes of their own."""

import contextlib
import zipfile
from pathlib import Path

import h5py
import pytest

ROOT = Path(__file__).resolve().parents[2]

TINY = {
    "latent_dim": 2,
    "hidden_units": (8,),
    "epochs": 2,
    "batch_size": 500,
    "image_every": 0,
}
"""A run on the digits that is over in a moment: two epochs of three steps."""

_TRAIN = f"""
import runpy, sys
exec(sys.argv.pop(1), {{}})
sys.argv[0] = {str(ROOT / "scripts" / "train.py")!r}
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def _flags(given):
    """Settings as arguments of `train.py`."""
    texts = []
    for name, value in given.items():
        if isinstance(value, bool):
            texts.append(f"--{name}" if value else f"--no{name}")
        elif isinstance(value, tuple):
            texts.append(f"--{name}={','.join(map(str, value))}")
        else:
            texts.append(f"--{name}={value}")
    return texts


class Trainer:
    """Starts `train.py` in processes of their own, in a folder."""

    def __init__(self, forks, cwd):
        self._forks, self._cwd = forks, cwd
        self._count = 0

    def start(self, before="", timeout=900, **given):
        """Trains with `TINY` and what is given; `before` is Python to run first."""
        self._count += 1
        log = self._cwd / f"log{self._count}.txt"
        program = ("-c", _TRAIN, before, *_flags({**TINY, **given}))
        return self._forks.start(self._cwd, [log], *program, timeout=timeout)

    def run(self, before="", **given):
        """Returns the exit code and what was printed."""
        started = self.start(before, **given)
        return started.wait(), started.output


@pytest.fixture(scope="session")
def forks_to_train(forks_with):
    """Processes that have imported all that a run needs."""
    return forks_with("keras_vae.training.run")


@pytest.fixture(scope="session")
def trainer_in(forks_to_train):
    """Gives a `Trainer` for a folder."""
    return lambda folder: Trainer(forks_to_train, folder)


@pytest.fixture
def trainer(trainer_in, tmp_path):
    return trainer_in(tmp_path)


@pytest.fixture(scope="session")
def train_anywhere():
    """Trains in this process: `train_anywhere(beta=2.0)` with `TINY` for the rest."""
    from keras_vae.models import registry
    from keras_vae.training import run
    from keras_vae.training.config import TrainConfig

    def train(say=None, explicit=(), **given):
        without = registry.MODELS[given.get("model", "vae")].without
        tiny = {flag: value for flag, value in TINY.items() if flag not in without}
        config = TrainConfig.resolve({**tiny, **given})
        return run.train(config, frozenset(explicit), say)

    return train


@pytest.fixture
def train(train_anywhere, tmp_path, monkeypatch):
    """As `train_anywhere`, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return train_anywhere


@pytest.fixture(scope="session")
def weights():
    """Reads all arrays of a run's model.keras, by name: `weights(folder)`."""

    def read(folder):
        found = {}
        with (
            zipfile.ZipFile(Path(folder) / "model.keras") as archive,
            archive.open("model.weights.h5") as file,
            h5py.File(file) as content,
        ):

            def keep(name, node):
                with contextlib.suppress(TypeError):  # of what is a group
                    found[name] = node[()]

            content.visititems(keep)
        return found

    return read
