"""Several workers on one machine train the same model as one process does."""

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from keras_vae.data import pipeline
from keras_vae.data.pipeline import Share
from keras_vae.engine import strategies
from keras_vae.training.config import TrainConfig

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = ROOT / "tests/training/worker_program.py"

FLAGS = {"batch_size": 100, "hidden_units": (32,), "validation_fraction": 0.1}


def rows_of(dataset, batches):
    return [x.numpy().ravel().tolist() for x in dataset.take(batches)]


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "local"), [(2, 1), (3, 1), (2, 2), (4, 2)])
def test_the_shares_of_the_workers_are_the_whole_batch_in_order(workers, local):
    x = np.arange(53, dtype=np.float32)[:, None]
    options = {"batch_size": 20, "seed": 4, "start_step": 1}
    whole = rows_of(pipeline.batches(x, **options), 5)
    replicas = workers * local
    shares = [
        rows_of(
            pipeline.batches(x, share=Share(w, workers, replicas), **options), 5 * local
        )
        for w in range(workers)
    ]
    for step, expected in enumerate(whole):
        parts = [
            shares[w][step * local + r] for w in range(workers) for r in range(local)
        ]
        assert sum(parts, []) == expected
        assert max(map(len, parts)) == -(-len(expected) // replicas)


@pytest.mark.slow
def test_the_noise_of_a_share_is_that_of_its_rows_in_the_whole_batch():
    x = np.full((20, 9), 0.5, np.float32)
    options = {"batch_size": 20, "binarize": "dynamic"}
    (whole,) = rows_of(pipeline.batches(x, **options), 1)
    parts = [
        rows_of(pipeline.batches(x, share=Share(w, 3, 3), **options), 1)[0]
        for w in range(3)
    ]
    assert sum(parts, []) == whole
    assert 0 < sum(whole) < len(whole)


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        '{"cluster": {"worker": ["a:1", "b:2"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 1}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "chief", "index": 0}}',
        '["a:1"]',
    ],
)
def test_a_tf_config_that_cannot_be_read_is_refused(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(ValueError, match="TF_CONFIG: expected JSON as"):
        strategies.create()


def test_workers_are_asked_for_by_the_strategy_that_has_them(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match="--workers and --worker_index"):
        strategies.create("multi_worker")
    with pytest.raises(ValueError, match="'mirrored' has no use for workers"):
        strategies.create("mirrored", workers=["a:1", "b:1"])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"workers": ("a:1", "b:1")}, "go together"),
        ({"worker_index": 0}, "go together"),
        ({"workers": ("a:1", "b"), "worker_index": 0}, "host:port"),
        ({"workers": ("a:1", "b:99999"), "worker_index": 0}, "host:port"),
        ({"workers": ("a:1", "a:1"), "worker_index": 0}, "every address once"),
        ({"workers": ("a:1", "b:1"), "worker_index": 2}, "less than 2"),
        (
            {"workers": ("a:1", "b:1"), "worker_index": 0, "virtual_devices": 2},
            "--virtual_devices has no effect",
        ),
        (
            {"workers": ("a:1", "b:1"), "worker_index": 0, "strategy": "one_device"},
            "--strategy one_device",
        ),
    ],
)
def test_flags_of_workers_that_do_not_go_together_are_refused(flags, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig.resolve(flags)


# Real processes.


def addresses(count):
    """Addresses on this machine that were free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    found = [f"127.0.0.1:{s.getsockname()[1]}" for s in sockets]
    for each in sockets:
        each.close()
    return found


@pytest.fixture
def start(forks_to_train, tmp_path):
    """Starts a program with its output in a file."""

    def started(*arguments):
        output = tmp_path / f"output-{time.monotonic_ns()}.txt"
        return forks_to_train.start(tmp_path, [output], *arguments)

    return started


def finished(processes):
    """Waits for all and returns their exit codes."""
    return [process.wait() for process in processes]


@pytest.fixture
def job(trainer):
    """Starts the workers of one job of `train.py`."""

    def start(count, **flags):
        at = ",".join(addresses(count))
        given = {**FLAGS, **flags, "workers": at}
        return [trainer.start(worker_index=index, **given) for index in range(count)]

    return start


def wait_for(condition, processes, seconds=400):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end and all(p.poll() is None for p in processes), [
            process.output for process in processes
        ]
        time.sleep(0.05)


def history(folder):
    with (folder / "history.csv").open() as file:
        return [
            {key: float(value) for key, value in row.items()}
            for row in csv.DictReader(file)
        ]


def weights(folder):
    from keras_vae import load_model

    return load_model(folder / "model.keras", compile=False).get_weights()


def assert_same_run(folder, other):
    rows, others = history(folder), history(other)
    assert [row["epoch"] for row in rows] == [row["epoch"] for row in others]
    for row, expected in zip(rows, others, strict=True):
        assert row == pytest.approx(expected, rel=1e-4)
    for weight, expected in zip(weights(folder), weights(other), strict=True):
        np.testing.assert_allclose(weight, expected, atol=1e-3)


MODELS = "adam,sgd,accumulated,coupled,two optimizers"


@pytest.fixture(scope="module")
def alone(forks_to_train, tmp_path_factory):
    """The file of the models that one process trains."""
    folder = tmp_path_factory.mktemp("alone")
    arguments = (PROGRAM, folder / "alone.npz", MODELS, 0)
    process = forks_to_train.start(folder, [folder / "output.txt"], *arguments)
    assert process.wait() == 0, process.output
    return folder / "alone.npz"


@pytest.mark.slow
@pytest.mark.parametrize(("count", "names"), [(2, MODELS), (3, "accumulated,coupled")])
def test_several_workers_train_the_models_of_one_process(
    alone, start, count, names, tmp_path
):
    at = ",".join(addresses(count))
    program = (PROGRAM, tmp_path / "together.npz", names)
    together = [start(*program, index, at) for index in range(count)]
    assert finished(together) == [0] * count, [p.output for p in together]
    with (
        np.load(alone) as one,
        np.load(tmp_path / "together.npz") as all_of_them,
    ):
        expected = [name for name in one.files if name.split("/")[0] in names]
        assert sorted(expected) == sorted(all_of_them.files)
        worst = max(
            (np.abs(all_of_them[name] / one[name] - 1).max(), name)
            for name in expected
            if "loss" in name
        )
        print(f"{count} workers, largest relative difference of a loss:", *worst)
        for name in expected:
            limits = {"rtol": 1e-4} if "loss" in name else {"rtol": 1e-3, "atol": 1e-3}
            np.testing.assert_allclose(
                all_of_them[name], one[name], err_msg=name, **limits
            )


@pytest.mark.slow
def test_a_job_leaves_what_one_process_leaves(trainer, job, tmp_path):
    flags = {**FLAGS, "epochs": 4, "image_every": 2}
    alone = trainer.start(**flags, output_dir="alone")
    together = job(2, **flags, output_dir="together")
    codes = finished([alone, *together])
    assert codes == [0, 0, 0], [p.output for p in (alone, *together)]
    assert_same_run(tmp_path / "together", tmp_path / "alone")
    # Whether there is a checkpoint before the last depends on how long a run took.
    by_time = ("tfevents", "state.previous.npz")
    left = {
        name: sorted(
            str(path.relative_to(tmp_path / name))
            for path in (tmp_path / name).rglob("*")
            if not any(part in path.name for part in by_time)
        )
        for name in ("alone", "together")
    }
    assert left["together"] == left["alone"]
    assert "on 2 devices of 2 workers" in together[0].output
    assert "Epoch" not in together[1].output


@pytest.mark.slow
def test_a_job_whose_worker_is_killed_ends_and_then_continues(trainer, job, tmp_path):
    whole = trainer.start(**FLAGS, epochs=80, output_dir="whole")
    first = job(2, epochs=80, output_dir="run")
    run = tmp_path / "run"
    wait_for(lambda: (run / "history.csv").exists() and len(history(run)) > 5, first)
    first[1].kill(signal.SIGTERM)  # leaves a checkpoint
    assert finished(first) == [143, 143], [p.output for p in first]
    assert (run / "checkpoint/state.npz").exists()

    second = job(2, epochs=80, output_dir="run")
    before = len(history(run))
    wait_for(lambda: len(history(run)) > before + 5, second)
    second[1].kill()
    killed = time.monotonic()
    assert second[0].wait() == 1
    seconds = time.monotonic() - killed
    print(f"the other worker ended {seconds:.0f} s after one was killed")
    assert seconds < 60
    assert "Worker 1 (127.0.0.1:" in second[0].output
    assert "continues from its last checkpoint" in second[0].output
    finished(second)

    third = job(2, epochs=80, output_dir="run")
    codes = finished([whole, *third])
    assert codes == [0, 0, 0], [p.output for p in (whole, *third)]
    assert_same_run(run, tmp_path / "whole")


@pytest.mark.slow
def test_what_the_chief_refuses_all_workers_refuse(job, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/notes.txt").write_text("mine")
    workers = job(2, output_dir="run")
    assert finished(workers) == [2, 2]
    for worker in workers:
        assert "no run's folder" in worker.output
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["notes.txt"]


@pytest.fixture
def together(trainer_in, tmp_path):
    """Starts two workers, each in a folder of its own; gives codes and outputs."""

    def run(*given, **shared):
        at = ",".join(addresses(2))
        started = []
        for index, own in enumerate(given):
            place = tmp_path / str(index)
            place.mkdir(exist_ok=True)
            flags = {"output_dir": str(tmp_path / "run"), **shared, **own}
            trainer = trainer_in(place)
            started.append(trainer.start(workers=at, worker_index=index, **flags))
        return [(worker.wait(), worker.output) for worker in started]

    return run


@pytest.mark.slow
def test_workers_with_other_flags_all_end_before_the_first_step(together, tmp_path):
    for code, output in together({}, {"learning_rate": 0.01, "latent_dim": 3}):
        assert code == 2, output
        sentence = output.splitlines()[-1]
        assert "--learning_rate 0.01" in sentence and "--latent_dim 3" in sentence
        assert "--seed" not in sentence
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.parametrize("other", ["pixels", "none"])
def test_workers_with_other_data_all_end_before_the_first_step(
    together, tmp_path, other
):
    x = np.random.default_rng(0).integers(0, 256, (50, 4, 4), np.uint8)
    for index, pixels in enumerate((x, 255 - x)):
        (tmp_path / str(index)).mkdir()
        if index == 0 or other == "pixels":
            np.savez(tmp_path / str(index) / "data.npz", x_train=pixels)
    for code, output in together({}, {}, dataset="data.npz", batch_size=10):
        assert code == 2, output
        named = "training examples" if other == "pixels" else "data.npz"
        assert named in output.splitlines()[-1]
    assert not (tmp_path / "run").exists()


NETWORKS = """
import sys
from keras_vae.data import memory
from keras_vae.engine import strategies
from keras_vae.training import build, config

index = int(sys.argv[1])
memory.available = lambda: (10**10, 10**5)[index]
strategy = strategies.create("auto", 0, sys.argv[2].split(","), index)
with strategy.scope():
    build.build_model(config.TrainConfig.resolve({}), (8, 8, 1), 100)
"""


@pytest.mark.slow
def test_what_one_worker_has_no_memory_for_all_workers_refuse(start):
    at = ",".join(addresses(2))
    both = [start("-c", NETWORKS, index, at) for index in range(2)]
    assert finished(both) == [1, 1], [worker.output for worker in both]
    for worker in both:
        assert "--hidden_units" in worker.output.splitlines()[-1]


@pytest.mark.slow
def test_a_worker_that_never_starts_ends_the_job(together):
    ((code, output),) = together({}, worker_timeout=2)
    assert code == 1
    assert "orker 1 (127.0.0.1:" in output.splitlines()[-1]


def launched(tmp_path, *arguments):
    """Runs `launch_local.sh` to its end."""
    return subprocess.run(
        ["bash", ROOT / "scripts/launch_local.sh", *map(str, arguments)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHON": sys.executable},
        capture_output=True,
        text=True,
        timeout=240,
    )


@pytest.mark.parametrize("arguments", [(), ("2",), ("0", "--"), ("two", "--")])
def test_the_launcher_says_how_it_is_used(arguments, tmp_path):
    result = launched(tmp_path, *arguments)
    assert result.returncode == 2
    assert result.stderr.startswith("usage: scripts/launch_local.sh N --")


@pytest.mark.slow
def test_the_launcher_starts_the_workers_of_one_job(tmp_path):
    flags = ("--epochs", "1", "--hidden_units", "8", "--image_every", "0")
    result = launched(tmp_path, 2, "--", *flags, "--output_dir", "run")
    assert result.returncode == 0, result.stderr
    assert "on 2 devices of 2 workers" in result.stdout
    assert (tmp_path / "run/metrics.json").exists()
    refused = launched(tmp_path, 2, "--", "--epochs", "0")
    assert refused.returncode == 2
    assert "worker 1 ended with code 2" in refused.stderr
    assert "--epochs: expected an integer" in refused.stderr
