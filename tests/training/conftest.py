"""Helpers for tests that train: runs in this process and in processes of their own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
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

# Reads commands, and runs train.py in forks of itself: TensorFlow is imported once.
_SERVER = """
import importlib.util, json, os, signal, sys, traceback
from keras_vae.training import quiet
with quiet.starting_tensorflow():
    from keras_vae.training import run
spec = importlib.util.spec_from_file_location("train", sys.argv[1])
train = importlib.util.module_from_spec(spec)
spec.loader.exec_module(train)

def child(order):
    os.chdir(order["cwd"])
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for number in (1, 2):
        os.dup2(log, number)
    signal.alarm(order["timeout"])
    try:
        exec(order["before"], {})
        code = train.main(["train.py", *order["arguments"]])
    except BaseException:
        traceback.print_exc()
        code = 99
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)

for line in sys.stdin:
    order = json.loads(line)
    if "wait" in order:
        status = os.waitpid(order["wait"], 0)[1]
        print(os.waitstatus_to_exitcode(status), flush=True)
    else:
        pid = os.fork()
        if not pid:
            child(order)
        print(pid, flush=True)
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


class Started:
    """A `train.py` that is running."""

    def __init__(self, ask, pid, log):
        self._ask, self.pid, self._log = ask, pid, log

    def kill(self, number=signal.SIGKILL):
        os.kill(self.pid, number)

    def wait(self):
        """Its exit code, negative where a signal ended it."""
        return self._ask({"wait": self.pid})

    @property
    def output(self):
        return self._log.read_text()


class Trainer:
    """Starts `train.py` in processes of their own, in a folder."""

    def __init__(self, server, cwd):
        self._server, self._cwd = server, cwd
        self._count = 0

    def _ask(self, order):
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        return int(self._server.stdout.readline())

    def start(self, before="", timeout=300, **given):
        """Trains with `TINY` and what is given; `before` is Python to run first."""
        self._count += 1
        log = self._cwd / f"log{self._count}.txt"
        order = {
            "arguments": _flags({**TINY, **given}),
            "before": before,
            "cwd": str(self._cwd),
            "log": str(log),
            "timeout": timeout,
        }
        return Started(self._ask, self._ask(order), log)

    def run(self, before="", **given):
        """Returns the exit code and what was printed."""
        started = self.start(before, **given)
        return started.wait(), started.output


@pytest.fixture(scope="session")
def train_server():
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER, str(ROOT / "scripts" / "train.py")],
        env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield server
    server.stdin.close()
    server.wait(60)


@pytest.fixture(scope="session")
def trainer_in(train_server):
    """Gives a `Trainer` for a folder."""
    return lambda folder: Trainer(train_server, folder)


@pytest.fixture
def trainer(trainer_in, tmp_path):
    return trainer_in(tmp_path)


@pytest.fixture
def train(tmp_path, monkeypatch):
    """Trains in this process: `train(beta=2.0)` with `TINY` for the rest."""
    from keras_vae.models import registry
    from keras_vae.training import run
    from keras_vae.training.config import TrainConfig

    monkeypatch.chdir(tmp_path)

    def train(say=None, explicit=(), **given):
        without = registry.MODELS[given.get("model", "vae")].without
        tiny = {flag: value for flag, value in TINY.items() if flag not in without}
        config = TrainConfig.resolve({**tiny, **given})
        return run.train(config, frozenset(explicit), say)

    return train


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
