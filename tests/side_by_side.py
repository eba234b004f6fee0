"""Runs the tests in two processes: `python -m pytest -p tests.side_by_side`.

One takes files of tests from the front and one from the back, each those that the
other has not taken, until they meet. What the second reports is printed by the first,
so that failures, durations and the last line are those of both.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

FOLDER = "KERAS_VAE_SECOND_OF_TWO"
"""Environment variable of the second process: the folder that the two share."""

LONGEST = "tests/test_docs.py"
"""A file that takes ten minutes, so that the two do not meet there."""

_ENDS = {
    pytest.ExitCode.OK,
    pytest.ExitCode.TESTS_FAILED,
    pytest.ExitCode.NO_TESTS_COLLECTED,
}


def pytest_configure(config):
    if config.option.collectonly:
        return
    folder = os.environ.get(FOLDER)
    config.pluginmanager.register(Second(config, folder) if folder else First(config))


class _Process:
    """Runs the tests of the files that it is the first to take."""

    def __init__(self, config, folder):
        self.config, self.folder = config, Path(folder)
        self._taken = {}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        items.sort(key=lambda item: not item.nodeid.startswith(LONGEST))

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item):
        file = item.nodeid.partition("::")[0]
        if file not in self._taken:
            try:
                (self.folder / file.replace("/", ":")).touch(exist_ok=False)
                self._taken[file] = True
            except FileExistsError:
                self._taken[file] = False
        return None if self._taken[file] else True  # True: there is nothing to run


class First(_Process):
    """Starts the second, and reports for both."""

    def __init__(self, config):
        self._temporary = tempfile.TemporaryDirectory()
        super().__init__(config, self._temporary.name)

    def pytest_sessionstart(self):
        self._output = (self.folder / "output").open("w+")
        self._second = subprocess.Popen(
            [sys.executable, "-m", "pytest", *self.config.invocation_params.args],
            env={**os.environ, FOLDER: str(self.folder)},
            stdout=self._output,
            stderr=subprocess.STDOUT,
        )

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self):
        result = yield
        code = self._second.wait()
        hook = self.config.hook
        for line in (self.folder / "reports").read_text().splitlines():
            report = hook.pytest_report_from_serializable(
                config=self.config, data=json.loads(line)
            )
            if isinstance(report.longrepr, list):  # of a skip; JSON has no tuples
                report.longrepr = tuple(report.longrepr)
            hook.pytest_runtest_logreport(report=report)
        if code not in _ENDS:
            self._output.seek(0)
            end = self._output.read()[-5000:]
            pytest.exit(f"{end}\nThe second process ended with code {code}.", 3)
        return result

    def pytest_unconfigure(self):
        if self._second.poll() is None:
            self._second.terminate()
            self._second.wait()
        self._output.close()
        self._temporary.cleanup()


class Second(_Process):
    """Begins with the last file, and writes its reports down."""

    def __init__(self, config, folder):
        super().__init__(config, folder)
        self._reports = (self.folder / "reports").open("w")

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        super().pytest_collection_modifyitems(items)
        files = {}
        for item in items:
            files.setdefault(item.path, []).append(item)
        items[:] = [item for path in reversed(files) for item in files[path]]

    def pytest_runtest_logreport(self, report):
        content = self.config.hook.pytest_report_to_serializable(
            config=self.config, report=report
        )
        self._reports.write(json.dumps(content) + "\n")
        self._reports.flush()

    def pytest_unconfigure(self):
        self._reports.close()
