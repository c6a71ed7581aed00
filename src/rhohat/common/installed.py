"""How rhohat was installed, and so with which command a further extra of it is installed."""

from __future__ import annotations

from pathlib import Path

__all__ = ["how_to_install"]


def how_to_install(extra: str) -> str:
    """Return the command that installs an extra, with the folder to type it in if rhohat was installed from a folder.

    Parameters
    ----------
    extra : str
        Name of the extra, such as ``"app"``.
    """
    folder, editable = _installed_from()
    if folder is None:
        return f"pip install 'rhohat[{extra}]', or in a copy of the repository: pip install '.[{extra}]'"
    return f"pip install {'-e ' if editable else ''}'.[{extra}]' in the folder {folder}"


def _installed_from() -> tuple[Path | None, bool]:
    """Return the folder that rhohat was installed from, if it still exists, and whether that is an editable install.

    pip records this beside the installed package (PEP 610).
    """
    # These are imported here, as only a message about a missing package needs them.
    import json
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    try:
        recorded = json.loads(distribution("rhohat").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return None, False
    url = urlsplit(recorded.get("url", ""))
    folder = Path(url2pathname(url.path))
    if url.scheme != "file" or not (folder / "pyproject.toml").is_file():
        return None, False
    return folder, bool(recorded.get("dir_info", {}).get("editable", False))
