"""What a view asks of a session, and the marks by which a hook knows it. Knows no framework."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ..errors import MisuseError
from .claims import ClaimRequirements

# More decorators than this stand above no view.
MAX_WRAPPERS = 100

_MARK = "_ssr_session_mark"


class Requirements(NamedTuple):
    """What a view asks for.

    :ivar optional: no session at all; strangers may come in.
    :ivar claims: what the session's payload has to say, beside the SDK's global claims.
    :ivar global_claims: the SDK's global claim validators are asked, too.
    :ivar allow_pending: a session whose user has not completed all factors will do.
    :ivar check_revoked: the core is asked whether the session still exists.
    :ivar keep_form: a refresh page may carry the form that came too late.
    """

    optional: bool = False
    claims: ClaimRequirements = ClaimRequirements()
    global_claims: bool = True
    allow_pending: bool = False
    check_revoked: bool = False
    keep_form: bool = False

    @classmethod
    def of(cls, claims: ClaimRequirements, **switches: bool) -> Requirements:
        """Check what was written at a view.

        :raises MisuseError: a switch that is neither on nor off.
        """
        for name, value in switches.items():
            if not isinstance(value, bool):
                raise MisuseError(f"{name}= takes True or False.")
        return cls(claims=claims, **switches)


class ViewMark(NamedTuple):
    """What the functions below a view say about it.

    :ivar exempt: no session matters to it.
    """

    exempt: bool = False
    optional: bool = False
    allow_pending: bool = False
    global_claims: bool = True
    keep_form: bool = False


_UNMARKED = ViewMark()


def mark_view(view: Callable[..., Any], mark: ViewMark) -> None:
    """Note *mark* at *view*.

    The mark names its function: ``functools.wraps`` copies it to a wrapper, of which it says
    nothing.
    """
    setattr(view, _MARK, (view, mark))


def view_mark(view: Any) -> ViewMark:
    """Return the marks of *view* and of what it wraps, taken together.

    A hook runs before any of them, so a decorator that knows nothing of sessions, such as a rate
    limit above a public view, must not hide the mark below it.
    """
    marks = list(_marks(view))
    return ViewMark(
        exempt=any(mark.exempt for mark in marks),
        optional=any(mark.optional for mark in marks),
        allow_pending=any(mark.allow_pending for mark in marks),
        global_claims=all(mark.global_claims for mark in marks),
        keep_form=any(mark.keep_form for mark in marks),
    )


class ViewMarks:
    """The marks of an app's views, each looked up once: a hook asks for every request."""

    def __init__(self) -> None:
        self._by_endpoint: dict[str, tuple[Any, ViewMark, frozenset[int]]] = {}

    def of(self, views: Mapping[str, Any], endpoint: str | None) -> ViewMark:
        """Return the marks of the view of *endpoint*; None is a request that no view answers.

        :param views: what the app has registered, by endpoint.
        """
        return self._known(views, endpoint)[1]

    def is_part(
        self, views: Mapping[str, Any], endpoint: str | None, function: Callable[..., Any]
    ) -> bool:
        """Return whether *function* is the view of *endpoint*, or what that wraps."""
        return id(function) in self._known(views, endpoint)[2]

    def _known(
        self, views: Mapping[str, Any], endpoint: str | None
    ) -> tuple[Any, ViewMark, frozenset[int]]:
        view = views.get(endpoint or "")
        known = self._by_endpoint.get(endpoint or "")
        # A view may be replaced, as by an extension that wraps all of them.
        if known is None or known[0] is not view:
            known = view, view_mark(view), frozenset(map(id, wrapped_chain(view)))
            self._by_endpoint[endpoint or ""] = known
        return known


def _marks(view: Any) -> Iterator[ViewMark]:
    for function in wrapped_chain(view):
        owner, mark = getattr(function, "__dict__", {}).get(_MARK, (None, _UNMARKED))
        if owner is function:
            yield mark


def wrapped_chain(view: Any) -> Iterator[Any]:
    """Yield *view*, what it wraps, what that wraps, and so on.

    No further than :data:`MAX_WRAPPERS`: a chain may be a circle.
    """
    for _ in range(MAX_WRAPPERS):
        if view is None:
            return
        yield view
        view = getattr(view, "__wrapped__", None)
