"""Helpers for all tests."""

import gc
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("MPLBACKEND", "Agg")

ROOT = Path(__file__).resolve().parent.parent
LOGICAL_CPUS = 4


def pytest_collection_finish(session):
    """Splits the CPU, so that tests can train several replicas in this process.

    It is possible only before TensorFlow makes its first tensor, and done only if a
    test module imported TensorFlow.
    """
    if "tensorflow" in sys.modules:
        from keras_vae.engine import strategies

        strategies.logical_cpus(LOGICAL_CPUS)
    # What modules made when they were imported stays: to look through it takes a second
    # of each collection.
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _operations_as_they_were():
    """Ends what a run with `deterministic` begins for the whole process.

    Keras compiles nothing with XLA while it lasts. TensorFlow has no public name.
    """
    yield
    if "tensorflow" in sys.modules:
        from tensorflow.python.framework import config

        config.disable_op_determinism()


@pytest.fixture(autouse=True, scope="module")
def _no_garbage_of_a_file():
    """Collects the garbage of a file of tests.

    Models are in cycles with their graphs and pipelines, which Python collects so
    rarely that they come to gigabytes.
    """
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture
def no_garbage():
    """Collects the garbage of a test, for tests with pipelines of their own that fail.

    The exception keeps the pipeline, and the thread with which TensorFlow tunes it
    sleeps through its end, for as long as the pipeline has lived, up to a minute.
    """
    yield
    gc.collect()


@pytest.fixture
def run_python(tmp_path):
    """Runs Python in a process of its own, in an empty folder, and returns the result.

    `run_python("-c", code)`; `result.returncode`, `result.stdout`, `result.stderr`.
    Keywords other than `timeout`, in seconds, are environment variables.
    """

    def run(*arguments, timeout=180, **environment):
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "TF_CPP_MIN_LOG_LEVEL": "3",
                **environment,
            },
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return run


# Imports modules, reads commands, and runs each in a fork of itself.
_FORKS = """
import importlib, json, os, runpy, signal, sys, traceback

for name in sys.argv[1:]:
    importlib.import_module(name)

def run(order):
    os.chdir(order["cwd"])
    os.environ.update(order["environment"])
    for number, name in enumerate(order["outputs"], 1):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        os.dup2(os.open(name, flags), number)
    signal.alarm(order["timeout"])
    start, *sys.argv = order["arguments"]
    if start == "-c":
        program, sys.argv = sys.argv[0], ["-c", *sys.argv[1:]]
        exec(program, {"__name__": "__main__"})
    else:
        sys.argv = [start, *sys.argv]
        runpy.run_path(start, run_name="__main__")

ended = {}
for line in sys.stdin:
    order = json.loads(line)
    if "pid" in order:
        asked = order["pid"]
        if asked not in ended:
            found, status = os.waitpid(asked, 0 if order["wait"] else os.WNOHANG)
            if found:
                ended[asked] = os.waitstatus_to_exitcode(status)
        print(json.dumps(ended.get(asked)), flush=True)
        continue
    pid = os.fork()
    if pid:
        print(pid, flush=True)
        continue
    code = 0
    try:
        run(order)
    except SystemExit as end:
        code = end.code or 0
        if isinstance(code, str):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
"""


class Fork:
    """A process that is running."""

    def __init__(self, ask, pid, outputs):
        self._ask, self.pid, self._outputs = ask, pid, outputs

    def kill(self, number=signal.SIGKILL):
        os.kill(self.pid, number)

    def wait(self):
        """Its exit code at the end, negative where a signal ended it."""
        return self._ask({"pid": self.pid, "wait": True})

    def poll(self):
        """As `wait`, or None while it is running."""
        return self._ask({"pid": self.pid, "wait": False})

    @property
    def output(self):
        return self._outputs[0].read_text(errors="replace")

    @property
    def errors(self):
        return self._outputs[-1].read_text(errors="replace")


class Forks:
    """Starts Python programs in processes that have imported TensorFlow before."""

    def __init__(self, *modules):
        self._server = subprocess.Popen(
            [sys.executable, "-c", _FORKS, *modules],
            env={**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def _ask(self, order):
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        return json.loads(self._server.stdout.readline())

    def start(self, cwd, outputs, *arguments, timeout=900, **environment):
        """Starts `python arguments` in a folder.

        `outputs` are the files of what it prints, one for both or one for each.
        """
        order = {
            "arguments": [*map(str, arguments)],
            "cwd": str(cwd),
            "environment": environment,
            "outputs": [str(path) for path in (outputs[0], outputs[-1])],
            "timeout": timeout,
        }
        return Fork(self._ask, self._ask(order), outputs)

    def close(self):
        self._server.stdin.close()
        self._server.wait(60)


@pytest.fixture(scope="session")
def forks_with():
    """Gives `Forks` that have imported some modules: `forks_with("tensorflow")`."""
    made = []

    def make(*modules):
        made.append(Forks(*modules))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture(scope="session")
def forks(forks_with):
    """Processes that have imported TensorFlow and nothing of this package."""
    return forks_with("tensorflow", "keras", "tensorflow_probability")


@pytest.fixture
def run_forked(forks, tmp_path):
    """Runs Python as `run_python` does, where Python's own start is not the matter."""

    def run(*arguments, **options):
        outputs = tmp_path / "stdout.txt", tmp_path / "stderr.txt"
        for path in outputs:
            path.write_text("")
        started = forks.start(tmp_path, outputs, *arguments, **options)
        code = started.wait()
        return subprocess.CompletedProcess(
            arguments, code, started.output, started.errors
        )

    return run


@pytest.fixture
def run_script(run_python):
    """Runs a program of `scripts/`: `run_script("train.py", "--epochs", 2)`."""

    def run(name, *arguments, **keywords):
        return run_python(ROOT / "scripts" / name, *arguments, **keywords)

    return run


@pytest.fixture(scope="session")
def load_script():
    """Imports a program of `scripts/`, to call its `main` in this process."""

    def load(name):
        path = ROOT / "scripts" / name
        spec = importlib.util.spec_from_file_location(f"scripts_{path.stem}", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load


@pytest.fixture(scope="session")
def full_length():
    """Whether long proofs run at full length (`make test FULL=1`)."""
    return bool(os.environ.get("KERAS_VAE_FULL_TESTS"))


@pytest.fixture(scope="session")
def mnist10k():
    """The path of mnist10k.npz, which `scripts/make_mnist10k.py` makes."""
    path = os.environ.get("MNIST10K", "")
    if not Path(path).is_file():
        pytest.skip("the environment variable MNIST10K does not name mnist10k.npz")
    return Path(path)


@pytest.fixture(scope="session")
def damaged():
    """Returns a damaged copy of a file's bytes: `damaged(content, rng)`."""

    def damage(content, rng):
        """Cuts, flips, repeats, inserts, as many times as chance has it."""
        data = bytearray(content)
        for _ in range(rng.integers(1, 5)):
            # Half of all damage falls on the first bytes, where the headers are.
            end = len(data) if rng.random() < 0.5 else min(len(data), 100)
            at = int(rng.integers(0, max(1, end)))
            span = int(rng.integers(1, 16))
            match rng.integers(0, 6):
                case 0:
                    del data[at:]
                case 1:
                    del data[at : at + span]
                case 2:
                    data[at:at] = rng.bytes(span)
                case 3:
                    data[at : at + span] = data[at : at + span] * 3
                case 4:
                    data[at : at + span] = (
                        rng.choice([b"\xff", b"\0", b"9", b"-"]) * span
                    )
                case _:
                    data[at : at + 1] = bytes([int(rng.integers(256))])
        return bytes(data)

    return damage


def user_networks(shape, latent_dim, params_shape, units=8, dtype=None):
    """Returns an encoder and a decoder made of nothing but Keras' layers."""
    import keras
    from keras import layers

    x = keras.Input(shape, dtype=dtype)
    h = layers.Flatten(dtype=dtype)(x)
    h = layers.Dense(units, "tanh", dtype=dtype)(h)
    heads = [layers.Dense(latent_dim, dtype=dtype)(h) for _ in range(2)]
    z = keras.Input((latent_dim,), dtype=dtype)
    h = layers.Dense(units, "tanh", dtype=dtype)(z)
    h = layers.Dense(math.prod(params_shape), dtype=dtype)(h)
    params = layers.Reshape(params_shape, dtype=dtype)(h)
    return keras.Model(x, heads), keras.Model(z, params)


@pytest.fixture(scope="session")
def small_vae():
    """Makes a VAE of small networks of the user's: `small_vae(beta=2.0)`.

    Always with the same first weights; `kind` is the class.
    """

    import keras

    from keras_vae import VAE
    from keras_vae.probability.likelihoods import LIKELIHOODS

    def make(
        shape=(3, 5), latent_dim=2, *, kind=VAE, likelihood="bernoulli", **options
    ):
        keras.utils.set_random_seed(0)
        if isinstance(likelihood, str):
            likelihood = LIKELIHOODS[likelihood](image=len(shape) == 3)
        params_shape = likelihood.params_shape(shape)
        size = {name: options.pop(name) for name in ("units",) if name in options}
        dtype = options.get("dtype")
        encoder, decoder = user_networks(
            shape, latent_dim, params_shape, **size, dtype=dtype
        )
        return kind(
            latent_dim,
            shape,
            likelihood=likelihood,
            **{"encoder": encoder, "decoder": decoder, "seed": 3, **options},
        )

    return make


@pytest.fixture(scope="session")
def in_small_calls():
    """Makes a class of models of which a call takes few examples on a CPU.

    `in_small_calls(VAE, 5)` takes five, with 16 samples of z for each.
    """
    from keras_vae.engine.chunks import NUMBERS_PER_CALL

    def make(kind, examples, samples=16):
        numbers = NUMBERS_PER_CALL["CPU"] // (examples * samples)
        return type(kind.__name__, (kind,), {"numbers_per_sample": numbers})

    return make


@pytest.fixture(scope="session")
def grey():
    """Makes grey values k / 255 with structure: `grey(n)`, float32 (n, *shape)."""

    def make(n, shape=(3, 5), seed=0):
        rng = np.random.default_rng(seed)
        kinds = rng.random((3, *shape))
        x = kinds[np.arange(n) % 3] + rng.normal(0, 0.1, (n, *shape))
        return (np.rint(255 * np.clip(x, 0, 1)) / 255).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def replicas():
    """Makes a strategy of so many replicas: `replicas(2)`."""
    import tensorflow as tf

    from keras_vae.engine import strategies

    def make(count):
        if count == 1:
            return tf.distribute.get_strategy()
        return strategies.mirrored(count)

    return make
