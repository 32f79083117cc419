"""The macro ``refresh_page()`` and ``session_script()``: texts, escaping, data and nonces."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
from flask import Flask, render_template, render_template_string
from flask_talisman import Talisman

from flask_ssr_session import app_state, session_required
from flask_ssr_session.errors import MisuseError
from flask_ssr_session.pages.packaged_templates import templates_folder
from flask_ssr_session.testing import outage
from tests.app import conftest as apps
from tests.app.conftest import cookies, make_app, page_shown, with_views
from tests.browser_requests import PAGE
from tests.tables import rows
from tests.tokens import expired_token, make_token

from .elements import Elements

MACRO = "{% from 'refresh_page.html' import refresh_page %}"
JUNK = PAGE | cookies("junk")


def app_showing(source: str, app: Flask | None = None, **values: Any) -> Flask:
    app = app or make_app()
    methods = ["GET", "POST"]
    app.add_url_rule("/", "it", lambda: render_template_string(source, **values), methods=methods)
    return app


def text_of(app: Flask, headers: Any = JUNK, path: str = "/", method: str = "GET") -> str:
    return app.test_client(use_cookies=False).open(path, method=method, headers=headers).text


def script_of(text: str) -> dict[str, str | None]:
    (script,) = Elements(text).named("script")
    return script


@rows("status, sent", {"a page": (200, 503), "an error": (404, 404), "a failure": (500, 500)})
def test_macro_in_an_outage_sets_503_unless_there_is_an_error(status: int, sent: int) -> None:
    app = with_views(make_app())
    app.add_url_rule("/shows", "shows", lambda: (render_template("page.html"), status))
    client, good = app.test_client(use_cookies=False), PAGE | cookies(make_token())
    assert client.get("/shows", headers=good).status_code == status
    with outage(app):
        response = client.get("/shows", headers=good)
    assert (response.status_code, page_shown(response)) == (sent, "outage")
    assert response.headers["Retry-After"] == "10"
    assert response.headers["Cache-Control"] == "no-store"


@rows("how", {"without context": "", "with context": " with context"})
def test_macro_reads_the_state_at_each_call(how: str) -> None:
    source = f"{{% from 'refresh_page.html' import refresh_page{how} %}}{{{{ refresh_page() }}}}"
    client = app_showing(source).test_client(use_cookies=False)
    shown = [page_shown(client.get("/", headers=headers)) for headers in (PAGE, JUNK, PAGE, JUNK)]
    assert shown == ["sign_in", "refresh"] * 2


def test_call_block_replaces_the_look_and_keeps_the_rest() -> None:
    own = text_of(app_showing(MACRO + "{% call refresh_page() %}<b>our look</b>{% endcall %}"))
    standard = text_of(app_showing(MACRO + "{{ refresh_page() }}"))
    for text, is_own in ((own, True), (standard, False)):
        assert ("<b>our look</b>" in text) is is_own
        assert ("ssr-session-spinner" in text) is not is_own
        elements = Elements(text)
        assert (len(elements.named("script")), len(elements.named("noscript"))) == (1, 1)


GIVEN = "\"'><script>alert(1)</script>"
ALL_TEXTS = (
    "{% import 'refresh_page.html' as page %}{% set t = {} %}"
    "{% for key in page.default_texts %}{% set _ = t.update({key: key ~ given}) %}{% endfor %}"
    "{{ page.refresh_page(nonce=given, texts=t) }}{{ page.default_texts|list|join(',') }}"
)


def test_every_text_can_be_replaced_and_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    sdk = apps.sdk_values(global_claims=apps.FakeGlobalClaims(apps.EMAIL))
    monkeypatch.setattr(app_state, "read_sdk", lambda: sdk)
    app = app_showing(ALL_TEXTS, given=GIVEN)
    odd: Any = ({"issued_at": 9_000_000_000}, {"email_verified": False}, {"mfa_complete": False})
    visitors = [{}, cookies("junk"), *(cookies(make_token(**each)) for each in odd)]
    pages = [text_of(app, PAGE | each, method=m) for each in visitors for m in ("GET", "POST")]
    with outage(app):
        pages.append(text_of(app, PAGE | cookies(make_token())))
    pages.append(text_of(app, PAGE | {"Sec-Fetch-Site": "cross-site"}, method="POST"))
    keys = pages[0].rpartition("</div>")[2].split(",")
    # The link to go on is shown on optional pages only, and forms are kept for views only.
    missing = [key for key in keys if not any(f"{key}&#34;&#39;&gt;" in page for page in pages)]
    assert len(keys) > 20
    forms = {"renewed_form", "send", "repaired_form", "other_owner", "other_owner_detail"}
    # Only a view asks for a recent sign-in; every claim that is asked here has a cure.
    again = {key for key in keys if key.startswith("sign_in_again")} | {"signing_out"}
    assert {*missing} == forms | again | {"claims", "claims_detail", "continue"}
    for page in pages:
        assert "&lt;script&gt;alert(1)" in page
        assert "<script>alert" not in page
    assert script_of(pages[2])["nonce"] == GIVEN


@rows("debug", {"debug": True, "production": False})
def test_text_of_an_unknown_name_is_an_error_in_debug_only(debug: bool) -> None:
    app = app_showing(MACRO + "{{ refresh_page(texts={'wroking': 'x', 'qqqqqq': 'y'}) }}")
    app.debug = debug
    wrong = pytest.raises(MisuseError, match="no text named 'wroking'; did you mean 'working'")
    with wrong if debug else nullcontext():
        assert "One moment" in text_of(app)


HOSTILE = [
    '/x/"><script>alert(1)</script>',
    "/x/'onmouseover='alert(1)",
    "/x/a?q=\"><script>alert(1)</script>&'=<b>",
    "/x/%22%3E%3Cscript%3Ealert(1)%3C/script%3E?%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
    "/x/{{ 7*7 }}?{{ config }}",
    "/x/a?javascript:alert(1)",
    "/x/-->?]]>",
    '/nowhere/"><script>alert(1)</script>',
]

VISITORS: dict[str, Any] = {
    "refresh": (lambda: cookies("junk"), "refresh"),
    "sign-in": (dict, "sign_in"),
    "outage": (lambda: cookies(make_token()), "outage"),
}


@rows("visitor, shown", VISITORS)
def test_hostile_url_stays_in_its_attribute(visitor: Any, shown: str) -> None:
    app = apps.with_templates(make_app(), page=apps.TEMPLATE_GUARD)
    page: Callable[..., str] = lambda **_: render_template("page.html")  # noqa: E731
    app.add_url_rule("/x/<path:rest>", "x", page, methods=["GET", "POST"])
    app.register_error_handler(404, lambda _error: (page(), 404))
    headers = PAGE | visitor()
    with outage(app) if shown == "outage" else nullcontext():
        for method in ("GET", "POST"):
            plain = Elements(text_of(app, headers, "/x/plain", method))
            for path in HOSTILE:
                text = text_of(app, headers, path, method)
                assert f'data-ssr-session="{shown}"' in text, path
                found = Elements(text)
                # The same elements with the same attributes, and no new script.
                assert [(tag, list(attributes)) for tag, attributes in found.elements] == [
                    (tag, list(attributes)) for tag, attributes in plain.elements
                ], path
                assert found.inline == "", path
                urls = [a[n] for _, a in found.elements for n in ("href", "src") if n in a]
                assert all(url and url[0] == "/" and url[1] != "/" for url in urls), path
                assert "49" not in text.partition("<script")[0], path


def test_script_element_says_what_the_browser_needs_to_know() -> None:
    app = with_views(make_app(cookie_domain=".example.com", api_base_path="/api/auth"))
    script = script_of(text_of(app, path="/page?a=1"))
    assert str(script.pop("src")).startswith("/refresh-session/ssr-session-")
    assert len(str(script.pop("data-token"))) == 16
    assert script == {
        "data-mode": "refresh",
        "data-reason": "invalid",
        "data-sign-in": "/auth?redirectToPath=/page%3Fa%3D1",
        "data-return-param": "redirectToPath",
        "data-api-domain": "https://api.example.com",
        "data-api-base-path": "/api/auth",
        "data-cookie-domain": ".example.com",
        "data-expired-status": "401",
    }


TWO = cookies("a.b.c", "a.b.c")

SPECIAL: dict[str, Any] = {
    "a form was sent": ("/page", "POST", JUNK, "data-unsafe", ""),
    "a page was asked for": ("/page", "GET", JUNK, "data-unsafe", None),
    "two tokens, equal ones too": ("/page", "GET", PAGE | TWO, "data-duplicates", ""),
    "one token": ("/page", "GET", JUNK, "data-duplicates", None),
    "an optional view": ("/news", "GET", JUNK, "data-optional", ""),
    "a required view": ("/account", "GET", JUNK, "data-optional", None),
    "the refresh page": ("/refresh-session", "GET", JUNK, "data-return-to", "/"),
    "any other page": ("/account", "GET", JUNK, "data-return-to", None),
}


@rows("path, method, headers, name, expected", SPECIAL)
def test_script_element_says_what_is_special(
    path: str, method: str, headers: dict[str, str], name: str, expected: str | None
) -> None:
    assert script_of(text_of(with_views(make_app()), headers, path, method)).get(name) == expected


def test_session_script_starts_the_sdk_on_an_ordinary_page() -> None:
    app = app_showing("{{ session_script('n') }}", make_app(api_base_path="/"))
    for method, unsafe in (("GET", None), ("POST", "")):
        script = script_of(text_of(app, PAGE, method=method))
        assert str(script.pop("src")).startswith("/refresh-session/ssr-session-")
        assert script.pop("data-unsafe", None) == unsafe
        assert script == {
            "nonce": "n",
            "data-mode": "session",
            "data-refresh-ahead": "",
            "data-api-domain": "https://api.example.com",
            "data-api-base-path": "/",
            "data-expired-status": "401",
        }
    app = app_showing("{{ session_script() }}", make_app(refresh_ahead=False))
    assert "data-refresh-ahead" not in script_of(text_of(app))


FRONT_A, FRONT_B, FRONT_LONG, FRONT_TOO_LONG = (
    b64encode(b'{"uid": "%s"}' % user).decode() for user in (b"a", b"b", b"a" * 1024, b"a" * 1025)
)


@rows(
    "token, fronts, expected",
    {
        "a session": (make_token, [FRONT_A], "e40c292c"),
        "no session": (expired_token, [FRONT_A], None),
        "without a front token": (make_token, [], None),
        "with two": (make_token, [FRONT_A, FRONT_B], None),
        "as long as an id may be": (make_token, [FRONT_LONG], "e8f5b1c5"),
        "longer": (make_token, [FRONT_TOO_LONG], None),
    },
)
def test_session_script_says_for_whom_the_browser_requested_the_page(
    token: Callable[[], str], fronts: list[str], expected: str | None
) -> None:
    pairs = [f"sAccessToken={token()}", *(f"sFrontToken={front}" for front in fronts)]
    app = app_showing("{{ session_script() }}")
    script = script_of(text_of(app, PAGE | {"Cookie": "; ".join(pairs)}))
    assert script.get("data-front-user") == expected


SOFT = "needs_refresh(optional=True)"

OFFERS: dict[str, Any] = {
    "optional": ("", SOFT, True),
    "required": ("", "needs_refresh", False),
    "optional, below a guarded part": ("{{ part() }}", SOFT, True),
    "required, below an optional part": (f"{{% if {SOFT} %}}{{% endif %}}", "needs_refresh", False),
}


@rows("before, question, offers", OFFERS)
def test_optional_pages_offer_to_go_on_signed_out(before: str, question: str, offers: bool) -> None:
    source = f"{MACRO}{before}{{% if {question} %}}{{{{ refresh_page() }}}}{{% endif %}}shown"
    app, headers = app_showing(source), PAGE | cookies(expired_token())
    guarded: Callable[[], Any] = session_required(lambda: "")
    app.jinja_env.globals["part"] = lambda: (guarded(), "")[1]
    assert ('href="/?a=1&amp;continueSignedOut=1"' in text_of(app, headers, "/?a=1")) is offers
    assert (text_of(app, headers, "/?a=1&continueSignedOut=1") == "shown") is offers


def test_texts_for_visitors_name_nothing_that_only_developers_know() -> None:
    texts = (templates_folder() / "refresh_texts.html").read_text("utf-8").partition("-#}")[2]
    assert not re.search(r"(?i)ssr_session|domain|signing key|jwks|\bcore\b", texts)


NONCES: dict[str, Any] = {
    "the argument": ("app", "refresh_page(nonce='given')", "given"),
    "the app's global": ("app", "refresh_page()", "app"),
    "an empty one": ("", "refresh_page()", None),
    "none in this response": (None, "refresh_page()", None),
    "for session_script": ("app", "session_script()", "app"),
}


@rows("of_the_app, call, expected", NONCES)
def test_nonce_comes_from_the_argument_or_else_from_the_apps_global(
    of_the_app: str | None, call: str, expected: str | None
) -> None:
    app = app_showing(f"{MACRO}{{{{ {call} }}}}")
    app.jinja_env.globals["csp_nonce"] = lambda: of_the_app
    elements = Elements(text_of(app)).elements
    nonces = [attributes.get("nonce") for tag, attributes in elements if tag in ("script", "link")]
    assert nonces
    assert set(nonces) == {expected}


POLICY = {"default-src": "'self'", "script-src": "'strict-dynamic'"}
NONCE = {"content_security_policy": POLICY, "content_security_policy_nonce_in": ["script-src"]}


@rows("options, has_nonce", {"plain": ({}, False), "with a nonce": (NONCE, True)})
def test_talisman_may_replace_our_headers(options: dict[str, Any], has_nonce: bool) -> None:
    app = with_views(make_app())
    Talisman(app, force_https=False, **options)
    for path in ("/account", "/page", "/refresh-session"):
        response = app.test_client(use_cookies=False).get(path, headers=JUNK)
        policy, script = response.headers["Content-Security-Policy"], script_of(response.text)
        assert page_shown(response) == "refresh", path
        assert response.headers["Cache-Control"] == "no-store", path
        assert policy.startswith("default-src 'self'"), path
        assert ("nonce" in script) is has_nonce, path
        assert (f"'nonce-{script.get('nonce')}'" in policy) is has_nonce, path
