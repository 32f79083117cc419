"""What this package keeps per app and per request, and how a request gets its one verdict.

The verdict is kept with the request object, so that nothing an app does to ``g`` changes it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from blinker import NamedSignal
from flask import Flask, Request, current_app, g, request, request_started
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import SecurityError

from .clock import Clock, SystemClock
from .conditional_requests import drop_conditions, may_ask_conditionally
from .config.sdk import read_sdk
from .config.settings import ResolvedSettings, Settings
from .errors import ConfigError, FetchError, MisuseError, error_location
from .sansio.claims import MFA_CLAIM, ClaimFailure, raise_misuse
from .sansio.cookies import plain_values
from .sansio.csrf import is_cross_site, is_trivially_safe, is_unsafe
from .sansio.form_replay import ReplayableForm
from .sansio.global_claims import GlobalClaims
from .sansio.jwks import parse_key_set
from .sansio.request_kind import SAFE_METHODS, kind_of_request
from .sansio.requirements import Requirements, ViewMarks
from .sansio.response_policy import answer_for
from .sansio.states import Reason, ResponseKind
from .sansio.verdict import Verdict, apply_revocation, decide, hold_pending
from .sansio.verification import KeySource, TokenRules
from .session import SSRSession
from .signals import refresh_requested, session_active
from .throttled_log import ThrottledLog
from .upstream.key_set import KeySet
from .upstream.key_store import FetchedKeys, StaticKeys
from .upstream.revocation import RevocationCheck

EXTENSION_NAME = "ssr_session"

ACCESS_TOKEN_COOKIE = "sAccessToken"  # noqa: S105 - the cookie's name
FRONT_TOKEN_COOKIE = "sFrontToken"  # noqa: S105

# On an optional page: the visitor chose to go on without a session. It opens nothing else.
CONTINUE_PARAMETER = "continueSignedOut"

REFRESH_ENDPOINT = "ssr_session.refresh"

# On g: the record of the request that runs in this app context.
_RUNNING = "_ssr_session_running"

# For the log, where a verdict has no detail of its own.
_LOG_MESSAGES = {
    Reason.EXPIRED: "a token has run out",
    Reason.TOKEN_MISSING: "the browser has the SDK's sign of a session, and sends no token",
    Reason.MFA_PENDING: "a visitor has not completed all factors of sign-in",
    Reason.DUPLICATE: "one browser sends tokens of different users: where the cookie domain was "
    "changed, older_cookie_domain of the SDK clears the older ones away",
    Reason.REVOKED: "the core knows the session of a good token no longer",
    Reason.CLOCK: "a good token begins in the future: this machine's clock is behind the core's",
    Reason.CROSS_SITE: "another site sent a POST or the like, or a proxy hides that this site did",
}


class RequestState:
    """What is known and was done about one request of one app.

    Made for every request, so what most of them never change is kept with the class.

    :ivar parent: the record of the request that this one runs inside of, or None.
    :ivar parent_session: what ``g.session`` was in it.
    :ivar verdict: None until it was asked for.
    :ivar exempt: no session matters to the request, so its conditions and caches are left alone.
    :ivar in_hooks: Flask runs what comes before the request, and no view yet.
    :ivar requirements: what the view asks for, or the hook in front of it.
    :ivar admits_pending: the view runs for a pending session, which ``g.session`` then is.
    :ivar failures: the claims that the session does not meet; None until they were asked.
    :ivar template_optional: what was asked for last in a template is optional.
    :ivar offers_continue: a refresh page offers to go on without a session. It opens nothing.
    :ivar protected: the view ran behind a check for a session.
    :ivar refused: an answer of ours was made for it.
    :ivar lacks_claims: it was refused for claims that an active session does not meet.
    :ivar shown_page: the page of ours that was rendered into the response, or None.
    :ivar refresh_response: the answer, where it asks the browser to refresh, or None.
    :ivar streaming: the response is complete, but for what a template may still stream.
    :ivar refresh_signalled: receivers were told that a refresh is asked for.
    :ivar return_path: where the refresh page leads; None for the page that was asked for.
    :ivar revocation_checked: the core was asked whether the session was revoked.
    :ivar form_checked: it was decided whether the form can be carried.
    :ivar form: what the refresh page carries, or None.
    """

    verdict: Verdict | None = None
    exempt: bool = False
    in_hooks: bool = False
    requirements: Requirements = Requirements()
    admits_pending: bool = False
    failures: tuple[ClaimFailure, ...] | None = None
    template_optional: bool = False
    offers_continue: bool = False
    protected: bool = False
    refused: bool = False
    lacks_claims: bool = False
    shown_page: ResponseKind | None = None
    refresh_response: ResponseKind | None = None
    streaming: bool = False
    refresh_signalled: bool = False
    return_path: str | None = None
    revocation_checked: bool = False
    form_checked: bool = False
    form: ReplayableForm | None = None

    def __init__(self, shared: dict[str, Any]) -> None:
        self.parent: RequestState | None = shared.get(_RUNNING)
        self.parent_session = shared.get("session")
        shared[_RUNNING] = self

    @property
    def optional(self) -> bool:
        """Whether what is held back may also be seen without a session."""
        return self.requirements.optional or self.template_optional

    @property
    def session(self) -> SSRSession | None:
        """What ``g.session`` was set to."""
        verdict = self.verdict
        if verdict is None:
            return None
        return verdict.session or (verdict.pending_session if self.admits_pending else None)


def current_request_state() -> RequestState:
    """Return the record that the current app keeps of the current request.

    :raises MisuseError: ``init_app`` was not called for this app.
    """
    return current_state().record(current_request())


def current_request() -> Request:
    """Return the request itself.

    Every look at a name of Flask's own ``request`` finds it anew, which takes longer than most of
    what the hook does with it; and so for ``g``.
    """
    asked: Request = request._get_current_object()  # type: ignore[attr-defined]
    return asked


def trusted_host(asked: Request) -> str:
    """Return host and port that *asked* was sent to, or nothing where the app does not trust them.

    Such a host is none of the app's own, and the answer to it may have to be completed still.
    """
    try:
        return asked.host
    except SecurityError:
        return ""


def query_args(asked: Request) -> MultiDict[str, str]:
    """Return the query of *asked*; empty where its bytes are no text, which no browser sends."""
    try:
        return asked.args
    except UnicodeDecodeError:
        return MultiDict()


def current_g() -> dict[str, Any]:
    """Return what the ``g`` of the current app context holds, by name."""
    values: dict[str, Any] = vars(g._get_current_object())
    return values


class KeyStore(KeySource, Protocol):
    """Keys that can be dropped, as after a leak."""

    def clear(self) -> None:
        """Drop what was fetched and remembered."""
        ...


class SDKBinding(NamedTuple):
    """What is needed to judge a request, complete at the first one that asks."""

    deployment: ResolvedSettings
    rules: TokenRules
    keys: KeyStore
    is_revoked: Callable[[str], bool] | None
    global_claims: GlobalClaims | None


class AppState:
    """The one object this package keeps per app, at ``app.extensions["ssr_session"]``.

    :ivar app: whose state it is.
    :ivar settings: what the app configured, frozen.
    :ivar checks: run once, before the first verdict; each raises where the app protects less
        than it seems to.
    :ivar preparations: run at the first request of any kind, before anything else; each may run
        twice.
    :ivar record_key: what this app's :class:`RequestState` is called on a request.
    """

    def __init__(self, app: Flask, settings: Settings, clock: Clock | None = None) -> None:
        """Check what can be checked without the SDK.

        :raises ConfigError: a static key set that cannot be read.
        """
        self.app = app
        self.settings = settings
        self.clock: Clock = clock or SystemClock()
        self.log = ThrottledLog(self.clock)
        self.checks: list[Callable[[AppState, ResolvedSettings], None]] = []
        self.view_marks = ViewMarks()
        self.preparations: list[Callable[[AppState], None]] = []
        self.record_key = f"_flask_ssr_session_{id(self)}"
        self._warned: set[str] = set()
        self._is_prepared = False
        self._given_keys: KeyStore | None = _static_keys(settings)
        self._given_is_revoked: Callable[[str], bool] | None = None
        self._ready: dict[str, SDKBinding] = {}

    def record(self, asked: Request) -> RequestState:
        """Return what this app keeps of a request, from the first time it is asked for."""
        record: RequestState | None = asked.__dict__.get(self.record_key)
        if record is None:
            record = asked.__dict__[self.record_key] = RequestState(current_g())
        return record

    def begin_request(self, asked: Request) -> RequestState:
        """Begin without a session, whatever an earlier request left in a ``g`` that lives on."""
        if not self._is_prepared:
            # Two requests that come first at once both do it, and neither goes on without.
            for prepare in self.preparations:
                prepare(self)
            self._is_prepared = True
        shared, record = current_g(), asked.__dict__.get(self.record_key)
        if record is None:  # the new one notes whose g.session this was before
            record = asked.__dict__[self.record_key] = RequestState(shared)
        if record.verdict is None:
            shared["session"] = None
        return record

    def begin_before_hook(self, app: Flask, **_more: Any) -> None:
        """Enter for functions that see a request before the hook does; a receiver of signals."""
        self.begin_request(current_request())
        # A signal costs more than the hook. Where the first request finds no such function, no
        # later one will, as Flask takes no more of them.
        if not app.url_value_preprocessors and len(list(request_started.receivers_for(app))) == 1:
            request_started.disconnect(self.begin_before_hook)

    def end_request(self, _error: BaseException | None = None) -> None:
        """Give ``g.session`` back to the request that the current one ran inside of.

        A view may run a request of its own app (a test client, a ``test_request_context``), and
        both share one ``g``. Without an outer request it is left as it is: a response may still be
        streaming.
        """
        record, shared = self.record(current_request()), current_g()
        shared[_RUNNING] = record.parent
        if record.parent is not None:
            shared["session"] = record.parent_session

    def ready(self) -> SDKBinding:
        """Return settings completed by the SDK, and the keys; read once, then frozen.

        :raises ConfigError: what the SDK or the settings say cannot work.
        :raises MisuseError: a decorator protects nothing.
        """
        ready = self._ready.get("")
        if ready is not None:
            return ready
        settings = self.settings
        if self._given_is_revoked is not None:  # the test kit answers in the core's place
            settings = replace(settings, check_revoked=False)
        deployment = ResolvedSettings.of(settings, read_sdk())
        for check in self.checks:
            check(self, deployment)
        rules = TokenRules(
            issuer=self.settings.issuer,
            leeway_seconds=self.settings.leeway_seconds,
            kid_prefix=deployment.kid_prefix,
        )
        keys = self._given_keys or FetchedKeys(
            deployment.key_uris,
            max_stale_seconds=self.settings.jwks_max_stale_seconds,
            clock=self.clock,
            log=self.log,
            send_signal=self.send_signal,
        )
        is_revoked = self._given_is_revoked
        if is_revoked is None and deployment.session_uris:
            is_revoked = RevocationCheck(
                deployment.session_uris, deployment.core_headers, clock=self.clock
            ).is_revoked
        # One atomic step: of several first requests, all go on with the same keys.
        source = deployment.global_claims
        global_claims = None if source is None else GlobalClaims(source)
        return self._ready.setdefault(
            "", SDKBinding(deployment, rules, keys, is_revoked, global_claims)
        )

    def override_keys_for_testing(
        self, keys: KeyStore, is_revoked: Callable[[str], bool] | None = None
    ) -> None:
        """Judge by these from now on, and ask nobody; for ``flask_ssr_session.testing`` alone."""
        self._given_keys = keys
        self._given_is_revoked = is_revoked
        self._ready.clear()

    def verdict(self) -> Verdict:
        """Return the verdict on the current request, deciding it if nobody did before.

        :raises ConfigError: what the SDK or the settings say cannot work.
        """
        asked = current_request()
        return self.verdict_on(asked, self.record(asked))

    def verdict_on(self, asked: Request, record: RequestState) -> Verdict:
        """Return the verdict on *asked*, which is the current request, and *record* its own."""
        verdict = record.verdict
        if verdict is None:
            verdict = self._decide(asked, self._ready.get("") or self.ready())
            if self.settings.check_revoked:
                verdict = self._check_revocation(record, verdict)
            self._store_verdict(record, verdict)
        return verdict

    def check_revoked(self) -> None:
        """Ask the core, once per request, whether the session still exists.

        :raises MisuseError: no SDK in this process knows the core.
        """
        record, verdict = current_request_state(), self.verdict()
        # With the setting, the verdict may have asked just now.
        if not record.revocation_checked:
            verdict = self._check_revocation(record, verdict)
            self._store_verdict(record, verdict)
            if not may_ask_conditionally(verdict.state) and not record.exempt:
                drop_conditions(current_request())

    def _check_revocation(self, record: RequestState, verdict: Verdict) -> Verdict:
        is_revoked = self.ready().is_revoked
        if is_revoked is None:
            raise MisuseError(
                "check_revoked asks the SuperTokens core, which only the SDK knows: call "
                "supertokens_python.init(...) in this process, or leave check_revoked out."
            )
        record.revocation_checked = True
        try:
            return apply_revocation(verdict, is_revoked)
        except Exception as error:  # noqa: BLE001 - as for the verdict itself
            return self._internal_error(error)

    def _store_verdict(self, record: RequestState, verdict: Verdict) -> None:
        if verdict is not record.verdict:
            record.verdict = verdict
            record.failures = None
            current_g()["session"] = record.session
            if verdict.session is None:
                if verdict.reason is not Reason.ANONYMOUS:
                    self._log_verdict(verdict)
            elif session_active.receivers:  # asked here: a call would cost each request more
                self.send_signal(session_active)

    def _decide(self, asked: Request, ready: SDKBinding) -> Verdict:
        try:
            if not is_trivially_safe(
                asked.method, asked.environ
            ) and self._was_sent_by_another_site(asked, ready):
                return Verdict(Reason.CROSS_SITE)
            raw_tokens = _cookies(asked, ACCESS_TOKEN_COOKIE)
            verdict = decide(
                raw_tokens,
                # It says something only where there is no token.
                has_front_token=not any(raw_tokens) and any(_cookies(asked, FRONT_TOKEN_COOKIE)),
                keys=ready.keys,
                rules=ready.rules,
                now=self.clock.wall(),
            )
            return hold_pending(verdict, lambda: self._requires_mfa(asked, ready, verdict))
        # Fails closed: a defect of ours is an outage, neither a stranger's way in nor the end of
        # anyone's session.
        except Exception as error:  # noqa: BLE001
            return self._internal_error(error)

    def _requires_mfa(self, asked: Request, ready: SDKBinding, verdict: Verdict) -> bool:
        """Return whether a token without ``st-mfa`` is older than the recipe that writes it."""
        claims, session = ready.global_claims, verdict.session
        if claims is None or session is None or not claims.source.has_mfa:
            return False
        context = claims.source.user_context(asked)
        return claims.asks(MFA_CLAIM, session, context, self._log_broken_claim)

    def require(
        self, record: RequestState, requirements: Requirements, *, admits_pending: bool = False
    ) -> None:
        """Note what the code that runs from here on asks for.

        :param admits_pending: it has the session of a user who has not completed all factors.
        """
        if requirements != record.requirements or admits_pending != record.admits_pending:
            record.requirements, record.failures = requirements, None
            if admits_pending != record.admits_pending:
                record.admits_pending = admits_pending
                current_g()["session"] = record.session

    def leave_view(self) -> None:
        """Note that an error handler runs: what its view asked for or let in counts no more."""
        self.require(self.record(current_request()), Requirements())

    def claim_failures(self, asked: Request, record: RequestState) -> tuple[ClaimFailure, ...]:
        """Return every claim that the current view asks for and the session does not meet.

        Empty where there is no session, and where the view takes strangers.

        :raises MisuseError: in debug only, a validator or an override cannot be asked.
        """
        if record.failures is None:
            record.failures = self._ask_claims(asked, record)
        return record.failures

    def _ask_claims(self, asked: Request, record: RequestState) -> tuple[ClaimFailure, ...]:
        session, requirements = record.session, record.requirements
        if session is None or requirements.optional:
            return ()
        claims = self.ready().global_claims
        context = {} if claims is None else claims.source.user_context(asked)
        failures: tuple[ClaimFailure, ...] = ()
        if claims is not None and requirements.global_claims:
            # The view admits sessions that lack this one claim, and no other.
            except_for = MFA_CLAIM if record.admits_pending else None
            failures = claims.failures(
                session, context, self._report_broken_claim, except_for=except_for
            )
        own = requirements.claims.failures(session, context, self._report_broken_claim)
        return (*failures, *own)

    def _report_broken_claim(self, name: str, problem: str, error: BaseException | None) -> None:
        if self.app.debug:
            raise_misuse(name, problem, error)
        self._log_broken_claim(name, problem, error)

    def _log_broken_claim(self, name: str, problem: str, _error: BaseException | None) -> None:
        if name not in self._warned:
            self._warned.add(name)
            message = f"{name} {problem}: whoever it is asked about is turned away"
            self.log.write(logging.ERROR, "claim_unchecked", message)

    def _was_sent_by_another_site(self, asked: Request, ready: SDKBinding) -> bool:
        header = asked.headers.get
        if self.settings.insecure_cross_site or not is_unsafe(asked.method, header):
            return False
        return is_cross_site(header, trusted_host(asked), ready.deployment.trusted_origins)

    def _internal_error(self, error: Exception) -> Verdict:
        place = error_location(error)
        return Verdict(Reason.INTERNAL, detail=f"{place}, in the app {self.app.name!r}")

    def send_signal(self, signal: NamedSignal, /, **facts: object) -> None:
        """Send *signal* for this app; a receiver that fails is logged and changes nothing."""
        if not signal.receivers:
            return
        try:
            signal.send(self.app, _async_wrapper=self.app.ensure_sync, **facts)
        # Somebody's counter must neither turn visitors away nor end the fetching of keys.
        except Exception as error:  # noqa: BLE001
            self.log.write(
                logging.ERROR,
                "receiver_failed",
                f"a receiver of the signal {signal.name} failed: {error_location(error)}",
            )

    def signal_refresh(self, record: RequestState) -> None:
        """Tell receivers, once, if the current request's answer asks the browser to refresh."""
        answer, verdict = record.refresh_response, record.verdict
        if answer is not None and verdict is not None and not record.refresh_signalled:
            record.refresh_signalled = True
            self.send_signal(refresh_requested, reason=verdict.reason.value, answer=answer.value)

    def _log_verdict(self, verdict: Verdict) -> None:
        """Log what an operator may want to know; called where no local variable holds a token."""
        levels = {
            Reason.EXPIRED: logging.DEBUG,
            Reason.TOKEN_MISSING: logging.DEBUG,
            Reason.MFA_PENDING: logging.DEBUG,
            Reason.INTERNAL: logging.ERROR,
        }
        self.log.write(
            levels.get(verdict.reason, logging.WARNING),
            verdict.reason.value,
            verdict.detail or _LOG_MESSAGES.get(verdict.reason, verdict.state.value),
        )

    def warn_once(self, reason: str, message: str, level: int = logging.WARNING) -> None:
        """Log what the app's setup makes of a request, the first time it happens."""
        if reason not in self._warned:
            self._warned.add(reason)
            self.log.write(level, reason, message)

    def clear_keys(self) -> None:
        """Drop keys and remembered tokens in this process; the next token fetches anew."""
        ready = self._ready.get("")
        if ready is not None:
            ready.keys.clear()

    def may_show(self, asked: Request, record: RequestState) -> bool:
        """Return whether the current view may show what it asks a session for.

        :raises MisuseError: in debug only, a claim validator or an override cannot be asked.
        """
        if self.verdict_on(asked, record).pending_session is not None and record.admits_pending:
            is_let_in = record.requirements.allow_pending
        else:
            is_let_in = self.answer(optional=record.optional) is ResponseKind.ALLOW
        return is_let_in and (record.optional or not self.claim_failures(asked, record))

    def answer(self, *, optional: bool = False) -> ResponseKind:
        """Return what the current request gets where it needs a session, or may have one."""
        return answer_for(
            self.verdict().state,
            kind_of_request(request.headers.get),
            is_safe=request.method in SAFE_METHODS,
            optional=optional,
            continues_signed_out=CONTINUE_PARAMETER in query_args(current_request()),
            always_try_refresh=self.settings.always_try_refresh,
            refresh_flow=self.settings.refresh_flow,
        )


def _cookies(asked: Request, name: str) -> list[str]:
    """Return the values of all cookies called *name*."""
    # Parsed already, as for Flask's own session, or by a request class of the app's own.
    if type(asked) is Request and "cookies" not in vars(asked):
        plain = plain_values(asked.environ.get("HTTP_COOKIE", ""), name)
        if plain is not None:
            return plain
    return asked.cookies.getlist(name)


def _static_keys(settings: Settings) -> StaticKeys | None:
    if settings.jwks is None:
        return None
    try:
        document = settings.jwks
        return StaticKeys(
            KeySet(
                parse_key_set(
                    Path(document).read_bytes() if isinstance(document, str) else document
                )
            )
        )
    except OSError as error:
        raise ConfigError(f"SSR_SESSION_JWKS: the file cannot be read ({error.strerror})") from None
    except FetchError as error:
        raise ConfigError(f"SSR_SESSION_JWKS: {error}") from None


def current_state() -> AppState:
    """Return the state of the current app.

    :raises MisuseError: ``init_app`` was not called for it.
    """
    app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
    state: AppState | None = app.extensions.get(EXTENSION_NAME)
    if state is None:
        raise MisuseError(
            f"flask_ssr_session is not set up for the app {app.name!r}: "
            "call FlaskSSRSession(app), or init_app(app) in the factory."
        )
    return state
