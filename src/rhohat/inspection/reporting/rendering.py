"""Rendering of a page: templates, a style sheet and a script become one self-contained file of HTML."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable, Sequence
from hashlib import sha256
from importlib.resources import files
from typing import Any, NamedTuple

from rhohat.common.extras import import_extra
from rhohat.common.words import counted
from rhohat.inspection.reporting.facts import versions
from rhohat.inspection.reporting.page_content import PageContent
from rhohat.inspection.reporting.page_data import PageData
from rhohat.inspection.reporting.rounding import show, show_value

__all__ = ["Rendered", "filled", "render"]


class Rendered(NamedTuple):
    """A page as HTML, and the data for its script that are inside."""

    text: str
    data: PageData


def render(content: PageContent) -> Rendered:
    """Return a page as HTML, with the data for its script inside.

    Raises
    ------
    MissingExtraError
        If Jinja2 is not installed.
    """
    fill = filled(f"{content.noun_of_model}.html.j2", content.scripts, content=content)
    data = content.data(content.most_bytes - len(fill(data=PageData({}))))
    return Rendered(fill(data=data), data)


def filled(template: str, scripts: Sequence[str], **shown: Any) -> Callable[..., str]:
    """Return a function that fills a template, in which a style sheet and scripts stand, with further values.

    Raises
    ------
    MissingExtraError
        If Jinja2 is not installed.
    """
    jinja2 = import_extra("jinja2", "app")
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["show"], environment.filters["show_value"] = show, show_value
    environment.filters["breakable"] = breakable
    environment.filters["counted"] = counted
    environment.filters["unbroken"] = unbroken
    style, script = _read("page.css"), "".join(map(_read, scripts))
    # Only this style sheet and this script are allowed, so that a script in an unescaped name would not run either.
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_digest(style)}'; script-src '{_digest(script)}';"
        " base-uri 'none'; form-action 'none'"
    )
    page = environment.get_template(template)
    known = {**shown, "policy": policy, "style": style, "script": script, "versions": versions()}
    return lambda **more: str(page.render(**known, **more))


def _read(name: str) -> str:
    return (files("rhohat.inspection.reporting") / name).read_text("utf-8")


def breakable(name: str) -> Any:
    """Return a name as HTML in which a line may be broken after each underscore."""
    markup = import_extra("markupsafe", "app").Markup
    return markup("_<wbr>").join(name.split("_"))  # escapes the parts


def unbroken(text: str) -> Any:
    """Return a string as HTML in which no line is broken within a number that is not whole."""
    markup = import_extra("markupsafe", "app").Markup
    parts = re.split(r"(-?\d+(?:\.\d+(?:e[+-]?\d+)?|e[+-]?\d+))", text)  # every second part is a number
    number = markup('<span class="whole">{}</span>')
    return markup().join(number.format(part) if place % 2 else part for place, part in enumerate(parts))


def _digest(text: str) -> str:
    """Return the SHA-256 digest of a string, as a content security policy expects it."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode('ascii')}"
