"""Settings of the site that `make docs` builds with Sphinx from the Markdown of the repository and from the code.

The source folder is the root of the repository, so a link from a page to a file of the repository works on the site as
it does on a code host.
"""

import sys
from pathlib import Path

import lagem

SITE = Path(__file__).resolve().parent
ROOT = SITE.parents[1]
sys.path.insert(0, str(SITE))

from docstrings import mark_up_docstring  # noqa: E402
from formulas import write_block, write_inline  # noqa: E402
from reference import write_reference  # noqa: E402

PAGES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs", "experiments")

project = "lagem"
version = release = lagem.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = ["*.md", "docs/*.md", "docs/notebook/*.md", "docs/reference/**", "experiments/*.md"]
exclude_patterns = [path.name for path in ROOT.iterdir() if path.name not in PAGES]

html_theme = "furo"
html_title = "lagem"
html_show_copyright = False
html_show_sourcelink = False
html_copy_source = False

smartquotes = False  # an option keeps its two hyphens
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
html_math_renderer = "mathml"

default_role = "code"  # single backquotes in docstrings
autoclass_content = "both"  # the arguments are in the docstring of the class or of __init__
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True}
python_maximum_signature_line_length = 100
napoleon_google_docstring = True
napoleon_numpy_docstring = False


def setup(app):  # type: ignore[no-untyped-def]
    """Write the reference pages before Sphinx looks for pages, and mark up docstrings before napoleon reads them."""
    app.connect("config-inited", lambda app, config: write_reference(ROOT / "docs" / "reference"))
    app.connect("autodoc-process-docstring", mark_up_docstring, priority=100)
    app.add_html_math_renderer("mathml", inline_renderers=(write_inline, None), block_renderers=(write_block, None))
