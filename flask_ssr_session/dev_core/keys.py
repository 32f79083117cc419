"""Signing keys: which key signs now, which keys are published, and when they change.

Dynamic keys (``d-<creation time in ms>``) rotate; the static key (``s-<uuid>``) never does.
"""

from __future__ import annotations

import base64
import itertools
import uuid
from collections.abc import Callable
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from .store import Store

# A core's default for access_token_dynamic_signing_key_update_interval is 168 hours.
UPDATE_INTERVAL_MS = 168 * 3600 * 1000
# A core publishes a new dynamic key this long before it signs, so that verifiers fetch it.
PUBLISHED_BEFORE_SIGNING_MS = 60_000


def generate_rsa_key() -> RSAPrivateKey:
    """Return a new RSA key of a core's size."""
    return generate_private_key(public_exponent=65537, key_size=2048)


def load_refresh_token_key(store: Store) -> bytes:
    """Return the AES-256 key for refresh tokens, made once per database."""
    with store.transaction() as db:
        db.execute(
            "INSERT OR IGNORE INTO secrets VALUES ('refresh_token_key', ?)",
            (AESGCM.generate_key(bit_length=256),),
        )
        row = db.execute("SELECT value FROM secrets WHERE name = 'refresh_token_key'").fetchone()
        return bytes(row["value"])


@dataclass(frozen=True)
class SigningKey:
    """One RSA key. It signs from ``signs_from_ms`` until a newer key does."""

    kid: str
    is_dynamic: bool
    created_ms: int
    signs_from_ms: int
    private_key: RSAPrivateKey

    def as_jwk(self) -> dict[str, str]:
        """Return the public key in the form of the key set."""
        numbers = self.private_key.public_key().public_numbers()
        return {
            "kty": "RSA",
            "kid": self.kid,
            "n": _base64url_integer(numbers.n),
            "e": _base64url_integer(numbers.e),
            "alg": "RS256",
            "use": "sig",
        }


class SigningKeys:
    """The signing keys of one core, kept in its database."""

    def __init__(
        self,
        store: Store,
        *,
        access_token_validity_seconds: int,
        clock: Callable[[], float],
        key_factory: Callable[[], RSAPrivateKey] = generate_rsa_key,
    ) -> None:
        """Load the keys, or make the first ones.

        :param clock: returns seconds since the epoch.
        """
        self._store = store
        self._validity_ms = access_token_validity_seconds * 1000
        self._clock = clock
        self._key_factory = key_factory
        self._parsed_keys: dict[str, RSAPrivateKey] = {}
        self._bring_up_to_date()

    def published(self) -> list[SigningKey]:
        """Return every published key: dynamic keys, newest first, then the static key."""
        return self._bring_up_to_date()

    def signing_key(self, *, dynamic: bool) -> SigningKey:
        """Return the key that signs now."""
        now_ms = self._now_ms()
        keys = [key for key in self._bring_up_to_date() if key.is_dynamic == dynamic]
        # If the clock was set back to before all keys, the oldest key signs.
        return next((key for key in keys if key.signs_from_ms <= now_ms), keys[-1])

    def find(self, kid: str | None) -> SigningKey | None:
        """Return the published key with this id, or ``None``."""
        return next((key for key in self._bring_up_to_date() if key.kid == kid), None)

    def seconds_until_next_key(self) -> int:
        """Return for how many seconds the published set stays the same, at least 1."""
        newest = self._bring_up_to_date()[0]
        return max(1, (_next_key_ms(newest) - self._now_ms()) // 1000)

    def rotate(self, *, scheduled: bool, drop_old: bool) -> SigningKey:
        """Make a new dynamic key and return it.

        :param scheduled: publish it now and sign with it in 60 s, as a core does; otherwise it
            signs at once, before verifiers with a cached key set know it.
        :param drop_old: remove all other dynamic keys from the set, which invalidates every token
            they signed.
        :raises ValueError: both, which would leave no key to sign with for 60 s.
        """
        if scheduled and drop_old:
            raise ValueError("a scheduled rotation needs the old key until the new one signs")
        with self._store.transaction() as db:
            newest = self._bring_up_to_date()[0]
            key = self._create_dynamic_key(scheduled=scheduled, after_ms=newest.created_ms)
            if drop_old:
                db.execute("DELETE FROM signing_keys WHERE is_dynamic AND kid != ?", (key.kid,))
            return key

    def _bring_up_to_date(self) -> list[SigningKey]:
        """Create a due key, delete retired keys, and return the others in order."""
        now_ms = self._now_ms()
        with self._store.transaction() as db:
            keys = self._load()
            if not any(not key.is_dynamic for key in keys):
                self._insert(f"s-{uuid.uuid4()}", False, now_ms, now_ms)
            if not keys or not keys[0].is_dynamic:
                self._create_dynamic_key(scheduled=False, after_ms=0)
            elif _next_key_ms(keys[0]) <= now_ms:
                self._create_dynamic_key(scheduled=True, after_ms=keys[0].created_ms)
            dynamic = [key for key in self._load() if key.is_dynamic]
            for successor, key in itertools.pairwise(dynamic):
                if self._retires_ms(key, successor) <= now_ms:
                    db.execute("DELETE FROM signing_keys WHERE kid = ?", (key.kid,))
            return self._load()

    def _retires_ms(self, key: SigningKey, successor: SigningKey) -> int:
        """Return when a key is removed from the set.

        A core removes it after creation + interval + two access token lifetimes. With lifetimes
        under 30 s that is before its successor signs, so the last token's lifetime is added.
        """
        return max(
            key.created_ms + UPDATE_INTERVAL_MS + 2 * self._validity_ms,
            successor.signs_from_ms + self._validity_ms,
        )

    def _create_dynamic_key(self, *, scheduled: bool, after_ms: int) -> SigningKey:
        # The id is the creation time, so two keys must not be made in one millisecond.
        created_ms = max(self._now_ms(), after_ms + 1)
        signs_from_ms = created_ms + PUBLISHED_BEFORE_SIGNING_MS if scheduled else self._now_ms()
        return self._insert(f"d-{created_ms}", True, created_ms, signs_from_ms)

    def _insert(
        self, kid: str, is_dynamic: bool, created_ms: int, signs_from_ms: int
    ) -> SigningKey:
        private_key = self._key_factory()
        pem = private_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with self._store.transaction() as db:
            db.execute(
                "INSERT INTO signing_keys VALUES (?, ?, ?, ?, ?)",
                (kid, is_dynamic, created_ms, signs_from_ms, pem),
            )
        self._parsed_keys[kid] = private_key
        return SigningKey(kid, is_dynamic, created_ms, signs_from_ms, private_key)

    def _load(self) -> list[SigningKey]:
        with self._store.transaction() as db:
            rows = db.execute(
                "SELECT * FROM signing_keys ORDER BY is_dynamic DESC, created_ms DESC"
            ).fetchall()
        return [
            SigningKey(
                kid=row["kid"],
                is_dynamic=bool(row["is_dynamic"]),
                created_ms=row["created_ms"],
                signs_from_ms=row["signs_from_ms"],
                private_key=self._parse(row["kid"], row["private_key_pem"]),
            )
            for row in rows
        ]

    def _parse(self, kid: str, pem: bytes) -> RSAPrivateKey:
        # Cache the loaded key: loading checks the primes, which takes milliseconds per request.
        if kid not in self._parsed_keys:
            key = load_pem_private_key(pem, password=None)
            if not isinstance(key, RSAPrivateKey):
                raise TypeError(f"{kid}: not an RSA key")
            self._parsed_keys[kid] = key
        return self._parsed_keys[kid]

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _next_key_ms(newest: SigningKey) -> int:
    """Return when the next key is published; it signs from the end of the interval."""
    return newest.created_ms + UPDATE_INTERVAL_MS - PUBLISHED_BEFORE_SIGNING_MS


def _base64url_integer(value: int) -> str:
    raw = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
