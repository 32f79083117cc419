"""The state of one app: settings, keys, log and signals."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from blinker import NamedSignal
from flask import Flask

from .clock import Clock, SystemClock
from .config.resolved import ResolvedSettings, SDKSettings
from .config.sdk import read_sdk
from .config.settings import Settings
from .errors import MisuseError, error_location
from .flask_context import current_flask
from .sansio.app_code import raise_misuse
from .sansio.core_session import CoreSession
from .sansio.cures import CurePages
from .sansio.frozen import Frozen
from .sansio.global_claims import GlobalClaims
from .sansio.policy_values import PolicyOptions
from .sansio.requirements import ViewMarks
from .sansio.verification import TokenRules
from .session import SSRSession
from .throttled_log import ThrottledLog
from .upstream.key_set import KeySet, StaticKeys

if TYPE_CHECKING:
    from .upstream.key_age import FetchedKeys

EXTENSION_NAME = "ssr_session"

# Returns what the core knows about the session of a handle, or None if it is revoked.
LookUp = Callable[[str], "CoreSession | None"]

# The apps of this process, by id. They may share functions.
APPS: WeakValueDictionary[int, Flask] = WeakValueDictionary()


class SDKBinding(Frozen):
    """Settings and keys, completed by the SDK at the first request that needs them."""

    settings: Settings
    resolved: ResolvedSettings
    policy: PolicyOptions
    rules: TokenRules
    keys: StaticKeys | FetchedKeys
    look_up: LookUp | None
    global_claims: GlobalClaims | None


class AppState:
    """The one object that this package keeps per app, at ``app.extensions["ssr_session"]``.

    :ivar settings: what the app configured, frozen.
    :ivar is_revoked: the app's own list of revoked sessions, or None.
    :ivar checks: run before the first verdict; each raises if less is protected than it seems.
    :ivar preparations: run at the first request of any kind, before anything else; each may run
        twice. *is_prepared*: they ran.
    :ivar receivers: signal receivers, kept here because blinker holds them weakly.
    :ivar checked_sign_in: host, mount point and sign-in path that were checked last.
    :ivar request_key: the name of this app's ``RequestState`` on a request.
    """

    _binding: SDKBinding | None = None

    def __init__(
        self,
        app: Flask,
        settings: Settings,
        *,
        is_revoked: Callable[[SSRSession], Any] | None = None,
        user_loader: Callable[[], Callable[[SSRSession], Any] | None] = lambda: None,
        sdk_reader: Callable[[], SDKSettings | None] | None = None,
    ) -> None:
        """Check what can be checked without the SDK.

        :param user_loader: returns the app's loader of users, which may be registered later.
        :param sdk_reader: returns the settings of the SDK, or None without one; None reads those of
            this process.
        :raises ConfigError: a static key set cannot be read.
        """
        self.app = app
        self.settings = settings
        self.is_revoked = is_revoked
        self._get_user_loader = user_loader
        self.clock: Clock = SystemClock()
        self.log = ThrottledLog(self.clock)
        self.checks: list[Callable[[AppState, ResolvedSettings], None]] = []
        self.preparations: list[Callable[[AppState], None]] = []
        self.view_marks = ViewMarks()
        self.exemptions: dict[str, tuple[Any, bool]] = {}  # by endpoint, with the view
        self.receivers: list[Callable[..., None]] = []
        self.request_key = f"_flask_ssr_session_{id(self)}"
        self._read_sdk = sdk_reader
        self.is_prepared = False
        self.checked_sign_in: tuple[str, str, str] | None = None
        self._warned: set[str] = set()
        self._fixed_keys: StaticKeys | FetchedKeys | None = None
        if settings.jwks is not None:
            # Loaded with init_app, not with the package: it brings cryptography.
            from .config.static_keys import read_static_keys

            self._fixed_keys = StaticKeys(KeySet(read_static_keys(settings.jwks)))
        self._fixed_look_up: LookUp | None = None

    @property
    def user_loader(self) -> Callable[[SSRSession], Any] | None:
        """The function that returns the app's user of a session, or None."""
        return self._get_user_loader()

    def prepare(self) -> None:
        """Run the preparations; each of several simultaneous first requests runs all of them."""
        for prepare in self.preparations:
            prepare(self)
        self.is_prepared = True

    def sdk_binding(self) -> SDKBinding:
        """Return settings completed by the SDK, and the keys; read once per app.

        :raises ConfigError: the settings of the app or of the SDK are invalid.
        :raises MisuseError: a decorator protects nothing.
        """
        return self._binding or self._bind()

    def _bind(self) -> SDKBinding:
        settings = self.settings
        if self._fixed_look_up is not None:  # the test kit replaces the core
            settings = settings.replace(check_revoked=False)
        resolved = ResolvedSettings.resolve(settings, (self._read_sdk or read_sdk)())
        for check in self.checks:
            check(self, resolved)
        settings = self.settings
        source = resolved.global_claims
        binding = SDKBinding(
            settings=settings,
            resolved=resolved,
            policy=PolicyOptions(
                login_url=resolved.default_login_url,
                login_return_param=settings.login_return_param,
                cures=CurePages(resolved.claim_pages, resolved.factors_path, settings.step_up_url),
                always_try_refresh=settings.always_try_refresh,
                redirects=settings.refresh_flow == "redirect",
                checks_revoked=settings.check_revoked,
            ),
            rules=TokenRules(
                issuer=settings.issuer,
                leeway_seconds=settings.leeway_seconds,
                kid_prefix=resolved.kid_prefix,
            ),
            keys=self._fixed_keys or self._make_key_store(resolved),
            look_up=self._fixed_look_up or self._make_look_up(resolved),
            global_claims=None if source is None else GlobalClaims(source),
        )
        # One atomic step: several simultaneous first requests continue with the same keys.
        kept: SDKBinding = self.__dict__.setdefault("_binding", binding)
        return kept

    def _make_key_store(self, resolved: ResolvedSettings) -> FetchedKeys:
        # init_app has loaded it.
        from .upstream.key_age import FetchedKeys

        return FetchedKeys(
            resolved.key_uris,
            max_stale_seconds=self.settings.jwks_max_stale_seconds,
            clock=self.clock,
            log=self.log,
            send_signal=self.send_signal,
        )

    def _make_look_up(self, resolved: ResolvedSettings) -> LookUp | None:
        if not resolved.session_uris:
            return None
        # init_app has loaded it.
        from .upstream.session_lookup import SessionLookup

        lookup = SessionLookup(resolved.session_uris, resolved.core_headers, clock=self.clock)
        return lookup.look_up

    def override_keys_for_testing(
        self, keys: StaticKeys | FetchedKeys, look_up: LookUp | None = None
    ) -> None:
        """Use *keys* and no network from now on; only for ``flask_ssr_session.testing``."""
        self._fixed_keys = keys
        self._fixed_look_up = look_up
        self.__dict__.pop("_binding", None)

    def clear_keys(self) -> None:
        """Drop the keys and cached tokens of this process; the next token fetches the keys."""
        if self._binding is not None:
            self._binding.keys.clear()

    def send_signal(self, signal: NamedSignal, /, **facts: object) -> None:
        """Send *signal* for this app; a receiver that fails is logged and changes nothing."""
        if signal.is_muted:
            return
        # ``signal.send`` stops at the first receiver that raises, and their order is undefined.
        for receiver in signal.receivers_for(self.app):
            try:
                self.app.ensure_sync(receiver)(self.app, **facts)
            # A broken metrics counter must neither reject visitors nor stop the fetching of keys.
            except Exception as error:  # noqa: BLE001, PERF203
                self.log.write(
                    logging.ERROR,
                    "receiver_failed",
                    f"a receiver of the signal {signal.name} failed: {error_location(error)}",
                )

    def warn_once(self, reason: str, message: str, level: int = logging.WARNING) -> None:
        """Log a problem of the app's setup the first time that a request meets it."""
        if reason not in self._warned:
            self._warned.add(reason)
            self.log.write(level, reason, message)

    def report_broken_claim(self, name: str, problem: str, error: BaseException | None) -> None:
        """Raise, or outside debug log once, that a claim cannot be checked."""
        if self.app.debug:
            raise_misuse(name, problem, error)
        self.log_broken_claim(name, problem, error)

    def log_app_code(self, name: str, problem: str, _error: BaseException | None) -> None:
        """Log that code of the app, which is asked at every request, failed."""
        self.log.write(logging.ERROR, "app_code_failed", f"{name} {problem}")

    def log_broken_claim(self, name: str, problem: str, _error: BaseException | None) -> None:
        """Log once that a claim cannot be checked."""
        message = f"{name} {problem}: views that need it reject every session"
        # Once per name, not per reason: all claims share the reason.
        if name not in self._warned:
            self._warned.add(name)
            self.log.write(logging.ERROR, "claim_unchecked", message)


def current_state() -> AppState:
    """Return the state of the current app.

    :raises MisuseError: ``init_app`` was not called for it.
    """
    app = current_flask()
    state: AppState | None = app.extensions.get(EXTENSION_NAME)
    if state is None:
        raise MisuseError(
            f"flask_ssr_session is not set up for the app {app.name!r}: "
            "call FlaskSSRSession(app), or init_app(app) in the factory."
        )
    return state
