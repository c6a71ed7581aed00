"""The command line: `rhohat`, or `python -m rhohat`."""

from __future__ import annotations

import sys

from rhohat.common.exceptions import MissingExtraError
from rhohat.common.extras import import_extra

__all__ = ["main"]


def main() -> None:
    """Run the command line, or say which extra it needs."""
    try:
        for package in ("typer", "rich"):
            import_extra(package, "app")
    except MissingExtraError as error:
        sys.exit(f"error: {error}")
    try:
        from rhohat.cli import app
    except KeyboardInterrupt:  # before there is somebody to take it
        sys.exit(130)
    app(prog_name="rhohat")


if __name__ == "__main__":
    main()
