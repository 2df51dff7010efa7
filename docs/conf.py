"""Sphinx's configuration of the documentation: `make docs` builds it, and every warning is an error."""

from __future__ import annotations

import json
import sys
from pathlib import Path

DOCS = Path(__file__).parent
ROOT = DOCS.parent
sys.path[:0] = [str(ROOT), str(DOCS / "_extensions")]

project = "detjupyter"
author = "The detjupyter contributors"
copyright = f"2026, {author}"  # noqa: A001 -- Sphinx's name for it
release = version = json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "api_reference", "cell_lexer", "magics_reference"]
exclude_patterns = ["_build"]
root_doc = "index"

# References that lead nowhere are warnings. Names of Python, numpy and other packages are not linked, because that needs their
# inventories from the network; modules and classes of ours that are no part of the public API have no page.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(?!detjupyter\b).*"),
    (r"py:.*", r"detjupyter\.(next_step|pytorch|framework|protocol\.messages)\b.*"),
    (r"py:class", r"detjupyter\.(definition\.changes\.CodeChanges|protocol\.recipe\.LoadedRecord)"),
]

# Pages. On GitHub they are read as they are, so they use Markdown that both understand.
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 4
myst_links_external_new_tab = False

# Docstrings: Google style; a single backtick in one is code, as in Markdown.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True
add_module_names = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 90

html_theme = "pydata_sphinx_theme"
html_title = "detjupyter"
html_context = {"default_mode": "auto"}
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_favicon = "_static/logo.svg"
html_copy_source = False
html_show_sourcelink = False
html_sidebars: dict[str, list[str]] = {"index": [], "tutorial": [], "changelog": []}
html_theme_options = {
    "logo": {"text": "detjupyter", "image_light": "_static/logo.svg", "image_dark": "_static/logo-dark.svg", "alt_text": ""},
    "github_url": "https://github.com/detjupyter/detjupyter",
    "navbar_align": "left",
    "show_toc_level": 2,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "search_bar_text": "Search",
}
