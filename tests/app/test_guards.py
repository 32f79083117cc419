"""Who is let in: each way to ask for a session, each visitor, and each hook for the whole app."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

import pytest
from flask import Flask, g, render_template

from flask_ssr_session import (
    get_ssr_session,
    require_session,
    session_exempt,
    session_optional,
    session_required,
)
from tests.browser_requests import FETCH, PAGE
from tests.tokens import expired_token, make_token

from .conftest import (
    EMAIL,
    TEMPLATE_GUARD,
    FakeGlobalClaims,
    cookies,
    make_app,
    sdk_values,
    stub_revocation,
    with_templates,
)

VERIFIED: dict[str, Any] = {"st-ev": {"v": True, "t": 1}}
UNVERIFIED: dict[str, Any] = {"st-ev": {"v": False, "t": 1}}
PENDING: dict[str, Any] = {"mfa_complete": False, "roles": ["admin"]} | VERIFIED
VISITORS: dict[str, Callable[[], dict[str, str]]] = {
    "stranger": dict,
    "expired": lambda: cookies(expired_token()),
    "pending": lambda: cookies(make_token(**PENDING)),
    "unverified": lambda: cookies(make_token(**UNVERIFIED)),
    "unverified admin": lambda: cookies(make_token(roles=["admin"], **UNVERIFIED)),
    "user": lambda: cookies(make_token(**VERIFIED)),
    "admin": lambda: cookies(make_token(roles=["admin"], **VERIFIED)),
}
# A letter for each visitor: let in with a session, let in without one, and refused.
LETTERS = {"+": "user-1", ".": "nobody", "x": "refused"}
USERS, ANYBODY, OPTIONAL, ADMINS = "xxxxx++", "...++++", ".x.++++", "xxxxxx+"


def who() -> str:
    session = get_ssr_session()
    assert session is g.session
    return session.user_id if session else "nobody"


def template() -> str:
    return render_template("page.html")


def inside(**condition: Any) -> str:
    require_session(**condition)
    return who()


PENDING_TOO = session_required(allow_pending=True)
PENDING_ADMINS = session_required(allow_pending=True, role="admin")
PENDING_CHECKED = session_required(allow_pending=True, check_revoked=True)
WAIVES = session_required(global_claims=False)
OF_ADMINS = session_required(role="admin", global_claims=False)


# For each view: who is let in by an open app, and by one whose hook requires a session everywhere.
VIEWS: dict[str, tuple[Any, str, str]] = {
    "session_required": (session_required(who), USERS, USERS),
    "a template that asks": (template, USERS, USERS),
    "both ask": (session_required(template), USERS, USERS),
    "require_session": (lambda: inside(), USERS, USERS),
    "nobody asks": (who, ANYBODY, USERS),
    "session_optional": (session_optional(who), OPTIONAL, OPTIONAL),
    "session_optional with a template": (session_optional(template), OPTIONAL, OPTIONAL),
    "session_exempt": (session_exempt(who), ANYBODY, ANYBODY),
    "a role": (session_required(role="admin")(who), ADMINS, ADMINS),
    "global_claims=False": (WAIVES(who), "xxx++++", "xxx++++"),
    "it waives them for its template": (WAIVES(template), "xxx++++", "xxx++++"),
    "but no condition": (OF_ADMINS(who), "xxxx+x+", "xxxx+x+"),
    "allow_pending": (PENDING_TOO(who), "xx+xx++", "xx+xx++"),
    "allow_pending with a template": (PENDING_TOO(template), "xx+xx++", "xx+xx++"),
    "allow_pending and a role": (PENDING_ADMINS(who), "xx+xxx+", "xx+xxx+"),
    # The hook does not see what asks inside the view alone.
    "allow_pending inside": (lambda: inside(allow_pending=True), "xx+xx++", USERS),
    "allow_pending, asked again inside": (PENDING_TOO(lambda: inside()), USERS, USERS),
    "and check_revoked": (PENDING_CHECKED(who), "xx+xx++", "xx+xx++"),
}
HOOKS: dict[str, Any] = {
    "": None,
    "closed": require_session,
    "for admins": partial(require_session, role="admin"),
}


@cache
def app_with(hook: str) -> Flask:
    app = make_app(sdk=sdk_values(global_claims=FakeGlobalClaims(EMAIL)))
    with_templates(app, page=TEMPLATE_GUARD.replace("content", "{{ who() }}"))
    app.jinja_env.globals["who"] = who
    for name, (view, _, _) in VIEWS.items():
        app.add_url_rule(f"/{name}", name, view, methods=["GET", "POST"])
    if HOOKS[hook] is not None:
        app.before_request(HOOKS[hook])
    stub_revocation(app, lambda _handle: False)
    return app


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("hook", HOOKS)
def test_who_is_let_in(name: str, hook: str) -> None:
    _, opened, closed = VIEWS[name]
    # A hook with a condition honours no mark but session_exempt.
    for_admins = opened if name == "session_exempt" else ADMINS
    expected = {"": opened, "closed": closed, "for admins": for_admins}[hook]
    client = app_with(hook).test_client(use_cookies=False)
    for (visitor, cookie), letter in zip(VISITORS.items(), expected, strict=True):
        for method, headers in (("GET", FETCH), ("POST", FETCH), ("GET", PAGE)):
            answer = client.open(f"/{name}", method=method, headers=headers | cookie())
            let_in = answer.text in ("user-1", "nobody")
            assert (answer.text if let_in else "refused") == LETTERS[letter], (visitor, method)
            if not let_in:
                assert "user-1" not in answer.text, visitor
                assert answer.headers["Cache-Control"] == "no-store", visitor
                refusal = 401 if visitor in ("stranger", "expired") else 403
                assert headers is PAGE or answer.status_code == refusal, visitor
