"""The documentation is correct: it builds without a warning, and every example in it runs."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from docutils import nodes
from docutils.core import publish_doctree
from flask import Flask, render_template
from flask.testing import FlaskClient
from flask_babel import Babel
from supertokens_python.recipe import emailpassword, session
from supertokens_python.recipe.emailpassword.syncio import sign_up

import flask_ssr_session
from flask_ssr_session import ConfigError, FlaskSSRSession
from flask_ssr_session.config.settings import FIELDS, PREFIX, Settings
from flask_ssr_session.dev_core import DevelopmentCore
from flask_ssr_session.pages.packaged_templates import MACRO
from flask_ssr_session.sansio import form_replay
from flask_ssr_session.sansio.jwt import decode_unverified_token
from flask_ssr_session.sansio.states import Reason
from flask_ssr_session.sansio.verdict import Verdict
from flask_ssr_session.testing import SessionSigner, expire, install_test_keys, outage, sign_in
from tests.dev_core.sdk import init_sdk
from tests.sdk.conftest import *  # noqa: F403 - fixtures, for pytest to find

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("*.rst"))}

BLOCK = re.compile(
    r"^(?:``(?P<file>\S+)``:\n\n)?\.\. code-block:: (?P<language>\w+)\n\n"
    r"(?P<body>(?:(?:   .*)?\n)+)",
    re.MULTILINE,
)
# tests/servers/test_nginx.py runs those for nginx.
NOT_RUN = {"console", "javascript", "nginx"}

# The quickstart's layout, which templates of other pages extend.
LAYOUT = "templates/base.html"
BROWSER = {"Accept": "text/html,*/*"}


class Block(NamedTuple):
    """An example; *source* has as many lines above it as the page, so that errors name the line.

    The line before the example names its *file*, if it has one.
    """

    language: str
    file: str
    source: str


def blocks(text: str) -> list[Block]:
    return [
        Block(
            match["language"],
            match["file"] or "",
            "\n" * text.count("\n", 0, match.start("body"))
            + "\n".join(line[3:] for line in match["body"].split("\n")),
        )
        for match in BLOCK.finditer(text)
    ]


# tests/test_other_frameworks.py and tests/browser/test_sign_in_pages.py run the examples of these.
RUN_ELSEWHERE = {"django", "fastapi", "sign-in"}
WITH_CODE = [
    name
    for name, text in TEXTS.items()
    if name not in RUN_ELSEWHERE
    and {"python", "jinja"} & {block.language for block in blocks(text)}
]


Run = Callable[[str], dict[str, Any]]


@pytest.fixture
def run(
    live_core: DevelopmentCore,
    sdk_environment: None,  # noqa: ARG001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Run the examples of a page from top to bottom, as one module next to its templates.

    A page that makes no app of its own is given one; a page that sets one up continues that.
    """

    def run_page(name: str) -> dict[str, Any]:
        page = blocks(TEXTS[name])
        write_files(page, tmp_path, monkeypatch)
        module = ModuleType("docs_example")
        module.__file__ = str(tmp_path / "app.py")
        for module_name in (module.__name__, "app"):  # tests that are shown import the app
            monkeypatch.setitem(sys.modules, module_name, module)
        names = vars(module)
        names["app"] = Flask(module.__name__)
        names["app"].config["SSR_SESSION_API_DOMAIN"] = "http://localhost"
        # As the pages say, settings are above what reads them.
        page.sort(key=lambda block: not block.source.lstrip("\n").startswith("app.config["))
        if not any("\nssr_session = FlaskSSRSession(app)" in block.source for block in page):
            FlaskSSRSession(names["app"])
        Babel(names["app"])  # Flask-Admin needs it where it is installed
        for block in page:
            if block.language == "python":
                source = block.source.replace("http://127.0.0.1:3567", live_core.uri)
                exec(compile(source, DOCS / f"{name}.rst", "exec"), names)  # noqa: S102
        app: Flask = names["app"]
        app.testing = True
        for template in (tmp_path / "templates").iterdir():
            # The whole pages call their macro with it; other templates ignore it.
            view = partial(render_template, template.name, refresh_page_template=MACRO)
            app.add_url_rule(f"/templates/{template.name}", template.name, view)
        return names

    return run_page


def write_files(page: list[Block], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    key_set = f'{{"keys": [{SessionSigner().jwk()}]}}'.replace("'", '"')
    Path("jwks.json").write_text(key_set, encoding="utf-8")
    Path("templates").mkdir()
    if any(block.source.lstrip("\n").startswith('{% extends "base.html" %}') for block in page):
        page = [b for b in blocks(TEXTS["quickstart"]) if b.file == LAYOUT] + page
    for block in page:
        if block.language == "jinja":
            Path(block.file).write_text(block.source.lstrip("\n"), encoding="utf-8")


def signed_in(app: Flask) -> FlaskClient:
    install_test_keys(app)
    client = app.test_client()
    claims: Any = {"roles": ["admin"], "permissions": ["reports:read"], "factors": ["totp"]}
    sign_in(client, "user-1", email_verified=True, plan={"v": "pro", "t": 0}, **claims)
    return client


def expired(app: Flask) -> FlaskClient:
    client = signed_in(app)
    expire(client)
    return client


# --- the examples --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", WITH_CODE)
def test_examples_of_a_page_run(run: Run, name: str) -> None:
    """Every view and template does; with ``app.testing``, what fails in one is raised here."""
    app = run(name)["app"]
    plain = [rule for rule in app.url_map.iter_rules() if not rule.arguments]
    for address in (rule.rule for rule in plain if "GET" in (rule.methods or ())):
        shown = signed_in(app).get(address, headers=BROWSER)
        assert (address, shown.status_code) == (address, 200)
        for client in (expired(app), app.test_client()):
            assert client.get(address, headers=BROWSER).status_code in (200, 302), address


def test_every_example_is_one_that_runs_or_is_no_python() -> None:
    for name, text in TEXTS.items():
        found = blocks(text)
        # Nothing that Sphinx shows as code hides from the expression above.
        assert len(found) == len(re.findall(r"code-block::|sourcecode::|code::|include::", text))
        assert not re.search(r"^(?!\s*\.\. ).*::$", text, re.MULTILINE), name
        for block in found:
            assert block.language in {"python", "jinja"} | NOT_RUN
            assert block.file.startswith("templates/") == (block.language == "jinja")


def test_the_quickstart_signs_up_greets_and_knows_its_admin(run: Run) -> None:
    app = run("quickstart")["app"]
    client = app.test_client()
    assert client.get("/account", headers=BROWSER).location == "/auth?redirectToPath=/account"
    assert 'data-return-path="/account"' in client.get("/auth?redirectToPath=/account").text
    user_id = signed_up(client)
    assert f"Hello, {user_id}." in client.get("/account", headers=BROWSER).text
    refused = client.get("/admin", headers=BROWSER)
    assert (refused.status_code, "for administrators" in refused.text) == (403, True)
    (command,) = re.findall(r"\$ flask (make-admin) ", TEXTS["quickstart"])
    for who, status, said in ((user_id, 0, "next sign-in"), ("nobody", 1, "no such user")):
        result = app.test_cli_runner().invoke(args=[command, who], catch_exceptions=False)
        assert (result.exit_code, said in result.output) == (status, True)
    signed_up(client, "signin")
    assert "Your roles: admin" in client.get("/admin", headers=BROWSER).text


def signed_up(client: FlaskClient, how: str = "signup") -> str:
    """Sign a user up, or in, through the app's SDK, and return the user's id."""
    form = [{"id": "email", "value": "a@b.test"}, {"id": "password", "value": "password1"}]
    cookies = {"st-auth-mode": "cookie"}
    answer: Any = client.post(f"/auth/{how}", json={"formFields": form}, headers=cookies).json
    return str(answer["user"]["id"])


def test_forms_under_both_decorators_change_the_session_and_end_it(run: Run) -> None:
    app = run("moving")["app"]
    client = app.test_client()
    user_id = signed_up(client)
    client.set_cookie("sFrontToken", "the browser SDK's")
    assert client.post("/theme", data={"theme": "dark"}, headers=BROWSER).location == "/account"
    token: Any = client.get_cookie("sAccessToken")
    assert decode_unverified_token(token.value).payload["theme"] == "dark"
    assert client.get("/account", headers=BROWSER).text == f"Hello, {user_id}"
    assert client.post("/sign-out", headers=BROWSER).location == "/"
    signed_out = client.get("/account", headers=BROWSER)
    assert signed_out.headers["SSR-Session"] == "anonymous; reason=anonymous"
    late = expired(app).post("/theme", data={"theme": "dark"}, headers=BROWSER)
    assert (late.status_code, late.headers["SSR-Session"]) == (401, "refresh; reason=expired")
    assert late.mimetype == "text/html"


def test_the_page_for_the_address_is_where_visitors_are_led(run: Run) -> None:
    client = run("moving")["app"].test_client()
    signed_up(client)
    drafts = client.get("/drafts", headers=BROWSER)
    assert drafts.status_code == 403
    assert 'data-cure="/auth/verify-email?redirectToPath=/drafts"' in drafts.text
    for back, target in (("/drafts", "/drafts"), ("//evil.example", "/")):
        page = client.get("/auth/verify-email", query_string={"redirectToPath": back})
        assert f'<a href="{target}">go on</a>' in page.text


def test_the_tests_that_are_shown_pass(run: Run) -> None:
    names = run("testing")
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) >= 8
    for test in tests:
        fixtures = inspect.signature(test).parameters
        test(**{fixture: names[fixture].__wrapped__() for fixture in fixtures})


def test_the_overrides_that_are_shown_are_what_a_visitor_sees(run: Run) -> None:
    app = run("templates")["app"]
    client = expired(app)
    account = client.get("/account", headers=BROWSER).text
    assert "we are fetching your things" in account
    assert '<html lang="de"' in account
    assert "<title data-ssr-title>Einen Augenblick …</title>" in account
    assert ">Einen Augenblick …</h3>" in client.get("/templates/german.html", headers=BROWSER).text
    # Templates that decide show nothing to strangers.
    assert "Hello, user-1. Your roles: admin" in signed_in(app).get("/dashboard").text
    assert "Hello" not in app.test_client().get("/dashboard", headers=BROWSER).text
    assert "<p>Welcome</p>" in app.test_client().get("/front", headers=BROWSER).text


def test_conditions_that_are_shown_close_their_views(run: Run) -> None:
    app = run("decorators")["app"]
    assert app.test_client().get("/").text == "Hello, stranger"
    client = signed_in(app)
    sign_in(client, roles=["reader"], email_verified=True)
    for address in ("/reports", "/drafts", "/admin/"):
        refused = client.get(address, headers=BROWSER)
        text = "reports" if address == "/reports" else "right to see this page"
        assert (refused.status_code, text in refused.text) == (403, True)
    sign_in(client, roles=["editor"], email_verified=False)
    assert client.get("/drafts", headers=BROWSER).text == "You have no right to see this page"


def test_sessions_of_another_tenant_see_nothing(run: Run) -> None:
    app = run("tenants")["app"]
    client = signed_in(app)
    for tenant, host, status in (
        ("red", "red.example.com", 200),
        ("red", "blue.example.com", 403),
        ("public", "red.example.com", 403),
        ("public", "other.example.com", 404),
    ):
        # Cookies are set for it. With it, Flask 3.0 matches no route on a sub-domain.
        app.config["SERVER_NAME"] = "example.com"
        sign_in(client, tenant_id=tenant)
        app.config["SERVER_NAME"] = None
        shown = client.get("/account", base_url=f"http://{host}", headers=BROWSER)
        assert (shown.status_code, "Account of" in shown.text) == (status, status == 200), host


def test_each_sub_domain_has_its_sign_in_page(run: Run) -> None:
    shops = run("tenants")["shops"]
    shops.testing = True
    client = signed_in(shops)
    at_red = {"base_url": "http://red.example.com", "headers": BROWSER}
    assert client.get("/orders", **at_red).text == "Orders at red"
    expire(client)
    assert 'data-ssr-session="refresh"' in client.get("/orders", **at_red).text
    stranger = shops.test_client()
    assert stranger.get("/orders", **at_red).location == "/auth?redirectToPath=/orders"
    assert stranger.get("/auth", **at_red).text == "Sign in at red"


def test_the_users_of_the_app_are_loaded_as_shown(run: Run, live_core: DevelopmentCore) -> None:
    init_sdk(live_core.uri, [emailpassword.init(), session.init()])
    names = run("users")
    client = signed_in(names["app"])
    assert "Hello, Ada." in client.get("/templates/home.html", headers=BROWSER).text
    assert client.get("/desk", headers=BROWSER).text == "Desk of Ada"
    new: Any = sign_up("public", "bea@b.test", "password1")
    sign_in(client, new.user.id)
    assert 'data-cure="/welcome?redirectToPath=/desk"' in client.get("/desk", headers=BROWSER).text
    for name in ("Bea", "Eve"):  # the second does not overwrite the first
        assert client.post("/welcome", data={"name": name}, headers=BROWSER).location == "/"
        assert client.get("/desk", headers=BROWSER).text == "Desk of Bea"
    assert names["users"][new.user.id]["email"] == "bea@b.test"


def test_flask_login_is_connected_as_shown(run: Run) -> None:
    app = run("flask-login")["app"]
    assert signed_in(app).get("/account", headers=BROWSER).text == "Hello, user-1"
    assert 'data-ssr-session="refresh"' in expired(app).get("/account", headers=BROWSER).text
    assert expired(app).get("/account").status_code == 401
    stranger = app.test_client().get("/account", headers=BROWSER)
    assert stranger.location == "/auth?redirectToPath=/account"
    with outage(app):
        assert signed_in(app).get("/account", headers=BROWSER).status_code == 503


def shown_and_said(run: Run, page: str) -> tuple[str, str]:
    """Return the output that a page shows of a command, and what the command says."""
    (shown,) = (block.source for block in blocks(TEXTS[page]) if block.language == "console")
    command, _, output = shown.lstrip("\n").partition("\n")
    runner = run(page)["app"].test_cli_runner()
    return output, runner.invoke(args=command.split()[2:]).output


def test_the_doctor_says_what_is_shown_of_it(run: Run) -> None:
    output, said = shown_and_said(run, "doctor")
    assert said.splitlines()[-1] == "9 ok, 0 warnings, 1 problem"
    # The page breaks long lines, and its SDK is one of several that will do.
    told = {re.sub(r"supertokens-python \S+|\s+", " ", each).strip() for each in (said, output)}
    assert len(told) == 1, told


def test_the_list_of_routes_says_what_is_shown_of_it(run: Run) -> None:
    output, told = shown_and_said(run, "routes")
    # The page leaves out other routes, and breaks long lines.
    said = {" ".join(line.split()) for line in told.splitlines()}
    *table, note = output.split("\n\n")
    assert {" ".join(line.split()) for line in table[0].splitlines()} <= said
    assert " ".join(note.split()) in said


# --- what the pages name -------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(TEXTS.keys() - {"api"}))  # it says how it is built
def test_a_forge_shows_all_of_a_page(name: str) -> None:
    """A forge has docutils alone, which leaves out what only Sphinx knows."""
    silent = {"report_level": 5, "halt_level": 5}
    page = publish_doctree(TEXTS[name], settings_overrides=silent)
    lost = [each.astext() for each in page.findall(nodes.system_message) if each["level"] > 1]
    # The index lists the pages of each tree above it, too.
    assert [each for each in lost if name != "index" or "toctree" not in each] == []
    shown = [n.astext() for n in page.findall(nodes.literal_block) if "code" in n["classes"]]
    assert shown == [block.source.strip("\n") for block in blocks(TEXTS[name])]
    for link in page.findall(nodes.reference):
        file, _, label = link.get("refuri", "").partition("#")
        if not re.match("https?:", file):
            assert not label or f"\n.. _{label}:\n" in TEXTS[file.removesuffix(".rst")], link


def test_settings_are_described_in_the_words_of_the_code() -> None:
    described = re.findall(r"^``(SSR_SESSION_\w+)``$", TEXTS["configuration"], re.MULTILINE)
    assert sorted(described) == sorted(PREFIX + name.upper() for name in FIELDS)
    text = " ".join(TEXTS["configuration"].split())
    for name, field in FIELDS.items():
        number = isinstance(field.default, float)
        default = f"``{field.default:.0f}``" if number else f"``{field.default}``"
        facts = f"Takes {field.type.description}. Default: {default}. Keyword: ``{name}``."
        if field.default in (None, ()):
            facts += f" For example ``{field.example}``."
        said = f"``{PREFIX}{name.upper()}`` {facts.replace('``None``', 'not set')}"
        assert said in text, said


def test_the_table_of_verdicts_names_each_of_them() -> None:
    for reason in Reason:
        said = f"``{Verdict(reason).state.value}; reason={reason.value}``"
        assert (said in TEXTS["verdicts"]) == (reason is not Reason.ACTIVE)


def test_troubleshooting_knows_every_line_of_the_log() -> None:
    written = re.compile(
        r'(?:log\.write\(\s*logging\.\w+,|warn_once\(|_report_dead_end\(\s*app_state,)\s*f?"(\w+)'
    )
    package = (ROOT / "flask_ssr_session").rglob("*.py")
    reasons = {slug for path in package for slug in written.findall(path.read_text("utf-8"))}
    assert reasons >= {"keys_not_renewed", "keys_renewed", "other_host", "private"}
    for reason in reasons:
        assert f"``{reason}" in TEXTS["troubleshooting"], reason


# What visitors read, and what of it a page quotes.
SHOWN = (ROOT / "templates" / "refresh_texts.html").read_text("utf-8")
QUOTES = re.findall(r'^"(.*)"$', TEXTS["troubleshooting"], re.MULTILINE)


def test_troubleshooting_quotes_what_visitors_and_developers_read() -> None:
    assert len(QUOTES) >= 6
    for quote in QUOTES:
        assert quote.lower().replace("500", "{status}") in SHOWN.lower(), quote
    package = (ROOT / "flask_ssr_session").rglob("*.py")
    source = " ".join(path.read_text("utf-8") for path in package)
    # Messages are written over several lines.
    messages = re.sub(r'"\s+f?"', "", source)
    errors = re.findall(r"^   \* - \*(.*)\*$", TEXTS["troubleshooting"], re.MULTILINE)
    assert len(errors) >= 6
    for error in errors:
        assert error in messages, error


def test_troubleshooting_knows_every_cause_that_a_stopped_page_names() -> None:
    macro = (ROOT / "templates" / "refresh_page.html").read_text("utf-8")
    shown = SHOWN.partition("set default_texts =")[2]
    listed = re.findall(r"for cause in \((.*)\) %}", macro)
    causes = {"status", *re.findall(r'"(\w+)"', " ".join(listed))}
    assert causes > {"absent", "refused"}
    for cause in causes:
        (text,) = re.findall(rf'^    "{cause}": "(.*)",$', shown, re.MULTILINE)
        said = text.lower().replace("{status}", "500")
        assert any(quote.lower() in said for quote in QUOTES), cause


def test_forms_names_every_word_that_looks_like_a_secret() -> None:
    named = TEXTS["forms"].partition("looks like a secret.")[2].partition("Flask-WTF")[0]
    within, _, alone = named.partition("word of its own")
    assert re.findall("``(\\w+)``", within) == list(form_replay._SECRETS)
    assert set(re.findall("``(\\w+)``", alone)) == form_replay._SECRET_WORDS | {"newPass2"}


def test_the_reference_lists_every_public_name() -> None:
    directive = r"^\.\. auto(?:class|data|function|exception):: (\w+)$"
    listed = re.findall(directive, TEXTS["api"], re.MULTILINE)
    assert sorted(listed) == sorted(flask_ssr_session.__all__)


@pytest.mark.parametrize("name", ["jwks_max_stale_seconds", "leeway_seconds"])
def test_the_range_that_is_shown_is_the_one_that_holds(name: str) -> None:
    least, most = map(int, re.findall(r"\d+", FIELDS[name].type.description))
    for seconds in (least, most):
        assert getattr(Settings.from_mappings({}, {name: seconds}), name) == seconds
    for seconds in (least - 1, most + 1):
        with pytest.raises(ConfigError, match=f"{least} to {most}"):
            Settings.from_mappings({}, {name: seconds})
