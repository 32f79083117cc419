"""Blinker signals for counting and tracing what happens to sessions, not for decisions.

The sender is always the app; without receivers nothing is sent. No signal contains a token, a claim
or an address. If a receiver raises, the error is logged as ``receiver_failed`` and the request goes
on.
"""

from __future__ import annotations

from typing import Protocol

from blinker import NamedSignal, Namespace

_signals = Namespace()

session_active = _signals.signal(
    "session-active",
    """The current request has a verified session, which ``g.session`` already is.

    Sent at most once per request, before its view; not for requests that need no session, like
    those for static files. A view's ``check_revoked`` runs later, and may lead to
    ``refresh_requested``.
    """,
)

refresh_requested = _signals.signal(
    "refresh-requested",
    """The response to the current request asks the browser to refresh the session.

    Sent at most once per request, when the response is complete, or when a streaming template
    renders its refresh page. A redirect to the refresh page and that page each send it, so count
    each *answer* separately.

    :param reason: the slug of the header ``SSR-Session``, for example ``expired``; ``active`` if
        the refresh path is opened with a valid session.
    :param answer: ``refresh_page``, ``refresh_redirect``, or ``try_refresh`` for a script.
    """,
)

keys_renewed = _signals.signal(
    "keys-renewed",
    """The signing keys were fetched.

    Like ``keys_failing``, it is sent in each process separately, by the thread that fetched, often
    without a request or an app context.

    :param failures: how many fetches in a row failed before this one; above 0, an outage ended.
    """,
)

keys_failing = _signals.signal(
    "keys-failing",
    """The signing keys could not be fetched; the log says why, and from which hosts.

    :param failures: how many fetches in a row failed, including this one.
    :param age_seconds: the age of the last good keys, or None if there are none.
    :param usable: whether those keys still verify tokens; if not, pages show an outage.
    """,
)


class SignalSender(Protocol):
    """Sends a signal for one app."""

    def __call__(self, signal: NamedSignal, /, **facts: object) -> None:
        """Send *signal* with *facts*; an error of a receiver is not raised."""
        ...


def send_nothing(_signal: NamedSignal, /, **_facts: object) -> None:
    """Send nothing: there is no app."""
