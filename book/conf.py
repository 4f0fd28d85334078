"""Sphinx's configuration of the site; book/build.py puts together what it reads."""

import os

from latex2mathml.converter import convert

project = "The synergy dilemma, to read and rerun"
author = ""
extensions = ["myst_nb", "sphinxcontrib.bibtex"]
bibtex_bibfiles = ["references.bib"]
exclude_patterns = ["**/.ipynb_checkpoints"]
nb_execution_mode = "off"  # the chapters come executed
nb_merge_streams = True
nb_render_markdown_format = "myst"
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["myst.xref_missing", "mystnb.unknown_mime_type", "misc.highlighting_failure"]
suppress_warnings += ["toc.empty_glob"]  # model.md, where it could not be made

html_theme = "sphinx_book_theme"
html_title = project
html_static_path = ["static"]
html_css_files = ["book.css"]
html_show_sphinx = False
html_copy_source = False
html_context = {"default_mode": "auto"}  # without it the theme complains in the console
html_theme_options = {"use_download_button": True, "show_toc_level": 2, "home_page_in_toc": True}

# Where a code host builds the site it says whose it is: then chapters have buttons that open them in a kernel.
if repository := os.environ.get("GITHUB_REPOSITORY"):
    html_theme_options |= {
        "repository_url": f"https://github.com/{repository}",
        "repository_branch": os.environ.get("GITHUB_REF_NAME", "main"),
        "path_to_docs": "notebooks",
        "use_repository_button": True,
        "launch_buttons": {"binderhub_url": "https://mybinder.org", "colab_url": "https://colab.research.google.com"},
    }


def setup(app) -> None:
    """Formulas as MathML, which browsers draw themselves: MathJax would come from a host of its own at every visit.

    plotly.js is a head script, since the figures' own scripts run while the page is read; only pages that have
    figures load it.
    """
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.connect("html-page-context", _figures)


def _inline(self, node) -> None:
    from docutils.nodes import SkipNode

    self.body.append(convert(node.astext(), display="inline"))
    raise SkipNode


def _block(self, node) -> None:
    from docutils.nodes import SkipNode

    self.body.append(f'<div class="formula">{convert(node.astext(), display="block")}</div>')
    raise SkipNode


def _figures(app, page, template, context, doctree) -> None:
    if "Plotly.newPlot" in context.get("body", ""):
        app.add_js_file("plotly.min.js", priority=100)
        app.add_js_file("figures.js")


html_math_renderer = "mathml"
