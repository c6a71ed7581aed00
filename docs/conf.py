"""How Sphinx builds the documentation: `make docs`. Nothing is fetched, while building or while reading."""

from __future__ import annotations

import os
import re
import sys
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.errors import ExtensionError

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
os.environ.pop("RHOHAT_DATA", None)  # pages are built from what packages bring along

project = "rhohat"
author = "The rhohat developers"
project_copyright = author
version = release = version_of("rhohat")

extensions = [
    "accents",
    "mathml",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "_ext", "**/README.md"]
templates_path = ["_templates"]
smartquotes = False  # options such as --color, and texts in quotation marks, are shown as they are typed
nitpicky = True
# Single backticks in docstrings name parameters, too, which lead nowhere; explicit roles must lead somewhere.
default_role = "py:obj"
nitpick_ignore_regex = [("py:obj", ".*"), ("py:class", r"collections\.abc\..*")]

myst_enable_extensions = ["attrs_block", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"
numfig = True  # equations are numbered by chapters of the guide
numfig_secnum_depth = 1

autosummary_generate = True
autodoc_typehints = "none"  # docstrings say more
autodoc_member_order = "bysource"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

html_theme = "pydata_sphinx_theme"
html_title = "rhohat"
html_static_path = ["_static"]
html_css_files = ["rhohat.css"]
html_search_scorer = str(Path(__file__).parent / "search_scorer.js")
html_copy_source = False
html_show_sourcelink = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "logo": {"text": "rhohat"},
    "header_links_before_dropdown": 7,
    "navigation_with_keys": False,
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": {"**": ["page-toc"], "index": []},
    "pygments_light_style": "tango",
    "pygments_dark_style": "monokai",
}
# Pages of wide tables, and those that stand alone.
html_sidebars = {
    page: []
    for page in (
        "index",
        "getting_started",
        "cli",
        "results",
        "benchmarks",
        "comparison",
    )
}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"plot_",
    "ignore_pattern": r"(^|/)(?!plot_)\w+\.py$",  # the others are programs with arguments; how-tos show them
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "backreferences_dir": "api/generated/backreferences",
    "doc_module": ("rhohat",),
    "download_all_examples": False,
    "capture_repr": (),
    "remove_config_comments": True,
    "show_signature": False,
    "show_memory": False,
    "min_reported_time": 1e9,
    "write_computation_times": False,
    "image_scrapers": ("matplotlib",),
    "matplotlib_animations": False,
}


def find_by_last_name(
    app: Sphinx, env: BuildEnvironment, node: Any, contnode: nodes.Element
) -> nodes.reference | None:
    """Resolve a name in single backticks, such as `FullBatchSolver`, wherever in rhohat that is documented."""
    name = node["reftarget"]
    if (node.get("refdomain"), node.get("reftype")) != (
        "py",
        "obj",
    ) or "refdoc" not in node:
        return None
    domain = env.domains["py"]
    shown = [
        full
        for full, entry in domain.objects.items()
        if not entry.aliased and name[0].isupper()
    ]
    found = [full for full in shown if full.rpartition(".")[2] == name]
    if len(found) != 1:
        return None
    return domain.resolve_xref(
        env, node["refdoc"], app.builder, "obj", found[0], node, contnode
    )


def skip_what_others_document(
    app: Sphinx, kind: str, name: str, obj: object, skip: bool, options: object
) -> bool | None:
    """Leave out what scikit-learn brings along, such as `set_params`: its own pages say it."""
    return True if str(getattr(obj, "__module__", "")).startswith("sklearn.") else None


def refuse_what_must_be_fetched(app: Sphinx, error: Exception | None) -> None:
    """Fail where a page would load a script, a style or a picture from elsewhere."""
    if error is not None:
        return
    for page in Path(app.outdir).rglob("*.html"):
        fetched = re.search(
            r"<(script|link|img)\b[^>]*(src|href)=\"(https?:)?//[^>]*>",
            page.read_text(encoding="utf-8"),
        )
        if fetched:
            raise ExtensionError(f"{page} needs the network: {fetched[0]}")


def setup(app: Sphinx) -> None:
    """Add what the extensions leave out."""
    app.connect("build-finished", refuse_what_must_be_fetched)
    app.connect("autodoc-skip-member", skip_what_others_document)
    app.connect("missing-reference", find_by_last_name)
