"""What stands in several files is the same in all of them."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_a_citation_names_the_version_the_authors_and_the_license_of_the_package():
    text = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.search(r"^version: (.+)$", text, flags=re.MULTILINE)[1] == PROJECT["version"]
    assert re.search(r"^license: (.+)$", text, flags=re.MULTILINE)[1] == PROJECT["license"]
    assert re.search(r"^title: (.+)$", text, flags=re.MULTILINE)[1] == PROJECT["name"]
    assert PROJECT["description"] in re.sub(r"\s+", " ", text)
    assert re.findall(r"^  - name: (.+)$", text, flags=re.MULTILINE) == [one["name"] for one in PROJECT["authors"]]


def test_targets_of_make_that_pages_for_developers_name_exist():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    for page in ("CONTRIBUTING.md", "SECURITY.md", "ARCHITECTURE.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert set(re.findall(r"`make ([\w-]+)", text)) <= targets, page
        for link in re.findall(r"\]\(([^)#:\s]+)\)", text):
            assert (ROOT / link).exists(), f"{page}: {link} does not exist"
