"""The testing kit for apps."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from flask import Flask, g
from flask.testing import FlaskClient
from flask_login import FlaskLoginClient, LoginManager, UserMixin, current_user, login_required

import flask_ssr_session
from flask_ssr_session import FlaskSSRSession, MisuseError, session_required
from flask_ssr_session.sansio.jwt import decode_unverified_token
from flask_ssr_session.testing import (
    PAGE_HEADERS,
    SCRIPT_HEADERS,
    SessionSigner,
    change_claims,
    core_outage,
    expire,
    install_test_keys,
    outage,
    page_client,
    revoke,
    set_token,
    sign_in,
    sign_out,
    signer_for,
)
from flask_ssr_session.testing import signer as signer_module
from tests.app import apps
from tests.app.conftest import client, no_sdk
from tests.browser_requests import FETCH
from tests.tables import rows
from tests.tokens import make_token

__all__ = ["client", "no_sdk"]

Outage = Callable[[Flask], AbstractContextManager[None]]


@pytest.fixture(name="app")
def app_with_checked_view() -> Flask:
    app = apps.with_views(apps.make_app())
    checked = session_required(check_revoked=True)(lambda: "still there")
    app.add_url_rule("/checked", "checked", checked)
    return app


def reason(client: FlaskClient, path: str = "/checked") -> str:
    """Return why a page is withheld, or ``content``."""
    header: str = client.get(path, headers=PAGE_HEADERS).headers.get("SSR-Session", "content")
    return header.rpartition("reason=")[2]


def claims_of(client: FlaskClient) -> dict[str, Any]:
    cookie = client.get_cookie("sAccessToken")
    assert cookie is not None
    return dict(decode_unverified_token(cookie.value).payload)


# --- where the keys are installed ----------------------------------------------------------------


def test_test_keys_need_testing_and_replace_all_others(other_private_key: RSAPrivateKey) -> None:
    """If TESTING stays on in production, no user can sign in, but no attacker either."""
    given = SessionSigner("d-given", other_private_key)
    app = apps.with_views(Flask("in_production"))
    with pytest.raises(MisuseError, match=r"works only if app\.testing is set"):
        install_test_keys(app)
    app.testing = True
    with pytest.raises(MisuseError, match=r"call FlaskSSRSession\(app\) before"):
        install_test_keys(app)
    app.testing = False
    FlaskSSRSession(app, jwks={"keys": [given.jwk()]}, api_domain=apps.API_DOMAIN)
    client = app.test_client()
    set_token(client, make_token())
    helpers: list[Callable[[], Any]] = [
        lambda: sign_in(client),
        lambda: expire(client),
        lambda: revoke(client),
        lambda: signer_for(app),
        lambda: outage(app).__enter__(),
        lambda: core_outage(app).__enter__(),
    ]
    for helper in helpers:
        with pytest.raises(MisuseError, match=r"call install_test_keys\(app\) first"):
            helper()

    def trusted() -> list[bool]:
        answers = []
        for token in (given.sign(given.claims()), make_token()):
            set_token(client, token)
            answers.append(client.get("/account").status_code == 200)
        return answers

    assert trusted() == [True, False]
    app.testing = True
    assert trusted() == [True, False]
    install_test_keys(app)
    assert trusted() == [False, True]


def test_threads_that_sign_first_and_at_once_share_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Creating a key takes so long that no thread finds one."""
    make_key = signer_module._process_key.__wrapped__
    monkeypatch.setattr(signer_module, "_process_key", lru_cache(make_key))
    all_are_here = threading.Barrier(4)

    def sign_first(_: int) -> RSAPrivateKey:
        all_are_here.wait(10)
        return SessionSigner().private_key

    with ThreadPoolExecutor(4) as pool:
        assert len(set(map(id, pool.map(sign_first, range(4))))) == 1


@pytest.mark.parametrize(
    "server_name",
    [None, "localhost", "app.example.com", "app.example.com:8443", "App.Example.com", "[::1]:5000"],
)
def test_every_state_can_be_had_on_a_plain_client(app: Flask, server_name: str | None) -> None:
    app.config["SERVER_NAME"] = server_name
    client = app.test_client()

    def tamper(**claims: Any) -> None:
        signer = signer_for(app)
        set_token(client, signer.sign({**signer.claims("user-8"), **claims}))

    assert reason(client) == "anonymous"
    sign_in(client, "user-3")
    assert client.get("/account").text == "account of user-3"
    with outage(app):
        assert reason(client) == "keys_unavailable"
        sign_in(client)  # works during an outage
        assert reason(client) == "keys_unavailable"
    with core_outage(app):
        assert (reason(client), reason(client, "/account")) == ("core_unavailable", "content")
    with contextlib.suppress(ZeroDivisionError), outage(app), core_outage(app):
        raise ZeroDivisionError
    assert reason(client) == "content"
    revoke(client)
    assert (reason(client), reason(client, "/account")) == ("revoked", "content")
    with outage(app):
        assert reason(client) == "keys_unavailable"
    install_test_keys(app)  # forgets who was revoked
    assert reason(client) == "content"
    revoke(client)
    expire(client)
    assert reason(client) == reason(client, "/account") == "expired"
    with outage(app):
        assert reason(client) == "expired"
    sign_in(client, iat=time.time() + 3600, exp=time.time() + 7200)
    assert reason(client) == "clock"
    sign_in(client, valid_seconds=-1)
    assert reason(client) == "expired"
    sign_in(client, valid_seconds=60)
    assert reason(client) == "content"
    tamper()
    assert client.get("/account").text == "account of user-8"
    tamper(sub=None)
    assert reason(client) == "invalid"
    for helper in (expire, revoke):
        with pytest.raises(MisuseError, match=rf"{helper.__name__}\(\): .* not a session's"):
            helper(client)
    set_token(client, "nonsense")
    assert reason(client) == "invalid"
    sign_out(client)
    assert reason(client) == "anonymous"
    for helper in (expire, revoke):
        with pytest.raises(MisuseError, match=rf"{helper.__name__}\(\): .* call sign_in\(\) first"):
            helper(client)


def test_client_gets_the_cookies_of_a_browser(client: FlaskClient) -> None:
    names = ("sAccessToken", "sFrontToken", "st-last-access-token-update")
    sign_in(client)
    assert [bool(client.get_cookie(name)) for name in names] == [True, True, True]
    client.delete_cookie("sAccessToken")
    assert reason(client) == "token_missing"
    sign_in(client)
    client.set_cookie("sAccessToken", make_token(user_id="user-2"), path="/checked")
    assert reason(client) == "duplicate"
    client.delete_cookie("sAccessToken", path="/checked")
    sign_out(client)
    assert [bool(client.get_cookie(name)) for name in names] == [False, False, True]


def test_expiring_changes_nothing_but_the_times() -> None:
    client = apps.make_app(always_try_refresh=True).test_client()
    sign_in(client, "user-6", roles=["admin"], theme="dark")
    before = claims_of(client)
    for _ in range(2):
        expire(client)
        after = claims_of(client)
        assert after["exp"] < time.time() < before["exp"]
        assert after | {"iat": before["iat"], "exp": before["exp"]} == before


@pytest.mark.parametrize("dynamic", [True, False, None])
@pytest.mark.parametrize("issuer", [None, "https://api.example.com/auth"])
def test_tokens_fit_the_issuer_and_key_of_the_app(dynamic: bool | None, issuer: str | None) -> None:
    sdk = apps.sdk_values(dynamic_signing_key=dynamic)
    client = apps.with_views(apps.make_app(sdk=sdk, issuer=issuer)).test_client()
    sign_in(client)
    assert client.get("/account").text == "account of user-1"
    expire(client)
    assert reason(client, "/account") == "expired"
    # The rules themselves apply: a token that breaks one is rejected.
    for kid, iss in (("d-test", issuer), ("s-test", issuer), ("d-test", "https://evil.example")):
        set_token(client, SessionSigner(kid, issuer=iss).sign(SessionSigner(issuer=iss).claims()))
        fits = dynamic in (None, kid == "d-test") and (issuer is None or iss == issuer)
        assert (client.get("/account").status_code == 200) == fits, (kid, iss)


@rows("out_of_reach", {"of the keys": outage, "of the core": core_outage})
def test_outage_lasts_while_wanted(app: Flask, client: FlaskClient, out_of_reach: Outage) -> None:
    """Fixtures and threads may end in any order."""
    is_core = out_of_reach is core_outage
    other = outage if is_core else core_outage
    sign_in(client)
    first, second = out_of_reach(app), out_of_reach(app)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    with other(app):
        pass
    install_test_keys(app)
    assert reason(client) == ("core_unavailable" if is_core else "keys_unavailable")
    second.__exit__(None, None, None)
    assert reason(client) == "content"


def test_outage_and_revoked_session_of_one_app_are_not_another_apps(client: FlaskClient) -> None:
    other = apps.make_app("other")
    stranger = other.test_client()
    for each in (client, stranger):
        set_token(each, make_token(sessionHandle="shared"))
    revoke(stranger)
    with outage(other), core_outage(other):
        assert reason(client) == "content"
    revoke(client)
    assert reason(client) == "revoked"


def test_claims_of_the_signed_in_user_can_be_chosen(client: FlaskClient) -> None:
    chosen = {"roles": ["admin"], "permissions": ["read", "write"], "email_verified": False}
    sign_in(client, "user-5", tenant_id="shop", mfa_complete=True, theme="dark", **chosen)  # type: ignore[arg-type]
    with client:
        client.get("/account")
        assert (g.session.user_id, g.session.tenant_id) == ("user-5", "shop")
        assert (g.session.roles, g.session.permissions) == (("admin",), ("read", "write"))
        assert g.session.email_verified is False
        assert g.session.access_token_payload["theme"] == "dark"
        sign_in(client)
        client.get("/account")
        assert (g.session.roles, g.session.permissions) == ((), ())
        # No claim is added that nobody asks for.
        assert not [name for name in g.session.access_token_payload if name.startswith("st-")]


ODD_CLAIMS: dict[str, Any] = {
    "one role": ({"roles": "admin"}, "roles= takes a list"),
    "one permission": ({"permissions": "read"}, "permissions= takes a list"),
    "verified as a text": ({"email_verified": "yes"}, "email_verified= takes True, False or"),
    "complete as a text": ({"mfa_complete": "yes"}, "mfa_complete= takes True, False or"),
    "roles as a number": ({"roles": 1}, "roles= takes a list"),
    "one factor": ({"factors": "totp"}, "factors= takes a list of names, or a mapping"),
    "an age as a text": ({"factors": {"totp": "600"}}, "factors={'totp': …} takes a number"),
    "a negative age": ({"factors": {"totp": -1}}, "factors={'totp': …} takes a number"),
    "role=": ({"role": "admin"}, "role= is not a SuperTokens claim: use roles=."),
    "permission=": ({"permission": ["read"]}, "SuperTokens claim: use permissions=."),
    "factor=": ({"factor": "totp"}, "factor= is not a SuperTokens claim: use factors=."),
}


@rows("claims, message", ODD_CLAIMS)
def test_claim_that_misleads_is_an_error(client: FlaskClient, claims: Any, message: str) -> None:
    with pytest.raises(MisuseError, match=re.escape(message)):
        sign_in(client, **claims)
    sign_in(client)
    with pytest.raises(MisuseError, match=re.escape(message)):
        change_claims(client, **claims)


AGES: dict[str, Any] = {
    "now": (0, True),
    "a part of a second": (0.5, True),
    "a number in a text": ("1", False),
    "a unit": ("1h", False),
    "the future": (-1, False),
    "for ever": (float("inf"), False),
    "no number": (float("nan"), False),
    "a switch": (True, False),
    "nothing": (None, False),
}


@rows("given, is_allowed", AGES)
def test_age_is_a_number_of_seconds(client: FlaskClient, given: Any, is_allowed: bool) -> None:
    sign_in(client)
    calls: list[Callable[[], None]] = [
        lambda: sign_in(client, signed_in=given),
        lambda: sign_in(client, factors={"totp": given}),
        lambda: change_claims(client, factors={"totp": given}),
    ]
    for call in calls:
        with contextlib.nullcontext() if is_allowed else pytest.raises(MisuseError, match=", 0 or"):
            call()


RECIPES: dict[str, Any] = {
    "verified by itself": ((apps.EMAIL,), {}, 200),
    "verified is set to False": ((apps.EMAIL,), {"email_verified": False}, 403),
    "complete by itself": ((apps.MFA,), {}, 200),
    "complete is set to False": ((apps.MFA,), {"mfa_complete": False}, 403),
    "incomplete without the recipe": ((), {"mfa_complete": False}, 403),
    "both by themselves": ((apps.EMAIL, apps.MFA), {}, 200),
    "verified is set as a claim": ((apps.EMAIL, apps.MFA), {"st-ev": {"v": False, "t": 1}}, 403),
    "complete is set as an odd claim": ((apps.EMAIL, apps.MFA), {"st-mfa": {"c": {}}}, 403),
}


@rows("recipes, claims, status", RECIPES)
def test_sign_in_satisfies_the_recipes_unless_told(recipes: Any, claims: Any, status: int) -> None:
    sdk = apps.sdk_values(global_claims=apps.FakeGlobalClaims(*recipes))
    client = apps.with_views(apps.make_app(sdk=sdk)).test_client()
    sign_in(client, **claims)
    assert client.get("/account", headers=FETCH).status_code == status


# --- hosts and other clients ---------------------------------------------------------------------


COOKIE_DOMAINS: dict[str, Any] = {
    "host-only cookies": (None, 401),
    "cookies of the domain": (".example.com", 200),
    "cookies of the domain without a dot": ("example.com", 200),
    "cookies of another domain": (".elsewhere.example", 401),
}


@rows("cookie_domain, at_shop", COOKIE_DOMAINS)
def test_cookies_go_where_their_domain_lets_them(cookie_domain: str | None, at_shop: int) -> None:
    app = Flask("sub-domains", subdomain_matching=True)
    app.config.update(TESTING=True, SERVER_NAME="example.com")
    FlaskSSRSession(app, api_domain=apps.API_DOMAIN, cookie_domain=cookie_domain)
    install_test_keys(app)
    view = session_required(lambda: "content")
    app.add_url_rule("/account", "account", view)
    app.add_url_rule("/account", "shop", view, subdomain="shop")
    client = app.test_client()
    steps: list[tuple[Callable[[FlaskClient], None], list[int]]] = [
        *((sign_in, [200, at_shop]), (expire, [401, 401])),
        *((sign_in, [200, at_shop]), (sign_out, [401, 401])),
    ]
    for step, expected in steps:
        step(client)
        hosts = ("http://example.com", "http://shop.example.com")
        statuses = [client.get("/account", base_url=host).status_code for host in hosts]
        assert statuses == expected, step.__name__


@pytest.mark.parametrize("server_name", [None, "app.example.com"])
def test_client_of_flask_login_carries_both_sign_ins(app: Flask, server_name: str | None) -> None:
    app.config.update(SERVER_NAME=server_name, SECRET_KEY="for this test")

    class User(UserMixin):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            self.id = name

    LoginManager(app).user_loader(User)
    both = login_required(session_required(lambda: f"{current_user.id} and {g.session.user_id}"))
    app.add_url_rule("/both", "both", both)
    app.test_client_class = FlaskLoginClient
    client, stranger = app.test_client(user=User("local")), app.test_client()
    assert client.get("/both").status_code == 401
    for each in (client, stranger):
        sign_in(each)
        assert each.get("/account").text == "account of user-1"
    assert client.get("/both").text == "local and user-1"
    assert stranger.get("/both").status_code == 401
    sign_out(client)
    assert client.get("/both", headers=PAGE_HEADERS).status_code == 302


@rows(
    "make, headers, is_page",
    {
        "page client": (page_client, {}, True),
        "test client": (Flask.test_client, {}, False),
        "test client, as a page": (Flask.test_client, PAGE_HEADERS, True),
        "page client, as a script": (page_client, SCRIPT_HEADERS, False),
        "page client, as htmx": (page_client, {**SCRIPT_HEADERS, "HX-Request": "true"}, False),
        "page client, from another site": (page_client, {"Sec-Fetch-Site": "cross-site"}, True),
    },
)
def test_page_client_asks_for_pages(app: Flask, make: Any, headers: Any, is_page: bool) -> None:
    client = make(app)
    sign_in(client)
    expire(client)
    answer = client.get("/account", headers=headers)
    told = answer.text if is_page else str(answer.json)
    assert told.startswith("<!doctype html>" if is_page else "{'message': 'try refresh token'}")


# --- the pytest plugin ---------------------------------------------------------------------------

_CONFTEST = """pytest_plugins = ["flask_ssr_session.pytest_plugin"]

import pytest
from flask import Flask, g
from flask_ssr_session import FlaskSSRSession, session_required


@pytest.fixture
def app():
    app = Flask("theirs")
    app.testing = True
    FlaskSSRSession(app, api_domain="https://api.example.com")
    for path, condition in (("/account", {}), ("/admin", dict(role="admin", check_revoked=True))):
        app.add_url_rule(path, path, session_required(**condition)(lambda: g.session.user_id))
    return app
"""
_OWN_TESTS = """
import pytest
from flask_ssr_session import MisuseError
from flask_ssr_session.testing import SCRIPT_HEADERS


def test_every_visitor(
    signed_in_as, expired_client, revoked_client, anonymous_client, ssr_session_app, app
):
    assert ssr_session_app is app
    assert signed_in_as("user-2", roles=["admin"]).get("/admin").text == "user-2"
    assert expired_client.get("/account").headers["SSR-Session"].endswith("expired")
    assert "<script" in expired_client.get("/account").text
    script = anonymous_client.get("/account", headers=SCRIPT_HEADERS)
    assert script.json == {"message": "unauthorised"}
    assert revoked_client.get("/account").text == "user-1"
    assert revoked_client.get("/admin").headers["SSR-Session"].endswith("revoked")


def test_core_outage(signed_in_as, core_outage):
    assert signed_in_as(roles=["admin"]).get("/admin").status_code == 503
    assert signed_in_as(roles=["admin"]).get("/account").status_code == 200


def test_app_that_is_not_being_tested_is_refused(app, request):
    app.testing = False
    with pytest.raises(MisuseError, match="works only if app.testing is set"):
        request.getfixturevalue("signed_in_client")
"""


def test_fixtures_are_there_where_they_are_asked_for(tmp_path: Path) -> None:
    """The tests in the plugin's documentation, and a few more, in a project of their own."""
    # Not imported: pytest has to be the first to import a plugin.
    plugin = Path(flask_ssr_session.__file__).with_name("pytest_plugin.py")
    text = plugin.read_text(encoding="utf-8")
    assert f"    {_CONFTEST.splitlines()[0]}\n" in text
    documented = re.findall(r"::\n\n((?:    (?:def test_|from ).*\n|     .*\n|\n)+)", text)
    assert len(documented) == 2
    (tmp_path / "conftest.py").write_text(_CONFTEST)
    (tmp_path / "test_own.py").write_text(_OWN_TESTS + textwrap.dedent("".join(documented)))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    command += ["--rootdir", str(tmp_path), str(tmp_path)]
    alone = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    output = subprocess.run(command, env=alone, capture_output=True, text=True, check=False).stdout
    assert "7 passed" in output, output


def test_fixtures_are_not_there_where_nobody_asked() -> None:
    plugins = [entry.value for entry in entry_points(group="pytest11")]
    assert plugins
    assert not [plugin for plugin in plugins if plugin.startswith("flask_ssr_session")]
