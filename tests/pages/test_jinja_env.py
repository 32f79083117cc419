"""The packaged templates under every Jinja configuration of an app, and without their loader."""

from __future__ import annotations

import logging
import re
from functools import cache
from typing import Any

import pytest
from flask import Flask, render_template
from flask.templating import Environment
from jinja2 import ChoiceLoader, DictLoader, StrictUndefined, TemplateNotFound
from jinja2.ext import Extension
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup

from flask_ssr_session import FlaskSSRSession, session_required
from flask_ssr_session.testing import install_test_keys, outage
from tests.app.conftest import API_DOMAIN, cookies, page_shown
from tests.browser_requests import PAGE
from tests.tables import rows
from tests.tokens import make_token

# The ways in which an app's template uses a packaged one.
USES = {
    "imports": "{% from 'refresh_page.html' import refresh_page %}<b>{{ refresh_page() }}</b>",
    "with-context": "{% from ORIGINAL import refresh_page with context %}"
    "{{ refresh_page(texts={'working': '<i>&'}, heading=4) }}",
    "original": "{% import ORIGINAL as ours %}{{ ours.refresh_page() }}",
    "calls": "{% from ORIGINAL import refresh_page %}"
    "{% call refresh_page() %}<p>our look</p>{% endcall %}",
    "extends": "{% extends 'flask_ssr_session/refresh_document.html' %}"
    "{% block lang %}de{% endblock %}{% block title %}Moment: {{ super() }}{% endblock %}",
    "by-its-name": "{% extends 'refresh_document.html' %}{% block dir %}rtl{% endblock %}",
}
OVERRIDES = {
    "none": {},
    "macro": {
        "refresh_page.html": "{% import ORIGINAL as ours %}"
        "{% macro refresh_page() %}{% call ours.refresh_page() %}<p>our look</p>{% endcall %}"
        "{% endmacro %}"
    },
    "document": {"refresh_document.html": USES["extends"]},
}


class Rewriting(Extension):
    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:  # noqa: ARG002
        return source.replace("data-", "x-").replace("class=", "klass=")


class Sandbox(SandboxedEnvironment, Environment):
    """Jinja as in apps that let their users write templates."""


KINDS, SIGNS = ("block", "variable", "comment"), ("<%", "%>", "[[", "]]", "<#", "#>")
FOREIGN = dict(
    zip((f"{kind}_{end}_string" for kind in KINDS for end in ("start", "end")), SIGNS, strict=True)
)
# Those that can be set on an environment that is there, and others.
SET_LATE: dict[str, dict[str, Any]] = {
    "foreign delimiters": FOREIGN,
    "no escaping": {"autoescape": False},
    "strict": {"undefined": StrictUndefined},
    "trimmed": {"trim_blocks": True, "lstrip_blocks": True},
    "finalize": {"finalize": lambda value: value if isinstance(value, Markup) else f"({value})"},
    "async": {"enable_async": True},
}
ENVIRONMENTS: dict[str, dict[str, Any]] = SET_LATE | {
    "line statements": {"line_statement_prefix": "<", "line_comment_prefix": "--"},
    "rewriting": {"extensions": [Rewriting]},
    "everything": FOREIGN
    | {"autoescape": False, "undefined": StrictUndefined, "enable_async": True}
    | {"trim_blocks": True, "extensions": [Rewriting]},
}


def app_with(
    options: dict[str, Any],
    overrides: dict[str, str],
    *,
    late: bool = False,
    environment: type[Environment] = Environment,
) -> Flask:
    """Return an app whose Jinja has these options, and a page for each use of our templates."""
    app = Flask(__name__)
    app.testing = True
    app.jinja_environment = environment
    if not late:
        app.jinja_options = options
    FlaskSSRSession(app, api_domain=API_DOMAIN)
    install_test_keys(app)
    if late:
        for name, value in options.items():
            setattr(app.jinja_env, {"enable_async": "is_async"}.get(name, name), value)
    sources = {f"{name}.html": source for name, source in USES.items()} | overrides
    sources = {name: in_syntax(source, app.jinja_env) for name, source in sources.items()}
    app.jinja_loader = DictLoader(sources)

    def page(name: str) -> str:
        macro = app.jinja_env.get_template("refresh_page.html")  # its name would do as well
        return render_template(f"{name}.html", refresh_page_template=macro)

    app.add_url_rule("/<name>", "page", page)
    account = session_required(lambda: "secret")
    app.add_url_rule("/account", "account", account, methods=["GET", "POST"])
    return app


def in_syntax(source: str, environment: Environment) -> str:
    """Write a template with the delimiters of *environment*, and the name of the original in it."""
    source = source.replace("ORIGINAL", "'flask_ssr_session/refresh_page.html'")
    usual = {"{%": "block_start", "%}": "block_end", "{{": "variable_start", "}}": "variable_end"}
    for sign, kind in usual.items():
        source = source.replace(sign, getattr(environment, f"{kind}_string"))
    return source


def pages(app: Flask) -> dict[str, str]:
    """Return every page of *app* in every state, without blanks and hashes of tokens."""
    client = app.test_client(use_cookies=False)
    found: dict[str, str] = {}

    def ask(state: str, cookie: dict[str, str]) -> None:
        for path in (*USES, "account", "refresh-session"):
            response = client.get(f"/{path}", headers=PAGE | cookie)
            assert response.status_code in (200, 302, 503), path
            found[f"{path}, {state}"] = re.sub(r'\s+|(?<=data-token=")\w+', "", response.text)

    ask("refresh", cookies("junk"))
    ask("sign-in", {})
    with outage(app):
        ask("outage", cookies(make_token()))
    return found


@cache
def plain_pages(override: str) -> dict[str, str]:
    return pages(app_with({}, OVERRIDES[override]))


OPTIONS: dict[str, Any] = (
    {each: (options, False, Environment) for each, options in ENVIRONMENTS.items()}
    | {f"{each}, set late": (options, True, Environment) for each, options in SET_LATE.items()}
    | {"a sandbox": ({}, False, Sandbox)}
)


@rows("override", {each: each for each in OVERRIDES})
@rows("options", OPTIONS)
def test_templates_of_ours_read_the_same_in_every_environment(
    options: tuple[dict[str, Any], bool, type[Environment]],
    override: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    expected = plain_pages(override)
    assert "data-ssr-session" in expected["imports, refresh"]
    caplog.clear()
    jinja, late, environment = options
    app = app_with(jinja, OVERRIDES[override], late=late, environment=environment)
    assert pages(app) == expected
    assert "override_broken" not in caplog.text


@rows("autoescape", {"escaping": True, "no escaping": False})
def test_what_comes_from_outside_is_escaped_in_every_environment(autoescape: bool) -> None:
    client = app_with({"autoescape": autoescape}, {}).test_client(use_cookies=False)
    for path in ("imports", "extends", "account"):
        text = client.get(f'/{path}?"><script>x', headers=PAGE | cookies("junk")).text
        assert text.count("<script") == 1, path
        assert "%3Cscript%3Ex" in text, path


def test_override_is_compiled_in_the_environment_of_the_app() -> None:
    document = "{{ 'shouted'|shout }}{% include 'imports.html' %}"
    app = app_with({}, {"refresh_document.html": document})
    app.jinja_env.filters["shout"] = str.upper
    response = app.test_client().get("/refresh-session", headers=PAGE)
    assert response.text.startswith("SHOUTED<b>")
    assert page_shown(response) == "refresh"


OF_THE_APP = {"open.html": "open", "imports.html": USES["imports"]}
WHOLE_PAGES = ["200 refresh", "200 refresh", "403 refused", "503 outage"]


def whole_pages(app: Flask) -> list[str]:
    """Return status and kind of each whole page of this package."""
    client = app.test_client(use_cookies=False)
    found = [
        client.get("/account", headers=PAGE | cookies("junk")),
        client.get("/refresh-session", headers=PAGE),
        client.post("/account", headers=PAGE | {"Sec-Fetch-Site": "cross-site"}),
    ]
    with outage(app):
        found.append(client.get("/account", headers=PAGE | cookies(make_token())))
    return [f"{response.status_code} {page_shown(response)}" for response in found]


LOADERS: dict[str, Any] = {
    "the app's own": OF_THE_APP,
    "an override, too": OF_THE_APP | OVERRIDES["macro"] | OVERRIDES["document"],
}


@rows("is_used_before", {"before the first request": False, "later": True})
@rows("templates", LOADERS)
def test_whole_pages_survive_a_replaced_loader_and_the_log_says_what_to_do(
    templates: dict[str, str], is_used_before: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_with({}, {})
    if is_used_before:
        app.test_client().get("/refresh-session", headers=PAGE)
    app.jinja_env.loader = DictLoader(templates)
    for _ in range(2):
        assert whole_pages(app) == WHOLE_PAGES
    warnings = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    (message,) = [message for message in warnings if "loader" in message]
    assert message.startswith("loader_replaced: app.jinja_env.loader was replaced")
    assert "app.jinja_loader" in message
    assert "override_broken" not in caplog.text


def test_template_that_cannot_find_ours_names_it(caplog: pytest.LogCaptureFixture) -> None:
    app = app_with({}, {})
    app.jinja_env.loader = DictLoader(OF_THE_APP)
    with pytest.raises(TemplateNotFound, match=re.escape("refresh_page.html")):
        app.test_client().get("/imports", headers=PAGE)
    assert caplog.text.count("loader_replaced") == 1


def test_loader_that_still_asks_ours_is_not_replaced(caplog: pytest.LogCaptureFixture) -> None:
    app = app_with({}, {})
    loader: Any = app.jinja_env.loader
    app.jinja_env.loader = ChoiceLoader([DictLoader(OF_THE_APP), loader])
    client = app.test_client(use_cookies=False)
    assert page_shown(client.get("/imports", headers=PAGE | cookies("junk"))) == "refresh"
    assert "loader_replaced" not in caplog.text
