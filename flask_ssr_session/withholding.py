"""Record that a response replaces the content; log dead ends, and send the refresh signal."""

from __future__ import annotations

from .request_state import RequestState
from .sansio.policy_values import Plan
from .sansio.response_policy import asks_refresh
from .sansio.states import ResponseKind
from .setup_warnings import warn_of_plan
from .signals import refresh_requested


def withhold(state: RequestState, plan: Plan, rendered: ResponseKind) -> None:
    """Record that *plan* replaces the content.

    :param rendered: the rendered part of the plan: its kind or its page.
    :raises MisuseError: in debug or testing, the sign-in page itself requires a session.
    """
    if state.withheld is not plan or state.rendered is not rendered:
        warn_of_plan(state.app_state, state.request, state.session, plan, rendered)
        state.withheld = plan
        lacks_claims = bool(plan.failures) and state.session is not None
        state.lacks_claims = state.lacks_claims or lacks_claims
        state.rendered = rendered


def signal_refresh(state: RequestState, rendered: ResponseKind) -> None:
    """Send a signal, once, if the response asks the browser to refresh.

    :param rendered: as for :func:`withhold`.
    """
    if asks_refresh(rendered) and not state.refresh_signalled:
        state.refresh_signalled = True
        state.app_state.send_signal(
            refresh_requested, reason=state.decide().reason.value, answer=rendered.value
        )
