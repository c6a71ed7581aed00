"""Formulas as MathML, which browsers draw by themselves: pages need no script and no network."""

from __future__ import annotations

from html import unescape
from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from latex2mathml.converter import convert_to_element
from sphinx.application import Sphinx
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

__all__ = ["setup", "to_mathml"]

_ACCENTS = {"^", "~", "¯", "˙"}
_PRIMES = {"′", "″"}


def to_mathml(latex: str, display: str) -> str:
    """Return LaTeX as a <math> element; `display` is "inline" or "block"."""
    root = convert_to_element(latex, display=display)
    for element in root.iter():
        element.text = element.text and unescape(element.text)
        if element.text and element.text.startswith("\\"):
            raise ValueError(
                f"{element.text} in the formula {latex} is not known to latex2mathml."
            )
        if (
            element.tag in ("mi", "mo")
            and (element.text or "").isalpha()
            and len(element.text or "") > 1
        ):
            # The name of a function: it has space where an operand follows, and none before a bracket.
            element.set("lspace", "0.17em")
            element.set("rspace", "0.17em" if element.tag == "mi" else "0em")
            element.tag = "mo"
        if element.tag == "msup" and unescape(element[-1].text or "") in _PRIMES:
            element.tag, element[-1].tag = "mrow", "mo"  # fonts have raised it already
            element[-1].set("lspace", "0em")
            element[-1].set("rspace", "0em")
        if element.tag == "mover" and unescape(element[-1].text or "") in _ACCENTS:
            element.set("accent", "true")  # close to what it stands on
    return ElementTree.tostring(root, encoding="unicode")


def visit_inline(self: HTML5Translator, node: nodes.math) -> None:
    """Write a formula within a line."""
    self.body.append(to_mathml(node.astext(), "inline"))
    raise nodes.SkipNode


def visit_block(self: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula on a line of its own, with its number at the right."""
    self.body.append(self.starttag(node, "div", CLASS="equation"))
    self.body.append(f"<div>{to_mathml(node.astext(), 'block')}</div>")
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, "Link to this equation")
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
