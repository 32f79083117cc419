"""Sphinx configuration, and the links of pages that a forge shows without Sphinx."""

from __future__ import annotations

from importlib.metadata import version as version_of
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

from flask_ssr_session.config.settings import FIELDS, PREFIX

project = "flask-ssr-session"
copyright = "the authors of flask-ssr-session"  # noqa: A001 - Sphinx wants this name
release = version_of("flask-ssr-session")

extensions = ["sphinx.ext.autodoc", "pallets_sphinx_themes"]
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True

# What other projects document is looked for in no inventory: building needs no network.
nitpick_ignore_regex = [
    ("py:.*", r"(flask|werkzeug|markupsafe|cryptography|collections|datetime|typing)\..*"),
    ("py:.*", r"(Any|Callable|Iterator|Mapping|Sequence|NoReturn|Unpack|datetime|wrapt.*)"),
    (
        "py:.*",
        r"(Flask|FlaskClient|HTTPException|Forbidden|(SansIO)?Response|RSA(Private|Public)Key)",
    ),
    # Said of arguments and return values, and of no use by itself.
    (
        "py:.*",
        r"(flask_ssr_session\..*\.)?(Claim|ClaimValidator|RecipeUserIdText|SettingsKeywords)",
    ),
    ("py:.*", r"(flask_ssr_session\.\w+\.)?_(View|UserLoader)"),
    ("py:exc", "RuntimeError"),
]

html_theme = "flask"
html_theme_options = {"index_sidebar_logo": False}
html_sidebars = {"**": ["localtoc.html", "relations.html", "searchbox.html"]}
html_copy_source = False
html_show_sourcelink = False
# The theme would ask a package index, from every reader's browser, which version is the newest.
version_banner = False

SETTINGS = {PREFIX + name.upper() for name in FIELDS}


class Links(SphinxTransform):
    """Resolve the links that docutils alone shows as well, and link each name of a setting.

    A link names a file, and after ``#`` a label in it. A setting is defined where its name is the
    term of a definition.
    """

    default_priority = 10

    def apply(self, **_: Any) -> None:
        """Replace links to files by references, and make settings targets of references."""
        for link in list(self.document.findall(nodes.reference)):
            page, _hash, label = link.get("refuri", "").partition("#")
            if page.endswith(".rst"):
                kind, target = ("ref", label) if label else ("doc", page.removesuffix(".rst"))
                self._refer(link, kind, target, nodes.inline("", link.astext()))
        for literal in list(self.document.findall(nodes.literal)):
            name = literal.astext()
            if name in SETTINGS and isinstance(literal.parent, nodes.term):
                self._define(literal.parent, name)
            elif name in SETTINGS:
                self._refer(literal, "setting", name, nodes.literal("", name))

    def _refer(self, node: nodes.Element, kind: str, target: str, shown: nodes.Element) -> None:
        node.replace_self(
            pending_xref(
                "",
                shown,
                refdomain="std",
                reftype=kind,
                reftarget=target,
                refexplicit=True,
                refwarn=True,
                refdoc=self.env.docname,
            )
        )

    def _define(self, term: nodes.term, name: str) -> None:
        anchor = nodes.make_id(name)
        term["ids"].append(anchor)
        self.document.note_explicit_target(term)
        self.env.domains.standard_domain.note_object("setting", name, anchor, location=term)
        term += nodes.reference("", "¶", refid=anchor, classes=["headerlink"])


def setup(app: Sphinx) -> None:
    """Register the references."""
    app.add_object_type("setting", "setting")
    app.add_transform(Links)
