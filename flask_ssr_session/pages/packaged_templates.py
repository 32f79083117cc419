"""Where the packaged templates are, and what their unmodified pages load. Knows no framework."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from ..errors import ConfigError

DOCUMENT = "refresh_document.html"
MACRO = "refresh_page.html"
NOTICE = "session_notice.html"
TEMPLATE_PREFIX = "flask_ssr_session/"


@cache
def templates_folder() -> Path:
    """Return the folder of the packaged templates: in the package, or next to it in a checkout.

    :raises ConfigError: it is in neither.
    """
    package = Path(__file__).resolve().parents[1]
    inside = package / "templates"
    if (inside / MACRO).is_file():
        return inside
    # Only a checkout of this project counts, not a site-packages/templates.
    checkout = package.parent
    if (checkout / "hatch_build.py").is_file() and (checkout / "templates" / MACRO).is_file():
        return checkout / "templates"
    raise ConfigError("the templates of flask_ssr_session are missing: install it with pip")


def content_security_policy(api_domain: str) -> str:
    """Return a policy that allows exactly what the unmodified pages use.

    :param api_domain: the origin of the refresh API.
    """
    return (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        f"connect-src 'self' {api_domain}; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
    )
