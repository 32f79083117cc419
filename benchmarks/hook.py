"""Measure the cost of the hook per request, and of alternatives: ``python -m benchmarks.hook``.

Everything runs in one process, in turns. Times are microseconds over a bare Flask app with the same
configuration. "Cold" means that every token is new, "warm" that the token is always the same. The
alternatives need ``pip install -e '.[test,benchmarks]'``; missing ones are listed.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import chain, cycle
from pathlib import Path
from typing import Any

from flask import Flask
from supertokens_python.recipe import session as session_recipe

from flask_ssr_session.dev_core import DevelopmentCore
from flask_ssr_session.sansio.jwt import decode_unverified_token
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.upstream.key_set import MAX_CACHED_CHARS, MAX_CACHED_TOKENS
from tests.dev_core.sdk import init_sdk

from . import sites
from .driving import Case, TimedRequest, Timings, always, environ, measure, versions
from .sites import SIGNATURE, SIGNED, Keys
from .visitors import Token, never_seen, sign

BARE, BARE_STATIC = "bare", "bare, static file"
GET_SESSION, VERIFY_SESSION = "supertokens get_session", "supertokens verify_session"

# The versions are reported with the figures; PyJWT's determines most of the alternatives' times.
DISTRIBUTIONS = (
    *("PyJWT", "Flask", "Werkzeug", "cryptography", "supertokens-python", "flask-jwt-extended"),
    *("joserfc", "Authlib", "clerk-backend-api", "Flask-Login"),
)


class Bench:
    """Makes the cases. All tokens are signed before the first clock starts."""

    def __init__(self, keys: Keys, pool_size: int, folder: Path) -> None:
        """Sign the tokens.

        :param pool_size: the number of different tokens. They are used in turns, so with more than
            the cache holds, each is evicted before its next use.
        :param folder: contains ``site.css``.
        """
        self.cases: list[Case] = []
        self.missing: list[str] = []
        self._keys = keys
        self._pool_size = pool_size
        self._folder = str(folder)
        self._tokens = sign(keys.signer, pool_size)
        self._warm = self._tokens[0]

    def add(
        self, name: str, app: Flask, requests: Iterator[TimedRequest], bare: str = BARE
    ) -> None:
        """Add a case for *app*."""
        self.cases.append(Case(name, app, requests, bare))

    def add_bounds(self) -> None:
        """Add the lower bounds."""
        page = always(TimedRequest(self._warm.request().environ))
        static = always(TimedRequest(environ("/static/site.css"), body=b"color"))
        self.add(BARE, sites.bare(), page)
        self.add("bare again: the noise", sites.bare(), page)
        self.add("an empty before_request", sites.with_empty_hook(), page)
        self.add("the least hook: g.session, Vary", sites.with_least_hook(), page)
        rsa_requests = cycle([rsa_request(token) for token in self._tokens])
        self.add("the RSA check alone", sites.with_rsa_check(self._keys), rsa_requests)
        self.add(BARE_STATIC, sites.bare(self._folder), static, BARE_STATIC)
        empty = sites.with_empty_hook(self._folder)
        self.add("an empty before_request, static file", empty, static, BARE_STATIC)
        self.add("ours, static file", sites.ours(self._folder), static, BARE_STATIC)

    def add_ours(self) -> None:
        """Add this hook alone, and with a view behind ``session_required``."""
        token = self._warm
        untouched = always(TimedRequest(token.request("/untouched").environ))
        self.add("ours, session_exempt", sites.ours(), untouched)
        self.add("ours, anonymous", sites.ours(), always(TimedRequest(environ())))
        for path, name in (("/", ""), ("/required", ", session_required")):
            cold = sites.ours()
            self.add(f"ours, cold{name}", cold, never_seen(cold, self._tokens, path))
            self.add(f"ours, warm{name}", sites.ours(), always(token.request(path)))
        self.add("ours, expired token", sites.ours(), always(self._expired().refused()))
        forged = Token(swapped(token.raw, self._tokens[1].raw), "")
        self.add("ours, forged token", sites.ours(), always(forged.refused()))

    def add_rivals(self) -> None:
        """Add the alternatives."""
        for name, make in sites.RIVALS.items():
            try:
                app = make(self._keys)
            except ModuleNotFoundError as error:
                self.missing.append(f"{name} ({error.name})")
                continue
            requests = cycle([each.request() for each in self._tokens])
            self.add(name, app, signed_in(app) if "login" in app.view_functions else requests)

    def add_variants(self, sizes: Sequence[int], key_counts: Sequence[int]) -> None:
        """Add this hook with more of everything that may cost time."""
        for secret, config in (("", {}), (", SECRET_KEY", {"SECRET_KEY": sites.SECRET_KEY})):
            for count in (1, 5, 20):
                group = f"{count} cookie{'s' if count > 1 else ''}{secret}"
                more = "".join(f"; cookie_{n}=value-{n}.of_some-length" for n in range(1, count))
                timed = self._warm.request(more_cookies=more)
                stranger = TimedRequest(environ(cookies=f"consent=yes{more}"))
                bare = f"{group}: bare"
                self.add(bare, sites.bare(**config), always(TimedRequest(timed.environ)), bare)
                self.add(f"{group}: warm", sites.ours(config=config), always(timed), bare)
                self.add(f"{group}: anonymous", sites.ours(config=config), always(stranger), bare)
        for size in sizes:
            tokens = sign(self._keys.signer, self._pool_size, size - len(self._warm.raw))
            group = f"tokens of {len(tokens[0].raw):,} characters"
            self._add_cold_and_warm(group, sites.ours(), sites.ours(), tokens)
        for count in key_counts:
            jwk = self._keys.signer.jwk()
            jwks = {"keys": [*(jwk | {"kid": f"d-{n}"} for n in range(count - 1)), jwk]}
            cold, warm = sites.ours(jwks=jwks), sites.ours(jwks=jwks)
            self._add_cold_and_warm(f"{count} keys", cold, warm, self._tokens)

    def _add_cold_and_warm(
        self, group: str, cold: Flask, warm: Flask, tokens: Sequence[Token]
    ) -> None:
        bare = f"{group}: bare"
        self.add(bare, sites.bare(), always(TimedRequest(tokens[0].request().environ)), bare)
        self.add(f"{group}: cold", cold, never_seen(cold, tokens), bare)
        name = "warm" if len(tokens[0].raw) <= MAX_CACHED_CHARS else "the same, not remembered"
        self.add(f"{group}: {name}", warm, always(tokens[0].request()), bare)

    def _expired(self) -> Token:
        signer = self._keys.signer
        claims = signer.claims(issued_at=0)
        return Token(signer.sign(claims), claims["sub"])


def signed_in(app: Flask) -> Iterator[TimedRequest]:
    """Yield requests with Flask's own session, which contains a user id."""
    client = app.test_client()
    client.get("/login")
    session = client.get_cookie("session")
    if session is None:
        raise RuntimeError("signing in gave no cookie")
    return always(TimedRequest(environ(cookies=f"session={session.value}"), body=b"user-0000000"))


def rsa_request(token: Token) -> TimedRequest:
    """Return a request with everything that the RSA check needs, decoded."""
    parsed = decode_unverified_token(token.raw)
    brought = {SIGNED: parsed.signed, SIGNATURE: parsed.signature}
    return TimedRequest(token.request().environ | brought)


def swapped(raw_token: str, other: str) -> str:
    """Return a token with the signature of another."""
    return f"{raw_token.rpartition('.')[0]}.{other.rpartition('.')[2]}"


@contextmanager
def core_and_sdk() -> Iterator[Keys]:
    """Run a development core, with the SDK initialised for it, and yield its key."""
    os.environ.update(SUPERTOKENS_TLDEXTRACT_DISABLE_HTTP="1", NO_PROXY="127.0.0.1")
    private_key = SessionSigner().private_key
    with DevelopmentCore(key_factory=lambda: private_key) as core:
        init_sdk(core.uri, [session_recipe.init()])
        uri = f"{core.uri}/.well-known/jwks.json"
        yield Keys(SessionSigner(core.rotate_signing_key(), private_key), uri)


# --- what is printed -----------------------------------------------------------------------------


def results(timings: Timings) -> list[dict[str, Any]]:
    """Return one row per case, in the order they were added."""
    rows: list[dict[str, Any]] = []
    medians = {case.name: timings.overhead(case).median for case in timings.cases}
    for case in timings.cases:
        row: dict[str, Any] = {"name": case.name, "total_us": asdict(timings.total(case.name))}
        if case.name != case.bare:
            row["over_bare_us"] = asdict(timings.overhead(case))
            for rival in (GET_SESSION, VERIFY_SESSION):
                # Below a microsecond a ratio would be noise.
                if rival in medians and case.bare == BARE and medians[case.name] > 1:
                    row[f"{rival} / this"] = medians[rival] / medians[case.name]
        rows.append(row)
    return rows


def table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the table: quartiles of a request's time over the bare app's."""
    heads = (("total", 8), ("over bare", 11), ("25 %", 8), ("75 %", 8))
    rivals = (("get_session", 13), ("verify_session", 16))
    yield f"{'µs per request':<42}" + "".join(f"{head:>{width}}" for head, width in heads + rivals)
    for row in rows:
        line = f"{row['name']:<42}{row['total_us']['median']:>8.1f}"
        if "over_bare_us" in row:
            over = row["over_bare_us"]
            line += f"{over['median']:>11.1f}{over['low']:>8.1f}{over['high']:>8.1f}"
        for rival, width in ((GET_SESSION, 11), (VERIFY_SESSION, 14)):
            ratio = row.get(f"{rival} / this")
            line += "" if ratio is None else f"{ratio:>{width}.1f} x"
        yield line


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hook", description=__doc__)
    parser.add_argument("--rounds", type=int, default=300, help="default: 300")
    parser.add_argument("--batch", type=int, default=8, help="requests per case and round; 8")
    parser.add_argument("--quick", action="store_true", help="no variants, 150 rounds at most")
    parser.add_argument("--tokens", type=int, default=2 * MAX_CACHED_TOKENS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    logging.disable(logging.WARNING)  # of refused tokens
    rounds = min(options.rounds, 150) if options.quick else options.rounds
    with core_and_sdk() as keys, tempfile.TemporaryDirectory() as folder:
        Path(folder, "site.css").write_text("p { color: black }\n", encoding="ascii")
        bench = Bench(keys, options.tokens, Path(folder))
        bench.add_bounds()
        bench.add_ours()
        bench.add_rivals()
        if not options.quick:
            bench.add_variants(sizes=(1024, 2048, 4000, 8000), key_counts=(1, 20, 200))
        timings = measure(bench.cases, rounds, options.batch)
    found = versions(*DISTRIBUTIONS)
    rows = results(timings)
    about = f"{rounds} rounds of {options.batch} requests each"
    facts = [", ".join(f"{name} {value or 'missing'}" for name, value in found.items()), about]
    if bench.missing:
        facts.append(f"missing: {', '.join(bench.missing)}")
    for line in chain(table(rows), facts):
        print(line, flush=True)  # noqa: T201
    if options.json:
        document = {"versions": found, "about": about, "missing": bench.missing, "cases": rows}
        options.json.write_text(json.dumps(document, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
