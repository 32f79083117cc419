"""What a view requires of a session, and the marks that tell the hook."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ..errors import MisuseError
from .builtin_claims import EMAIL_VERIFIED_CLAIM, MFA_CLAIM
from .claims import ClaimFailure, ClaimRequirements, validator_id
from .recency import Recency

# No view has more decorators.
MAX_WRAPPERS = 100

_MARK = "_ssr_session_mark"

# The session is valid, but the app knows no user for it. An app may name a page that cures it.
NO_USER = ClaimFailure("user", {"message": "the app has no user for this session"})

_NO_CLAIMS, _ANY_TIME = ClaimRequirements(), Recency()


class Requirements(NamedTuple):
    """What a view requires.

    :ivar optional: the view runs without a session, too.
    :ivar claims: conditions on the session's payload, in addition to the SDK's global claims.
    :ivar global_claims: the SDK's global claim validators apply, too.
    :ivar allow_pending: the view runs for users who have not completed all factors, too.
    :ivar recency: how recent the sign-in must be.
    :ivar check_revoked: the core is asked whether the session still exists.
    :ivar keep_form: the refresh page may carry a form that was posted with an expired session.
    :ivar user: the app has a user for the session.
    """

    optional: bool = False
    claims: ClaimRequirements = _NO_CLAIMS
    recency: Recency = _ANY_TIME
    global_claims: bool = True
    allow_pending: bool = False
    check_revoked: bool = False
    keep_form: bool = False
    user: bool = False

    @classmethod
    def of(cls, claims: ClaimRequirements, recency: Recency, **switches: bool) -> Requirements:
        """Return the requirements that a decorator declares.

        :raises MisuseError: a switch is neither True nor False, or *optional* has a condition.
        """
        for name, value in switches.items():
            if not isinstance(value, bool):
                raise MisuseError(f"{name}= takes True or False.")
        requirements = cls(claims=claims, recency=recency, **switches)
        if requirements.optional and requirements != cls(optional=True):
            raise MisuseError(
                "optional=True takes no other condition: without a session, nothing can meet it."
            )
        return requirements

    def lowered_by(self, mark: ViewMark) -> Requirements:
        """Return these requirements of a hook for a view with *mark*.

        The view's mark does not lower conditions on claims or the user.
        """
        if self.has_conditions:
            return self
        return self._replace(
            optional=self.optional or mark.optional,
            allow_pending=self.allow_pending or mark.allow_pending,
            global_claims=self.global_claims and mark.global_claims,
        )

    @property
    def curable(self) -> tuple[ClaimFailure, ...]:
        """The failures that a page may cure, without their reasons; a role is none."""
        ids = [EMAIL_VERIFIED_CLAIM] if self.claims.email_verified else []
        ids += map(validator_id, self.claims.validators)
        failures = [ClaimFailure(claim_id, None) for claim_id in ids]
        if self.recency.factor:
            failures.append(ClaimFailure(MFA_CLAIM, None, step_up=self.recency.factor))
        if self.user:
            failures.append(NO_USER)
        return tuple(failures)

    @property
    def has_conditions(self) -> bool:
        """Whether the view may reject an active session that meets the SDK's global claims."""
        return self.user or self.claims != _NO_CLAIMS or self.recency != _ANY_TIME

    @property
    def asks_core(self) -> bool:
        """Whether the core is asked about the session."""
        return self.check_revoked or self.recency.signed_in_within is not None


class ViewMark(NamedTuple):
    """What the decorators of a view declare.

    :ivar exempt: the view is exempt from session handling.
    :ivar curable: the failures that a page may cure, without their reasons.
    :ivar requirements: those of each decorator, the outermost first.
    """

    exempt: bool = False
    optional: bool = False
    allow_pending: bool = False
    global_claims: bool = True
    keep_form: bool = False
    curable: tuple[ClaimFailure, ...] = ()
    requirements: tuple[Requirements, ...] = ()


_UNMARKED = ViewMark()


def mark_view(view: Callable[..., Any], mark: ViewMark) -> None:
    """Attach *mark* to *view*.

    The mark is stored with its function, because ``functools.wraps`` copies it to wrappers that it
    does not describe.
    """
    setattr(view, _MARK, (view, mark))


def view_mark(view: Any) -> ViewMark:
    """Return the combined marks of *view* and of the functions that it wraps.

    The hook runs before any decorator. A decorator above the mark, for example a rate limit, must
    not hide it.
    """
    marks = [own_mark(function) for function in wrapped_chain(view)]
    return ViewMark(
        exempt=any(mark.exempt for mark in marks),
        optional=any(mark.optional for mark in marks),
        allow_pending=any(mark.allow_pending for mark in marks),
        global_claims=all(mark.global_claims for mark in marks),
        keep_form=any(mark.keep_form for mark in marks),
        curable=tuple(failure for mark in marks for failure in mark.curable),
        requirements=tuple(each for mark in marks for each in mark.requirements),
    )


class ViewMarks:
    """Caches the marks of an app's views, which hooks need."""

    def __init__(self) -> None:
        self._by_endpoint: dict[str | None, tuple[Any, ViewMark]] = {}

    def of(self, views: Mapping[str, Any], endpoint: str | None) -> ViewMark:
        """Return the marks of the view of *endpoint*; None stands for a request without a view.

        :param views: the registered views of the app, by endpoint.
        """
        view = None if endpoint is None else views.get(endpoint)
        known = self._by_endpoint.get(endpoint)
        # A view may be replaced, for instance by an extension that wraps all views.
        if known is None or known[0] is not view:
            known = self._by_endpoint[endpoint] = view, view_mark(view)
        return known[1]


def is_part(view: Any, function: Callable[..., Any]) -> bool:
    """Return whether *function* is *view*, or is wrapped by it."""
    # The view itself first, which is the usual case: the chain takes 0.5 µs.
    return function is view or any(function is each for each in wrapped_chain(view))


def own_mark(function: Any) -> ViewMark:
    """Return the mark of *function* itself."""
    owner, mark = getattr(function, "__dict__", {}).get(_MARK, (None, _UNMARKED))
    return mark if owner is function else _UNMARKED


def wrapped_chain(view: Any) -> Iterator[Any]:
    """Yield *view*, the function that it wraps, the one that this wraps, and so on.

    At most :data:`MAX_WRAPPERS` of them: a chain may be circular.
    """
    for _ in range(MAX_WRAPPERS):
        if view is None:
            return
        yield view
        view = getattr(view, "__wrapped__", None)
