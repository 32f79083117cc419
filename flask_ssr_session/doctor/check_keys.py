"""Judge the keys that tokens are verified with, and the clocks. Values in, findings out.

An answer is a stranger's text: statuses, counts and our own words are told, never what it said.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from datetime import timezone
from email.utils import parsedate_to_datetime
from typing import NamedTuple

from ..errors import FetchError
from ..sansio.jwks import parse_key_set
from ..sansio.verification import MAX_CLOCK_AHEAD_SECONDS
from ..upstream.fetch import FetchedResponse
from .finding import Environment, Finding, format_age, host_and_port, ok, problem, warning

Answer = FetchedResponse | FetchError

# ``Date`` has whole seconds, and the answer took a while.
_CLOCK_TOLERANCE_SECONDS = 5.0

_KINDS = {"d-": "dynamic", "s-": "static"}


class ProbeResult(NamedTuple):
    """What was heard from an address, and when, in seconds since the epoch."""

    url: str
    answer: Answer
    at: float


def failure_text(answer: Answer) -> str:
    """Return in a few words why an answer is of no use."""
    if isinstance(answer, FetchError):
        return str(answer)
    return f"status {answer.status}" if answer.status != 200 else "not what was asked for"


def key_ids(answer: Answer) -> frozenset[str]:
    """Return the ids of the usable keys in an answer, none where it holds no key set."""
    if isinstance(answer, FetchError) or answer.status != 200:
        return frozenset()
    try:
        return frozenset(parse_key_set(answer.body))
    except FetchError:
        return frozenset()


def check_static_keys(setup: Environment, kids: Collection[str]) -> Finding:
    """Tell whether keys that came with the settings can be of use."""
    kind = setup.deployment.kid_prefix
    if kind is not None and not _have_kind(kids, kind):
        return _wrong_kind("SSR_SESSION_JWKS", kind)
    seem_dynamic = _have_kind(kids, "d-") and not _have_kind(kids, "s-")
    if kind == "d-" or (kind is None and seem_dynamic):
        return warning(
            "keys",
            "SSR_SESSION_JWKS holds dynamic keys: once SuperTokens makes a new one, which it does "
            "every week, everybody is refused",
            "session.init(use_dynamic_access_token_signing_key=False), and the static keys here",
        )
    return ok("keys", f"{_counted(kids)} in SSR_SESSION_JWKS, so none are fetched")


def check_keys(setup: Environment, heard: Sequence[ProbeResult]) -> Iterator[Finding]:
    """Yield what the key servers come to; the SDK takes turns with all of them."""
    failed = [
        f"{host_and_port(url)} ({failure_text(answer)})"
        for url, answer, _ in heard
        if not key_ids(answer)
    ]
    good = [(url, answer, at, kids) for url, answer, at in heard if (kids := key_ids(answer))]
    if not good:
        yield problem(
            "keys",
            f"no keys can be had from {', '.join(failed)}, so nobody's token can be checked",
            "start the core, or correct connection_uri or SSR_SESSION_JWKS_URI",
        )
        return
    if failed:
        yield warning(
            "keys",
            f"no keys from {', '.join(failed)}",
            "start it, or take it out of connection_uri",
        )
    url, answer, at, kids = good[0]
    strange = [host_and_port(other) for other, _, _, others in good if kids.isdisjoint(others)]
    if strange:
        yield problem(
            "keys",
            f"{', '.join(strange)} and {host_and_port(url)} have no key in common: two databases",
            "let all cores in connection_uri use one database",
        )
    yield _about_kinds(setup, host_and_port(url), kids, at)
    yield from check_clock(answer, at)


def _about_kinds(setup: Environment, place: str, kids: Collection[str], now: float) -> Finding:
    kind = setup.deployment.kid_prefix
    if kind is not None and not _have_kind(kids, kind):
        return _wrong_kind(place, kind)
    made = [int(kid[2:]) / 1000 for kid in kids if re.fullmatch(r"d-\d{1,15}", kid, re.ASCII)]
    is_told = made and max(made) <= now  # the clocks are another finding
    age = f", the newest dynamic one {format_age(now - max(made))} old" if is_told else ""
    return ok("keys", f"{_counted(kids)} at {place}{age}")


def _have_kind(kids: Collection[str], prefix: str) -> bool:
    return any(kid.startswith(prefix) for kid in kids)


def _wrong_kind(where: str, kind: str) -> Finding:
    return problem(
        "keys",
        f"{where} holds no {_KINDS[kind]} key, and the SDK here says that those sign",
        "let use_dynamic_access_token_signing_key say the same wherever the SDK is initialised",
    )


def _counted(kids: Collection[str]) -> str:
    counts = [
        f"{count} {kind}"
        for prefix, kind in _KINDS.items()
        if (count := sum(kid.startswith(prefix) for kid in kids))
    ]
    noun = "key" if len(kids) == 1 else "keys"
    return f"{len(kids)} {noun}" + (f" ({', '.join(counts)})" if counts else "")


def check_clock(answer: Answer, now: float, whose: str = "the key server") -> Iterator[Finding]:
    """Yield how this machine's clock differs from that of whoever answered, if that is told."""
    ahead = None if isinstance(answer, FetchError) else _ahead(answer, now)
    if ahead is None:
        return
    if abs(ahead) <= _CLOCK_TOLERANCE_SECONDS:
        yield ok("clock", f"this machine and {whose} tell the same time")
        return
    says = f"{whose}'s clock is {format_age(ahead)} {'ahead of' if ahead > 0 else 'behind'} ours"
    advice = "let both machines set their clocks by NTP"
    if ahead > MAX_CLOCK_AHEAD_SECONDS:
        yield problem("clock", f"{says}: tokens begin in the future, and pages are 503", advice)
    elif ahead < -MAX_CLOCK_AHEAD_SECONDS:
        yield problem("clock", f"{says}: tokens run out early, or as soon as they are made", advice)
    else:
        yield warning("clock", says, advice)


def _ahead(answer: FetchedResponse, now: float) -> float | None:
    """Return by how many seconds the clock of who answered is ahead of *now*, if that is told."""
    age = answer.headers.get("Age", "0")
    try:
        date = parsedate_to_datetime(answer.headers.get("Date", ""))
        # "-0000" is UTC of which nobody says whose (RFC 5322 section 3.3).
        made = date.replace(tzinfo=date.tzinfo or timezone.utc).timestamp()
        # A cache on the way keeps the date, and says how long it has kept the answer.
        return made + max(0, int(age)) - now
    except (TypeError, ValueError, OverflowError):
        return None
