"""Two processes run each test once and report as one."""

import os
import re
import subprocess
import sys

import pytest

from tests import side_by_side

TEST = """
import os, pathlib, time, pytest

@pytest.mark.parametrize("number", range(3))
def test_it(number):
    ran, name = pathlib.Path("ran.txt"), pathlib.Path(__file__).stem
    with ran.open("a") as file:
        file.write(f"{name} {number} {os.getpid()}\\n")
    end = time.monotonic() + 60
    while name == "test_0" and " 2 " not in ran.read_text():
        assert time.monotonic() < end  # the other process runs a file meanwhile
        time.sleep(0.05)
    if name == "test_5":
        pytest.skip("a reason")
    assert name != "test_2" or number < 2
"""


@pytest.fixture
def run(tmp_path):
    """Runs six files of three tests each; the last of `test_2.py` fails."""

    def run(*arguments):
        for number in range(6):
            (tmp_path / f"test_{number}.py").write_text(TEST)
        path = os.pathsep.join(sys.path)
        environment = {**os.environ, "PYTHONPATH": path}
        environment.pop(side_by_side.FOLDER, None)
        plugins = ("-p", "tests.side_by_side", "-p", "no:cacheprovider")
        return subprocess.run(
            [sys.executable, "-m", "pytest", *plugins, *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )

    return run


@pytest.mark.slow
def test_each_test_runs_once_and_the_last_line_counts_all(run, tmp_path):
    result = run("-ra")
    assert result.returncode == 1
    ran = [line.split() for line in (tmp_path / "ran.txt").read_text().splitlines()]
    assert len(ran) == len({(name, number) for name, number, _ in ran}) == 18
    assert len({process for *_, process in ran}) == 2
    last = result.stdout.splitlines()[-1]
    assert re.match(r"=+ 1 failed, 14 passed, 3 skipped in .*s =+$", last), (
        result.stdout
    )
    assert "FAILED test_2.py::test_it[2]" in result.stdout
    assert "SKIPPED [3] test_5.py" in result.stdout


def test_what_is_chosen_is_chosen_for_both(run):
    result = run("-q", "test_0.py", "test_3.py", "test_5.py")
    assert result.returncode == 0, result.stdout
    assert result.stdout.splitlines()[-1].startswith("6 passed, 3 skipped")
