"""What happens to sessions, as Blinker signals: for counting and tracing, never for deciding.

The sender is always the app; where nobody listens, nothing is sent. No signal carries a token, a
claim or an address. A receiver that raises is logged as ``receiver_failed`` and changes nothing:
no visitor is turned away because something could not be counted.
"""

from __future__ import annotations

from typing import Protocol

from blinker import NamedSignal, Namespace

_signals = Namespace()

session_active = _signals.signal(
    "session-active",
    """The current request has a verified session, which ``g.session`` already is.

    Sent at most once per request, before its view; not for what needs no verdict, such as static
    files. A ``check_revoked`` that a view asks for comes later, and may end in
    ``refresh_requested``.
    """,
)

refresh_requested = _signals.signal(
    "refresh-requested",
    """The answer to the current request asks the browser to refresh the session.

    Sent at most once per request, when its answer is complete; a page that is being streamed
    sends it when it comes to its refresh page. Where a redirect leads to the refresh page, both
    send it, so count one *answer* at a time.

    :param reason: the slug of the header ``SSR-Session``, ``expired`` for one; ``active`` where
        somebody opens the refresh path with a good session.
    :param answer: ``refresh_page``, ``refresh_redirect``, or ``try_refresh`` for a script.
    """,
)

keys_renewed = _signals.signal(
    "keys-renewed",
    """The signing keys were fetched: the first time, or again.

    Sent, as is ``keys_failing``, by whatever thread fetched, often without a request or an app
    context; and in each process for itself.

    :param failures: how many fetches before this one failed in a row; above 0, that is over.
    """,
)

keys_failing = _signals.signal(
    "keys-failing",
    """The signing keys could not be fetched; the log says why, and from which host.

    :param failures: how many fetches failed in a row by now.
    :param age_seconds: how old the last good keys are; None where there never were any.
    :param usable: those keys still verify tokens. False: the pages show an outage.
    """,
)


class SignalSender(Protocol):
    """Sends a signal for one app."""

    def __call__(self, signal: NamedSignal, /, **facts: object) -> None:
        """Send *signal* with *facts*; never raises for what a receiver does."""
        ...


def send_nothing(_signal: NamedSignal, /, **_facts: object) -> None:
    """Send nothing, where there is no app."""
