"""The command that installs an extra fits how rhohat was installed."""

import json

import pytest

from rhohat.common.installed import how_to_install


class Recorded:
    """What pip has recorded of an installation."""

    def __init__(self, text):
        self.text = text

    def read_text(self, name):
        assert name == "direct_url.json"
        return self.text


@pytest.mark.parametrize(("editable", "option"), [(False, ""), (True, "-e ")])
def test_an_installation_from_a_folder_names_this_folder_first(editable, option, tmp_path, monkeypatch):
    folder = tmp_path / "a copy"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    recorded = json.dumps({"url": folder.as_uri(), "dir_info": {"editable": editable}})
    monkeypatch.setattr("importlib.metadata.distribution", lambda name: Recorded(recorded))
    assert how_to_install("app") == f"pip install {option}'.[app]' in the folder {folder}"
    (folder / "pyproject.toml").unlink()
    assert how_to_install("app").startswith("pip install 'rhohat[app]', or in a copy of the repository: ")


@pytest.mark.parametrize("recorded", [None, "", "{", '{"url": "https://example.org/rhohat.git", "vcs_info": {}}'])
def test_any_other_installation_names_both_ways(recorded, monkeypatch):
    monkeypatch.setattr("importlib.metadata.distribution", lambda name: Recorded(recorded))
    both = "pip install 'rhohat[fast]', or in a copy of the repository: pip install '.[fast]'"
    assert how_to_install("fast") == both
