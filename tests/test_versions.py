import subprocess
import sys

import pytest

from tests import versions


def test_every_range_of_the_project_has_one_lower_bound():
    table = versions.project()
    pins = versions.lower_bounds(versions.ranges(table))
    assert len(pins) >= len(table["dependencies"])
    assert all("==" in pin for pin in pins)


def test_the_oldest_versions_are_the_lower_bounds():
    requirements = ["b>=2.1,<3", "a[x,y]>=0.5", "b>=2.1"]
    assert versions.lower_bounds(requirements) == ["a==0.5", "b==2.1"]


@pytest.mark.parametrize("requirements", [["a"], ["a<2"], ["a>=1", "a>=2"]])
def test_a_range_without_one_lower_bound_is_refused(requirements):
    with pytest.raises(ValueError, match="a"):
        versions.lower_bounds(requirements)


def test_the_pythons_are_those_that_the_package_may_be_installed_on():
    table = versions.project()
    first, *_, last = versions.supported(table)
    after = int(last.split(".")[1]) + 1
    assert table["requires-python"] == f">={first},<3.{after}"


def test_an_interpreter_is_found_by_its_version_or_is_none():
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    found = versions.interpreter(version)
    if found is not None:  # an environment may have python3 alone
        path, whole = found
        code = "import sys; print(*sys.version_info[:3], sep='.')"
        said = subprocess.check_output([path, "-c", code], text=True)
        assert said.strip() == whole and whole.startswith(f"{version}.")
    assert versions.interpreter("3.999") is None
