"""The commands of README, taken out of it and run on small data."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
SMALL = {"--epochs": "1", "--num_importance_samples": "3", "--num": "4"}
ELSEWHERE = ("explore.py", "make_mnist10k.py", "benchmark.py", "check.py")
"""Programs that serve until they are stopped, need a download, or take minutes: they
have tests of their own."""


def commands():
    """The shell commands of README in its order, those of blocks and those alone."""
    found, fence = [], None
    for line in README.splitlines():
        if line.startswith("```"):
            fence = line if fence is None else None
        elif fence == "```":
            found.append(line.split("  #")[0].strip())
        elif match := re.match(r"`(python scripts/[^`]*)`", line):
            found.append(match[1])
    return found


def programs():
    return [line for line in commands() if line.startswith("python scripts/")]


def made_short(program, arguments):
    """The same flags, with values that end soon."""
    short = list(arguments)
    if program in ("train.py", "anomaly.py") and "--epochs" not in short:
        short += ["--epochs", "1"]
    for flag, value in SMALL.items():
        if flag in short:
            short[short.index(flag) + 1] = value
    return short


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder with small data of the names that README uses."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    digits = load_digits()
    x = np.kron(digits.images[:, :7, :7] * 15.9, np.ones((1, 4, 4))).astype(np.uint8)
    y = digits.target
    arrays = {"x_train": x[:200], "x_test": x[200:260]}
    labels = {"y_train": y[:200], "y_test": y[200:260]}
    np.savez("mnist10k.npz", **arrays, **labels)
    np.savez("mine.npz", **arrays, **labels)
    np.savez("other.npz", images=x[:100], labels=y[:100])
    for name in ("cats", "dogs"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(12):
            pixels = rng.integers(0, 256, (16, 16, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i}.png")
    np.save("spectrograms.npy", rng.normal(size=(40, 16, 8)).astype(np.float32))
    numbers = [",".join(f"{v:.2f}" for v in row) for row in rng.normal(size=(40, 6))]
    Path("steps.csv").write_text("\n".join(numbers))
    head = ",".join("abcdef")
    rows = [f"{row},{'xy'[i % 2]}" for i, row in enumerate(numbers)]
    Path("table.csv").write_text("\n".join([f"{head},species", *rows]))
    rows = [f"n{i},{row},2020-01-01" for i, row in enumerate(numbers)]
    Path("log.csv").write_text("\n".join([f"id,{head},date", *rows]))
    return tmp_path


def test_programs_come_after_the_activation_of_their_environment():
    lines = commands()
    made, activated = lines.index("make train"), lines.index(". .venv/bin/activate")
    assert made < activated < lines.index(programs()[0])


@pytest.mark.slow
def test_every_command_runs_as_it_stands(folder, load_script, capsys):
    train = load_script("train.py").main
    assert train(["train.py", "--latent_dim", "20", "--epochs", "1"]) == 0
    lines = [line for line in programs() if not any(p in line for p in ELSEWHERE)]
    assert len(lines) > 15
    for line in lines:
        _, script, *arguments = shlex.split(line)
        name = Path(script).name
        code = load_script(name).main([name, *made_short(name, arguments)])
        assert code == 0, (line, capsys.readouterr().err)
    assert (folder / "grid.png").is_file()
