import random
import signal
import time
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

LONG = {"epochs": 60, "batch_size": 20, "deterministic": True, "weight_average": 0.9}
"""A run of 60 epochs of 75 steps."""

# Makes checkpoints as often as there are calls of steps, so that a kill finds some.
OFTEN = """
from keras_vae.training import resume
resume.KeepState._due = property(lambda self: 0.0, lambda self, value: None)
"""

# Dies in the middle of the nth file that is written aside.
DIES_WRITING = """
import os, signal
from keras_vae import files
count = 0
def sync(path, original=files._sync):
    global count
    count += 1
    if count == {n}:
        os.kill(os.getpid(), signal.SIGKILL)
    original(path)
files._sync = sync
"""

DIES_EXPORTING = """
import os, signal
import tensorflow as tf
def save(module, path, **options):
    os.makedirs(path)
    os.kill(os.getpid(), signal.SIGKILL)
tf.saved_model.save = save
"""


@pytest.fixture(scope="module")
def unbroken(trainer_in, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unbroken")
    code, output = trainer_in(folder).run(output_dir="run", **LONG)
    assert code == 0, output
    return folder / "run"


def same_run(weights, run: Path, other: Path) -> None:
    ones, others = weights(run), weights(other)
    assert ones.keys() == others.keys()
    for name, value in ones.items():
        np.testing.assert_array_equal(value, others[name])
    rows = [(path / "history.csv").read_text().splitlines() for path in (run, other)]
    assert rows[0] == rows[1]
    assert len(rows[0]) == 1 + LONG["epochs"]


def test_a_run_killed_at_random_moments_ends_as_the_unbroken_one(
    trainer, unbroken, weights, tmp_path, full_length
):
    rng = random.Random(0)
    kills = 20 if full_length else 2
    for _ in range(kills):
        started = trainer.start(before=OFTEN, output_dir="run", **LONG)
        time.sleep(rng.uniform(3.0, 9.0))
        started.kill()
        started.wait()
    code, output = trainer.run(before=OFTEN, output_dir="run", **LONG)
    assert code == 0, output
    same_run(weights, unbroken, tmp_path / "run")


@pytest.mark.parametrize(
    "before",
    [
        OFTEN + DIES_WRITING.format(n=4),
        OFTEN + DIES_WRITING.format(n=9),
        DIES_EXPORTING,
    ],
    ids=["early write", "later write", "export"],
)
def test_a_run_that_dies_while_it_writes_ends_as_the_unbroken_one(
    trainer, unbroken, weights, tmp_path, before
):
    code, _ = trainer.run(before=before, output_dir="run", **LONG)
    assert code == -signal.SIGKILL
    code, output = trainer.run(output_dir="run", **LONG)
    assert code == 0, output
    same_run(weights, unbroken, tmp_path / "run")


@pytest.mark.parametrize(
    ("number", "expected"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_signal_saves_and_the_same_command_continues(
    trainer, unbroken, weights, tmp_path, number, expected
):
    started = trainer.start(output_dir="run", **LONG)
    history = tmp_path / "run" / "history.csv"
    for _ in range(600):
        if history.exists():
            break
        time.sleep(0.1)
    started.kill(number)
    assert started.wait() == expected
    assert "continues" in started.output
    assert (tmp_path / "run" / "checkpoint").is_dir()
    code, output = trainer.run(output_dir="run", **LONG)
    assert code == 0, output
    assert "Continuing" in output
    same_run(weights, unbroken, tmp_path / "run")


def test_a_half_done_run_is_not_continued_with_other_flags(trainer):
    started = trainer.start(output_dir="run", **LONG)
    time.sleep(8.0)
    started.kill()
    started.wait()
    code, output = trainer.run(output_dir="run", **{**LONG, "latent_dim": 3})
    assert code == 2
    assert "--latent_dim" in output
