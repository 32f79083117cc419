"""The packaged templates under every Jinja configuration of an app, and without their loader."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, render_template
from flask.templating import Environment
from flask.testing import FlaskClient
from jinja2 import ChoiceLoader, DictLoader, StrictUndefined, TemplateNotFound
from jinja2.ext import Extension
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup

from flask_ssr_session import FlaskSSRSession, session_required
from flask_ssr_session.testing import install_test_keys, outage
from tests.browser_requests import PAGE
from tests.tokens import make_token

from .conftest import API_DOMAIN, cookies, page_shown

# The ways in which an app's template uses a packaged one.
USES = {
    "imports": "{% from 'refresh_page.html' import refresh_page %}<b>{{ refresh_page() }}</b>",
    "with-context": "{% from ORIGINAL import refresh_page with context %}"
    "{{ refresh_page(texts={'working': '<i>&'}, heading=4) }}",
    "original": "{% import ORIGINAL as ours %}{{ ours.refresh_page() }}",
    "calls": "{% from ORIGINAL import refresh_page %}"
    "{% call refresh_page() %}<p>our look</p>{% endcall %}",
    "extends": "{% extends 'flask_ssr_session/refresh_document.html' %}"
    "{% block lang %}de{% endblock %}"
    "{% block title %}Moment: {{ super() }}{% endblock %}",
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
    """Changes every template before it is compiled."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:  # noqa: ARG002
        return source.replace("data-", "x-").replace("class=", "klass=")


class Sandbox(SandboxedEnvironment, Environment):
    """Jinja as in apps that let their users write templates."""


FOREIGN = {
    "block_start_string": "<%",
    "block_end_string": "%>",
    "variable_start_string": "[[",
    "variable_end_string": "]]",
    "comment_start_string": "<#",
    "comment_end_string": "#>",
}
ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "foreign delimiters": FOREIGN,
    "no escaping": {"autoescape": False},
    "strict": {"undefined": StrictUndefined},
    "trimmed": {"trim_blocks": True, "lstrip_blocks": True},
    "line statements": {"line_statement_prefix": "<", "line_comment_prefix": "--"},
    "finalize": {"finalize": lambda value: value if isinstance(value, Markup) else f"({value})"},
    "rewriting": {"extensions": [Rewriting]},
    "async": {"enable_async": True},
    "everything": FOREIGN
    | {"autoescape": False, "undefined": StrictUndefined, "enable_async": True}
    | {"trim_blocks": True, "extensions": [Rewriting]},
}
# What can be set on an environment that is there, and under which name.
LATE = ("foreign delimiters", "no escaping", "strict", "trimmed", "finalize", "async")


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
    app.jinja_loader = DictLoader(
        {name: in_syntax(source, app.jinja_env) for name, source in sources.items()}
    )
    app.add_url_rule(
        "/<name>",
        "page",
        lambda name: render_template(f"{name}.html", refresh_page_template="refresh_page.html"),
    )
    account = session_required(lambda: "secret")
    app.add_url_rule("/account", "account", account, methods=["GET", "POST"])
    return app


def in_syntax(source: str, environment: Environment) -> str:
    """Write a template with the delimiters of *environment*, and the name of the original in it."""
    source = source.replace("ORIGINAL", "'flask_ssr_session/refresh_page.html'")
    for usual, own in (
        ("{%", environment.block_start_string),
        ("%}", environment.block_end_string),
        ("{{", environment.variable_start_string),
        ("}}", environment.variable_end_string),
    ):
        source = source.replace(usual, own)
    return source


def pages(app: Flask, token: str) -> dict[str, str]:
    """Return every page of *app* in every state, without the blanks that mean nothing.

    :param token: a good one, for the outage.
    """
    client = app.test_client(use_cookies=False)
    found: dict[str, str] = {}

    def ask(state: str, cookie: dict[str, str]) -> None:
        for path in (*USES, "account", "refresh-session"):
            response = client.get(f"/{path}", headers=PAGE | cookie)
            assert response.status_code in (200, 302, 503), path
            found[f"{path}, {state}"] = re.sub(r"\s+", "", response.text)

    ask("refresh", cookies("junk"))
    ask("sign-in", {})
    with outage(app):
        ask("outage", cookies(token))
    return found


@pytest.mark.parametrize("override", OVERRIDES)
@pytest.mark.parametrize(
    ("name", "late"),
    [
        *(pytest.param(name, False, id=name) for name in ENVIRONMENTS),
        *(pytest.param(name, True, id=f"{name}, set late") for name in LATE),
    ],
)
def test_templates_of_ours_read_the_same_in_every_environment(
    name: str, late: bool, override: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_with(ENVIRONMENTS[name], OVERRIDES[override], late=late)
    token = make_token()
    expected = pages(app_with({}, OVERRIDES[override]), token)
    assert pages(app, token) == expected
    assert "data-ssr-session" in expected["imports, refresh"]
    assert "override_broken" not in caplog.text


def test_templates_of_ours_read_the_same_in_a_sandbox() -> None:
    token = make_token()
    sandboxed = app_with({}, {}, environment=Sandbox)
    assert pages(sandboxed, token) == pages(app_with({}, {}), token)


@pytest.mark.parametrize("autoescape", [True, False])
def test_what_comes_from_outside_is_escaped_in_every_environment(autoescape: bool) -> None:
    app = app_with({"autoescape": autoescape}, {})
    client = app.test_client(use_cookies=False)
    for path in ("imports", "extends", "account"):
        text = client.get(f'/{path}?"><script>x', headers=PAGE | cookies("junk")).text
        assert text.count("<script") == 1
        assert "%3Cscript%3Ex" in text


def test_override_is_compiled_in_the_environment_of_the_app() -> None:
    app = app_with(
        {}, {"refresh_document.html": "{{ 'shouted'|shout }}{% include 'imports.html' %}"}
    )
    app.jinja_env.filters["shout"] = str.upper
    response = app.test_client().get("/refresh-session", headers=PAGE)
    assert response.text.startswith("SHOUTED<b>")
    assert page_shown(response) == "refresh"


# --- a loader that replaces the package's --------------------------------------------------------

PAGES_OF_THE_APP = {"open.html": "open", "imports.html": USES["imports"]}


def replace(app: Flask) -> None:
    app.jinja_env.loader = DictLoader(PAGES_OF_THE_APP)


def replace_and_override(app: Flask) -> None:
    app.jinja_env.loader = DictLoader(PAGES_OF_THE_APP | OVERRIDES["macro"] | OVERRIDES["document"])


def wrap(app: Flask) -> None:
    loader = app.jinja_env.loader
    assert loader is not None
    app.jinja_env.loader = ChoiceLoader([DictLoader(PAGES_OF_THE_APP), loader])


def whole_pages(app: Flask, client: FlaskClient) -> list[tuple[int, str]]:
    """Return status and kind of each whole page of this package."""
    found = [
        client.get("/account", headers=PAGE | cookies("junk")),
        client.get("/refresh-session", headers=PAGE),
        client.post("/account", headers=PAGE | {"Sec-Fetch-Site": "cross-site"}),
    ]
    with outage(app):
        found.append(client.get("/account", headers=PAGE | cookies(make_token())))
    return [(response.status_code, page_shown(response)) for response in found]


@pytest.mark.parametrize("change", [replace, replace_and_override])
@pytest.mark.parametrize("when", ["before the first request", "later"])
def test_whole_pages_survive_a_replaced_loader_and_the_log_says_what_to_do(
    change: Callable[[Flask], None], when: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_with({}, {})
    client = app.test_client(use_cookies=False)
    if when == "later":
        client.get("/refresh-session", headers=PAGE)
    change(app)
    for _ in range(2):
        assert whole_pages(app, client) == [
            (200, "refresh"),
            (200, "refresh"),
            (403, "refused"),
            (503, "outage"),
        ]
    (record,) = [
        one
        for one in caplog.records
        if one.levelno >= logging.WARNING and "loader" in one.getMessage()
    ]
    assert record.getMessage().startswith("loader_replaced: app.jinja_env.loader was replaced")
    assert "app.jinja_loader" in record.getMessage()
    assert "override_broken" not in caplog.text


def test_template_of_the_app_that_cannot_find_ours_names_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = app_with({}, {})
    replace(app)
    with pytest.raises(TemplateNotFound, match=re.escape("refresh_page.html")):
        app.test_client().get("/imports", headers=PAGE)
    assert caplog.text.count("loader_replaced") == 1


def test_loader_that_still_asks_ours_is_none_that_was_replaced(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = app_with({}, {})
    wrap(app)
    client = app.test_client(use_cookies=False)
    assert page_shown(client.get("/imports", headers=PAGE | cookies("junk"))) == "refresh"
    assert "loader_replaced" not in caplog.text
