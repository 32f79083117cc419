"""Measure how much memory a flood of tokens takes, and how long rejecting the worst takes.

``python -m tools.soak.memory`` sends a million different valid tokens, invalid tokens and unknown
key ids through an app whose keys are renewed a thousand times meanwhile, which takes about half an
hour; and before them, for each kind of claims that takes much memory, as many valid tokens as fill
the cache. It fails if the process grows by 16 MiB in any of them, or if it takes more than 20 ms to
reject a token of up to 8 KiB. Signing takes most of the time, so two other processes do it. Linux
only: it reads the resident size from ``/proc``.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sys
import time
from collections.abc import Iterable, Iterator
from itertools import chain, islice
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from flask import Flask, g
from werkzeug.test import EnvironBuilder

from flask_ssr_session import FlaskSSRSession, session_required
from flask_ssr_session.app_state import EXTENSION_NAME, AppState
from flask_ssr_session.sansio.jwt import MAX_TOKEN_CHARS
from flask_ssr_session.sansio.verdict import Verdict, decide
from flask_ssr_session.sansio.verification import TokenRules
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.upstream.deadline import Deadline
from flask_ssr_session.upstream.key_age import FetchedKeys
from flask_ssr_session.upstream.key_set import MAX_CACHED_TOKENS, KeySet, StaticKeys
from tests.clocks import SteppedClock

from .hostile import ROWS, encode

NOW = int(SteppedClock().wall())
DECADE_SECONDS = 10 * 365 * 24 * 3600
MAX_GROWTH_MIB = 16
# Twenty times the most expensive on an idle machine, for busy machines.
MAX_REFUSE_SECONDS = 0.02


class Flood:
    """An app with its own keys, and millions of tokens for it."""

    def __init__(self, jwks: Iterable[dict[str, str]] = ()) -> None:
        """Prepare the app.

        :param jwks: keys it trusts in addition to those of :attr:`signer`.
        """
        self.signer = SessionSigner()
        self.clock = SteppedClock()
        self.fetches = 0
        self._jwks = [self.signer.jwk(), *jwks]
        self.app = Flask("memory")
        FlaskSSRSession(self.app, api_domain="https://api.example.com")
        self.app.add_url_rule("/", "page", session_required(lambda: str(g.session.user_id)))
        state: AppState = self.app.extensions[EXTENSION_NAME]
        state.clock = self.clock
        self.keys = FetchedKeys(
            ["https://api.example.com/auth/jwt/jwks.json"],
            max_stale_seconds=86_400,
            clock=self.clock,
            log=state.log,
            fetch=self._fetch,
        )
        state.override_keys_for_testing(self.keys)
        self._environ: dict[str, Any] = EnvironBuilder(
            headers=[("Sec-Fetch-Dest", "empty")]
        ).get_environ()

    def _fetch(self, _url: str, _deadline: Deadline) -> tuple[bytes, None]:
        """Return one more key id each time: replaced key sets must be freed."""
        self.fetches += 1
        another = self.signer.jwk() | {"kid": f"d-fetched-{self.fetches}"}
        return json.dumps({"keys": [*self._jwks, another]}).encode(), None

    def ask(self, token: str) -> str:
        """Send *token* with a page request through the whole app and return the status."""
        self.clock.advance(0.01)
        seen: list[str] = []

        def start_response(status: str, _headers: Any, _error: Any = None) -> Any:
            seen.append(status)

        environ = {**self._environ, "HTTP_COOKIE": f"sAccessToken={token}"}
        body = self.app(environ, start_response)
        for _ in body:
            pass
        body.close()  # type: ignore[attr-defined]
        return seen[0][:3]

    def judge(self, token: str) -> str:
        """Return the reason of the verdict on *token*."""
        self.clock.advance(0.01)
        return self.verdict(token).reason.value

    def verdict(self, *tokens: str) -> Verdict:
        return decide(
            tokens,
            has_front_token=False,
            keys=self.keys,
            rules=TokenRules(),
            now=self.clock.wall(),
        )

    def valid_tokens(self, count: int, **payload: Any) -> Iterator[str]:
        return (self.signer.sign(lasting_claims(self.signer, n, **payload)) for n in range(count))

    def nested_tokens(self, document: str, count: int) -> Iterator[str]:
        """Yield valid tokens of 4 KiB, the longest that are remembered, with *document* in them."""
        for n in range(count):
            claims = json.dumps(lasting_claims(self.signer, n, nested=0))
            payload = claims.replace('"nested": 0', f'"nested": {document}')
            yield self.signer.sign_raw(json.dumps(self.signer.header()).encode(), payload.encode())

    def invalid_tokens(self, count: int) -> Iterator[str]:
        """Yield tokens that are rejected for header, claims, expiry or signature."""
        head, payload, signature = self.signer.sign(lasting_claims(self.signer, 0)).split(".")
        for n in range(0, count, 4):
            claims = lasting_claims(self.signer, n)
            yield f"{head}{n}.{payload}.{signature}"
            yield unsigned(self.signer.header(), claims | {"sub": n})
            yield unsigned(self.signer.header(), claims | {"exp": NOW - n % NOW})
            yield unsigned(self.signer.header(), claims)

    def unknown_kids(self, count: int) -> Iterator[str]:
        """Yield tokens whose key could be newer than the known keys."""
        for n in range(count):
            claims = lasting_claims(self.signer, n) | {"iat": NOW + DECADE_SECONDS}
            yield unsigned(self.signer.header() | {"kid": f"d-unknown-{n}"}, claims)


def lasting_claims(signer: SessionSigner, number: int, **payload: Any) -> dict[str, Any]:
    # Fixed width: longer tokens would count as growth.
    return signer.claims(
        f"user-{number:07}",
        issued_at=NOW,
        valid_seconds=DECADE_SECONDS,
        roles=["reader"],
        **payload,
    )


def unsigned(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """Return a token without computing a signature."""
    head, payload = (encode(json.dumps(part).encode()) for part in (header, claims))
    return f"{head}.{payload}.{encode(bytes(256))}"


# --- growth --------------------------------------------------------------------------------------


def sign_tokens(connection: Connection, kid: str, count: int) -> None:
    """Send the key of a new signer, then *count* of its tokens, as fast as they are taken."""
    signer = SessionSigner(kid)
    connection.send(signer.jwk())
    for number in range(count):
        connection.send(signer.sign(lasting_claims(signer, number)))


def report(line: str) -> None:
    print(line, flush=True)


def resident_mib() -> float:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 2**20


def print_growth(
    name: str, flood: Flood, tokens: Iterator[str], expected: set[str], before: float
) -> bool:
    """Send every token and return whether the process stayed within its limits.

    :param before: its size before the first flood.
    """
    asked, started = 0, time.monotonic()
    most = 0.0
    while batch := list(islice(tokens, 200)):
        statuses = set(map(flood.ask, batch))
        assert statuses <= expected, f"{name}: {statuses}"
        asked += len(batch)
        del batch
        most = max(most, resident_mib() - before)
    report(
        f"{asked:>9,} {name}: grew by at most {most:.1f} MiB "
        f"({time.monotonic() - started:.0f} s, {flood.fetches} fetches so far)"
    )
    return most < MAX_GROWTH_MIB


def measure_growth(count: int) -> bool:
    spawning = multiprocessing.get_context("spawn")
    pipes = [spawning.Pipe(duplex=False) for _ in range(2)]
    signers = [
        spawning.Process(target=sign_tokens, args=(end, f"d-signer-{n}", count // 2), daemon=True)
        for n, (_, end) in enumerate(pipes)
    ]
    for signer in signers:
        signer.start()
    receivers = [receiver for receiver, _ in pipes]
    flood = Flood([receiver.recv() for receiver in receivers])
    for token in chain(flood.valid_tokens(4), flood.invalid_tokens(4), flood.unknown_kids(4)):
        flood.ask(token)  # modules loaded at first use do not count
    valid = (receiver.recv() for _ in range(count // 2) for receiver in receivers)
    before = resident_mib()
    outcomes = [
        print_growth(f"tokens of {document[:9]}…", flood, tokens, {"200"}, before)
        for document in dense_documents()
        for tokens in [flood.nested_tokens(document, MAX_CACHED_TOKENS + 100)]
    ]
    outcomes += [
        print_growth("valid tokens", flood, valid, {"200"}, before),
        print_growth("invalid tokens", flood, flood.invalid_tokens(count), {"401"}, before),
        # A key id is "not known yet" until a fetch shows that it does not exist.
        print_growth("unknown kids", flood, flood.unknown_kids(count), {"401", "503"}, before),
    ]
    for signer in signers:
        signer.join()
    return all(outcomes)


def dense_documents() -> Iterator[str]:
    """Yield the JSON values that take the most memory, for tokens of 4 KiB."""
    room = 2_500
    for element in ("{}", '{"":{}}', "[0]", "[[]]", "1e9", '"a"', '{"a":1}'):
        yield f"[{','.join([element] * (room // (len(element) + 1)))}]"
    yield json.dumps({f"{n:x}": 0 for n in range(room // 10)})
    yield json.dumps("a" * room)


# --- cost ----------------------------------------------------------------------------------------

FILLINGS = (
    *("{}", "[]", "[{}]", "[[]]", "[[[[]]]]", "[{},{}]", '{"":{}}', '{"":[]}', '{"":0}', "0"),
    *("1e1", "0.1", "-0.0", "null", '""', '"\\u0041"', '"\\ud83d\\ude00"', '"\\n"', '"\u00e4"'),
)


def hard_documents(room: int) -> Iterator[tuple[str, bytes]]:
    """Yield the most expensive JSON values of about *room* bytes, each with a name."""
    for filling in FILLINGS:
        yield f"a list of {filling}", repeated(filling, room)
    members = ",".join(f'"{n}":0' for n in range(room // 7))[: room - 8]
    documents = {
        "lists in lists": "[" * room,
        "objects in objects": '{"":' * (room // 4),
        "lists in lists, closed": "[" * (room // 2) + "]" * (room // 2),
        "many members": "{" + members.rpartition(",")[0] + "}",
        "one member many times": "{" + ",".join(['"a":0'] * (room // 6)) + "}",
        "an integer as long as Python reads": "9" * 4300,
        "an integer of too many digits": "9" * room,
        "a number with a long fraction": "0." + "9" * (room - 2),
        "a number between two floats": "9007199254740993." + "0" * (room - 18) + "1",
        "a number with a long exponent": "1e" + "9" * (room - 2),
        "a long string": '"' + "x" * (room - 2) + '"',
        "a long string without an end": '"' + "x" * (room - 1),
        "blanks": " " * (room - 1) + "0",
        "escapes": '"' + "\\u0041" * (room // 6 - 1) + '"',
        "one string per byte": "[" + ",".join(['"x"'] * (room // 4 - 1)) + "]",
    }
    for name, text in documents.items():
        yield name, text.encode()
    yield "bytes that are no UTF-8", b'"' + b"x" * (room - 3) + b'\xff"'
    yield "UTF-8 of four bytes", b'"' + "\U0001f600".encode() * (room // 4 - 1) + b'"'


def repeated(filling: str, room: int) -> bytes:
    text = filling.encode()
    return b"[" + b",".join([text] * ((room - 2) // (len(text) + 1))) + b"]"


def random_filling(source: random.Random, depth: int) -> str:
    """Return a small JSON value to repeat: cheap values may be expensive in combination."""
    if depth == 0 or source.random() < 0.3:
        return source.choice(("{}", "[]", "0", "1e1", "0.1", '""', "null"))
    inner = [random_filling(source, depth - 1) for _ in range(source.choice((1, 1, 2, 3)))]
    if source.random() < 0.5:
        return f"[{','.join(inner)}]"
    return "{" + ",".join(f'"{n}":{value}' for n, value in enumerate(inner)) + "}"


def filled_token(signer: SessionSigner, document: bytes, *, in_header: bool = False) -> str:
    """Return a signed token whose header or payload ends with the member *document*."""
    parts = [
        json.dumps(signer.header()).encode(),
        json.dumps(signer.claims(issued_at=NOW)).encode(),
    ]
    place = 0 if in_header else 1
    parts[place] = parts[place][:-1] + b', "x": ' + document + b"}"
    return signer.sign_raw(parts[0], parts[1])


def room_for(signer: SessionSigner, max_chars: int) -> int:
    """Return the maximum bytes of a document in a token of *max_chars*."""
    return (max_chars - len(filled_token(signer, b""))) * 3 // 4 - 2


def hard_tokens(signer: SessionSigner, place: str) -> Iterator[tuple[str, str]]:
    """Yield tokens of 8 KiB with such a value in their *place*, ``header`` or ``payload``."""
    for name, document in hard_documents(room_for(signer, MAX_TOKEN_CHARS)):
        token = filled_token(signer, document, in_header=place == "header")
        assert 8_100 < len(token) <= MAX_TOKEN_CHARS or "as long as Python" in name
        yield f"{name}, in the {place}", token


def seconds_to_refuse(tokens: tuple[str, ...], rounds: int = 5) -> float:
    """Return the best of *rounds*, which other processes disturbed least."""
    keys = StaticKeys(KeySet({"d-test": SessionSigner().public_key}))
    best = float("inf")
    for _ in range(rounds):
        # A string caches its hash; the string of a new request has none.
        fresh = ["".join(token) for token in map(list, tokens)]
        started = time.perf_counter()
        verdict = decide(
            fresh,
            has_front_token=False,
            keys=keys,
            rules=TokenRules(),
            now=NOW + 2 * DECADE_SECONDS,
        )
        best = min(best, time.perf_counter() - started)
        assert verdict.session is None
    return best


def print_costs(name: str, rows: Iterable[tuple[str, tuple[str, ...]]], show: int = 3) -> float:
    """Print the dearest rows; return the seconds of the first."""
    costs = sorted(((seconds_to_refuse(tokens), row) for row, tokens in rows), reverse=True)
    report(f"{name} ({len(costs)} rows), the dearest:")
    for seconds, row in costs[:show]:
        report(f"{seconds * 1e6:>9.0f} \u00b5s  {row}")
    return costs[0][0]


def measure_costs(fillings: int, seed: int) -> bool:
    """Print the highest costs; return whether each token of at most 8 KiB is cheap."""
    signer, source = SessionSigner(), random.Random(seed)
    room = room_for(signer, MAX_TOKEN_CHARS)
    small = [(row, (text,)) for row, text in ROWS if len(text) <= MAX_TOKEN_CHARS]
    large = [(row, (text,)) for row, text in ROWS if len(text) > MAX_TOKEN_CHARS]
    dearest = [print_costs("hostile tokens up to 8 KiB", small)]
    print_costs("hostile tokens beyond", large, len(large))
    hard = chain(hard_tokens(signer, "header"), hard_tokens(signer, "payload"))
    hard_rows = ((name, (token,)) for name, token in hard)
    dearest.append(print_costs("hard tokens of 8 KiB", hard_rows, 10))
    texts = (random_filling(source, source.randrange(1, 30)) for _ in range(fillings))
    lists = (
        (text[:60], (filled_token(signer, repeated(text, room)),))
        for text in texts
        if len(text) < room
    )
    dearest.append(print_costs(f"random lists of 8 KiB, seed {seed}", lists))
    # All cookies of a request share the server's limit for one header.
    print_costs(
        "several cookies, all of one user",
        (
            (f"{count} of {size} characters", tuple(distinct_hard_tokens(signer, size, count)))
            for count, size in ((1, 8192), (2, 4096), (4, 2048), (2, 8192), (4, 8192))
        ),
        5,
    )
    return max(dearest) < MAX_REFUSE_SECONDS


def distinct_hard_tokens(signer: SessionSigner, size: int, count: int) -> list[str]:
    return [filled_token(signer, repeated("[{}]", room_for(signer, size))) for _ in range(count)]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="tokens of each kind")
    parser.add_argument("--fillings", type=int, default=500, help="random JSON values to try")
    parser.add_argument("--seed", type=int, default=time.time_ns() & 0xFFFFFFFF)
    options = parser.parse_args()
    # First, while the heap has no free space that could hide a leak.
    bounded = measure_growth(options.count)
    cheap = measure_costs(options.fillings, options.seed)
    return 0 if bounded and cheap else 1


if __name__ == "__main__":
    sys.exit(main())
