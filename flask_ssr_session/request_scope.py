"""What the code that runs now requires of the session.

A view may run guarded functions side by side: in tasks, or in threads and greenlets with
``copy_current_request_context``. A context variable gives each of them a scope of its own, so that
none lowers what another one requires.
"""

from __future__ import annotations

from contextvars import ContextVar

from .sansio.claims import ClaimFailure
from .sansio.policy_values import Plan
from .sansio.requirements import Requirements
from .sansio.verdict import Verdict

_NOTHING = Requirements()


class Scope:
    """The requirements of the code that runs now, and what follows from them.

    :ivar requirements: those of the view, of the hook in front of it, or of an inner function.
    :ivar admits_pending: the code runs for a pending session, which ``g.session`` then is.
    :ivar template_optional: the last ``needs_refresh`` of a template was about optional content.
    :ivar failures: the claims that the session does not meet, after the verdict that they are for;
        None until they are checked.
    :ivar plan: the plan of the response, likewise.
    """

    __slots__ = ("admits_pending", "failures", "plan", "requirements", "template_optional")

    def __init__(self) -> None:
        self.requirements = _NOTHING
        self.admits_pending = False
        self.template_optional = False
        self.failures: tuple[Verdict, tuple[ClaimFailure, ...]] | None = None
        self.plan: tuple[Verdict, Plan] | None = None

    def copy_from(self, other: Scope) -> None:
        """Take over everything from *other*."""
        for name in Scope.__slots__:
            setattr(self, name, getattr(other, name))

    def set_template_optional(self, optional: bool) -> None:
        """Set whether the last ``needs_refresh`` of a template was about optional content."""
        if optional != self.template_optional:
            self.template_optional = optional
            self.plan = None

    @property
    def optional(self) -> bool:
        """Whether the withheld content may also be seen without a session."""
        return self.requirements.optional or self.template_optional


class InnerScope(Scope):
    """The scope of a function that a view or a hook calls.

    :ivar owner: the state of the request that it belongs to.
    :ivar outer: the inner scope around it in the same context, perhaps of another request; or None.
    """

    __slots__ = ("outer", "owner")

    def __init__(self, owner: object, surrounding: Scope) -> None:
        """Begin with the values of *surrounding*, and enter the scope."""
        self.copy_from(surrounding)
        self.owner = owner
        self.outer = INNER_SCOPE.get()
        INNER_SCOPE.set(self)

    def leave(self) -> None:
        """Return to the scope around this one."""
        # Not by a token: a coroutine may be closed in another context.
        INNER_SCOPE.set(self.outer)


INNER_SCOPE: ContextVar[InnerScope | None] = ContextVar("ssr_session_scope", default=None)
