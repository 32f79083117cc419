"""Declare that a view needs a session, may have one, or has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast, overload

from flask import has_request_context

from .errors import MisuseError
from .exemptions import is_exempt
from .guards import NOT_GIVEN, check_requirements, exempt_view, guard_view
from .request_state import RequestState, current_request_state
from .responses import SessionRequired
from .sansio.claims import UNSET, ClaimRequirements, ClaimValidator
from .sansio.requirements import Requirements
from .sign_in import is_open_sign_in

# The endpoint of the refresh page.
REFRESH_ENDPOINT = "ssr_session.refresh"

_View = TypeVar("_View", bound=Callable[..., Any])


@overload
def session_required(view: _View) -> _View: ...
@overload
def session_required(
    *,
    role: str = UNSET,
    permission: str = UNSET,
    email_verified: bool = False,
    validators: Sequence[ClaimValidator] = (),
    check_revoked: bool = False,
    keep_form: bool = False,
    allow_pending: bool = False,
    global_claims: bool = True,
) -> Callable[[_View], _View]: ...
def session_required(
    view: Callable[..., Any] = NOT_GIVEN,
    *,
    role: str = UNSET,
    permission: str = UNSET,
    email_verified: bool = False,
    validators: Sequence[ClaimValidator] = (),
    check_revoked: bool = False,
    keep_form: bool = False,
    allow_pending: bool = False,
    global_claims: bool = True,
) -> Callable[..., Any]:
    """Run the view only for a verified session; everyone else gets the fitting answer first.

    A browser gets the refresh page, sign-in or an honest outage page, a script a status that it
    understands. A user who has not completed all factors of sign-in is led on to the next one.
    Works with and without parentheses, on plain and async views.

    It goes **below** the route, because the route keeps what it is given::

        @app.route("/account")
        @session_required
        def account(): ...

    The SDK's global claim validators and all conditions on claims are asked of the access token's
    payload; nothing is fetched for them. Where one fails the answer is 403:
    :class:`InvalidClaimsError` for documents, SuperTokens' JSON for scripts.

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
    :param allow_pending: run the view for users who have not completed all factors of sign-in,
        too: for the pages where they do. ``g.session`` is set for them.
    :param global_claims: False asks none of the claims that the SDK's recipes ask of every
        session, such as a verified e-mail address where EmailVerification is ``REQUIRED``.
    :raises MisuseError: a condition that would not ask what it seems to.
    """
    requirements = Requirements.of(
        ClaimRequirements.of(role, permission, email_verified, validators),
        check_revoked=check_revoked,
        keep_form=keep_form,
        allow_pending=allow_pending,
        global_claims=global_claims,
    )
    return guard_view(view, requirements)


@overload
def session_optional(view: _View) -> _View: ...
@overload
def session_optional() -> Callable[[_View], _View]: ...
def session_optional(view: Callable[..., Any] = NOT_GIVEN) -> Callable[..., Any]:
    """Run the view for strangers too, with ``g.session`` None.

    A visitor whose token has run out is refreshed first, so that a signed-in reader is not shown
    the signed-out page; that page offers to go on without signing in. In an outage the view runs
    with ``g.session`` None.
    """
    return guard_view(view, Requirements(optional=True))


def session_exempt(view: _View) -> _View:
    """Leave the view alone: no token is looked at and no header is added for it.

    ``g.session`` is None in it, and nobody's origin is checked.

    What it returns is left alone, not the function itself, which may well be registered under
    another address that needs a session.
    """
    return cast("_View", exempt_view(view))


def require_session(
    *,
    role: str = UNSET,
    permission: str = UNSET,
    email_verified: bool = False,
    validators: Sequence[ClaimValidator] = (),
    check_revoked: bool = False,
    keep_form: bool = False,
    allow_pending: bool = False,
    global_claims: bool = True,
) -> None:
    """Go on only with a verified session; for ``before_request`` and inside views.

    Register it for an app or a blueprint, ``blueprint.before_request(require_session)`` or, with
    conditions, ``blueprint.before_request(partial(require_session, role="admin"))``; or call it
    in a view. The conditions are those of :func:`session_required`.

    As a hook, it lets static files, CORS preflights that Flask answers, SuperTokens' own API, the
    sign-in and refresh pages, what the sign-in page's endpoint answers below it to safe methods,
    and views marked ``session_exempt`` pass. Unless it asks a condition on claims, it honours what
    the view is marked with: ``session_optional``, ``allow_pending`` and ``global_claims=False``.
    Called inside a view or an error handler, it means what it says.

    :raises SessionRequired: an HTTPException that carries the answer.
    :raises InvalidClaimsError: a document was asked for, and a condition on claims failed.
    :raises MisuseError: there is no request, or a condition would not ask what it seems to.
    """
    if not has_request_context():
        raise MisuseError(
            "require_session() asks about the current request. Give before_request the function "
            'itself, with conditions as partial(require_session, role="admin").'
        )
    claims = ClaimRequirements.of(role, permission, email_verified, validators)
    requirements = Requirements.of(
        claims,
        check_revoked=check_revoked,
        keep_form=keep_form,
        allow_pending=allow_pending,
        global_claims=global_claims,
    )
    state = current_request_state()
    if not state.in_hooks:
        response = check_requirements(state, requirements)
    elif (
        is_exempt(state.app_state, state.request)
        or state.request.endpoint == REFRESH_ENDPOINT
        or is_open_sign_in(state.app_state, state.request)
    ):
        return
    else:
        response = check_requirements(state, _as_marked(state, requirements))
        # The mark is the view's: a decorator above it, which the hook has not admitted, runs first.
        if response is None:
            admits_pending = state.admits_pending and requirements.allow_pending
            state.require(requirements, admits_pending=admits_pending)
    if response is not None:
        raise SessionRequired(response=response)


def _as_marked(state: RequestState, requirements: Requirements) -> Requirements:
    """Return what a hook requires of the current view, whose marks may lower it."""
    if requirements.claims != ClaimRequirements():
        return requirements
    app_state = state.app_state
    mark = app_state.view_marks.of(app_state.app.view_functions, state.request.endpoint)
    return requirements._replace(
        optional=mark.optional,
        allow_pending=requirements.allow_pending or mark.allow_pending,
        global_claims=requirements.global_claims and mark.global_claims,
    )
