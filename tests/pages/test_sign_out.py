"""``sign_out_button()`` and the notice of ``session_script()``."""

from __future__ import annotations

from typing import Any

import pytest
from flask import render_template_string
from markupsafe import Markup

from flask_ssr_session.errors import MisuseError
from tests.app.conftest import cookies, make_app
from tests.browser_requests import PAGE
from tests.tables import rows
from tests.tokens import expired_token, make_token

from .elements import Elements
from .test_refresh_page import app_showing, text_of

BUTTON = "{% from 'sign_out_button.html' import sign_out_button %}"
SIGNED_IN = PAGE | cookies(make_token())


def button_of(call: str, *, before: str = "{{ session_script() }}") -> dict[str, str | None]:
    app = app_showing(f"{before}{BUTTON}{{{{ sign_out_button({call}) }}}}")
    (button,) = Elements(text_of(app)).named("button")
    return button


TARGETS: dict[str, Any] = {
    "nothing": (None, "/"),
    "a path": ("/bye?a=1#b", "/bye?a=1#b"),
    "the sign-in page": ("/auth", "/auth"),
    "another site": ("https://evil.test/", "/"),
    "another host": ("//evil.test/", "/"),
    "a backslash": ("/\\evil.test/", "/"),
    "a script": ("javascript:alert(1)", "/"),
}


@rows("to, target", TARGETS)
def test_the_button_leads_to_this_site_only(to: str | None, target: str) -> None:
    button = button_of("'Sign out'" if to is None else f"'Sign out', to={to!r}")
    assert button["data-ssr-sign-out-to"] == target
    assert "disabled" not in button


def test_the_button_takes_attributes_and_texts_and_escapes_them() -> None:
    button = button_of("'Bye', class='a\"b', texts={'failed': '<No>'}")
    assert (button["class"], button["data-ssr-failed"]) == ('a"b', "<No>")
    assert button["type"] == "button"


@rows("texts, count", {"ours": ("{}", 2), "the app's": ("{'failed': 'No'}", 0)})
def test_only_our_messages_are_marked_with_our_language(texts: str, count: int) -> None:
    """The message after a failure, and the one without JavaScript."""
    app = make_app(language="ar")
    call = f"{BUTTON}{{{{ sign_out_button('Bye', texts={texts}) }}}}"
    app.add_url_rule("/page", view_func=lambda: render_template_string(call))
    page = app.test_client().get("/page", headers=PAGE).text
    assert page.count(' lang="ar" dir="rtl">') == count


def test_a_button_above_the_script_says_so(caplog: pytest.LogCaptureFixture) -> None:
    app = app_showing(f"{BUTTON}{{{{ sign_out_button('Bye') }}}}{{{{ session_script() }}}}")
    text = text_of(app)
    assert "You cannot sign out on this page." in text
    assert "disabled" in Elements(text).named("button")[0]
    assert "sign_out_button() needs session_script()" in caplog.text
    app.debug = app.testing = True
    with pytest.raises(MisuseError, match="needs session_script"):
        text_of(app)


NOTICES: dict[str, Any] = {
    "for a session": (SIGNED_IN, True),
    "for a stranger": (PAGE, False),
    "before a refresh": (PAGE | cookies(expired_token()), False),
}


@rows("headers, has_notice", NOTICES)
def test_the_notice_is_for_a_session_only(headers: dict[str, str], has_notice: bool) -> None:
    assert ("<template" in text_of(app_showing("{{ session_script() }}"), headers)) is has_notice


def test_the_notice_has_the_texts_that_it_is_given() -> None:
    call = "{{ session_script(texts={'signed_out': text}) }}"
    marked = text_of(app := app_showing(call, make_app(), text=Markup("<b>Weg</b>")), SIGNED_IN)
    assert "<b>Weg</b>" in marked
    app.view_functions["it"] = lambda: render_template_string(call, text="<b>Weg</b>")
    text = text_of(app, SIGNED_IN)
    assert "&lt;b&gt;Weg&lt;/b&gt;" in text
    assert "Discard the entries" in text
    assert 'lang="en"' not in text
    assert 'lang="en"' in text_of(app_showing("{{ session_script() }}"), SIGNED_IN)
