"""How Sphinx makes the book. `scripts/lab book` puts the pages together and runs it; nothing is executed, and nothing that a reader
opens comes from the network."""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

project = "glasslab"
author = "the authors of glasslab"
copyright = author
extensions = ["myst_nb", "words", "found", "reach"]
root_doc = "index"
language = "en"
# A reference that leads nowhere is an error (`scripts/lab book` runs Sphinx with -W).
nitpicky = True
# rustc reads the code of the notebooks; Pygments need not understand all of it.
suppress_warnings = ["misc.highlighting_failure", "mystnb.unknown_mime_type"]

nb_execution_mode = "off"
# Results are what the notebooks hold; no widget needs a script from elsewhere.
nb_ipywidgets_js = {}
nb_merge_streams = True
nb_number_source_lines = False
myst_heading_anchors = 4
myst_enable_extensions = ["attrs_inline"]
highlight_language = "none"
numfig = False

html_theme = "furo"
html_title = "glasslab"
html_static_path = [str(HERE / "static")]
templates_path = [str(HERE / "templates")]
html_css_files = ["book.css"]
html_js_files = [("book.js", {"defer": "defer"})]
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_show_copyright = False
html_use_index = False
html_domain_indices = False
html_last_updated_fmt = None
# Ink that can be read on its paper: 4.5 to 1 and more, light and dark.
pygments_style = "a11y-high-contrast-light"
pygments_dark_style = "a11y-high-contrast-dark"
html_theme_options = {
    "navigation_with_keys": True,
    "top_of_page_buttons": [],
    "light_css_variables": {"color-foreground-muted": "#595959", "color-brand-primary": "#0b5cad", "color-brand-content": "#0b5cad",
                            "color-brand-visited": "#6b3fa0"},
    "dark_css_variables": {"color-foreground-muted": "#a9a9a9", "color-brand-primary": "#7cb7ff", "color-brand-content": "#7cb7ff",
                           "color-brand-visited": "#c0a3f0"},
}
