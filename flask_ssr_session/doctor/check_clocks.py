"""Compare the clocks of this process and of the servers, by the ``Date`` of their responses.

Behind a proxy that writes its own ``Date``, that of the proxy is compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timezone
from email.utils import parsedate_to_datetime

from ..errors import FetchError
from ..sansio.verification import MAX_CLOCK_AHEAD_SECONDS
from .environment import Environment
from .finding import Finding, format_age, ok, problem, warning
from .probes import ProbeResult

# ``Date`` has whole seconds, and the response took some time.
_TOLERANCE_SECONDS = 5.0

_PROCESS, _SITE = "this process", "the site"


def check_clocks(environment: Environment) -> Iterator[Finding]:
    """Compare the clock of this process with those of the first key server, the API and the site.

    Tokens carry the core's time. A process whose clock differs takes them as expired, or as not
    valid yet.
    """
    ahead = _seconds_ahead_by_name(environment)
    wrong = [name for name, seconds in ahead.items() if abs(seconds) > _TOLERANCE_SECONDS]
    right = [_PROCESS, *(name for name in ahead if name not in wrong)]
    if not wrong:
        if ahead:
            yield ok("clock", f"{_listed(right)} have the same time")
        return
    times = [ahead[name] for name in wrong]
    if len(wrong) > 1 and max(times) - min(times) <= _TOLERANCE_SECONDS:
        # Several clocks that agree are right; the others are not.
        yield _difference(right, wrong, -times[0])
        return
    for name in wrong:
        yield _difference([name], right, ahead[name])


def _difference(wrong: Sequence[str], right: Sequence[str], ahead: float) -> Finding:
    """Return the finding that the clocks of *wrong* are *ahead* seconds ahead of those of *right*.

    :param ahead: negative if they are behind.
    """
    difference = f"{format_age(ahead)} {'ahead of' if ahead > 0 else 'behind'}"
    clocks = "clock" if len(wrong) == 1 else "clocks"
    verb = "is" if len(wrong) == 1 else "are"
    reference = "that" if len(right) == 1 else "those"
    message = (
        f"the {clocks} of {_listed(wrong)} {verb} {difference} {reference} of {_listed(right)}"
    )
    advice = "synchronise the clocks of all machines with NTP"
    if abs(ahead) <= MAX_CLOCK_AHEAD_SECONDS:
        return warning("clock", message, advice)
    # Tokens are issued by the time of the key server and the API.
    verifies = _PROCESS in wrong or _SITE in wrong
    if (ahead < 0) is verifies:
        return problem(
            "clock", f"{message}: tokens are not valid yet, and pages respond with 503", advice
        )
    return problem(
        "clock", f"{message}: tokens expire early, or as soon as they are issued", advice
    )


def _seconds_ahead_by_name(environment: Environment) -> dict[str, float]:
    """Return by how much the clock of each server is ahead of that of this process."""
    key_server = next((probe for probe in environment.key_servers if probe.kids), None)
    named = {
        "the key server": key_server,
        "the API": environment.refresh_api,
        _SITE: environment.refresh_page,
    }
    # Servers at one host share a clock, and have one vote.
    by_host: dict[str, tuple[str, float]] = {}
    for name, probe in named.items():
        seconds = None if probe is None else _seconds_ahead(probe)
        if probe is not None and seconds is not None:
            by_host[probe.host] = name, seconds
    return dict(by_host.values())


def _seconds_ahead(probe: ProbeResult) -> float | None:
    """Return by how much the server's clock is ahead, or None if the response has no time."""
    if isinstance(probe.answer, FetchError):
        return None
    headers = probe.answer.headers
    try:
        date = parsedate_to_datetime(headers.get("Date", ""))
        # "-0000" is UTC, too (RFC 5322 section 3.3).
        sent_at = date.replace(tzinfo=date.tzinfo or timezone.utc).timestamp()
        # A cache keeps the date, and adds how long it has stored the response.
        return sent_at + max(0, int(headers.get("Age", "0"))) - probe.received_at
    except (TypeError, ValueError, OverflowError):
        return None


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
