from __future__ import annotations

import base64
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from flask_ssr_session.dev_core.keys import (
    PUBLISHED_BEFORE_SIGNING_MS,
    UPDATE_INTERVAL_MS,
    SigningKeys,
    generate_rsa_key,
    load_refresh_token_key,
)
from flask_ssr_session.dev_core.store import Store

from .conftest import KeyFactory
from .support import SteppedClock

INTERVAL_SECONDS = UPDATE_INTERVAL_MS / 1000
LEAD_SECONDS = PUBLISHED_BEFORE_SIGNING_MS / 1000


def make_keys(
    store: Store, clock: SteppedClock, key_factory: KeyFactory, validity_seconds: int = 20
) -> SigningKeys:
    return SigningKeys(
        store,
        access_token_validity_seconds=validity_seconds,
        clock=clock,
        key_factory=key_factory,
    )


@pytest.fixture
def keys(clock: SteppedClock, key_factory: KeyFactory) -> SigningKeys:
    return make_keys(Store(None), clock, key_factory)


def kids(keys: SigningKeys) -> list[str]:
    return [key.kid for key in keys.published()]


def test_first_dynamic_key_is_named_after_its_time_and_signs_at_once(
    keys: SigningKeys, clock: SteppedClock
) -> None:
    assert keys.signing_key(dynamic=True).kid == f"d-{int(clock.now * 1000)}"
    assert keys.signing_key(dynamic=False).kid.startswith("s-")


def test_generated_key_has_2048_bits() -> None:
    assert generate_rsa_key().key_size == 2048


def test_published_numbers_are_those_of_the_signing_key(keys: SigningKeys) -> None:
    key = keys.signing_key(dynamic=True)
    token = jwt.encode({"a": 1}, key.private_key, algorithm="RS256")
    jwk = key.as_jwk()
    assert jwt.decode(token, jwt.PyJWK(jwk), algorithms=["RS256"]) == {"a": 1}
    assert {name: jwk[name] for name in ("kty", "e", "alg", "use")} == {
        "kty": "RSA",
        "e": "AQAB",
        "alg": "RS256",
        "use": "sig",
    }
    assert "=" not in jwk["n"]
    assert len(base64.urlsafe_b64decode(jwk["n"] + "==")) == 256


def test_dynamic_keys_come_newest_first_then_the_static_key(
    keys: SigningKeys, clock: SteppedClock
) -> None:
    old = keys.signing_key(dynamic=True).kid
    static = keys.signing_key(dynamic=False).kid
    clock.advance(1)
    new = keys.rotate(scheduled=False, drop_old=False).kid
    assert kids(keys) == [new, old, static]


def test_scheduled_key_is_published_60_seconds_before_it_signs(
    keys: SigningKeys, clock: SteppedClock
) -> None:
    old = keys.signing_key(dynamic=True).kid
    new = keys.rotate(scheduled=True, drop_old=False).kid
    assert new in kids(keys)
    # The id contains the creation time, which differs by 1 ms although the clock stands still.
    clock.advance(59.999)
    assert keys.signing_key(dynamic=True).kid == old
    clock.advance(0.002)
    assert keys.signing_key(dynamic=True).kid == new
    assert old in kids(keys)


def test_unscheduled_key_signs_at_once_and_leaves_the_old_one_published(keys: SigningKeys) -> None:
    old = keys.signing_key(dynamic=True).kid
    new = keys.rotate(scheduled=False, drop_old=False).kid
    assert keys.signing_key(dynamic=True).kid == new
    assert old in kids(keys)


def test_dropping_removes_every_other_dynamic_key_and_spares_the_static_one(
    keys: SigningKeys,
) -> None:
    static = keys.signing_key(dynamic=False).kid
    pending = keys.rotate(scheduled=True, drop_old=False).kid
    new = keys.rotate(scheduled=False, drop_old=True).kid
    assert kids(keys) == [new, static]
    assert keys.find(pending) is None
    assert keys.find(new) is not None


def test_scheduled_rotation_that_drops_the_old_key_is_refused(keys: SigningKeys) -> None:
    before = kids(keys)
    with pytest.raises(ValueError, match="scheduled"):
        keys.rotate(scheduled=True, drop_old=True)
    assert kids(keys) == before


def test_unscheduled_key_beats_a_scheduled_one_made_before(
    keys: SigningKeys, clock: SteppedClock
) -> None:
    keys.rotate(scheduled=True, drop_old=False)
    new = keys.rotate(scheduled=False, drop_old=False).kid
    clock.advance(LEAD_SECONDS + 1)
    assert keys.signing_key(dynamic=True).kid == new


def test_static_key_never_changes(keys: SigningKeys, clock: SteppedClock) -> None:
    static = keys.signing_key(dynamic=False).kid
    keys.rotate(scheduled=False, drop_old=True)
    clock.advance(3 * INTERVAL_SECONDS)
    assert keys.signing_key(dynamic=False).kid == static


def test_next_key_is_made_after_the_interval_and_signs_a_minute_later(
    keys: SigningKeys, clock: SteppedClock
) -> None:
    old = keys.signing_key(dynamic=True).kid
    clock.advance(INTERVAL_SECONDS - 1)
    assert kids(keys)[0] == old
    assert keys.seconds_until_next_key() == 1
    clock.advance(1)
    new = kids(keys)[0]
    assert new == f"d-{int(clock.now * 1000)}"
    assert keys.signing_key(dynamic=True).kid == old
    clock.advance(LEAD_SECONDS)
    assert keys.signing_key(dynamic=True).kid == new
    assert keys.seconds_until_next_key() == INTERVAL_SECONDS - LEAD_SECONDS


def test_key_is_published_for_two_lifetimes_after_its_interval(
    clock: SteppedClock, key_factory: KeyFactory
) -> None:
    keys = make_keys(Store(None), clock, key_factory, validity_seconds=3600)
    old = keys.signing_key(dynamic=True).kid
    clock.advance(INTERVAL_SECONDS)
    keys.published()
    clock.advance(2 * 3600 - 1)
    assert old in kids(keys)
    clock.advance(1)
    assert old not in kids(keys)


def test_key_is_published_until_its_last_short_lived_token_has_expired(
    keys: SigningKeys, clock: SteppedClock
) -> None:
    old = keys.signing_key(dynamic=True).kid
    clock.advance(INTERVAL_SECONDS)
    keys.published()
    clock.advance(LEAD_SECONDS + 20 - 1)
    assert old in kids(keys)
    clock.advance(1)
    assert old not in kids(keys)


def test_oldest_key_signs_when_the_clock_was_set_back(
    keys: SigningKeys, clock: SteppedClock
) -> None:
    old = keys.signing_key(dynamic=True).kid
    keys.rotate(scheduled=True, drop_old=False)
    clock.advance(-3600)
    assert keys.signing_key(dynamic=True).kid == old


def test_keys_are_the_same_after_a_restart(
    tmp_path: Path, clock: SteppedClock, key_factory: KeyFactory
) -> None:
    def numbers(store: Store) -> list[dict[str, str]]:
        return [key.as_jwk() for key in make_keys(store, clock, key_factory).published()]

    first = Store(tmp_path / "core.db")
    before, refresh_key = numbers(first), load_refresh_token_key(first)
    first.close()
    second = Store(tmp_path / "core.db")
    assert numbers(second) == before
    assert load_refresh_token_key(second) == refresh_key
    assert load_refresh_token_key(Store(None)) != refresh_key
    second.close()


def test_two_cores_in_memory_share_no_key(
    clock: SteppedClock, rsa_keys: list[RSAPrivateKey]
) -> None:
    one = make_keys(Store(None), clock, lambda: rsa_keys[0])
    other = make_keys(Store(None), clock, lambda: rsa_keys[1])
    assert one.signing_key(dynamic=True).as_jwk() != other.signing_key(dynamic=True).as_jwk()
