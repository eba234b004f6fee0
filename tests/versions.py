"""Runs the fast tests with the oldest and with the newest versions that are allowed.

`make test-versions` starts it. For each Python that the project supports and that is on
the path it makes two environments in `.versions/`: one with the lower bound of every
range in pyproject.toml, one with the newest that the ranges let in. Arguments are
pytest's, in place of all tests:

    python3 tests/versions.py
    python3 tests/versions.py --pythons 3.11 --ends oldest tests/models -k vae
"""

import argparse
import re
import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLACE = ROOT / ".versions"
EXTRAS = ("test", "explore", "onnx")
ENDS = ("oldest", "newest")
RANGE = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,-]+\])?>=(?P<lowest>[\d.]+)")


def project():
    """Returns the table `project` of pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def ranges(table):
    """Returns the requirements of the package and of the extras that tests need."""
    extras = table["optional-dependencies"]
    return [*table["dependencies"], *(line for name in EXTRAS for line in extras[name])]


def lower_bounds(requirements):
    """Returns pins of the lower bounds, one for each package.

    Raises:
        ValueError: If a requirement has none, or a package two.
    """
    pins = {}
    for requirement in requirements:
        found = RANGE.match(requirement)
        if found is None:
            raise ValueError(f"{requirement}: expected name>=version.")
        name, lowest = found["name"], found["lowest"]
        if pins.setdefault(name, lowest) != lowest:
            raise ValueError(f"{name}: lower bounds {pins[name]} and {lowest}.")
    return [f"{name}=={lowest}" for name, lowest in sorted(pins.items())]


def supported(table):
    """Returns the Pythons among the classifiers, as 3.11."""
    pattern = r"^Programming Language :: Python :: (3\.\d+)$"
    return re.findall(pattern, "\n".join(table["classifiers"]), re.MULTILINE)


def interpreter(version):
    """Returns the path of an interpreter and its whole version, or None."""
    path = shutil.which(f"python{version}")
    if path is None:
        return None
    code = "import platform, venv; print(platform.python_version())"
    ran = subprocess.run([path, "-c", code], capture_output=True, text=True)
    return None if ran.returncode else (path, ran.stdout.strip())


def environment(python, version, end, pins):
    """Makes an environment, or brings it up to date, and returns its Python."""
    folder = PLACE / f"{version}-{end}"
    inside = folder / "bin" / "python"
    if not inside.exists():
        subprocess.run([python, "-m", "venv", folder], check=True)
    chosen = ["--upgrade"]
    if end == "oldest":
        constraints = PLACE / "oldest.txt"
        constraints.write_text("\n".join(pins) + "\n")
        chosen = ["--only-binary", ":all:", "--constraint", str(constraints)]
    package = f"{ROOT}[{','.join(EXTRAS)}]"
    install = [inside, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, *chosen, "-e", package], check=True)
    return inside


def outcome(python, version, end, pins, arguments):
    """Makes an environment, runs the tests in it, and returns how that went."""
    try:
        inside = environment(python, version, end, pins)
    except subprocess.CalledProcessError as error:
        return f"not installed (exit code {error.returncode})"
    started = time.monotonic()
    command = [inside, "-m", "pytest", "-q", "-m", "not slow", *arguments]
    if not arguments:  # all tests
        command += ["-p", "tests.side_by_side"]
    code = subprocess.run(command, cwd=ROOT).returncode
    seconds = time.monotonic() - started
    how = "passed" if code == 0 else f"failed (exit code {code})"
    return f"{how}, {seconds:.0f} s"


def main(argv=None):
    """Runs what the arguments say, and returns 0 if all of it passed."""
    table = project()
    known = supported(table)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pythons", default=",".join(known), metavar="VERSION,...")
    parser.add_argument("--ends", default=",".join(ENDS), metavar="END,...")
    options, arguments = parser.parse_known_args(argv)
    pins = lower_bounds(ranges(table))
    PLACE.mkdir(exist_ok=True)
    lines, passed = [], []
    for version in options.pythons.split(","):
        found = interpreter(version)
        if found is None:
            lines.append(f"Python {version}: not run, there is no python{version}")
            continue
        path, whole = found
        for end in options.ends.split(","):
            print(f"Python {whole}, {end} versions", flush=True)
            how = outcome(path, version, end, pins, arguments)
            passed.append(how.startswith("passed"))
            lines.append(f"Python {whole}, {end} versions: {how}")
    print("\n".join(["", *lines]))
    return 0 if passed and all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
