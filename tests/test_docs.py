"""The documentation: its pages are complete, and what they tell to run runs."""

import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from keras_vae.cli import program

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
PAGES = [
    DOCS / "index.md",
    DOCS / "troubleshooting.md",
    *sorted((DOCS / "guides").glob("*.md")),
]
CONFIG = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
FENCE = re.compile(
    r'^```(?P<kind>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<code>.*?)^```$',
    re.MULTILINE | re.DOTALL,
)
STUBS = ROOT / "tests" / "stubs"
SMALL = {"epochs": (3, 1), "num_importance_samples": (5, 3), "max_trials": (2, 2)}
"""Values of these above the first number are for people, and become the second here."""


def blocks(path):
    """The blocks of a page: their kind, file name and code, with the first line."""
    text = path.read_text(encoding="utf-8")
    for found in FENCE.finditer(text):
        line = text.count("\n", 0, found.start("code")) + 1
        yield found["kind"], found["title"], found["code"], line


def made_short(code):
    """The same with values that end soon, as arguments of Python and as flags."""
    for name, (most, few) in SMALL.items():
        for number in re.findall(rf"\b{name}[= ](\d+)", code):
            if int(number) > most:
                code = re.sub(rf"\b({name}[= ]){number}\b", rf"\g<1>{few}", code)
    return code


def run_command(line):
    """Runs a line of the shell: `keras-vae` in this process, Python in a new one."""
    words = shlex.split(line, comments=True)
    if not words:
        return
    if words[0] == "keras-vae":
        assert program.main(words) == 0, line
        return
    name, *arguments = words
    known = {
        "python": [sys.executable],
        "saved_model_cli": [
            sys.executable,
            "-m",
            "tensorflow.python.tools.saved_model_cli",
        ],
    }
    assert name in known, f"{line}: put it in a block of the kind `console`"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), "."])}
    subprocess.run([*known[name], *arguments], env=environment, check=True)


def run_python(code, namespace, path):
    """Runs a block, from a file, so that functions have their source."""
    path.write_text(code, encoding="utf-8")
    exec(compile(code, path, "exec"), namespace)


def test_every_page_is_in_the_navigation():
    pages = [path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md")]
    assert len(pages) >= 20
    missing = [page for page in pages if not re.search(rf"\b{page}$", CONFIG, re.M)]
    assert missing == []


def test_every_name_of_the_package_is_in_the_reference():
    import keras_vae

    reference = "".join(path.read_text() for path in (DOCS / "api").glob("*.md"))
    modules = {"probability", "models", "evaluation", "visualization", "__version__"}
    names = set(keras_vae.__all__) - modules
    assert [name for name in sorted(names) if name not in reference] == []


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_fetches_nothing(tmp_path):
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings_handlers.python")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", tmp_path]
    subprocess.run(build, cwd=ROOT, check=True)
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) >= 20
    fetched = re.compile(r'<(?:script|img|iframe)[^>]*src="https?:|<link[^>]*="https?:')
    assert [page for page in pages if fetched.search(page.read_text())] == []


@pytest.fixture(scope="module")
def devices():
    """Two logical CPU devices, for the page that trains on two replicas."""
    from keras_vae.engine import strategies

    return strategies.logical_cpus(2)


@pytest.fixture
def stubs(tmp_path_factory, monkeypatch):
    """Stand-ins for the tools that are not installed."""
    folder = tmp_path_factory.mktemp("stubs")
    missing = [
        stub
        for stub in STUBS.iterdir()
        if stub.is_dir() and importlib.util.find_spec(stub.name) is None
    ]
    for stub in missing:
        (folder / stub.name).symlink_to(stub)
    monkeypatch.syspath_prepend(str(folder))
    yield
    for name in [*sys.modules]:
        if name.partition(".")[0] in {stub.name for stub in missing}:
            del sys.modules[name]


@pytest.mark.slow
@pytest.mark.parametrize(
    "page", PAGES, ids=lambda path: f"{path.parent.name}/{path.stem}"
)
def test_what_a_page_tells_to_run_runs(page, devices, stubs, tmp_path, monkeypatch):
    if "import pandas" in page.read_text(encoding="utf-8"):
        pytest.importorskip("pandas")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    namespace = {"__name__": f"page_{page.stem}"}
    for kind, title, code, line in blocks(page):
        code = made_short(code)
        if title is not None:
            Path(title).write_text(code, encoding="utf-8")
        elif kind == "python":
            run_python(code, namespace, tmp_path / f"{page.stem}_line_{line}.py")
        elif kind == "sh":
            for command in code.replace("\\\n", " ").splitlines():
                run_command(command)
