"""A failed claim leads to the page that cures it; without a cure it is a 403."""

from __future__ import annotations

import re
from contextlib import nullcontext
from functools import partial
from html import unescape
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Blueprint, Flask, render_template, request
from flask.testing import FlaskClient

import flask_ssr_session as ssr
from flask_ssr_session.sansio.return_path import with_query
from flask_ssr_session.testing import sign_in

from ..browser_requests import FETCH, PAGE
from ..tables import rows
from ..tokens import make_token
from .apps import TEMPLATE_GUARD, FakeGlobalClaims, add_views, make_app, sdk_values, with_templates
from .visitors import Logs, cookies, failed_claims, page_shown, signed_in

VERIFIED: dict[str, Any] = {"email_verified": True, "factors": ["totp"]}
UNVERIFIED: dict[str, Any] = {"email_verified": False}
HALF: dict[str, Any] = {"mfa_complete": False}
HTMX = {"HX-Request": "true", "HX-Current-URL": "http://localhost/shop?q=1", **FETCH}
CURES = ("/auth/verify-email", "/auth/mfa", "/auth/mfa/totp", "/confirm", "/step-up")
SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost"}
PREFETCH = {**PAGE, "Sec-Purpose": "prefetch"}


def make_site(**settings: Any) -> Flask:
    """Return an app with a view for each condition, and the pages of cures."""
    app = with_templates(make_app(**settings), page=TEMPLATE_GUARD)
    asks: dict[str, dict[str, Any]] = {
        "/any": {},
        "/mail": {"email_verified": True},
        "/pay": {"factor": "totp", "within": 300},
        "/key": {"factor": "webauthn"},
        "/admin-mail": {"email_verified": True, "role": "admin"},
        "/recent": {"signed_in_within": 3600},
        "/both": {"email_verified": True, "signed_in_within": 3600},
        # The pages of cures, each of which asks for a session.
        **{path: {"email_verified": True} for path in CURES},
    }
    views = {path: ssr.session_required(**each)(lambda: "content") for path, each in asks.items()}
    add_views(app, views)
    app.add_url_rule("/page", "page", lambda: render_template("page.html"))
    app.add_url_rule("/optional", "optional", ssr.session_optional(lambda: "content"))

    def forbidden(error: ssr.InvalidClaimsError) -> tuple[str, int]:
        return f"without {[failure.id for failure in error.failures]}", 403

    app.register_error_handler(ssr.InvalidClaimsError, forbidden)
    return app


@pytest.fixture
def app(sdk: None) -> Flask:  # noqa: ARG001
    return make_site()


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


def attribute(name: str, html: str) -> str | None:
    found = re.search(rf' data-{name}="([^"]*)"', html)
    return None if found is None else unescape(found[1])


BACK = "redirectToPath=/"
MAIL, FACTORS, AGAIN = "/auth/verify-email", "/auth/mfa", "/auth/mfa/totp?stepUp=true"


FAILED: dict[str, Any] = {
    "e-mail": (UNVERIFIED, "/mail", ["st-ev"], MAIL, "email"),
    "query": (UNVERIFIED, "/mail?a=1&b", ["st-ev"], MAIL, "email"),
    "factors": (HALF, "/any", ["st-mfa"], FACTORS, "mfa"),
    "factors, by a template": (HALF, "/page", ["st-mfa"], FACTORS, "mfa"),
    "a factor again": (VERIFIED | {"factors": {"totp": 600}}, "/pay", ["st-mfa"], AGAIN, None),
    "a factor without a page": (VERIFIED, "/key", ["st-mfa"], None, None),
    "a role": (VERIFIED, "/admin-mail", ["st-role"], None, None),
}


@rows("visitor, path, failed, cure, call", FAILED)
def test_claim_leads_to_its_cure_or_is_the_apps_403(
    client: FlaskClient, visitor: Any, path: str, failed: list[str], cure: str, call: str | None
) -> None:
    sign_in(client, **visitor)
    page, script, htmx = (client.get(path, headers=headers) for headers in (PAGE, FETCH, HTMX))
    assert [answer.status_code for answer in (page, script, htmx)] == [403] * 3
    assert failed_claims(script) == failed
    assert client.get(path, headers=PREFETCH).status_code == 503
    if cure:
        onward = with_query(cure, redirectToPath=path)
        assert (page_shown(page), attribute("mode", page.text)) == ("repair", "repair")
        assert (attribute("cure", page.text), attribute("cure-call", page.text)) == (onward, call)
        link = f'href="{onward}" data-ssr-cure'
        assert unescape(page.text).count(link) >= 2, "a link for browsers without JavaScript, too"
        assert page.headers["Cache-Control"] == "no-store"
        assert "Set-Cookie" not in page.headers
        # htmx without the browser SDK leaves the page that it runs on.
        assert htmx.headers["HX-Redirect"] == with_query(cure, redirectToPath="/shop?q=1")
    else:
        assert (page.text, "HX-Redirect" in htmx.headers) == (f"without {failed}", False)
    sign_in(client, email_verified=True, factors=["totp", "webauthn"], roles=["admin"])
    assert client.get(path, headers=PAGE).text == "content"


CURE_PAGES: dict[str, Any] = {
    "the prebuilt page": (None, "", "/auth/mfa", ""),
    "the page of another claim": (None, "", "/auth/verify-email", "repair"),
    "a cure with a query": ("/any?c=1", "", "/any?c=1", ""),
    "without its query": ("/any?c=1", "", "/any", "repair"),
    "a mount point that a proxy lets through": (None, "/auth/mfa", "/any", "repair"),
    "a cure below the mount point": ("/m/any", "/m", "/any", ""),
    "a cure above the mount point": ("/any", "/m", "/any", "repair"),
}


@pytest.mark.usefixtures("sdk")
@rows("cure, mount, path, shown", CURE_PAGES)
def test_cure_page_opens_for_its_claim_alone(cure: Any, mount: str, path: str, shown: str) -> None:
    app = make_site(claim_pages={"st-mfa": cure} if cure else {})
    client = signed_in(app, mfa_complete=False, email_verified=True)
    page = client.get(path, headers=PAGE, environ_overrides={"SCRIPT_NAME": mount})
    assert (page.status_code, page_shown(page)) == (403 if shown else 200, shown)


CURE_HOSTS: dict[str, Any] = {
    "the home page of the site": ("www.example.com", "/", ""),
    "the home page of another host": ("admin.example.com", "/", "repair"),
    "a page of another host": ("admin.example.com", "/x/auth", "repair"),
}


@pytest.mark.usefixtures("sdk")
@rows("host, path, shown", CURE_HOSTS)
def test_cure_page_opens_no_page_of_another_host(host: str, path: str, shown: str) -> None:
    app = Flask("app", host_matching=True, static_host="static.example.com")
    make_app(app, claim_pages={"st-mfa": path})
    view = ssr.session_required(lambda **_: "content")
    app.add_url_rule("/", "home", view, host="www.example.com")
    app.add_url_rule("/", "admin", view, host="admin.example.com")
    app.add_url_rule("/x/<path:_rest>", "all", view, host="admin.example.com")
    pending = PAGE | cookies(make_token(mfa_complete=False))
    page = app.test_client(use_cookies=False).get(path, base_url=f"https://{host}", headers=pending)

    assert page_shown(page) == shown
    assert (page.text == "content") is (shown == "")


def test_script_tells_the_two_cures_of_one_claim_apart(client: FlaskClient) -> None:
    # A session of before the recipe first gets its claim, then a factor. The second page must not
    # look as if the cure of the first one had not helped.
    sign_in(client, **HALF)
    assert attribute("claim", client.get("/pay", headers=PAGE).text) == "st-mfa"
    sign_in(client, email_verified=True, factors=["emailpassword"])
    assert attribute("claim", client.get("/pay", headers=PAGE).text) == "st-mfa totp"


def test_sign_in_returns_to_a_cure_page_with_its_query(client: FlaskClient) -> None:
    # The token of a link in a mail is in the query.
    location = client.get("/auth/verify-email?token=1", headers=PAGE).headers["Location"]
    assert location == "/auth?redirectToPath=/auth/verify-email%3Ftoken%3D1"


@pytest.mark.parametrize("mount", ["", "/shop"])
def test_cure_is_found_by_its_endpoint(sdk: None, mount: str) -> None:  # noqa: ARG001
    app = make_site(claim_pages={"st-ev": "confirm", "st-mfa": "/m"})
    app.add_url_rule("/café/", "confirm", ssr.session_required(lambda: "your address"))
    client = signed_in(app, **UNVERIFIED)

    def get(path: str, headers: Any = PAGE) -> Any:
        return client.get(path, headers=headers, environ_overrides={"SCRIPT_NAME": mount})

    with_mount = attribute("cure", get("/mail").text)
    assert with_mount == f"{mount}/café/?redirectToPath={mount}/mail"
    assert get("/mail", HTMX).headers["HX-Redirect"].startswith(f"{mount}/caf%C3%A9")
    assert get("/café/").text == "your address"
    with app.test_request_context("/café/", environ_overrides={"SCRIPT_NAME": mount}):
        assert ssr.safe_return_path(f"{mount}/café/") == "/"
        assert ssr.safe_return_path(f"{mount}/mail") == f"{mount}/mail"


ENDPOINTS: dict[str, Any] = {
    "an endpoint": ("plain", {}, False),
    "none": ("nowhere", {}, True),
    "one that needs arguments": ("of_user", {}, True),
    "one that a function of the app completes": ("of_user", {"user": "anna"}, False),
    "one that a function of its blueprint completes": ("shop.of_user", {}, False),
}


@rows("page, defaults, is_refused", ENDPOINTS)
@pytest.mark.usefixtures("sdk")
def test_endpoint_of_a_cure_is_checked_at_once(page: str, defaults: Any, is_refused: bool) -> None:
    app = make_site(claim_pages={"st-ev": page})
    app.add_url_rule("/plain", "plain", lambda: "")
    app.add_url_rule("/<user>/page", "of_user", lambda user: user)
    shop = Blueprint("shop", "shop")
    shop.add_url_rule("/<user>/shop", "of_user", lambda user: user)
    shop.url_defaults(lambda _endpoint, values: values.update(user="anna"))
    app.register_blueprint(shop)
    if defaults:
        app.url_defaults(lambda _endpoint, values: values.update(defaults))
    with pytest.raises(ssr.ConfigError, match="no such endpoint") if is_refused else nullcontext():
        app.test_client().get("/any", headers=PAGE)


UNLED: dict[str, Any] = {
    "a language": ("de", "", "repair"),
    "none": ("", "", "claims"),
    # A proxy's header may say so.
    "a mount point that names a host": ("de", "//evil.example", "claims"),
}


@rows("language, mount, shown", UNLED)
@pytest.mark.usefixtures("sdk")
def test_page_without_link_is_no_cure(caplog: Logs, language: str, mount: str, shown: str) -> None:
    app = make_site(claim_pages={"st-ev": "of_language"})
    app.add_url_rule("/<language>/page", "of_language", lambda language: language)
    app.url_defaults(lambda _endpoint, values: values.update(language and {"language": language}))
    client = signed_in(app, **UNVERIFIED)
    page = client.get("/mail", headers=PAGE, environ_overrides={"SCRIPT_NAME": mount})
    assert page.status_code == 403
    assert ("data-cure" in page.text) is (shown == "repair")
    assert ("claim_page_failed: the page 'of_language' " in caplog.text) is (shown == "claims")


RETURN_PATHS: dict[str, Any] = {
    "sign-in to the cure": ("/auth", "/confirm?token=x", "/confirm?token=x"),
    "the cure to a page": ("/confirm", "/mail#a", "/mail#a"),
    "the cure to itself": ("/confirm", "/confirm/?token=x", "/"),
    "the cure to sign-in": ("/confirm", "/auth", "/"),
}


@rows("page, raw, returned", RETURN_PATHS)
@pytest.mark.usefixtures("sdk")
def test_return_path_leads_to_the_cure_but_not_from_it(page: str, raw: str, returned: str) -> None:
    with make_site(claim_pages={"st-ev": "/confirm"}).test_request_context(page):
        assert ssr.safe_return_path(raw) == returned


def test_post_keeps_what_the_visitor_typed(client: FlaskClient) -> None:
    sign_in(client, **UNVERIFIED)
    page = client.post("/mail", data={"a": "b"}, headers=PAGE)

    assert (page.status_code, page_shown(page)) == (403, "repair")
    assert attribute("unsafe", page.text) == ""
    assert 'data-ssr-cure data-ssr-focus target="_blank"' in page.text
    assert "Nothing was sent" in page.text
    # A session that ends meanwhile can sign in.
    link = f'<span data-ssr-cause="ended" hidden><a class="ssr-session-link" href="/auth?{BACK}mail'
    assert link in page.text


FORMS: dict[str, Any] = {
    "e-mail": (UNVERIFIED, True),
    "factors": (HALF, True),
    "nothing is missing": (VERIFIED, False),
}


def posted(app: Flask, view: Any, **visitor: Any) -> str:
    """Return what a visitor gets who posts a form to *view*."""
    app.add_url_rule("/form", "form", view, methods=["POST"])
    client = signed_in(app, **visitor)
    return client.post("/form", data={"a": "typed"}, headers=PAGE | SAME_ORIGIN).text


@rows("visitor, is_kept", FORMS)
@rows("by", {"by the view": "view", "by a hook": "hook", "in the view": "call"})
def test_form_is_kept_for_the_cure(app: Flask, visitor: Any, is_kept: bool, by: str) -> None:
    keeps: dict[str, Any] = {"keep_form": True, "email_verified": True}
    require = partial(ssr.require_session, **keeps)
    if by != "call":  # nothing tells before a hook that the view will ask for the form
        app.before_request(lambda: request.form.get("csrf_token"))
    if by == "hook":
        app.before_request(require)
    view = ssr.session_required(**keeps) if by == "view" else lambda view: view
    page = posted(app, view(lambda: (require() if by == "call" else None) or "done"), **visitor)
    assert ('name="a" value="typed"' in page) is is_kept
    assert (page == "done") is not is_kept


def fails(*_: Any) -> list[Any]:
    raise LookupError("a defect of the app's")


UNMET = SimpleNamespace(is_valid=False, reason=None)
UNVERIFIED_BY_SDK = SimpleNamespace(id="st-ev", validate=lambda *_: UNMET)
SOURCES: dict[str, Any] = {
    # In debug mode a broken override is an error.
    "claims that the view waives": (FakeGlobalClaims(override=fails), False, "done"),
    "a claim that the SDK requires": (FakeGlobalClaims(UNVERIFIED_BY_SDK), True, 'value="typed"'),
}


@rows("source, asks, shown", SOURCES)
def test_form_is_kept_for_global_claims_that_are_asked(source: Any, asks: bool, shown: str) -> None:
    app = make_site(sdk=sdk_values(global_claims=source))
    app.debug = True
    app.before_request(lambda: request.form.get("csrf_token"))
    view = ssr.session_required(keep_form=True, global_claims=asks)(lambda: "done")
    assert shown in posted(app, view, mfa_complete=True)


def test_pages_of_the_app_replace_the_prebuilt_ones(sdk: None) -> None:  # noqa: ARG001
    app = make_site(claim_pages={"st-ev": "/confirm"}, step_up_url="/step-up")
    client = signed_in(app, **UNVERIFIED)
    assert attribute("cure", client.get("/mail", headers=PAGE).text) == f"/confirm?{BACK}mail"
    assert client.get("/confirm", headers=PAGE).status_code == 200
    sign_in(client, **VERIFIED)
    page = client.get("/key", headers=PAGE)
    assert attribute("cure", page.text) == f"/step-up?factor=webauthn&{BACK}key"
    assert attribute("cure-call", page.text) is None


def test_without_an_sdk_only_named_pages_cure() -> None:
    client = signed_in(make_site(claim_pages={"st-mfa": "/2"}), **HALF)
    page = client.get("/any", headers=PAGE)
    assert (page.status_code, page_shown(page)) == (403, "repair")


def test_old_sign_in_shows_a_button_and_no_link_that_signs_out(client: FlaskClient) -> None:
    sign_in(client, signed_in=7200, **UNVERIFIED)
    # Other claims are cured first.
    assert page_shown(client.get("/both", headers=PAGE)) == "repair"
    sign_in(client, signed_in=7200, **VERIFIED)
    assert page_shown(client.get("/both", headers=PAGE)) == "sign_in_again"
    page, posted = client.get("/recent", headers=PAGE), client.post("/recent", headers=PAGE)
    for answer in (page, posted):
        assert (answer.status_code, page_shown(answer)) == (403, "sign_in_again")
    assert attribute("mode", page.text) == "sign-in-again"
    assert attribute("sign-in", page.text) == f"/auth?{BACK}recent"
    assert page.text.count("data-ssr-sign-out") == 2
    assert "http-equiv" not in page.text
    assert "Open this site in another tab" in posted.text
    sign_in(client, signed_in=60, **VERIFIED)
    assert client.get("/recent", headers=PAGE).text == "content"
