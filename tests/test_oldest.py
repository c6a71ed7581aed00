"""The oldest packages that the tests run on are the oldest that the package allows."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
#: Extras whose packages are installed, without Numba, to show that everything works without it. Packages of `dev` are
#: installed where the tests cannot do without them.
EXTRAS = ["app", "tables", "formats", "dask"]
FOR_TESTS = {"autograd", "hypothesis", "pytest", "pytest-xdist"}


def lower_bounds(requirements):
    """Return the oldest version of each package, by name without its extras."""
    found = (re.match(r"([\w-]+)(?:\[.*\])?>=([\w.]+)", requirement) for requirement in requirements)
    return {match[1]: match[2] for match in found if match}


def test_the_oldest_packages_are_the_lower_bounds_of_the_project():
    text = (ROOT / "tests" / "oldest-requirements.txt").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w-]+)==([\w.]+)$", text, flags=re.MULTILINE))
    extras = PROJECT["optional-dependencies"]
    for_tests = {name: version for name, version in lower_bounds(extras["dev"]).items() if name in FOR_TESTS}
    allowed = lower_bounds(PROJECT["dependencies"] + [one for extra in EXTRAS for one in extras[extra]])
    assert pinned == allowed | for_tests
    assert for_tests.keys() == FOR_TESTS
