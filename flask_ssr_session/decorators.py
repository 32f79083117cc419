"""Declare that a view requires a session, accepts one, or is exempt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast, overload

from flask import has_request_context

from .errors import MisuseError
from .exemptions import is_exempt
from .guards import NOT_GIVEN, check_apart, check_requirements, exempt_view, guard_view
from .request_paths import REFRESH_ENDPOINT
from .request_state import current_request_state
from .responses import SessionRequired
from .sansio.claims import UNSET, ClaimRequirements, ClaimValidator
from .sansio.recency import Recency
from .sansio.requirements import Requirements
from .sign_in import is_open_sign_in

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
    factor: str = UNSET,
    within: float = UNSET,
    signed_in_within: float = UNSET,
    check_revoked: bool = False,
    keep_form: bool = False,
    user: bool = False,
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
    factor: str = UNSET,
    within: float = UNSET,
    signed_in_within: float = UNSET,
    check_revoked: bool = False,
    keep_form: bool = False,
    user: bool = False,
    allow_pending: bool = False,
    global_claims: bool = True,
) -> Callable[..., Any]:
    """Run the view only with a verified session; other requests get a response before it runs.

    A browser gets the refresh page, sign-in or an outage page; a script gets a status that it
    understands. A user who has not completed all factors of sign-in is sent to the next one.
    It works with and without parentheses, on plain and async views.

    It goes **below** the route, because the route registers the function below it::

        @app.route("/account")
        @session_required
        def account(): ...

    The SDK's global claim validators and all conditions on claims check the payload of the access
    token, or the core's where the core is asked; nothing is fetched for them. If one fails the
    response is 403: for documents the page that leads to its cure, or :class:`InvalidClaimsError`
    without one; for scripts SuperTokens' JSON.

    :param role: a role the user must have (``st-role``). By default none is required; None is an
        error, so that a missing setting opens nothing. *permission* likewise.
    :param permission: a permission the user must have (``st-perm``).
    :param email_verified: the user's e-mail address must be verified (``st-ev``).
    :param validators: SuperTokens claim validators, for instance
        ``UserRoleClaim.validators.includes_any(["admin", "editor"])``.
    :param factor: the id of a factor that the user must have completed in this session
        (``st-mfa``), for instance ``totp``.
    :param within: how many seconds ago that may be at most; needs *factor*.
    :param signed_in_within: how many seconds ago the user may have signed in at most, by the core,
        which is asked as for *check_revoked*. A refresh is no sign-in.
    :param check_revoked: ask the core whether the session still exists: one more request to it,
        of at most 3 s. The view is unavailable while the core is down.
    :param keep_form: if the token of a POST has expired, the refresh page offers to send the form
        again: up to 64 KB, from this host, without files and fields that look secret.
    :param user: the app must have a user for the session (``user_loader``), after all other
        conditions are met. If it has none the response is 403; ``SSR_SESSION_CLAIM_PAGES`` may name
        a page for ``user`` where it is created.
    :param allow_pending: run the view for users who have not completed all factors of sign-in,
        too: for the pages where they complete them. ``g.session`` is set for them.
    :param global_claims: False skips the claims that the SDK's recipes require of every session,
        for instance a verified e-mail address if EmailVerification is ``REQUIRED``.
    :raises MisuseError: a condition would not check what it seems to.
    """
    requirements = Requirements.of(
        ClaimRequirements.of(role, permission, email_verified, validators),
        Recency.of(factor, within, signed_in_within),
        check_revoked=check_revoked,
        keep_form=keep_form,
        user=user,
        allow_pending=allow_pending,
        global_claims=global_claims,
    )
    return guard_view(view, requirements)


@overload
def session_optional(view: _View) -> _View: ...
@overload
def session_optional() -> Callable[[_View], _View]: ...
def session_optional(view: Callable[..., Any] = NOT_GIVEN) -> Callable[..., Any]:
    """Run the view without a session, too, with ``g.session`` None.

    If the token has expired the refresh page comes first, so that a signed-in user does not see the
    signed-out page; it offers to continue without signing in. In an outage the view runs with
    ``g.session`` None.
    """
    return guard_view(view, Requirements(optional=True))


def session_exempt(view: _View) -> _View:
    """Exempt the view from session handling: no token is read and no header is added.

    ``g.session`` is None in it, and the origin of a request is not checked.

    The returned function is exempt, not *view* itself, which may be registered under another path
    that needs a session.
    """
    return cast("_View", exempt_view(view))


def require_session(
    *,
    optional: bool = False,
    role: str = UNSET,
    permission: str = UNSET,
    email_verified: bool = False,
    validators: Sequence[ClaimValidator] = (),
    factor: str = UNSET,
    within: float = UNSET,
    signed_in_within: float = UNSET,
    check_revoked: bool = False,
    keep_form: bool = False,
    user: bool = False,
    allow_pending: bool = False,
    global_claims: bool = True,
) -> None:
    """Continue only with a verified session; for ``before_request`` and inside views.

    Register it for an app or a blueprint, ``blueprint.before_request(require_session)`` or, with
    conditions, ``blueprint.before_request(partial(require_session, role="admin"))``; or call it
    in a view. The conditions are those of :func:`session_required`. With ``optional=True``, it asks
    what :func:`session_optional` asks, for all views of a blueprint; a view or another hook may ask
    for more.

    As a hook, it lets these requests pass: static files, CORS preflights that Flask handles,
    SuperTokens' own API, the sign-in and refresh pages, safe methods below the sign-in page that
    the same endpoint serves, and views marked ``session_exempt``. Without conditions on claims or
    the user, it respects the marks of the view: ``session_optional``, ``allow_pending`` and
    ``global_claims=False``. Inside a view or an error handler it lets no request pass.

    :param optional: continue without a session, too, with ``g.session`` None; an expired token gets
        the refresh page first. It takes no other condition.
    :raises SessionRequired: an HTTPException that carries the response.
    :raises InvalidClaimsError: a document was requested, and a claim without a cure failed.
    :raises MisuseError: there is no request, or a condition would not check what it seems to.
    """
    if not has_request_context():
        raise MisuseError(
            "require_session() checks the current request. Give before_request the function "
            'itself, with conditions as partial(require_session, role="admin").'
        )
    claims = ClaimRequirements.of(role, permission, email_verified, validators)
    requirements = Requirements.of(
        claims,
        Recency.of(factor, within, signed_in_within),
        optional=optional,
        check_revoked=check_revoked,
        keep_form=keep_form,
        user=user,
        allow_pending=allow_pending,
        global_claims=global_claims,
    )
    state = current_request_state()
    if not state.in_hooks:
        response = check_apart(state, requirements)
    elif (
        is_exempt(state.app_state, state.request)
        or state.request.endpoint == REFRESH_ENDPOINT
        or is_open_sign_in(state.app_state, state.request)
    ):
        return
    else:
        marks, views = state.app_state.view_marks, state.app_state.app.view_functions
        mark = marks.of(views, state.request.endpoint)
        response = check_requirements(state, requirements.lowered_by(mark))
        # Marks lower the requirements of the view only: a decorator above it runs first.
        if response is None:
            admits_pending = state.scope.admits_pending and requirements.allow_pending
            state.require(requirements, admits_pending=admits_pending)
    if response is not None:
        raise SessionRequired(response=response)
