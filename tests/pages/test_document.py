"""The whole page: its policy, the app's own look, and what is shown if that look fails."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask, Response, abort, render_template_string, request
from flask_babel import Babel

from flask_ssr_session import session_required
from flask_ssr_session.pages import document
from flask_ssr_session.pages.jinja_env import original_document
from flask_ssr_session.testing import outage
from tests.app.conftest import TEMPLATE_GUARD, cookies, make_app, page_shown, with_views
from tests.browser_requests import PAGE
from tests.tables import rows
from tests.tokens import make_token

from .elements import Elements

JUNK = PAGE | cookies("junk")
ORIGINAL = "{% from 'flask_ssr_session/refresh_page.html' import refresh_page as original %}"


def overriding(folder: Path, **sources: str) -> Flask:
    """Return an app with these files in its template folder."""
    for name, text in {"page": TEMPLATE_GUARD, **sources}.items():
        (folder / f"{name}.html").write_text(text)
    app = make_app()
    app.template_folder = str(folder)
    app.add_url_rule("/account", "account", session_required(lambda: "secret"))
    return app


def macro(body: str) -> str:
    return f"{{% macro refresh_page() %}}{body}{{% endmacro %}}"


def policy_of(app: Flask) -> str:
    response = app.test_client(use_cookies=False).get("/account", headers=JUNK)
    assert response.headers["Referrer-Policy"] == "same-origin"
    return response.headers["Content-Security-Policy"]


def test_packaged_look_allows_exactly_what_it_uses() -> None:
    assert policy_of(with_views(make_app())) == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self' https://api.example.com; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'self'"
    )


def test_policy_of_the_apps_responses_is_kept() -> None:
    class Strict(Response):
        def __init__(self, *args: Any, **options: Any) -> None:
            super().__init__(*args, **options)
            self.headers["Content-Security-Policy"] = "default-src 'self'"

    app = with_views(make_app())
    client = app.test_client(use_cookies=False)  # before: it would wrap its responses in the class
    app.response_class = Strict
    response = client.get("/account", headers=JUNK)
    assert response.headers.getlist("Content-Security-Policy") == ["default-src 'self'"]


def test_filled_in_page_is_what_jinja_makes_of_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    app = with_views(make_app())
    Babel(app, locale_selector=lambda: request.args.get("lang", "en"))
    app.jinja_env.globals["csp_nonce"] = lambda: request.args.get("nonce", "")
    client = app.test_client(use_cookies=False)
    asked = [
        (path, method, headers)
        for path in ("/account", "/news", "/account?lang=ar", "/news?nonce=%22%3E%3Cb&x='%00\"<")
        for method in ("GET", "POST")
        for headers in (JUNK, PAGE, PAGE | cookies(make_token(mfa_complete=False)))
    ]

    def pages() -> list[str]:
        shown = [client.open(path, method=how, headers=sent).text for path, how, sent in asked]
        with outage(app):
            return [*shown, client.get("/account", headers=PAGE | cookies(make_token())).text]

    first, again = pages(), pages()
    monkeypatch.setattr(document, "unmodified_document", lambda: original_document(app))
    assert first == again == pages()
    # Each kind of page with other values, one of which tries to leave its attribute.
    assert len({page for page in first if "data-ssr-session" in page}) == 11
    assert 'nonce="&#34;&gt;&lt;b"' in "".join(first)


def test_nothing_on_our_pages_is_inline() -> None:
    app = with_views(make_app())
    client, good = app.test_client(use_cookies=False), PAGE | cookies(make_token())
    pages = [client.get(path, headers=JUNK) for path in ("/page", "/account", "/refresh-session")]
    pages += [client.get("/page", headers=PAGE), client.post("/account", headers=PAGE)]
    with outage(app):
        pages.append(client.get("/account", headers=good))
    assert len(pages) == 6
    for page in pages:
        found = Elements(page.text)
        assert found.inline == ""
        for _, attributes in found.elements:
            assert not [name for name in attributes if name == "style" or name.startswith("on")]


FIVE_LINES = """\
{% import "flask_ssr_session/refresh_page.html" as packaged %}
{% macro refresh_page() %}
<p>in our own words</p>
{{ packaged.refresh_page(texts={"working": "our text"}) }}
{% endmacro %}
"""
LAYOUT = "our layout {% from refresh_page_template import refresh_page %}{{ refresh_page() }}"

OVERRIDES: dict[str, Any] = {
    "the macro, in five lines": ("refresh_page", FIVE_LINES, "<p>in our own words</p>", 3),
    "the document": ("refresh_document", LAYOUT, "our layout", 2),
}


@rows("name, source, shown, pages", OVERRIDES)
def test_app_overrides(tmp_path: Path, name: str, source: str, shown: str, pages: int) -> None:
    app = overriding(tmp_path, **{name: source})
    app.add_url_rule("/page", "page", lambda: render_template_string(TEMPLATE_GUARD))
    client = app.test_client(use_cookies=False)
    responses = [client.get(p, headers=JUNK) for p in ("/account", "/refresh-session", "/page")]
    assert [shown in response.text for response in responses] == [True, True, pages == 3]
    assert {page_shown(response) for response in responses} == {"refresh"}
    assert policy_of(app) == "frame-ancestors 'self'"


def test_blueprint_registered_late_overrides_too(tmp_path: Path) -> None:
    app = with_views(make_app())
    (tmp_path / "refresh_page.html").write_text(FIVE_LINES)
    app.register_blueprint(Blueprint("look", "look", template_folder=str(tmp_path)))
    response = app.test_client(use_cookies=False).get("/account", headers=JUNK)
    assert "<p>in our own words</p>" in response.text
    assert "our text" in response.text


ORIGINALS: dict[str, Any] = {
    "ours": ("refresh_page.html", False),
    "the original": ("flask_ssr_session/refresh_page.html", True),
}


@rows("name, is_ours", ORIGINALS)
def test_original_is_importable_beside_overrides(tmp_path: Path, name: str, is_ours: bool) -> None:
    app = overriding(tmp_path, refresh_page=macro("ours"))
    source = f"{{% from '{name}' import refresh_page %}}{{{{ refresh_page() }}}}"
    with app.test_request_context(headers=PAGE):
        assert ("data-ssr-session" in render_template_string(source)) is is_ours


SHOWN = {
    "the original": ("{{ original() }}", True),
    "the original, with a nonce": ("{{ original(nonce='\"data-mode') }}", True),
    "the original, beside session_script": ("{{ session_script() }}{{ original() }}", True),
    "none": ("<p>One moment</p>", False),
    "nothing": ("", False),
    "session_script": ("{{ session_script() }}", False),
    "session_script with a nonce": ("{{ session_script(' data-mode=\"refresh\"') }}", False),
    "a script without its mode": (
        "<script src='{{ ssr_refresh_view().script.split('\"')[1] }}'></script>",
        False,
    ),
    "the original, escaped": ("{{ original()|string|forceescape }}", False),
}


@rows("body, is_taken", SHOWN)
def test_override_is_taken_only_with_the_script_of_the_refresh_page(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, body: str, is_taken: bool
) -> None:
    """A visitor could never leave a refresh page that does not refresh."""
    for name, source in (("refresh_page", macro(body)), ("refresh_document", body)):
        caplog.clear()
        (tmp_path / name).mkdir()
        app = overriding(tmp_path / name, **{name: f"{ORIGINAL}<!-- ours -->{source}"})
        app.jinja_env.globals["csp_nonce"] = lambda: "n"
        response = app.test_client().get("/refresh-session", headers=PAGE)
        modes = [script.get("data-mode") for script in Elements(response.text).named("script")]
        assert page_shown(response) == "refresh", name
        assert "refresh" in modes, name
        assert ("lacks the script of the refresh page" in caplog.text) is not is_taken, name


# What the file of the macro has, and that of the document.
BROKEN = {
    body: (macro(body), body) for body in ("{% endfor %}", "{{ no.body }}", "{{ stop() }}")
} | {
    "a division": (macro("{{ secret_value / 0 }}"), "{{ secret_value / 0 }}"),
    "a missing import": ("{% import 'nowhere.html' as x %}", "{% import 'nowhere.html' as x %}"),
    "no macro": ("nothing in it", "{{ refresh_page() }}"),
    "no end": (
        macro("{{ refresh_page() }}"),
        macro("{{ refresh_page() }}") + "{{ refresh_page() }}",
    ),
}


@rows("sources", BROKEN)
def test_broken_override_of_a_whole_page_falls_back_to_the_original(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, sources: tuple[str, str]
) -> None:
    for name, source in zip(("refresh_page", "refresh_document"), sources, strict=True):
        (tmp_path / name).mkdir()
        for case in ("/account", "/refresh-session", "outage"):
            caplog.clear()
            app = overriding(tmp_path / name, **{name: source})
            app.jinja_env.globals["secret_value"] = 4711
            app.jinja_env.globals["stop"] = lambda: abort(418, "told in confidence")
            client = app.test_client(use_cookies=False)
            if case == "outage":
                with outage(app):
                    response = client.get("/account", headers=PAGE | cookies(make_token()))
                expected = (503, "outage")
            else:
                response, expected = client.get(case, headers=JUNK), (200, "refresh")
                assert len(Elements(response.text).named("script")) == 1, (name, case)
            assert (response.status_code, page_shown(response)) == expected, (name, case)
            assert response.text.startswith("<!doctype html>"), (name, case)
            assert response.headers["Cache-Control"] == "no-store", (name, case)
            (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
            message = record.getMessage()
            assert message.startswith(f"override_broken: {name}.html of the app "), (name, case)
            assert ("defines no macro" in message) is (source == "nothing in it"), (name, case)
            assert record.exc_info is None, (name, case)
            told = [v for v in ("4711", "told in confidence", "body", "junk") if v in message]
            assert not told, (name, case)


def test_broken_override_names_its_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = overriding(tmp_path, refresh_page=macro("\n\n{{ no.body }}"))
    app.test_client().get("/refresh-session", headers=PAGE)
    assert "UndefinedError" in caplog.text
    assert "refresh_page.html:3" in caplog.text


@rows("overrides", {"the original page": {}, "the app's": {"refresh_page": macro("<i>own</i>")}})
def test_failing_context_processor_does_not_take_our_whole_pages_down(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, overrides: dict[str, str]
) -> None:
    app = overriding(tmp_path, **overrides)
    app.add_url_rule("/page", "page", lambda: render_template_string(TEMPLATE_GUARD))

    @app.context_processor
    def fails() -> dict[str, Any]:
        raise ValueError("told in confidence")

    client = app.test_client(use_cookies=False)
    response = client.get("/account", headers=JUNK)
    assert (response.status_code, page_shown(response)) == (200, "refresh")
    # The original page asks no function of the app.
    assert ("override_broken: refresh_page.html" in caplog.text) is bool(overrides)
    assert ("ValueError" in caplog.text) is bool(overrides)
    assert "told in confidence" not in caplog.text
    with pytest.raises(ValueError, match="told in confidence"):
        client.get("/page", headers=PAGE)
