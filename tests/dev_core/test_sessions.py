"""What is in the tokens of a session, and which tokens are refused; called directly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jwt
import pytest

from flask_ssr_session.dev_core.keys import SigningKeys
from flask_ssr_session.dev_core.session_records import Granted, TryRefresh, Unauthorised
from flask_ssr_session.dev_core.sessions import Sessions
from flask_ssr_session.dev_core.store import Store
from flask_ssr_session.dev_core.tokens import InvalidAccessTokenError, hash_token

from ..clocks import SteppedClock
from ..tables import rows
from ..tokens import ABSENT, edited
from .conftest import KeyFactory

ACCESS_SECONDS = 20
REFRESH_SECONDS = 600
KEPT_SECONDS = 12 * 3600


@dataclass
class Bench:
    sessions: Sessions
    keys: SigningKeys
    clock: SteppedClock

    def create(self, **changes: Any) -> Granted:
        options: dict[str, Any] = {"payload": {}, "data": {}, "use_dynamic_key": True}
        return self.sessions.create("user-1", **options | {"enable_anti_csrf": False} | changes)

    def refresh(self, token: str, **changes: Any) -> Any:
        options = {"use_dynamic_key": True, "enable_anti_csrf": False}
        return self.sessions.refresh(token, **options | changes)

    def verify(self, token: str, **changes: Any) -> Any:
        return self.sessions.verify(token, **{"check_database": False} | changes)

    def sign(self, claims: dict[str, Any], **headers: Any) -> str:
        key = self.keys.signing_key(dynamic=True)
        usual = {"kid": key.kid, "version": "5"}
        return jwt.encode(claims, key.private_key, "RS256", edited(usual, headers))


@pytest.fixture
def bench(clock: SteppedClock, key_factory: KeyFactory) -> Bench:
    store = Store(None)
    life: dict[str, Any] = {"access_token_validity_seconds": ACCESS_SECONDS, "clock": clock.wall}
    keys = SigningKeys(store, key_factory=key_factory, **life)
    sessions = Sessions(store, keys, refresh_token_validity_minutes=REFRESH_SECONDS // 60, **life)
    return Bench(sessions, keys, clock)


def access(outcome: Any) -> str:
    return str(outcome.access_token.token)


def spent(outcome: Any) -> str:
    return str(outcome.refresh_token.token)


def claims(outcome: Any) -> dict[str, Any]:
    return jwt.decode(access(outcome), options={"verify_signature": False})


def test_new_session_has_the_claims_of_token_version_5(bench: Bench) -> None:
    bench.clock.wall_now = 1_700_000_000.9
    granted: Any = bench.create(payload={"iss": "http://localhost/auth", "st-role": {"v": []}})

    assert claims(granted) == {
        "sub": "user-1",
        "rsub": "user-1",
        "tId": "public",
        "iat": 1_700_000_000,
        "exp": 1_700_000_020,
        "sessionHandle": granted.handle,
        "refreshTokenHash1": hash_token(spent(granted)),
        "parentRefreshTokenHash1": None,
        "antiCsrfToken": None,
        "iss": "http://localhost/auth",
        "st-role": {"v": []},
    }
    header = jwt.get_unverified_header(access(granted))
    kid = bench.keys.signing_key(dynamic=True).kid
    assert header == {"alg": "RS256", "typ": "JWT", "kid": kid, "version": "5"}
    assert granted.access_token.created_ms == 1_700_000_000_000
    assert granted.access_token.expires_ms == 1_700_000_020_000
    life_ms = granted.refresh_token.expires_ms - granted.refresh_token.created_ms
    assert life_ms == REFRESH_SECONDS * 1000


def test_refresh_names_the_spent_token_and_takes_the_payload_of_the_database(bench: Bench) -> None:
    first = bench.create(payload={"plan": "free"})
    bench.sessions.replace_payload(first.handle, {"plan": "paid"})
    child = bench.refresh(spent(first))

    expected = {"sessionHandle": first.handle, "plan": "paid"}
    expected["parentRefreshTokenHash1"] = hash_token(spent(first))
    expected["refreshTokenHash1"] = hash_token(spent(child))
    assert claims(child).items() >= expected.items()


@rows("steps", {"create": [False], "refresh": [True, False], "renewed at use": [True, False, None]})
def test_kind_of_key_is_the_callers_choice(bench: Bench, steps: list[bool | None]) -> None:
    outcome: Any = bench.create(use_dynamic_key=steps[0])
    for dynamic in steps[1:]:
        if dynamic is None:
            outcome = bench.verify(access(outcome))
        else:
            outcome = bench.refresh(spent(outcome), use_dynamic_key=dynamic)

    assert jwt.get_unverified_header(access(outcome))["kid"].startswith("s-")


@rows("seconds, is_kept", {"12 hours": (KEPT_SECONDS, True), "longer": (KEPT_SECONDS + 1, False)})
def test_expired_rows_are_removed_by_the_next(bench: Bench, seconds: int, is_kept: bool) -> None:
    old = bench.create().handle
    bench.clock.advance(REFRESH_SECONDS + seconds)
    bench.create()

    assert bench.sessions.remove([old]) == ([old] if is_kept else [])


# Which tokens are refused


def other_character(token: str) -> str:
    return token[:20] + ("B" if token[20] == "A" else "A") + token[21:]


REFRESH_TOKENS: dict[str, Any] = {
    "untouched": (lambda token: token, True),
    "empty": (lambda _: "", False),
    "no ciphertext": (lambda _: "a.b.V2", False),
    "another version": (lambda token: token.replace(".V2", ".V1"), False),
    "a segment more": (lambda token: token + ".V2", False),
    "another character": (other_character, False),
    "another nonce": (lambda token: f"{token.split('.')[0]}.{'0' * 64}.V2", False),
}


@rows("damage, is_accepted", REFRESH_TOKENS)
def test_refresh_token_is_the_issued_text(bench: Bench, damage: Any, is_accepted: bool) -> None:
    outcome = bench.refresh(damage(spent(bench.create())))

    assert isinstance(outcome, Granted if is_accepted else Unauthorised)


NULL = dict.fromkeys(("sub", "rsub", "tId", "iat", "exp", "sessionHandle", "refreshTokenHash1"))

CLAIMS: dict[str, Any] = {
    "complete": ({}, {}, True),
    **{f"{name} null": ({name: None}, {}, False) for name in NULL},
    "parent a number": ({"parentRefreshTokenHash1": 1}, {}, False),
    "parent absent": ({"parentRefreshTokenHash1": ABSENT}, {}, False),
    "anti-csrf token a number": ({"antiCsrfToken": 1}, {}, False),
    "anti-csrf token absent": ({"antiCsrfToken": ABSENT}, {}, False),
    "iat a bool": ({"iat": True}, {}, False),
    "iat long ago": ({"iat": 1}, {}, True),
    "claims of others": ({"aud": "someone", "nbf": 9_999_999_999}, {}, True),
    "an older version": ({}, {"version": "4"}, False),
    "a custom JWT, without version": ({}, {"version": ABSENT}, False),
    "an unknown key": ({}, {"kid": "d-1"}, False),
}


@rows("edits, headers, is_accepted", CLAIMS)
def test_access_token_is_complete(
    bench: Bench, edits: dict[str, Any], headers: dict[str, Any], is_accepted: bool
) -> None:
    token = bench.sign(edited(claims(bench.create()), edits), **headers)

    assert isinstance(bench.verify(token), Granted if is_accepted else TryRefresh)


def signed_by(algorithm: str) -> Any:
    """Return a way to sign the claims of a token anew, without the private key."""

    def sign(bench: Bench, token: str) -> str:
        key = bench.keys.signing_key(dynamic=True)
        secret = "" if algorithm == "none" else key.as_jwk()["n"]
        payload = jwt.decode(token, options={"verify_signature": False})
        return jwt.encode(payload, secret, algorithm, {"kid": key.kid, "version": "5"})

    return sign


DAMAGES: dict[str, Any] = {
    "another signature": lambda _, token: token[:-6] + "AAAAAA",
    "no signature": lambda _, token: token.rpartition(".")[0] + ".",
    "text": lambda *_: "not a token",
    "empty": lambda *_: "",
    "no algorithm": signed_by("none"),
    "another algorithm": signed_by("HS256"),
}


@rows("damage", DAMAGES)
def test_damaged_access_token_wants_a_refresh(bench: Bench, damage: Any) -> None:
    assert isinstance(bench.verify(damage(bench, access(bench.create()))), TryRefresh)


@pytest.mark.parametrize("is_dropped", [False, True])
def test_access_token_of_a_dropped_key_wants_a_refresh(bench: Bench, is_dropped: bool) -> None:
    first = bench.create()
    bench.keys.rotate(scheduled=False, drop_old=is_dropped)

    assert isinstance(bench.verify(access(first)), TryRefresh if is_dropped else Granted)
    assert isinstance(bench.sessions.regenerate(access(first), {}), Granted)


# Against cross-site requests

ON = {"enable_anti_csrf": True}
# How the session was made, the options of the call, the value sent; whether both calls accept it.
ANTI_CSRF: dict[str, Any] = {
    "the right value": (ON, ON, "right", True, True),
    "another value": (ON, ON, "wrong", False, False),
    "no value": (ON, ON, None, False, False),
    "switched off": (ON, {}, None, True, True),
    "a session without one": ({}, ON, None, False, True),
}


@rows("created, options, sends, verifies, refreshes", ANTI_CSRF)
def test_anti_csrf_token_is_checked(
    bench: Bench, created: Any, options: Any, sends: str | None, verifies: bool, refreshes: bool
) -> None:
    first = bench.create(**created)
    sent = {"anti_csrf_token": first.anti_csrf_token if sends == "right" else sends}
    verified = bench.verify(access(first), do_anti_csrf_check=True, **sent, **options)
    assert isinstance(verified, Granted if verifies else TryRefresh)
    assert isinstance(bench.verify(access(first), do_anti_csrf_check=False, **ON), Granted)
    refreshed = bench.refresh(spent(first), **sent, **options)
    assert isinstance(refreshed, Granted if refreshes else Unauthorised)


def test_anti_csrf_token_is_new_with_a_refresh_and_kept_by_a_renewal(bench: Bench) -> None:
    first = bench.create(**ON)
    child = bench.refresh(spent(first), anti_csrf_token=first.anti_csrf_token, **ON)
    renewed = bench.verify(access(child))

    assert claims(first)["antiCsrfToken"] == first.anti_csrf_token is not None
    assert first.anti_csrf_token != child.anti_csrf_token is not None
    assert claims(child)["antiCsrfToken"] == child.anti_csrf_token
    assert claims(renewed)["antiCsrfToken"] == child.anti_csrf_token


# Changes


def test_renewed_token_has_a_whole_life_and_a_regenerated_one_the_rest(bench: Bench) -> None:
    child = bench.refresh(spent(bench.create(payload={"plan": "free", "old": 1})))
    bench.clock.advance(5)
    regenerated = bench.sessions.regenerate(access(child), {"plan": "paid"})
    renewed = bench.verify(access(child))

    changes = {"plan": "paid", "iat": bench.clock.wall_now}
    assert claims(regenerated) == edited(claims(child), changes | {"old": ABSENT})
    changes |= {"exp": bench.clock.wall_now + ACCESS_SECONDS, "parentRefreshTokenHash1": None}
    assert claims(renewed) == edited(claims(child), changes | {"old": ABSENT})


def test_regenerating_an_expired_token_changes_only_the_database(bench: Bench) -> None:
    first = bench.create()
    bench.clock.advance(ACCESS_SECONDS)
    outcome = bench.sessions.regenerate(access(first), {"plan": "paid"})

    assert isinstance(outcome, Granted)
    assert outcome.access_token is None
    record: Any = bench.sessions.find(first.handle)
    assert record.payload == {"plan": "paid"}


def test_regenerating_needs_a_session_and_a_token(bench: Bench) -> None:
    first = bench.create()
    bench.sessions.remove([first.handle])

    assert isinstance(bench.sessions.regenerate(access(first), {}), Unauthorised)
    with pytest.raises(InvalidAccessTokenError):
        bench.sessions.regenerate("not a token", {})


def test_session_is_found_until_it_expires(bench: Bench) -> None:
    first = bench.create(payload={"a": 1}, data={"b": 2})
    assert bench.sessions.replace_data(first.handle, {"c": 3})
    bench.clock.advance(REFRESH_SECONDS)
    record: Any = bench.sessions.find(first.handle)
    assert (record.user_id, record.payload, record.data) == ("user-1", {"a": 1}, {"c": 3})

    bench.clock.advance(0.001)
    assert bench.sessions.find(first.handle) is None
    assert bench.sessions.list_live("user-1") == []
    assert not bench.sessions.replace_payload(first.handle, {})
    assert not bench.sessions.replace_data(first.handle, {})


def test_representations_show_no_token(bench: Bench) -> None:
    first = bench.create(enable_anti_csrf=True, payload={"secret": "value"})
    shown = repr(first) + repr(bench.sessions.find(first.handle))

    for secret in (access(first), spent(first), str(first.anti_csrf_token), "value"):
        assert secret not in shown
