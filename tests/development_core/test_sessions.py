"""The session decisions, called directly. Every refusal has a twin that passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import jwt
import pytest

from flask_ssr_session.dev_core.keys import SigningKeys
from flask_ssr_session.dev_core.session_records import (
    Granted,
    IssuedToken,
    TheftDetected,
    TryRefresh,
    Unauthorised,
)
from flask_ssr_session.dev_core.sessions import Sessions
from flask_ssr_session.dev_core.store import Store
from flask_ssr_session.dev_core.tokens import InvalidAccessTokenError, hash_token

from .conftest import KeyFactory
from .support import SteppedClock

ACCESS_SECONDS = 20
REFRESH_MINUTES = 10
REFRESH_SECONDS = REFRESH_MINUTES * 60


@dataclass
class Bench:
    """Sessions on a new database, with shortcuts for the usual steps."""

    sessions: Sessions
    keys: SigningKeys
    clock: SteppedClock

    def create(self, **changes: Any) -> Granted:
        options: dict[str, Any] = {
            "payload": {"iss": "http://localhost/auth"},
            "data": {},
            "use_dynamic_key": True,
            "enable_anti_csrf": False,
        }
        return self.sessions.create("user-1", **{**options, **changes})

    def refresh(self, token: str, **changes: Any) -> Granted | Unauthorised | TheftDetected:
        options: dict[str, Any] = {"use_dynamic_key": True, "enable_anti_csrf": False}
        return self.sessions.refresh(token, **{**options, **changes})

    def refreshed(self, token: str, **changes: Any) -> Granted:
        outcome = self.refresh(token, **changes)
        assert isinstance(outcome, Granted)
        return outcome

    def verify(self, token: str, **changes: Any) -> Granted | Unauthorised | TryRefresh:
        return self.sessions.verify(token, **{"check_database": False, **changes})

    def expiry_seconds(self, handle: str) -> float:
        record = self.sessions.find(handle)
        assert record is not None
        return record.expires_ms / 1000 - self.clock.now


@pytest.fixture
def bench(clock: SteppedClock, key_factory: KeyFactory) -> Bench:
    store = Store(None)
    keys = SigningKeys(
        store, access_token_validity_seconds=ACCESS_SECONDS, clock=clock, key_factory=key_factory
    )
    sessions = Sessions(
        store,
        keys,
        access_token_validity_seconds=ACCESS_SECONDS,
        refresh_token_validity_minutes=REFRESH_MINUTES,
        clock=clock,
    )
    return Bench(sessions, keys, clock)


def access_token(outcome: object) -> str:
    """Return the access token of an outcome."""
    assert isinstance(outcome, Granted)
    assert outcome.access_token is not None
    return outcome.access_token.token


def refresh_token(outcome: object) -> str:
    """Return the refresh token of an outcome."""
    assert isinstance(outcome, Granted)
    assert outcome.refresh_token is not None
    return outcome.refresh_token.token


def claims(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def issued(token: IssuedToken | None) -> IssuedToken:
    assert token is not None
    return token


# Create


def test_new_session_has_the_claims_of_token_version_5(bench: Bench) -> None:
    bench.clock.now = 1_700_000_000.9
    granted = bench.create(payload={"iss": "http://localhost/auth", "st-role": {"v": []}})
    assert claims(access_token(granted)) == {
        "sub": "user-1",
        "rsub": "user-1",
        "tId": "public",
        "iat": 1_700_000_000,
        "exp": 1_700_000_020,
        "sessionHandle": granted.handle,
        "refreshTokenHash1": hash_token(refresh_token(granted)),
        "parentRefreshTokenHash1": None,
        "antiCsrfToken": None,
        "iss": "http://localhost/auth",
        "st-role": {"v": []},
    }
    key = bench.keys.signing_key(dynamic=True)
    assert jwt.get_unverified_header(access_token(granted)) == {
        "alg": "RS256",
        "typ": "JWT",
        "kid": key.kid,
        "version": "5",
    }


def test_access_token_times_in_the_answer_are_the_whole_seconds_of_the_token(bench: Bench) -> None:
    bench.clock.now = 1_700_000_000.9
    access_token = issued(bench.create().access_token)
    assert (access_token.created_ms, access_token.expires_ms) == (
        1_700_000_000_000,
        1_700_000_020_000,
    )


def test_refresh_token_lives_its_minutes(bench: Bench) -> None:
    refresh_token = issued(bench.create().refresh_token)
    assert refresh_token.expires_ms - refresh_token.created_ms == REFRESH_SECONDS * 1000


@pytest.mark.parametrize(("dynamic", "prefix"), [(True, "d-"), (False, "s-")])
def test_session_is_signed_by_the_kind_of_key_asked_for(
    bench: Bench, dynamic: bool, prefix: str
) -> None:
    token = access_token(bench.create(use_dynamic_key=dynamic))
    assert jwt.get_unverified_header(token)["kid"].startswith(prefix)


def test_anti_csrf_token_is_the_same_in_answer_and_access_token(bench: Bench) -> None:
    granted = bench.create(enable_anti_csrf=True)
    assert granted.anti_csrf_token is not None
    assert claims(access_token(granted))["antiCsrfToken"] == granted.anti_csrf_token


def test_rows_of_sessions_long_expired_are_removed_by_the_next_creation(bench: Bench) -> None:
    old = bench.create()
    bench.clock.advance(REFRESH_SECONDS + 12 * 3600)
    bench.create()
    assert bench.sessions.remove([old.handle]) == [old.handle]
    old = bench.create()
    bench.clock.advance(REFRESH_SECONDS + 12 * 3600 + 1)
    bench.create()
    assert bench.sessions.remove([old.handle]) == []


# Refresh


def test_refresh_names_the_spent_token_as_parent(bench: Bench) -> None:
    first = bench.create()
    child = bench.refreshed(refresh_token(first))
    assert claims(access_token(child))["parentRefreshTokenHash1"] == hash_token(
        refresh_token(first)
    )
    assert claims(access_token(child))["refreshTokenHash1"] == hash_token(refresh_token(child))
    assert child.handle == first.handle


def test_refresh_takes_the_payload_from_the_database(bench: Bench) -> None:
    first = bench.create(payload={"plan": "free"})
    assert bench.sessions.replace_payload(first.handle, {"plan": "paid"})
    assert claims(access_token(bench.refreshed(refresh_token(first))))["plan"] == "paid"


def test_refresh_with_the_current_token_leaves_the_session_as_it_was(bench: Bench) -> None:
    first = bench.create()
    before = bench.sessions.find(first.handle)
    bench.clock.advance(60)
    bench.refreshed(refresh_token(first))
    assert bench.sessions.find(first.handle) == before


def test_refresh_with_a_child_makes_it_current_and_prolongs_the_session(bench: Bench) -> None:
    first = bench.create()
    bench.clock.advance(60)
    child = bench.refreshed(refresh_token(first))
    assert bench.expiry_seconds(first.handle) == REFRESH_SECONDS - 60
    bench.refreshed(refresh_token(child))
    assert bench.expiry_seconds(first.handle) == REFRESH_SECONDS


def test_refresh_changes_the_kind_of_key(bench: Bench) -> None:
    first = bench.create(use_dynamic_key=True)
    child = bench.refreshed(refresh_token(first), use_dynamic_key=False)
    assert jwt.get_unverified_header(access_token(child))["kid"].startswith("s-")
    renewed = bench.verify(access_token(child))
    assert jwt.get_unverified_header(access_token(renewed))["kid"].startswith("s-")


@pytest.mark.parametrize(
    ("damage", "accepted"),
    [
        pytest.param(lambda token: token, True, id="untouched"),
        pytest.param(lambda _: "", False, id="empty"),
        pytest.param(lambda _: "a.b.V2", False, id="no ciphertext"),
        pytest.param(lambda token: token.replace(".V2", ".V1"), False, id="other version"),
        pytest.param(lambda token: token + ".V2", False, id="a segment more"),
        pytest.param(
            lambda token: ("B" if token[20] == "A" else "A").join((token[:20], token[21:])),
            False,
            id="one character of the ciphertext",
        ),
        pytest.param(
            lambda token: ".".join((token.split(".")[0], "0" * 64, "V2")), False, id="other nonce"
        ),
        pytest.param(lambda token: "é" + token, False, id="not ASCII"),
    ],
)
def test_only_an_untouched_refresh_token_is_opened(
    bench: Bench, damage: Any, accepted: bool
) -> None:
    outcome = bench.refresh(damage(refresh_token(bench.create())))
    assert isinstance(outcome, Granted if accepted else Unauthorised)


def test_refresh_token_of_another_core_is_unauthorised(
    bench: Bench, clock: SteppedClock, key_factory: KeyFactory
) -> None:
    store = Store(None)
    keys = SigningKeys(
        store, access_token_validity_seconds=20, clock=clock, key_factory=key_factory
    )
    other = Sessions(
        store,
        keys,
        access_token_validity_seconds=20,
        refresh_token_validity_minutes=10,
        clock=clock,
    )
    token = refresh_token(bench.create())
    outcome = other.refresh(token, use_dynamic_key=True, enable_anti_csrf=False)
    assert isinstance(outcome, Unauthorised)
    assert isinstance(bench.refresh(token), Granted)


@pytest.mark.parametrize(
    ("seconds", "outcome"),
    [(REFRESH_SECONDS, Granted), (REFRESH_SECONDS + 0.001, Unauthorised)],
    ids=["last moment", "one millisecond later"],
)
def test_session_expires_when_it_is_not_used(
    bench: Bench, seconds: float, outcome: type[object]
) -> None:
    first = bench.create()
    bench.clock.advance(seconds)
    assert isinstance(bench.refresh(refresh_token(first)), outcome)


def test_refresh_of_a_removed_session_is_unauthorised(bench: Bench) -> None:
    first = bench.create()
    other = bench.create()
    bench.sessions.remove([first.handle])
    assert isinstance(bench.refresh(refresh_token(first)), Unauthorised)
    assert isinstance(bench.refresh(refresh_token(other)), Granted)


@pytest.mark.parametrize(
    ("created_with", "enabled", "sends", "outcome"),
    [
        pytest.param(True, True, "right", Granted, id="right value"),
        pytest.param(True, True, "wrong", Unauthorised, id="wrong value"),
        pytest.param(True, True, "none", Unauthorised, id="no value"),
        pytest.param(True, False, "wrong", Granted, id="switched off"),
        pytest.param(False, True, "none", Granted, id="session without one"),
        pytest.param(False, True, "wrong", Granted, id="value for a session without one"),
    ],
)
def test_refresh_checks_the_anti_csrf_token_inside_the_refresh_token(
    bench: Bench, created_with: bool, enabled: bool, sends: str, outcome: type[object]
) -> None:
    first = bench.create(enable_anti_csrf=created_with)
    value = {"right": first.anti_csrf_token, "wrong": "other", "none": None}[sends]
    result = bench.refresh(refresh_token(first), enable_anti_csrf=enabled, anti_csrf_token=value)
    assert isinstance(result, outcome)


def test_refresh_gives_a_new_anti_csrf_token(bench: Bench) -> None:
    first = bench.create(enable_anti_csrf=True)
    child = bench.refreshed(
        refresh_token(first), enable_anti_csrf=True, anti_csrf_token=first.anti_csrf_token
    )
    assert child.anti_csrf_token not in {None, first.anti_csrf_token}
    assert claims(access_token(child))["antiCsrfToken"] == child.anti_csrf_token


def test_current_token_may_be_spent_again_until_a_child_is_used(bench: Bench) -> None:
    first = bench.create()
    child = bench.refreshed(refresh_token(first))
    sibling = bench.refreshed(refresh_token(first))
    assert refresh_token(child) != refresh_token(sibling)
    bench.refreshed(refresh_token(child))
    assert isinstance(bench.refresh(refresh_token(child)), Granted)
    assert isinstance(bench.refresh(refresh_token(first)), TheftDetected)
    assert isinstance(bench.refresh(refresh_token(sibling)), TheftDetected)


def test_theft_names_the_session_and_leaves_it(bench: Bench) -> None:
    first = bench.create()
    child = bench.refreshed(refresh_token(first))
    bench.refreshed(refresh_token(child))
    assert bench.refresh(refresh_token(first)) == TheftDetected(first.handle, "user-1")
    assert bench.sessions.find(first.handle) is not None


# Verify


@pytest.mark.parametrize(
    ("seconds", "outcome"),
    [(ACCESS_SECONDS - 0.001, Granted), (ACCESS_SECONDS, TryRefresh)],
    ids=["last moment", "expired"],
)
def test_access_token_expires(bench: Bench, seconds: float, outcome: type[object]) -> None:
    token = access_token(bench.create())
    bench.clock.advance(seconds)
    assert isinstance(bench.verify(token), outcome)


@pytest.mark.parametrize("dropped", [False, True])
def test_access_token_of_a_dropped_key_wants_a_refresh(bench: Bench, dropped: bool) -> None:
    token = access_token(bench.create())
    bench.keys.rotate(scheduled=False, drop_old=dropped)
    assert isinstance(bench.verify(token), TryRefresh if dropped else Granted)


@pytest.mark.parametrize(
    ("change", "outcome"),
    [
        pytest.param({}, Granted, id="complete"),
        *(
            pytest.param({name: None}, TryRefresh, id=f"{name} null")
            for name in ("sub", "rsub", "tId", "iat", "exp", "sessionHandle", "refreshTokenHash1")
        ),
        pytest.param({"parentRefreshTokenHash1": 1}, TryRefresh, id="parent not a string"),
        pytest.param({"antiCsrfToken": 1}, TryRefresh, id="anti-csrf token not a string"),
        pytest.param({"iat": True}, TryRefresh, id="iat a bool"),
        pytest.param({"iat": 1}, Granted, id="iat long ago"),
        pytest.param({"aud": "someone", "nbf": 9_999_999_999}, Granted, id="claims of others"),
    ],
)
def test_access_token_must_be_complete(
    bench: Bench, change: dict[str, Any], outcome: type[object]
) -> None:
    key = bench.keys.signing_key(dynamic=True)
    changed = {
        name: value
        for name, value in {**claims(access_token(bench.create())), **change}.items()
        if value is not None or name in {"parentRefreshTokenHash1", "antiCsrfToken"}
    }
    token = jwt.encode(
        changed, key.private_key, algorithm="RS256", headers={"kid": key.kid, "version": "5"}
    )
    assert isinstance(bench.verify(token), outcome)


@pytest.mark.parametrize("name", ["parentRefreshTokenHash1", "antiCsrfToken"])
def test_nullable_claims_must_be_there(bench: Bench, name: str) -> None:
    key = bench.keys.signing_key(dynamic=True)
    content = claims(access_token(bench.create()))
    del content[name]
    token = jwt.encode(
        content, key.private_key, algorithm="RS256", headers={"kid": key.kid, "version": "5"}
    )
    assert isinstance(bench.verify(token), TryRefresh)


@pytest.mark.parametrize(
    ("headers", "outcome"),
    [
        pytest.param({"version": "5"}, Granted, id="session token"),
        pytest.param({"version": "4"}, TryRefresh, id="older version"),
        pytest.param({"version": 5}, TryRefresh, id="version a number"),
        pytest.param({}, TryRefresh, id="custom JWT, no version"),
        pytest.param({"version": "5", "kid": "d-1"}, TryRefresh, id="unknown key"),
        pytest.param({"version": "5", "kid": None}, TryRefresh, id="no key named"),
    ],
)
def test_only_the_header_of_a_session_token_is_accepted(
    bench: Bench, headers: dict[str, Any], outcome: type[object]
) -> None:
    key = bench.keys.signing_key(dynamic=True)
    content = claims(access_token(bench.create()))
    merged = {
        name: value for name, value in {"kid": key.kid, **headers}.items() if value is not None
    }
    token = jwt.encode(content, key.private_key, algorithm="RS256", headers=merged)
    assert isinstance(bench.verify(token), outcome)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda token: token[:-6] + "AAAAAA", id="other signature"),
        pytest.param(lambda token: token.rpartition(".")[0] + ".", id="no signature"),
        pytest.param(lambda _: "not a token", id="text"),
        pytest.param(lambda _: "", id="empty"),
    ],
)
def test_damaged_access_token_wants_a_refresh(bench: Bench, damage: Any) -> None:
    assert isinstance(bench.verify(damage(access_token(bench.create()))), TryRefresh)


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_algorithm_is_not_the_tokens_choice(bench: Bench, algorithm: str) -> None:
    key = bench.keys.signing_key(dynamic=True)
    secret = "" if algorithm == "none" else key.as_jwk()["n"]
    token = jwt.encode(
        claims(access_token(bench.create())),
        secret,
        algorithm=algorithm,
        headers={"kid": key.kid, "version": "5"},
    )
    assert isinstance(bench.verify(token), TryRefresh)


@pytest.mark.parametrize(
    ("enabled", "asked", "sends", "outcome"),
    [
        pytest.param(True, True, "right", Granted, id="right value"),
        pytest.param(True, True, "wrong", TryRefresh, id="wrong value"),
        pytest.param(True, True, "none", TryRefresh, id="no value"),
        pytest.param(True, False, "none", Granted, id="not asked for"),
        pytest.param(False, True, "none", Granted, id="switched off"),
    ],
)
def test_verify_checks_the_anti_csrf_token(
    bench: Bench, enabled: bool, asked: bool, sends: str, outcome: type[object]
) -> None:
    first = bench.create(enable_anti_csrf=True)
    value = {"right": first.anti_csrf_token, "wrong": "other", "none": None}[sends]
    result = bench.verify(
        access_token(first),
        enable_anti_csrf=enabled,
        do_anti_csrf_check=asked,
        anti_csrf_token=value,
    )
    assert isinstance(result, outcome)


@pytest.mark.parametrize(("check_database", "outcome"), [(False, Granted), (True, Unauthorised)])
def test_removed_session_is_noticed_only_when_the_database_is_asked(
    bench: Bench, check_database: bool, outcome: type[object]
) -> None:
    first = bench.create()
    bench.sessions.remove([first.handle])
    assert isinstance(bench.verify(access_token(first), check_database=check_database), outcome)


def test_fresh_access_token_of_a_removed_session_is_unauthorised(bench: Bench) -> None:
    child = bench.refreshed(refresh_token(bench.create()))
    other = bench.refreshed(refresh_token(bench.create()))
    bench.sessions.remove([child.handle])
    assert isinstance(bench.verify(access_token(child)), Unauthorised)
    assert isinstance(bench.verify(access_token(other)), Granted)


def test_access_token_outlives_the_expiry_of_its_session(
    clock: SteppedClock, key_factory: KeyFactory
) -> None:
    store = Store(None)
    keys = SigningKeys(
        store, access_token_validity_seconds=90, clock=clock, key_factory=key_factory
    )
    sessions = Sessions(
        store,
        keys,
        access_token_validity_seconds=90,
        refresh_token_validity_minutes=1,
        clock=clock,
    )
    token = access_token(
        sessions.create("u", payload={}, data={}, use_dynamic_key=True, enable_anti_csrf=False)
    )
    clock.advance(61)
    assert isinstance(sessions.verify(token, check_database=True), Granted)


def test_access_token_of_the_current_refresh_token_is_left_unchanged(bench: Bench) -> None:
    for check_database in (False, True):
        outcome = bench.verify(access_token(bench.create()), check_database=check_database)
        assert isinstance(outcome, Granted)
        assert outcome.access_token is None


@pytest.mark.parametrize("check_database", [False, True])
def test_changed_payload_reaches_the_browser_only_when_the_database_is_asked(
    bench: Bench, check_database: bool
) -> None:
    first = bench.create(payload={"plan": "free"})
    bench.sessions.replace_payload(first.handle, {"plan": "paid"})
    outcome = bench.verify(access_token(first), check_database=check_database)
    assert isinstance(outcome, Granted)
    assert outcome.payload == {"plan": "paid" if check_database else "free"}
    assert (outcome.access_token is not None) == check_database
    if check_database:
        assert claims(access_token(outcome))["plan"] == "paid"


def test_first_use_of_a_child_access_token_makes_its_refresh_token_current(bench: Bench) -> None:
    first = bench.create()
    child = bench.refreshed(refresh_token(first))
    bench.clock.advance(5)
    renewed = claims(access_token(bench.verify(access_token(child))))
    assert renewed["parentRefreshTokenHash1"] is None
    assert renewed["refreshTokenHash1"] == hash_token(refresh_token(child))
    assert renewed["exp"] == bench.clock.now + ACCESS_SECONDS
    assert bench.expiry_seconds(first.handle) == REFRESH_SECONDS
    assert isinstance(bench.refresh(refresh_token(first)), TheftDetected)
    assert isinstance(bench.refresh(refresh_token(child)), Granted)


def test_child_access_token_is_renewed_at_each_later_use_without_prolonging(bench: Bench) -> None:
    child = bench.refreshed(refresh_token(bench.create()))
    bench.verify(access_token(child))
    bench.clock.advance(5)
    assert claims(access_token(bench.verify(access_token(child))))["iat"] == bench.clock.now
    assert bench.expiry_seconds(child.handle) == REFRESH_SECONDS - 5


def test_renewed_access_token_keeps_its_anti_csrf_token(bench: Bench) -> None:
    first = bench.create(enable_anti_csrf=True)
    child = bench.refreshed(
        refresh_token(first), enable_anti_csrf=True, anti_csrf_token=first.anti_csrf_token
    )
    assert (
        claims(access_token(bench.verify(access_token(child))))["antiCsrfToken"]
        == child.anti_csrf_token
    )


def test_access_token_of_an_abandoned_branch_lives_on_unchanged(bench: Bench) -> None:
    first = bench.create()
    child, sibling = bench.refreshed(refresh_token(first)), bench.refreshed(refresh_token(first))
    bench.verify(access_token(child))
    outcome = bench.verify(access_token(sibling))
    assert isinstance(outcome, Granted)
    assert outcome.access_token is None
    assert isinstance(bench.refresh(refresh_token(sibling)), TheftDetected)


def test_access_token_of_an_abandoned_branch_is_renewed_when_the_payload_changed(
    bench: Bench,
) -> None:
    first = bench.create(payload={"plan": "free"})
    child, sibling = bench.refreshed(refresh_token(first)), bench.refreshed(refresh_token(first))
    bench.verify(access_token(child))
    bench.sessions.replace_payload(first.handle, {"plan": "paid"})
    assert claims(access_token(bench.verify(access_token(sibling))))["plan"] == "paid"
    assert isinstance(bench.refresh(refresh_token(sibling)), TheftDetected)


# Regenerate


def test_regenerated_token_has_the_new_payload_and_the_old_expiry_and_hashes(bench: Bench) -> None:
    child = bench.refreshed(refresh_token(bench.create(payload={"plan": "free", "old": 1})))
    before = claims(access_token(child))
    bench.clock.advance(5)
    after = claims(access_token(bench.sessions.regenerate(access_token(child), {"plan": "paid"})))
    assert after == {
        **{name: value for name, value in before.items() if name != "old"},
        "plan": "paid",
        "iat": bench.clock.now,
    }
    record = bench.sessions.find(child.handle)
    assert record is not None
    assert record.payload == {"plan": "paid"}


def test_regenerating_an_expired_token_changes_only_the_database(bench: Bench) -> None:
    first = bench.create()
    bench.clock.advance(ACCESS_SECONDS)
    outcome = bench.sessions.regenerate(access_token(first), {"plan": "paid"})
    assert isinstance(outcome, Granted)
    assert outcome.access_token is None
    record = bench.sessions.find(first.handle)
    assert record is not None
    assert record.payload == {"plan": "paid"}


def test_regenerating_does_not_need_the_key_any_more(bench: Bench) -> None:
    first = bench.create()
    bench.keys.rotate(scheduled=False, drop_old=True)
    assert isinstance(bench.sessions.regenerate(access_token(first), {}), Granted)


@pytest.mark.parametrize("removed", [False, True])
def test_regenerating_for_a_removed_session_is_unauthorised(bench: Bench, removed: bool) -> None:
    first = bench.create()
    if removed:
        bench.sessions.remove([first.handle])
    outcome = bench.sessions.regenerate(access_token(first), {})
    assert isinstance(outcome, Unauthorised if removed else Granted)


def test_regenerating_what_is_no_token_is_an_error(bench: Bench) -> None:
    with pytest.raises(InvalidAccessTokenError):
        bench.sessions.regenerate("not a token", {})


# Information and removal


def test_session_is_found_until_it_expires(bench: Bench) -> None:
    first = bench.create(payload={"a": 1}, data={"b": 2})
    bench.clock.advance(REFRESH_SECONDS)
    record = bench.sessions.find(first.handle)
    assert record is not None
    assert (record.user_id, record.payload, record.data) == ("user-1", {"a": 1}, {"b": 2})
    bench.clock.advance(0.001)
    assert bench.sessions.find(first.handle) is None
    assert bench.sessions.list_live("user-1") == []
    assert not bench.sessions.replace_payload(first.handle, {})
    assert not bench.sessions.replace_data(first.handle, {})


def test_data_are_replaced_as_a_whole(bench: Bench) -> None:
    first = bench.create(data={"a": 1})
    assert bench.sessions.replace_data(first.handle, {"b": 2})
    record = bench.sessions.find(first.handle)
    assert record is not None
    assert record.data == {"b": 2}


def test_removal_returns_only_what_existed(bench: Bench) -> None:
    first = bench.create()
    assert bench.sessions.remove([first.handle, "unknown"]) == [first.handle]
    assert bench.sessions.remove([first.handle]) == []


def test_removal_by_user_spares_other_users(bench: Bench) -> None:
    mine = [bench.create().handle, bench.create().handle]
    other = bench.sessions.create(
        "user-2", payload={}, data={}, use_dynamic_key=True, enable_anti_csrf=False
    )
    assert sorted(bench.sessions.remove_all("user-1")) == sorted(mine)
    assert [record.handle for record in bench.sessions.list_live()] == [other.handle]
    assert bench.sessions.remove_all() == [other.handle]
    assert bench.sessions.list_live() == []


def test_representations_show_no_token(bench: Bench) -> None:
    first = bench.create(enable_anti_csrf=True, payload={"secret": "value"})
    shown = repr(first) + repr(bench.sessions.find(first.handle))
    for secret in (access_token(first), refresh_token(first), str(first.anti_csrf_token), "value"):
        assert secret not in shown
