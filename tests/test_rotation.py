"""Key rotations under a running app, with a core over HTTP; time is stepped."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from flask import Flask

from example_app.core import DevelopmentCore
from example_app.core import keys as core_keys
from flask_ssr_session import FlaskSSRSession, app_state
from flask_ssr_session.sansio.jwt import decode_unverified_token
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.upstream import key_age
from tests.browser_requests import PAGE

from .app.conftest import cookies, with_views
from .clocks import SteppedClock
from .development_core.support import send
from .fake_key_server import finish_background

DAY = 24 * 3600.0
NEW_SESSION = {
    "userId": "user-1",
    "userDataInJWT": {},
    "userDataInDatabase": {},
    "enableAntiCsrf": False,
    "useDynamicSigningKey": True,
}

INVALID = "refresh; reason=invalid"
UNAVAILABLE = "unavailable; reason=keys_unavailable"


class Site:
    """An app with a page for signed-in visitors, and the core that signs their tokens."""

    def __init__(self, core: DevelopmentCore, clock: SteppedClock) -> None:
        self.core = core
        self.clock = clock
        self._app = Flask("site")
        self._extension = FlaskSSRSession(
            self._app,
            api_domain="https://api.example.com",
            jwks_uri=f"{core.uri}/.well-known/jwks.json",
        )
        self._client = with_views(self._app).test_client(use_cookies=False)

    def sign_in(self) -> str:
        """Return an access token issued now."""
        answer = send(self.core.uri, "POST", "/recipe/session", body=NEW_SESSION)
        return str(answer.json["accessToken"]["token"])

    def visit(self, token: str) -> str:
        """Request a page; return ``active`` if it was shown, otherwise state and reason."""
        response = self._client.get("/account", headers=PAGE | cookies(token))
        # Threads need real time; the stepped time does not advance.
        finish_background()
        said = response.headers.get("SSR-Session", "active")
        assert (said == "active") == (response.text == "account of user-1")
        assert (said == UNAVAILABLE) == (response.status_code == 503)
        return said

    def clear_keys(self) -> None:
        with self._app.app_context():
            self._extension.clear_keys()


@pytest.fixture
def site(
    clock: SteppedClock, other_private_key: RSAPrivateKey, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    monkeypatch.setattr(app_state, "SystemClock", lambda: clock)
    # Other tests may have initialised the SDK, which is global.
    monkeypatch.setattr(app_state, "read_sdk", lambda: None)
    # Independent of the speed of the machine: only stepped time matters.
    for name in ("FETCH_SECONDS", "WAIT_SECONDS"):
        monkeypatch.setattr(key_age, name, 30.0)
    private_keys = itertools.cycle([SessionSigner().private_key, other_private_key])
    with DevelopmentCore(
        clock=clock.wall,
        key_factory=lambda: next(private_keys),
        access_token_validity_seconds=int(3 * DAY),
    ) as core:
        yield Site(core, clock)


@pytest.mark.parametrize(
    ("every_seconds", "wait_seconds"),
    [
        # The key set announces its next change, so no request ever waits for a key.
        pytest.param(250, 0.0, id="announced"),
        # The key set may be reused for a week: the first token of a new key may wait for a fetch.
        pytest.param(None, 30.0, id="not announced"),
    ],
)
def test_not_one_request_of_an_hour_notices_scheduled_rotations(
    site: Site, monkeypatch: pytest.MonkeyPatch, every_seconds: int | None, wait_seconds: float
) -> None:
    monkeypatch.setattr(key_age, "WAIT_SECONDS", wait_seconds)
    if every_seconds is not None:
        monkeypatch.setattr(core_keys, "UPDATE_INTERVAL_MS", every_seconds * 1000)
    tokens = []
    for second in range(3600):
        if every_seconds is None and second % 250 == 249:
            site.core.rotate_signing_key(scheduled=True)
        if second % 15 == 0:
            tokens.append(site.sign_in())
        for token in (tokens[-1], tokens[second % len(tokens)]):
            assert site.visit(token) == "active"
        site.clock.advance(1)

    assert len({decode_unverified_token(token).kid for token in tokens}) == 15


@pytest.mark.parametrize(
    ("age", "unknown_for"), [(1, 9), (5, 5), (9, 1), (10, 0), (200, 0), (2 * DAY, 0)]
)
def test_new_key_of_an_unscheduled_rotation_works_within_10_s(
    site: Site, age: float, unknown_for: int
) -> None:
    old = site.sign_in()
    assert site.visit(old) == "active"
    site.clock.advance(age)
    site.core.rotate_signing_key()
    new = site.sign_in()

    said = []
    for _ in range(12):
        said.append(site.visit(new))
        assert site.visit(old) == "active"
        site.clock.advance(1)

    assert said == unknown_for * [UNAVAILABLE] + (12 - unknown_for) * ["active"]


def test_token_of_a_removed_key_is_invalid_within_300_s(site: Site) -> None:
    """The token is cached and used every second."""
    old = site.sign_in()
    assert [site.visit(old), site.visit(old)] == ["active", "active"]
    site.clock.advance(1)
    site.core.rotate_signing_key(drop_old=True)

    said = []
    for _ in range(400):
        said.append(site.visit(old))
        site.clock.advance(1)

    refused_after = said.index(INVALID)
    assert refused_after <= 300
    assert said == refused_after * ["active"] + (400 - refused_after) * [INVALID]
    assert site.visit(site.sign_in()) == "active"


@pytest.mark.parametrize("is_removed", [True, False], ids=["removed", "kept"])
@pytest.mark.parametrize("idle_seconds", [300, 8 * 3600, 2 * DAY])
def test_first_request_after_idle_time_refuses_what_a_removed_key_signed(
    site: Site, idle_seconds: float, is_removed: bool
) -> None:
    old = site.sign_in()
    assert [site.visit(old), site.visit(old)] == ["active", "active"]
    site.core.rotate_signing_key(drop_old=is_removed)

    site.clock.advance(idle_seconds)

    assert site.visit(old) == (INVALID if is_removed else "active")


def test_clear_keys_ends_what_a_removed_key_signed_at_once(site: Site) -> None:
    old = site.sign_in()
    assert [site.visit(old), site.visit(old)] == ["active", "active"]
    site.core.rotate_signing_key(drop_old=True)
    assert site.visit(old) == "active"

    site.clear_keys()

    assert site.visit(old) == INVALID
    assert site.visit(site.sign_in()) == "active"


# The core creates a new key after nine days, and removes the first one after twenty.
@pytest.mark.parametrize("idle_days", [2, 9, 20])
def test_first_visitor_after_idle_days_is_answered_normally(site: Site, idle_days: int) -> None:
    before = site.sign_in()
    assert site.visit(before) == "active"

    site.clock.advance(idle_days * DAY)

    assert site.visit(before) == ("active" if idle_days < 3 else "refresh; reason=expired")
    assert site.visit(site.sign_in()) == "active"


def test_first_visitor_after_idle_days_learns_of_an_outage_and_of_its_end(site: Site) -> None:
    assert site.visit(site.sign_in()) == "active"
    site.clock.advance(2 * DAY)
    site.core.stop_key_server()
    token = site.sign_in()
    assert site.visit(token) == UNAVAILABLE

    site.core.start_key_server()
    site.clock.advance(10)

    assert site.visit(token) == "active"
