"""What the core says about a session, and whether its claims differ from the token's."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flask_ssr_session.sansio.core_session import parse_core_session, with_fresh_claims
from flask_ssr_session.session import deep_freeze

from ..tables import rows, shown

FOUND: dict[str, Any] = {"status": "OK", "sessionHandle": "h", "timeCreated": 1_700_000_000_500}
FOUND |= {"userDataInJWT": {"plan": "free"}}


def said(**changes: Any) -> bytes:
    return json.dumps(FOUND | changes).encode()


def claims(raw: bytes) -> bytes:
    return said(userDataInJWT="x").replace(b'"x"', raw)


def test_claims_are_read_as_deep_as_those_of_a_token() -> None:
    assert parse_core_session(claims(b'{"a":' * 32 + b"1" + b"}" * 32), "h") is not None


def test_session_is_known_with_its_claims_and_the_time_of_sign_in_or_not_at_all() -> None:
    known = parse_core_session(said(), "h")
    assert vars(known) == {"time_created": 1_700_000_000.5, "claims": {"plan": "free"}}
    assert "free" not in repr(known)
    assert parse_core_session(b'{"status": "UNAUTHORISED"}', "h") is None


WRONG: dict[str, tuple[Any, ...]] = {
    "status": ("ERROR", "ok", "OK ", "UNAUTHORIZED", None, True, ["OK"]),
    "sessionHandle": ("H", None),
    # Before 1970, after the year 9999, and too large for a float, among others.
    "timeCreated": (None, True, -1, 10**15, 10**400, 1.5),
    "userDataInJWT": (None,),
}
OTHER_RESPONSES: dict[str, Any] = {
    "not JSON": b"{",
    "too deep": b"[" * 100_000,
    "a number too long to be read": b"9" * 10_000,
    "a list": b"[]",
    "a text": b'"OK"',
    "null": b"null",
    "no status": b"{}",
    **{f"{n} is {shown(v)}": said(**{n: v}) for n, values in WRONG.items() for v in values},
    "claims that are nested deeply": claims(b'{"a":' * 33 + b"1" + b"}" * 33),
    "a claim that is no number": claims(b'{"a":NaN}'),
    "a claim that is too large": claims(b'{"a":1e999}'),
    "a claim twice": claims(b'{"st-mfa":{"v":true},"st-mfa":{"v":false}}'),
    "a status twice": b'{"status":"UNAUTHORISED",' + said()[1:],
    "no UTF-8": b"\xff" + said(),
}


@rows("body", OTHER_RESPONSES)
def test_any_other_response_says_nothing(body: bytes) -> None:
    with pytest.raises(ValueError, match="the response"):
        parse_core_session(body, "h")


OWN = {"sub": "u", "iss": "https://api", "iat": 1, "exp": 2, "tId": "public", "sessionHandle": "h"}
OF_THE_TOKEN = (
    *("sub", "iss", "exp", "iat", "stt", "tId", "rsub", "sessionHandle", "antiCsrfToken"),
    *("refreshTokenHash1", "parentRefreshTokenHash1"),
)
ROLE = {"st-role": {"v": ["admin"], "t": 5}}

FRESH: dict[str, Any] = {
    "the same": (ROLE, ROLE, None),
    "none": ({}, {}, None),
    "a role given": ({}, ROLE, ROLE),
    "a role taken": (ROLE, {}, {}),
    "a role changed": (ROLE, {"st-role": {"v": []}}, {"st-role": {"v": []}}),
    "another order of a list": ({"a": [1, 2]}, {"a": [2, 1]}, {"a": [2, 1]}),
    "a number by value": ({"a": 1}, {"a": 1.0}, None),
    "a number and true": ({"a": 1}, {"a": True}, {"a": True}),
    "false and a number": ({"a": [False]}, {"a": [0]}, {"a": [0]}),
    "null counts as absent": ({}, {"a": None}, None),
    "null in the token, too": ({"a": None}, {}, None),
    "null within a claim": ({"a": {"v": 1}}, {"a": {"v": 1, "t": None}}, None),
    "another member within a claim": ({"a": {"v": 1}}, {"a": {"w": 1}}, {"a": {"w": 1}}),
    "a claim removed by null": ({"a": 1, "b": 2}, {"a": None, "b": 2}, {"b": 2}),
    "claims of the token": ({}, dict.fromkeys(OF_THE_TOKEN, "x"), None),
}


@rows("token, core, fresh", FRESH)
def test_claims_of_the_core_replace_those_of_the_token(
    token: dict[str, Any], core: dict[str, Any], fresh: dict[str, Any] | None
) -> None:
    expected = None if fresh is None else OWN | fresh
    assert with_fresh_claims(deep_freeze(OWN | token), core) == expected
