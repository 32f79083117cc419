"""Which key signs, and which keys are published."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from flask_ssr_session.dev_core import keys as core_keys
from flask_ssr_session.dev_core.keys import SigningKeys
from flask_ssr_session.dev_core.store import Store

from ..clocks import SteppedClock
from ..tables import rows
from .conftest import KeyFactory

INTERVAL = core_keys.UPDATE_INTERVAL_MS // 1000
LEAD = core_keys.PUBLISHED_BEFORE_SIGNING_MS // 1000


def make_keys(
    store: Store, clock: SteppedClock, factory: KeyFactory, validity: int = 20
) -> SigningKeys:
    return SigningKeys(
        store, access_token_validity_seconds=validity, clock=clock.wall, key_factory=factory
    )


@pytest.fixture
def keys(clock: SteppedClock, key_factory: KeyFactory) -> SigningKeys:
    return make_keys(Store(None), clock, key_factory)


def kids(keys: SigningKeys) -> list[str]:
    return [key.kid for key in keys.published()]


def signing(keys: SigningKeys) -> str:
    return keys.signing_key(dynamic=True).kid


def test_first_keys_are_named_and_sign_at_once(keys: SigningKeys, clock: SteppedClock) -> None:
    assert signing(keys) == f"d-{int(clock.wall_now * 1000)}"
    assert keys.signing_key(dynamic=False).kid.startswith("s-")
    assert core_keys.generate_rsa_key().key_size == 2048


def test_published_numbers_are_those_of_the_signing_key(keys: SigningKeys) -> None:
    key = keys.signing_key(dynamic=True)
    token = jwt.encode({"a": 1}, key.private_key, algorithm="RS256")
    jwk = key.as_jwk()

    assert jwt.decode(token, jwt.PyJWK(jwk).key, algorithms=["RS256"]) == {"a": 1}
    expected = {"kty": "RSA", "e": "AQAB", "alg": "RS256", "use": "sig", "kid": key.kid}
    assert jwk.items() >= expected.items()
    assert len(base64.urlsafe_b64decode(jwk["n"] + "==")) == 256
    assert "=" not in jwk["n"]


ROTATIONS: dict[str, Any] = {
    "scheduled": ({"scheduled": True, "drop_old": False}, False, True),
    "at once": ({"scheduled": False, "drop_old": False}, True, True),
    "at once, dropping the old one": ({"scheduled": False, "drop_old": True}, True, False),
}


@rows("options, signs_at_once, keeps_old", ROTATIONS)
def test_rotation(
    keys: SigningKeys, clock: SteppedClock, options: Any, signs_at_once: bool, keeps_old: bool
) -> None:
    old, static = kids(keys)
    clock.advance(1)
    new = keys.rotate(**options).kid

    assert kids(keys) == [new, *([old] if keeps_old else []), static]
    assert signing(keys) == (new if signs_at_once else old)
    assert keys.find(old) is not None or not keeps_old
    clock.advance(LEAD - 0.001)
    assert signing(keys) == (new if signs_at_once else old)
    clock.advance(0.001)
    assert signing(keys) == new


def test_unscheduled_key_beats_one_made_before(keys: SigningKeys, clock: SteppedClock) -> None:
    keys.rotate(scheduled=True, drop_old=False)
    new = keys.rotate(scheduled=False, drop_old=False).kid
    clock.advance(LEAD + 1)
    assert signing(keys) == new


def test_next_key_is_published_a_minute_before_the_interval_ends_and_signs_from_its_end(
    keys: SigningKeys, clock: SteppedClock
) -> None:
    old, static = kids(keys)
    clock.advance(771)
    assert keys.seconds_until_next_key() == INTERVAL - LEAD - 771
    clock.advance(INTERVAL - LEAD - 772)
    assert (kids(keys), keys.seconds_until_next_key()) == ([old, static], 1)
    clock.advance(1)
    new = f"d-{int(clock.wall_now * 1000)}"
    assert kids(keys) == [new, old, static]
    clock.advance(LEAD - 1)
    assert signing(keys) == old
    clock.advance(1)
    assert (signing(keys), keys.signing_key(dynamic=False).kid) == (new, static)


RETIRED: dict[str, Any] = {
    "two lifetimes after its interval": (3600, INTERVAL - LEAD, INTERVAL + 2 * 3600),
    "two short lifetimes after it": (20, INTERVAL - LEAD, INTERVAL + 2 * 20),
    "a lifetime after its successor signs": (20, INTERVAL, INTERVAL + LEAD + 20),
}


@rows("validity, asked, retired", RETIRED)
def test_old_key_is_published_while_its_tokens_live(
    clock: SteppedClock, key_factory: KeyFactory, validity: int, asked: int, retired: int
) -> None:
    keys = make_keys(Store(None), clock, key_factory, validity)
    old = signing(keys)
    clock.advance(asked)
    keys.published()
    clock.advance(retired - asked - 1)
    assert old in kids(keys)
    clock.advance(1)
    assert old not in kids(keys)


def test_oldest_key_signs_if_the_clock_is_set_back(keys: SigningKeys, clock: SteppedClock) -> None:
    old = signing(keys)
    keys.rotate(scheduled=True, drop_old=False)
    clock.advance(-3600)
    assert signing(keys) == old


def test_restart_keeps_keys(tmp_path: Path, clock: SteppedClock, key_factory: KeyFactory) -> None:
    def numbers(store: Store) -> list[dict[str, str]]:
        return [key.as_jwk() for key in make_keys(store, clock, key_factory).published()]

    first = Store(tmp_path / "core.db")
    before, refresh_key = numbers(first), core_keys.load_refresh_token_key(first)
    first.close()
    second = Store(tmp_path / "core.db")
    assert numbers(second) == before
    assert core_keys.load_refresh_token_key(second) == refresh_key
    assert core_keys.load_refresh_token_key(Store(None)) != refresh_key
    second.close()


def test_cores_in_memory_share_no_key(clock: SteppedClock, rsa_keys: list[RSAPrivateKey]) -> None:
    one, other = (make_keys(Store(None), clock, lambda key=key: key) for key in rsa_keys[:2])  # type: ignore[misc]
    assert one.signing_key(dynamic=True).as_jwk() != other.signing_key(dynamic=True).as_jwk()
