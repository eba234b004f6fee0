import collections
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from keras_vae.engine import checkpoint

pytestmark = pytest.mark.slow

LONG = {"epochs": 30, "batch_size": 20, "deterministic": True, "weight_average": 0.9}
"""A run of 30 epochs of 75 steps."""

# Makes checkpoints as often as there are calls of steps, so that a kill finds some.
OFTEN = """
from keras_vae.training import resume
resume.SECONDS_BETWEEN = resume.COST = 0.0
"""

# Dies in the middle of the nth file that is written aside.
DIES_WRITING = """
import os, signal
count = 0
def sync(file, original=os.fsync):
    global count
    count += 1
    if count == {n}:
        os.kill(os.getpid(), signal.SIGKILL)
    original(file)
os.fsync = sync
"""

# Finds the disk full at the nth file that is written aside, and at all after it.
FULL_DISK = """
import errno, os
count = 0
def sync(file):
    global count
    count += 1
    if count >= {n}:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
os.fsync = sync
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


def where_it_died(run: Path, pid: int) -> str:
    """What the process was doing in a run when it was killed, by what it left."""
    if list(run.rglob(f".state.{pid}.partial.npz")):
        return "writing a checkpoint"
    if list(run.rglob(f".saved_model.{pid}.partial")):
        return "exporting"
    if list(run.rglob(f".*.{pid}.partial*")):
        return "writing another file"
    if not (run / "checkpoint").exists():
        return "before its first checkpoint"
    found = checkpoint.load(run / "checkpoint")
    if found is None:
        return "before its first checkpoint"
    return "evaluating or exporting" if found[1]["finished"] else "training"


def test_runs_killed_at_random_moments_end_as_the_unbroken_one(
    trainer, unbroken, weights, tmp_path, full_length
):
    rng = random.Random(0)
    kills = 40 if full_length else 2
    died: list[str] = []
    runs = 0
    while len(died) < kills:  # runs that come to their end make way for others
        runs += 1
        folder = tmp_path / f"run{runs}"
        code = -signal.SIGKILL
        while code == -signal.SIGKILL:
            started = trainer.start(before=OFTEN, output_dir=folder.name, **LONG)
            if len(died) < kills:
                time.sleep(rng.uniform(0.5, 6.0))
                started.kill()
            code = started.wait()
            if code == -signal.SIGKILL:
                died.append(where_it_died(folder, started.pid))
        assert code == 0, started.output
        same_run(weights, unbroken, folder)
    print(f"{len(died)} kills of {runs} runs: {collections.Counter(died)}")


def test_runs_killed_in_the_middle_of_any_write_end_as_the_unbroken_one(
    trainer, unbroken, weights, tmp_path, full_length
):
    rng = random.Random(1)
    if not full_length:
        pytest.skip("three moments are tried below")
    kills = 20
    died: list[str] = []
    while len(died) < kills:
        before = OFTEN + DIES_WRITING.format(n=rng.randint(1, 12))
        started = trainer.start(before=before, output_dir="run", **LONG)
        code, output = started.wait(), started.output
        if code == 0:  # it came to its end before: another run
            same_run(weights, unbroken, tmp_path / "run")
            (tmp_path / "run").rename(tmp_path / f"run{len(died)}")
            continue
        assert code == -signal.SIGKILL, output
        died.append(where_it_died(tmp_path / "run", started.pid))
    code, output = trainer.run(output_dir="run", **LONG)
    assert code == 0, output
    same_run(weights, unbroken, tmp_path / "run")
    print(f"{len(died)} kills in a write: {collections.Counter(died)}")


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
    until(tmp_path / "run" / "history.csv")
    started.kill(number)
    assert started.wait() == expected
    assert "continues" in started.output
    assert (tmp_path / "run" / "checkpoint").is_dir()
    code, output = trainer.run(output_dir="run", **LONG)
    assert code == 0, output
    assert "Continuing" in output
    same_run(weights, unbroken, tmp_path / "run")


def test_a_full_disk_costs_nothing_that_was_complete(
    trainer, unbroken, weights, tmp_path
):
    before = OFTEN + FULL_DISK.format(n=8)
    code, output = trainer.run(before=before, output_dir="run", **LONG)
    assert code == 2
    sentence = output.strip().splitlines()[-1]
    assert "No space left on device" in sentence
    assert "the same command continues from its last checkpoint" in sentence
    assert not list((tmp_path / "run").rglob(".*.partial*"))
    code, output = trainer.run(output_dir="run", **LONG)
    assert code == 0, output
    assert "Continuing" in output
    same_run(weights, unbroken, tmp_path / "run")


@pytest.fixture
def disk(tmp_path):
    """Makes a disk of so many KiB, or changes its size: `disk(200)`."""
    place = tmp_path / "disk"
    place.mkdir()
    options = []

    def make(size):
        command = ["mount", "-t", "tmpfs", "-o", ",".join([*options, f"size={size}k"])]
        done = subprocess.run([*command, "tmpfs", place], capture_output=True)
        if done.returncode:
            pytest.skip("a disk of its own may not be mounted here")
        options.append("remount")
        return place

    yield make
    subprocess.run(["umount", place], capture_output=True)


def test_a_disk_that_is_really_full_costs_nothing_either(
    trainer, unbroken, weights, disk, full_length
):
    if not full_length:
        pytest.skip("a disk that seems full is tried above")
    for size in (60, 110, 200):
        run = disk(size) / f"run{size}"
        given = {**LONG, "output_dir": str(run)}
        code, output = trainer.run(before=OFTEN, **given)
        assert code == 2
        assert "No space left on device" in output.splitlines()[-1]
        assert not list(run.rglob(".*.partial*"))
        disk(4_000)
        code, output = trainer.run(**given)
        assert code == 0, output
        same_run(weights, unbroken, run)
        shutil.rmtree(run)


def until(path):
    """Waits for a file of a run that was started."""
    for _ in range(600):
        if path.exists():
            return
        time.sleep(0.1)
    raise AssertionError(f"{path} was not written")


def test_a_run_is_refused_to_a_second_process_and_to_other_flags(trainer, tmp_path):
    started = trainer.start(output_dir="run", **LONG)
    until(tmp_path / "run" / "history.csv")
    code, output = trainer.run(output_dir="run", **LONG)
    assert code == 2
    assert "Another process is training in run" in output
    started.kill()
    started.wait()
    code, output = trainer.run(output_dir="run", **{**LONG, "latent_dim": 3})
    assert code == 2
    assert "--latent_dim" in output
