"""The testing kit for apps."""

from __future__ import annotations

import contextlib
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
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from flask import Flask, g
from flask.testing import FlaskClient
from flask_login import FlaskLoginClient, LoginManager, UserMixin, current_user, login_required

from flask_ssr_session import FlaskSSRSession, MisuseError, app_state, session_required
from flask_ssr_session.sansio.jwt import decode_unverified_token
from flask_ssr_session.testing import (
    PAGE_HEADERS,
    SessionSigner,
    core_outage,
    expire,
    install_test_keys,
    outage,
    revoke,
    set_token,
    sign_in,
    sign_out,
    signer_for,
)
from flask_ssr_session.testing import signer as signer_module
from tests.browser_requests import FETCH, PAGE
from tests.tokens import make_token

from .conftest import (
    API_DOMAIN,
    EMAIL,
    MFA,
    FakeGlobalClaims,
    cookies,
    make_app,
    page_shown,
    sdk_values,
    with_views,
)


def test_keys_are_refused_unless_the_app_is_being_tested() -> None:
    app = with_views(Flask("in_production"))
    FlaskSSRSession(app, jwks={"keys": [SessionSigner("d-other").jwk()]}, api_domain=API_DOMAIN)
    with pytest.raises(MisuseError, match=r"app\.testing is set"):
        install_test_keys(app)
    for helper in (sign_in, expire):
        with pytest.raises(MisuseError, match=r"install_test_keys\(app\) first|not signed in"):
            helper(app.test_client())
    for out_of_reach in (outage, core_outage):
        with pytest.raises(MisuseError, match="install_test_keys"), out_of_reach(app):
            pass
    with pytest.raises(MisuseError, match="install_test_keys"):
        signer_for(app)
    client = app.test_client(use_cookies=False)
    assert client.get("/account", headers=FETCH | cookies(make_token())).status_code == 401
    app.testing = True
    install_test_keys(app)
    assert client.get("/account", headers=FETCH | cookies(make_token())).status_code == 200


def test_keys_are_refused_where_the_extension_is_not_set_up() -> None:
    app = Flask("bare")
    app.testing = True
    with pytest.raises(MisuseError, match=r"call FlaskSSRSession\(app\) before"):
        install_test_keys(app)


@pytest.mark.parametrize(
    "server_name",
    [None, "localhost", "app.example.com", "app.example.com:8443", "App.Example.com", "[::1]:5000"],
)
def test_client_is_signed_in_expired_signed_out_and_in_an_outage(server_name: str | None) -> None:
    app = with_views(make_app())
    app.config["SERVER_NAME"] = server_name
    client = app.test_client()
    assert client.get("/account", headers=PAGE).status_code == 302
    sign_in(client, "user-3")
    assert client.get("/account", headers=PAGE).text == "account of user-3"
    with outage(app):
        assert client.get("/account", headers=PAGE).status_code == 503
    assert client.get("/account", headers=PAGE).text == "account of user-3"
    expire(client)
    response = client.get("/account", headers=PAGE)
    assert page_shown(response) == "refresh"
    assert response.headers["SSR-Session"] == "refresh; reason=expired"
    with outage(app):
        assert page_shown(client.get("/account", headers=PAGE)) == "refresh"
    sign_out(client)
    assert client.get("/account", headers=PAGE).status_code == 302
    assert client.get("/account", headers=PAGE).headers["SSR-Session"].startswith("anonymous")
    sign_in(client, "user-4")
    assert client.get("/account", headers=PAGE).text == "account of user-4"


@pytest.mark.parametrize("dynamic", [True, False, None])
@pytest.mark.parametrize("issuer", [None, "https://api.example.com/auth"])
def test_tokens_fit_the_issuer_and_the_kind_of_key_that_the_app_accepts(
    monkeypatch: pytest.MonkeyPatch, dynamic: bool | None, issuer: str | None
) -> None:
    monkeypatch.setattr(app_state, "read_sdk", lambda: sdk_values(dynamic_signing_key=dynamic))
    app = with_views(make_app(issuer=issuer))
    client = app.test_client()
    sign_in(client)
    assert client.get("/account").text == "account of user-1"
    expire(client)
    assert client.get("/account", headers=PAGE).headers["SSR-Session"].endswith("expired")
    # The rules themselves apply: a token that breaks both is rejected.
    other = app.test_client(use_cookies=False)
    for prefix in ("d-", "s-"):
        signer = SessionSigner(f"{prefix}test")
        token = signer.sign({**signer.claims(), **({"iss": issuer} if issuer else {})})
        fits = dynamic is None or dynamic is (prefix == "d-")
        status = other.get("/account", headers=FETCH | cookies(token)).status_code
        assert status == (200 if fits else 401)
    if issuer:
        foreign = make_token(iss="https://evil.example")
        assert other.get("/account", headers=FETCH | cookies(foreign)).status_code == 401


def test_threads_that_sign_first_and_at_once_share_one_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Creating a key takes so long that no thread finds one."""
    monkeypatch.setattr(
        signer_module, "_process_key", lru_cache(signer_module._process_key.__wrapped__)
    )
    all_are_here = threading.Barrier(4)

    def sign_first(_: int) -> RSAPrivateKey:
        all_are_here.wait(10)
        return SessionSigner().private_key

    with ThreadPoolExecutor(4) as pool:
        keys = list(pool.map(sign_first, range(4)))
    assert len(set(map(id, keys))) == 1


def test_claims_of_the_signed_in_user_can_be_chosen() -> None:
    app = make_app()
    seen: list[Any] = []

    @app.route("/")
    @session_required
    def page() -> str:
        seen.append(g.session)
        return ""

    client = app.test_client()
    sign_in(
        client,
        "user-5",
        tenant_id="shop",
        roles=["admin"],
        permissions=["read", "write"],
        email_verified=False,
        theme="dark",
    )
    client.get("/")
    sign_in(client)
    client.get("/")
    chosen, plain = seen
    assert (chosen.user_id, chosen.tenant_id) == ("user-5", "shop")
    assert (chosen.roles, chosen.permissions) == (("admin",), ("read", "write"))
    assert chosen.email_verified is False
    assert chosen.access_token_payload["theme"] == "dark"
    assert (plain.roles, plain.permissions, plain.email_verified) == ((), (), None)


@pytest.mark.parametrize(
    ("claims", "message"),
    [
        ({"roles": "admin"}, "roles= takes a list"),
        ({"permissions": "read"}, "permissions= takes a list"),
        ({"email_verified": "yes"}, "email_verified= takes True, False or None"),
        ({"role": "admin"}, "role= is not a SuperTokens claim"),
        ({"permission": ["read"]}, "permission= is not a SuperTokens claim"),
    ],
)
def test_claim_that_would_not_say_what_it_seems_to_is_an_error(
    client: FlaskClient, claims: dict[str, Any], message: str
) -> None:
    with pytest.raises(MisuseError, match=message):
        sign_in(client, **claims)


def test_expiring_changes_nothing_but_the_times() -> None:
    app = make_app(always_try_refresh=True)
    client = app.test_client()
    sign_in(client, "user-6", roles=["admin"], theme="dark")
    before = _claims(client)
    expire(client)
    after = _claims(client)
    assert after["exp"] < time.time() < before["exp"]
    assert {k: v for k, v in after.items() if k not in ("iat", "exp")} == {
        k: v for k, v in before.items() if k not in ("iat", "exp")
    }
    expire(client)
    assert _claims(client)["theme"] == "dark"


def _claims(client: FlaskClient) -> dict[str, Any]:
    cookie = client.get_cookie("sAccessToken")
    assert cookie is not None
    return dict(decode_unverified_token(cookie.value).payload)


def test_expiring_a_client_that_is_not_signed_in_says_what_to_do(client: FlaskClient) -> None:
    with pytest.raises(MisuseError, match=r"call sign_in\(\) first"):
        expire(client)


def test_session_shorter_than_an_hour_can_be_asked_for(client: FlaskClient) -> None:
    sign_in(client, valid_seconds=-1)
    assert client.get("/account", headers=PAGE).headers["SSR-Session"].endswith("expired")
    sign_in(client, valid_seconds=60)
    assert client.get("/account").status_code == 200


def test_outage_ends_with_its_block_even_by_an_error(app: Flask, client: FlaskClient) -> None:
    sign_in(client)
    with contextlib.suppress(ZeroDivisionError), outage(app):
        assert client.get("/account", headers=PAGE).status_code == 503
        raise ZeroDivisionError
    assert client.get("/account").status_code == 200


def test_signing_in_works_during_an_outage(app: Flask, client: FlaskClient) -> None:
    with outage(app):
        sign_in(client)
        assert client.get("/account", headers=PAGE).status_code == 503
    assert client.get("/account").status_code == 200


def test_client_gets_the_cookies_of_a_browser(client: FlaskClient) -> None:
    sign_in(client)
    names = ("sAccessToken", "sFrontToken", "st-last-access-token-update")
    assert all(client.get_cookie(name) for name in names)
    sign_out(client)
    assert [bool(client.get_cookie(name)) for name in names] == [False, False, True]


def test_nothing_in_the_package_imports_the_test_helpers() -> None:
    code = (
        "import pkgutil, sys, flask_ssr_session as package\n"
        "for module in pkgutil.iter_modules(package.__path__):\n"
        "    if module.name not in ('testing', 'pytest_plugin'):\n"
        "        __import__(f'flask_ssr_session.{module.name}')\n"
        "print(sorted(n for n in sys.modules if n.startswith('flask_ssr_session'))[-1])\n"
        "assert 'flask_ssr_session.views' in sys.modules\n"
        "assert 'flask_ssr_session.testing' not in sys.modules\n"
        "assert 'pytest' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def checked_app() -> Flask:
    """Return an app with a view that checks revocation."""
    app = with_views(make_app())

    @app.route("/checked")
    @session_required(check_revoked=True)
    def checked() -> str:
        return f"checked, {g.session.user_id}"

    return app


def _session_header(client: FlaskClient, path: str) -> str:
    return client.get(path, headers=PAGE_HEADERS).headers.get("SSR-Session", "content")


def test_every_state_can_be_had_on_a_plain_client() -> None:
    app = checked_app()
    client = app.test_client()
    signer = signer_for(app)
    assert _session_header(client, "/checked") == "anonymous; reason=anonymous"
    set_token(client, "nonsense")
    assert _session_header(client, "/checked") == "refresh; reason=invalid"
    client.delete_cookie("sAccessToken")
    assert _session_header(client, "/checked") == "refresh; reason=token_missing"
    sign_in(client, iat=time.time() + 3600, exp=time.time() + 7200)
    assert _session_header(client, "/checked") == "unavailable; reason=clock"
    sign_in(client)
    client.set_cookie("sAccessToken", signer.sign(signer.claims("user-2")), path="/checked")
    assert _session_header(client, "/checked") == "refresh; reason=duplicate"
    client.delete_cookie("sAccessToken", path="/checked")
    assert _session_header(client, "/checked") == "content"
    with outage(app):
        assert _session_header(client, "/checked") == "unavailable; reason=keys_unavailable"
    with core_outage(app):
        assert _session_header(client, "/checked") == "unavailable; reason=core_unavailable"
        assert _session_header(client, "/account") == "content"
    revoke(client)
    assert _session_header(client, "/checked") == "refresh; reason=revoked"
    assert _session_header(client, "/account") == "content"
    expire(client)
    assert _session_header(client, "/checked") == "refresh; reason=expired"


def test_outages_may_overlap_and_each_ends_by_itself() -> None:
    app = checked_app()
    client = app.test_client()
    sign_in(client)
    with outage(app):
        with core_outage(app), outage(app):
            assert _session_header(client, "/checked").endswith("keys_unavailable")
        assert _session_header(client, "/checked").endswith("keys_unavailable")
    with core_outage(app):
        with outage(app):
            pass
        assert _session_header(client, "/checked").endswith("core_unavailable")
    assert _session_header(client, "/checked") == "content"


@pytest.mark.parametrize(
    ("out_of_reach", "reason"),
    [(outage, "keys_unavailable"), (core_outage, "core_unavailable")],
)
def test_outage_lasts_as_long_as_anybody_who_asked_for_it(
    out_of_reach: Callable[[Flask], AbstractContextManager[None]], reason: str
) -> None:
    """Fixtures and threads may end in any order."""
    app = checked_app()
    client = app.test_client()
    sign_in(client)
    first, second = out_of_reach(app), out_of_reach(app)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert _session_header(client, "/checked").endswith(reason)
    second.__exit__(None, None, None)
    assert _session_header(client, "/checked") == "content"


def test_installing_the_keys_again_ends_no_outage() -> None:
    app = checked_app()
    client = app.test_client()
    sign_in(client)
    with outage(app), core_outage(app):
        install_test_keys(app)
        assert _session_header(client, "/checked").endswith("keys_unavailable")
    install_test_keys(app)
    assert _session_header(client, "/checked") == "content"


def test_outage_of_one_app_is_not_another_apps() -> None:
    app, other = checked_app(), checked_app()
    client = other.test_client()
    sign_in(client)
    with outage(app), core_outage(app):
        assert _session_header(client, "/checked") == "content"
    with outage(other):
        assert _session_header(client, "/checked").endswith("keys_unavailable")


def test_token_made_by_hand_is_judged_like_any_other(client: FlaskClient) -> None:
    signer = signer_for(client.application)
    claims = signer.claims("user-8")
    set_token(client, signer.sign(claims))
    assert client.get("/account").text == "account of user-8"
    del claims["sub"]
    set_token(client, signer.sign(claims))
    assert _session_header(client, "/account") == "refresh; reason=invalid"
    for helper in (expire, revoke):
        with pytest.raises(MisuseError, match="not a session's"):
            helper(client)


def test_page_headers_are_those_of_a_page_and_of_a_form_of_this_site(
    client: FlaskClient,
) -> None:
    assert client.get("/account").status_code == 401
    assert client.get("/account", headers=PAGE_HEADERS).status_code == 302
    sign_in(client)
    assert client.post("/account", headers=PAGE_HEADERS).text == "account of user-1"
    foreign = {**PAGE_HEADERS, "Sec-Fetch-Site": "cross-site"}
    assert client.post("/account", headers=foreign).status_code == 403


@pytest.mark.parametrize(
    ("cookie_domain", "at_shop"),
    [(None, 401), (".example.com", 200), ("example.com", 200), (".elsewhere.example", 401)],
)
def test_cookies_go_where_the_cookie_domain_lets_them(
    cookie_domain: str | None, at_shop: int
) -> None:
    app = Flask("sub-domains", subdomain_matching=True)
    app.config.update(TESTING=True, SERVER_NAME="example.com")
    FlaskSSRSession(app, api_domain=API_DOMAIN, cookie_domain=cookie_domain)
    install_test_keys(app)

    @app.route("/account")
    @app.route("/account", subdomain="shop")
    @session_required
    def account() -> str:
        return g.session.user_id  # type: ignore[no-any-return]

    client = app.test_client()

    def statuses() -> list[int]:
        hosts = ("http://example.com", "http://shop.example.com")
        return [client.get("/account", base_url=host).status_code for host in hosts]

    sign_in(client)
    assert statuses() == [200, at_shop]
    expire(client)
    assert statuses() == [401, 401]
    sign_in(client)
    assert statuses() == [200, at_shop]
    sign_out(client)
    assert statuses() == [401, 401]


@pytest.mark.parametrize("server_name", [None, "app.example.com"])
def test_client_of_flask_login_carries_both_sign_ins(server_name: str | None) -> None:
    app = with_views(make_app())
    app.config.update(SERVER_NAME=server_name, SECRET_KEY="for this test")
    login = LoginManager(app)

    class User(UserMixin):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            self.id = name

    login.user_loader(User)

    @app.route("/both")
    @login_required  # type: ignore[untyped-decorator]
    @session_required
    def both() -> str:
        return f"{current_user.id} and {g.session.user_id}"

    app.test_client_class = FlaskLoginClient
    client = app.test_client(user=User("local"))
    assert client.get("/both").status_code == 401
    sign_in(client, "user-1")
    assert client.get("/both").text == "local and user-1"
    sign_out(client)
    assert client.get("/both", headers=PAGE_HEADERS).status_code == 302
    stranger = app.test_client()
    sign_in(stranger, "user-1")
    assert stranger.get("/both").status_code == 401
    assert stranger.get("/account").text == "account of user-1"


def test_app_with_test_keys_trusts_no_other_keys(signer: SessionSigner) -> None:
    """If TESTING stays on in production, no user can sign in, but no attacker either."""
    given = SessionSigner("d-given", generate_private_key(public_exponent=65537, key_size=2048))
    app = with_views(Flask("left_in_testing"))
    FlaskSSRSession(app, jwks={"keys": [given.jwk()]}, api_domain=API_DOMAIN)
    client = app.test_client()
    set_token(client, given.sign(given.claims("real")))
    assert client.get("/account").text == "account of real"
    set_token(client, signer.sign(signer.claims("made up")))
    assert client.get("/account").status_code == 401
    app.testing = True
    assert client.get("/account").status_code == 401
    install_test_keys(app)
    assert client.get("/account").status_code == 200
    set_token(client, given.sign(given.claims("real")))
    assert client.get("/account").status_code == 401


_OWN_TESTS = """
import pytest
from flask import Flask, g
from flask_ssr_session import FlaskSSRSession, session_required


@pytest.fixture
def app():
    app = Flask("theirs")
    app.testing = {testing}
    FlaskSSRSession(app, api_domain="https://api.example.com")

    @app.route("/account")
    @session_required
    def account():
        return g.session.user_id

    @app.route("/admin")
    @session_required(role="admin", check_revoked=True)
    def admin():
        return g.session.user_id

    return app

{tests}

def test_every_visitor(
    signed_in_as, expired_client, revoked_client, anonymous_client, ssr_session_app, app
):
    admin = signed_in_as("user-2", roles=["admin"])
    assert ssr_session_app is app
    assert admin.get("/admin").text == "user-2"
    assert signed_in_as("user-3").get("/account").text == "user-3"
    for client, reason in ((expired_client, "expired"), (anonymous_client, "anonymous")):
        assert client.get("/account").headers["SSR-Session"].endswith(reason)
    assert revoked_client.get("/account").text == "user-1"
    assert revoked_client.get("/admin").headers["SSR-Session"].endswith("revoked")


def test_core_outage(signed_in_as, core_outage):
    assert signed_in_as(roles=["admin"]).get("/admin").status_code == 503
    assert signed_in_as(roles=["admin"]).get("/account").status_code == 200
"""

_ASKED_FOR = 'pytest_plugins = ["flask_ssr_session.pytest_plugin"]\n'


def _run_own_tests(folder: Path, conftest: str, *, testing: bool = True) -> str:
    """Run the tests in the plugin's documentation, and a few more, in a project of their own."""
    documented = re.search(r"::\n\n((?:    def test_.*\n|     .*\n|\n)+)", _plugin_text())
    assert documented is not None
    tests = textwrap.dedent(documented.group(1))
    (folder / "conftest.py").write_text(conftest)
    (folder / "test_own.py").write_text(_OWN_TESTS.format(tests=tests, testing=testing))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    result = subprocess.run(
        [*command, "--rootdir", str(folder), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    return result.stdout


def _plugin_text() -> str:
    return (Path(app_state.__file__).parent / "pytest_plugin.py").read_text(encoding="utf-8")


def test_fixtures_are_there_where_they_are_asked_for(tmp_path: Path) -> None:
    assert "    " + _ASKED_FOR in _plugin_text()
    assert "5 passed" in _run_own_tests(tmp_path, _ASKED_FOR)


def test_fixtures_are_not_there_where_nobody_asked(tmp_path: Path) -> None:
    output = _run_own_tests(tmp_path, "")
    assert "5 errors" in output
    assert "fixture 'signed_in_client' not found" in output


def test_fixtures_refuse_an_app_that_is_not_being_tested(tmp_path: Path) -> None:
    output = _run_own_tests(tmp_path, _ASKED_FOR, testing=False)
    assert "5 errors" in output
    assert "works only if app.testing is set" in output


# --- what the SDK requires of every session ------------------------------------------------------


@pytest.mark.parametrize(
    ("recipes", "claims", "status"),
    [
        pytest.param((EMAIL,), {}, 200, id="verified by itself"),
        pytest.param((EMAIL,), {"email_verified": False}, 403, id="set to False"),
        pytest.param((MFA,), {}, 200, id="complete by itself"),
        pytest.param((MFA,), {"mfa_complete": False}, 403, id="incomplete"),
        pytest.param((), {"mfa_complete": False}, 403, id="partly signed in without the recipe"),
        pytest.param((EMAIL, MFA), {}, 200, id="both by itself"),
        pytest.param((EMAIL, MFA), {"st-ev": {"v": False, "t": 1}}, 403, id="set as a claim"),
        pytest.param((EMAIL, MFA), {"st-mfa": {"c": {}}}, 403, id="set as an odd claim"),
    ],
)
def test_sign_in_satisfies_the_recipes_in_the_process_unless_told_otherwise(
    monkeypatch: pytest.MonkeyPatch, recipes: tuple[Any, ...], claims: dict[str, Any], status: int
) -> None:
    sdk = sdk_values(global_claims=FakeGlobalClaims(*recipes))
    monkeypatch.setattr(app_state, "read_sdk", lambda: sdk)
    client = with_views(make_app()).test_client()
    sign_in(client, **claims)
    assert client.get("/account", headers=FETCH).status_code == status


def test_sign_in_adds_no_claim_that_nobody_asks_for(client: FlaskClient) -> None:
    sign_in(client)
    with client:
        client.get("/account")
        assert not {"st-ev", "st-mfa"} & g.session.access_token_payload.keys()


@pytest.mark.parametrize("name", ["email_verified", "mfa_complete"])
def test_switch_that_is_no_switch_is_refused(client: FlaskClient, name: str) -> None:
    claims: dict[str, Any] = {name: "yes"}
    with pytest.raises(MisuseError, match=f"{name}= takes True, False or None"):
        sign_in(client, **claims)
