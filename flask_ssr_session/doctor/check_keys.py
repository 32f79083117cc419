"""Check the keys that pages verify tokens with.

A server's response is untrusted: findings show statuses and counts, never its text.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from ..errors import CertificateError, FetchError
from .environment import Environment
from .finding import Finding, format_age, ok, problem, warning
from .obstacles import TRUST_ADVICE
from .probes import ProbeResult

_KINDS = {"d-": "dynamic", "s-": "static"}


def check_static_keys(environment: Environment) -> Iterator[Finding]:
    """Check that the keys in ``SSR_SESSION_JWKS`` sign sessions, and stay valid."""
    kids, kind = environment.static_kids, environment.resolved.kid_prefix
    if not kids:
        return
    seem_dynamic = _have_kind(kids, "d-") and not _have_kind(kids, "s-")
    if kind is not None and not _have_kind(kids, kind):
        yield _wrong_kind("SSR_SESSION_JWKS", kind)
    elif kind == "d-" or (kind is None and seem_dynamic):
        yield warning(
            "keys",
            "SSR_SESSION_JWKS holds dynamic keys: every token is rejected when SuperTokens creates "
            "a new key, which it does every week",
            "set session.init(use_dynamic_access_token_signing_key=False), and put the static keys "
            "into SSR_SESSION_JWKS",
        )
    else:
        yield ok("keys", f"{_counted(kids)} in SSR_SESSION_JWKS, so none are fetched")


def check_keys(environment: Environment) -> Iterator[Finding]:
    """Check that every key server has keys, and the same ones: the SDK alternates between them."""
    probes = environment.key_servers
    if not probes:
        return
    bad = [probe for probe in probes if not probe.kids]
    failed = ", ".join(f"{probe.host} ({probe.failure_text})" for probe in bad)
    is_distrusted = any(isinstance(probe.answer, CertificateError) for probe in bad)
    good = [probe for probe in probes if probe.kids]
    if not good:
        yield problem(
            "keys",
            f"no keys could be fetched from {failed}, so no token can be verified",
            TRUST_ADVICE
            if is_distrusted
            else "start the core, or correct connection_uri or SSR_SESSION_JWKS_URI",
        )
        return
    if bad:
        yield problem(
            "keys",
            f"no keys from {failed}: requests that turn to it first wait, and if the others stop, "
            "none can be served",
            TRUST_ADVICE
            if is_distrusted
            else "start it, or remove it from connection_uri"
            if all(isinstance(probe.answer, FetchError) for probe in bad)
            else "correct its address in connection_uri, or remove it",
        )
    first = good[0]
    different = [probe.host for probe in good if first.kids.isdisjoint(probe.kids)]
    if different:
        yield problem(
            "keys",
            f"{', '.join(different)} and {first.host} have no key in common: two databases",
            "connect all cores in connection_uri to one database",
        )
    yield _check_kinds(environment, first)


def _check_kinds(environment: Environment, probe: ProbeResult) -> Finding:
    kids, kind = probe.kids, environment.resolved.kid_prefix
    if kind is not None and not _have_kind(kids, kind):
        return _wrong_kind(probe.host, kind)
    created = [int(kid[2:]) / 1000 for kid in kids if re.fullmatch(r"d-\d{1,15}", kid, re.ASCII)]
    # A key from the future has no age; the clock is another finding.
    has_age = created and max(created) <= probe.received_at
    age = (
        f", the newest dynamic one {format_age(probe.received_at - max(created))} old"
        if has_age
        else ""
    )
    return ok("keys", f"{_counted(kids)} at {probe.host}{age}")


def _have_kind(kids: Collection[str], prefix: str) -> bool:
    return any(kid.startswith(prefix) for kid in kids)


def _wrong_kind(where: str, prefix: str) -> Finding:
    kind = _KINDS[prefix]
    return problem(
        "keys",
        f"{where} holds no {kind} key, but the SDK in this process says that {kind} keys sign "
        "tokens",
        "set use_dynamic_access_token_signing_key to one value wherever the SDK is initialised",
    )


def _counted(kids: Collection[str]) -> str:
    counts = [
        f"{count} {kind}"
        for prefix, kind in _KINDS.items()
        if (count := sum(kid.startswith(prefix) for kid in kids))
    ]
    noun = "key" if len(kids) == 1 else "keys"
    return f"{len(kids)} {noun}" + (f" ({', '.join(counts)})" if counts else "")
