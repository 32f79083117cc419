"""Show a whole page whose templates are unmodified: render it once, then fill in its values.

Nearly all of such a page is the same for every visitor of one language. Jinja takes 200 µs to put
it together; filling in what differs takes 10.
"""

from __future__ import annotations

from typing import Any

from markupsafe import escape

from ..flask_context import current_flask
from .jinja_env import original_document, render_page, template_view
from .languages import current_language
from .refresh_page import refresh_view
from .refresh_view import RefreshView

# The fields of a view that differ between requests. The templates write their values, or look
# whether they are empty, and do nothing else with them.
_VARYING = ("retry_url", "sign_in_url", "cure_url", "continue_url", "style_url", "nonce", "script")


def view_in_template(nonce: str | None = None) -> RefreshView:
    """Return what the macro ``refresh_page()`` shows.

    :param nonce: as for :func:`refresh_view`.
    """
    return template_view.get() or refresh_view(nonce)


def unmodified_document() -> str:
    """Return the whole page of the current request, in its original look."""
    app = current_flask()
    view = refresh_view()
    if view.form is not None:  # each form has its own fields
        return original_document(app)
    varying = {name: escape(value) for name in _VARYING if (value := getattr(view, name))}
    # Escaping keeps a null character, and no text of the templates has one.
    placeholders: dict[str, Any] = {name: f"\0{name}\0" for name in varying}
    blank = view.replace(**placeholders)
    page = list(render_page(app, blank, current_language()))
    # Every second part is the name of a field.
    page[1::2] = [varying[name] for name in page[1::2]]
    return "".join(page)
