"""The entry point of the command line: `rhohat`, or `python -m rhohat`."""

from __future__ import annotations

import sys

from rhohat.common.exceptions import MissingExtraError
from rhohat.common.extras import import_extra

__all__ = ["main"]


def main() -> None:
    """Run the command line, or exit with a message that names the missing extra."""
    try:
        for package in ("typer", "rich"):
            import_extra(package, "app")
    except MissingExtraError as error:
        sys.exit(f"error: {error}")
    try:
        from rhohat.cli import app
    except KeyboardInterrupt:  # interrupted before the command line is loaded, which handles later interrupts
        sys.exit(130)
    app(prog_name="rhohat")


if __name__ == "__main__":
    main()
