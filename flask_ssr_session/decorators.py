"""Say of a view whether it needs a session, may have one, or has nothing to do with it."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar, cast, overload
from weakref import WeakValueDictionary

from flask import Flask, Request, current_app, has_request_context, request

from .answers import Answer
from .claims import NOT_ASKED, ClaimRules, ClaimValidator
from .errors import MisuseError
from .places import IGNORED_MARK, is_left_alone, is_open_sign_in
from .replies import SessionRequired, keep_form, refuse_claims, reply
from .session import SSRSession
from .state import REFRESH_ENDPOINT, AppState, current_record, current_request, current_state

_View = TypeVar("_View", bound=Callable[..., Any])

_OPTIONAL_MARK = "_ssr_session_optional"
_KEEPS_FORM_MARK = "_ssr_session_keeps_form"
_WRAPPED_BY_MARK = "_ssr_session_wrapped_by"

# What the decorators below return, by id, as long as it lives; for setup_checks alone.
GUARDS: WeakValueDictionary[int, Callable[..., Any]] = WeakValueDictionary()

# None is what a decorator returns that returns nothing, such as a route of flask-sock.
_NOT_GIVEN: Any = object()


def get_ssr_session() -> SSRSession | None:
    """Return the session of the current request, typed; None where there is none.

    :raises MisuseError: ``init_app`` was not called for this app.

    It is what ``g.session`` was set to, whatever the app put there since.
    """
    return current_state().verdict().session


class _Demand(NamedTuple):
    """What a view asks for beside a session.

    :ivar optional: not even that; strangers may come in.
    """

    optional: bool = False
    claims: ClaimRules = ClaimRules()
    check_revoked: bool = False
    keep_form: bool = False

    @classmethod
    def of(cls, claims: ClaimRules, check_revoked: bool, keep_form: bool) -> _Demand:
        """Check what was written at a view.

        :raises MisuseError: a switch that is neither on nor off.
        """
        for name, value in (("check_revoked", check_revoked), ("keep_form", keep_form)):
            if not isinstance(value, bool):
                raise MisuseError(f"{name}= takes True or False.")
        return cls(claims=claims, check_revoked=check_revoked, keep_form=keep_form)


@overload
def session_required(view: _View) -> _View: ...
@overload
def session_required(
    *,
    role: str = NOT_ASKED,
    permission: str = NOT_ASKED,
    email_verified: bool = False,
    validators: Sequence[ClaimValidator] = (),
    check_revoked: bool = False,
    keep_form: bool = False,
) -> Callable[[_View], _View]: ...
def session_required(
    view: Callable[..., Any] = _NOT_GIVEN,
    *,
    role: str = NOT_ASKED,
    permission: str = NOT_ASKED,
    email_verified: bool = False,
    validators: Sequence[ClaimValidator] = (),
    check_revoked: bool = False,
    keep_form: bool = False,
) -> Callable[..., Any]:
    """Run the view only for a verified session; everyone else gets the fitting answer first.

    A browser gets the refresh page, sign-in or an honest outage page, a script a status that it
    understands. Works with and without parentheses, on plain and async views.

    It goes **below** the route, because the route keeps what it is given::

        @app.route("/account")
        @session_required
        def account(): ...

    Conditions on claims are all asked of the access token's payload; nothing is fetched for them.
    Where one fails the answer is 403: :class:`InvalidClaimsError` for documents, SuperTokens' JSON
    for scripts.

    :param role: a role the user must have (``st-role``). Left out, none is asked for; None is an
        error, so that a missing setting opens nothing. *permission* likewise.
    :param permission: a permission the user must have (``st-perm``).
    :param email_verified: the user's e-mail address must be verified (``st-ev``).
    :param validators: SuperTokens claim validators, such as
        ``UserRoleClaim.validators.includes_any(["admin", "editor"])``.
    :param check_revoked: ask the core whether the session still exists: one more request to it,
        of at most 3 s, and a core that is down makes the view unavailable.
    :param keep_form: when the token of a POST has run out, let the refresh page offer to send the
        form again: up to 64 KB, from this very host, without files and fields that look secret.
    :raises MisuseError: a condition that would not ask what it seems to.
    """
    claims = ClaimRules.of(role, permission, email_verified, validators)
    return _decorated(view, _Demand.of(claims, check_revoked, keep_form))


@overload
def session_optional(view: _View) -> _View: ...
@overload
def session_optional() -> Callable[[_View], _View]: ...
def session_optional(view: Callable[..., Any] = _NOT_GIVEN) -> Callable[..., Any]:
    """Run the view for strangers too, with ``g.session`` None.

    A visitor whose token has run out is refreshed first, so that a signed-in reader is not shown
    the signed-out page; that page offers to go on without signing in. In an outage the view runs
    with ``g.session`` None.
    """
    return _decorated(view, _Demand(optional=True))


def session_ignored(view: _View) -> _View:
    """Leave the view alone: no token is looked at and no header is added for it.

    ``g.session`` is None in it, and nobody's origin is checked.

    What it returns is left alone, not the function itself, which may well be registered under
    another address that needs a session.
    """
    passed = _around(view, _enter)
    setattr(passed, IGNORED_MARK, True)
    return cast("_View", passed)


def require_session(
    *,
    role: str = NOT_ASKED,
    permission: str = NOT_ASKED,
    email_verified: bool = False,
    validators: Sequence[ClaimValidator] = (),
    check_revoked: bool = False,
    keep_form: bool = False,
) -> None:
    """Go on only with a verified session; for ``before_request`` and inside views.

    Register it for an app or a blueprint, ``blueprint.before_request(require_session)`` or, with
    conditions, ``blueprint.before_request(partial(require_session, role="admin"))``; or call it
    in a view. The conditions are those of :func:`session_required`.

    Static files, CORS preflights that Flask answers, SuperTokens' own API, the sign-in and refresh
    pages, what the sign-in page's endpoint answers below it to safe methods, and views marked
    ``session_ignored`` pass; views marked ``session_optional`` stay open to strangers, unless a
    condition on claims is asked. Called inside a view that is marked as
    one of these two, it lets no stranger go on; inside a sign-in page without any mark it cannot be
    told from a hook, and does.

    :raises SessionRequired: an HTTPException that carries the answer.
    :raises InvalidClaimsError: a document was asked for, and a condition on claims failed.
    :raises MisuseError: there is no request, or a condition would not ask what it seems to.
    """
    if not has_request_context():
        raise MisuseError(
            "require_session() asks about the current request. Give before_request the function "
            'itself, with conditions as partial(require_session, role="admin").'
        )
    claims = ClaimRules.of(role, permission, email_verified, validators)
    demand = _Demand.of(claims, check_revoked, keep_form)
    optional = False
    if not current_record().entered:
        left_alone = is_left_alone(current_state(), current_request())
        if left_alone or request.endpoint == REFRESH_ENDPOINT or is_open_sign_in():
            return
        view = current_app.view_functions.get(request.endpoint or "")
        optional = claims == ClaimRules() and getattr(view, _OPTIONAL_MARK, False) is True
    refused = _check(demand._replace(optional=optional))
    if refused is not None:
        raise SessionRequired(response=refused)


def _decorated(view: Callable[..., Any], demand: _Demand) -> Callable[..., Any]:
    if view is _NOT_GIVEN:
        # Registered as a hook by mistake, this is taken for a WSGI application and called as one.
        return lambda view=_NOT_GIVEN, *_: _decorated(view, demand)
    if view is None:
        raise MisuseError(
            "session_required and session_optional were given None in place of a view: the "
            "decorator below them, perhaps a route, registers the bare function and returns "
            "nothing. Put it above, @session_required or @session_optional right at the function."
        )
    if not callable(view) or isinstance(view, type):
        raise MisuseError(
            "session_required and session_optional decorate a view function. A class-based view "
            "takes them in its list, decorators = [session_required]; before_request takes "
            'require_session, or partial(require_session, role="admin").'
        )

    guarded = _around(view, functools.partial(_check, demand, enters=True))
    if demand.optional:
        setattr(guarded, _OPTIONAL_MARK, True)
    if demand.keep_form:
        setattr(guarded, _KEEPS_FORM_MARK, True)
    GUARDS[id(guarded)] = guarded
    # wraps() copied the mark of an earlier call for the same function, as factories make them.
    guarded.__dict__.pop(_WRAPPED_BY_MARK, None)
    # A guard that nothing has registered lives as long as what it wraps, so that it is found.
    inner: Any = view
    while inner is not None:
        # A builtin can be decorated, only not be marked.
        with contextlib.suppress(AttributeError):
            setattr(getattr(inner, "__func__", inner), _WRAPPED_BY_MARK, guarded)
        inner = getattr(inner, "__wrapped__", None)
    return guarded


def _around(view: Callable[..., Any], check: Callable[[], Any]) -> Callable[..., Any]:
    """Return a view that runs only where *check* returns None, and otherwise what it returns."""
    if inspect.iscoroutinefunction(view):

        @functools.wraps(view)
        async def around(*args: Any, **kwargs: Any) -> Any:
            refused = check()
            return await view(*args, **kwargs) if refused is None else refused

    else:

        @functools.wraps(view)
        def around(*args: Any, **kwargs: Any) -> Any:
            refused = check()
            if refused is not None:
                return refused
            # An async view behind a decorator that hides it is run as Flask would run it.
            app: Flask = current_app._get_current_object()  # type: ignore[attr-defined]
            return app.ensure_sync(view)(*args, **kwargs)

    return around


def _enter() -> None:
    """Note that a view runs, so that what asks for a session from here on means it."""
    current_record().entered = True


def _check(demand: _Demand, *, enters: bool = False) -> Any:
    """Return the response that refuses the current request, or None where the view may run.

    :param enters: a decorator asks, and its view runs next.
    :raises InvalidClaimsError: a document was asked for, and a condition on claims failed.
    """
    state, asked = current_state(), current_request()
    record = state.record(asked)
    if enters:
        record.entered = True
    record.optional_view = demand.optional
    record.keeps_form = demand.keep_form
    if demand.check_revoked:
        state.check_revoked()
    session = state.verdict_on(asked, record).session
    if session is None:
        answer = state.answer(optional=demand.optional)
        return None if answer is Answer.PASS else reply(state, answer)
    if demand.optional:
        return None
    record.protected = True
    failures = demand.claims.failures(session)
    return refuse_claims(state, failures) if failures else None


def keep_form_early(state: AppState, asked: Request) -> None:
    """Note the form of a view that keeps it, before a hook such as Flask-WTF's parses it."""
    if (
        asked.method == "POST"
        and _keeps_form(state.app, asked)
        and state.answer() is Answer.REFRESH_PAGE
    ):
        keep_form(current_record())


def _keeps_form(app: Flask, asked: Request) -> bool:
    view = app.view_functions.get(asked.endpoint or "")
    if getattr(view, _KEEPS_FORM_MARK, False) is True:
        return True
    # A partial says what it is going to ask; of any other hook that can only be seen as it runs.
    return any(
        isinstance(hook, functools.partial)
        and hook.func is require_session
        and hook.keywords.get("keep_form") is True
        for owner in (None, *asked.blueprints)
        for hook in app.before_request_funcs.get(owner, ())
    )
