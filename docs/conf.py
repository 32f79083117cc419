"""Sphinx configuration, and the directive that takes from the code what it can say of a setting."""

from __future__ import annotations

from importlib.metadata import version as version_of
from typing import Any

from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.domains.std import GenericObject
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

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

SETTINGS = {PREFIX + name.upper(): field for name, field in FIELDS.items()}


class SettingDirective(GenericObject):
    """Document one ``SSR_SESSION_*`` key: what it takes, default and example are the code's."""

    def transform_content(self, content_node: addnodes.desc_content) -> None:
        """Put what the code says in front of what the page says."""
        name = self.arguments[0]
        field = SETTINGS.get(name)
        if field is None:
            raise self.error(f"{name} is not a setting of flask_ssr_session")
        default = "not set" if field.default is None else f"``{_shown(field.default)}``"
        accepted = field.type.description
        keyword = name.removeprefix(PREFIX).lower()
        facts = f"Takes {accepted}. Default: {default}. Keyword: ``{keyword}``."
        if field.default in (None, ()):
            facts += f" For example ``{field.example}``."
        content_node[0:0] = self.parse_text_to_nodes(facts)


def _shown(default: Any) -> str:
    return f"{default:.0f}" if isinstance(default, float) else str(default)


def warn_of_missing_settings(_app: Sphinx, env: BuildEnvironment) -> None:
    """Let a build with ``-W`` fail where a setting is described nowhere."""
    described = {name for kind, name in env.domains.standard_domain.objects if kind == "setting"}
    for name in SETTINGS.keys() - described:
        logging.getLogger(__name__).warning("%s is described on no page", name)


def setup(app: Sphinx) -> None:
    """Register the directive and the role ``setting``."""
    app.add_object_type("setting", "setting", "pair: %s; setting")
    app.add_directive_to_domain("std", "setting", SettingDirective, override=True)
    app.connect("env-check-consistency", warn_of_missing_settings)
