"""What visitors see for everything a key server can do, with known keys and without.

Nothing between the socket and the verdict is replaced; only time is stepped.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as generate_ec_key
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from flask_ssr_session.sansio.base64url import MAX_KID_CHARS
from flask_ssr_session.sansio.states import Reason
from flask_ssr_session.sansio.verdict import Verdict, decide
from flask_ssr_session.sansio.verification import TokenRules
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.throttled_log import ThrottledLog
from flask_ssr_session.upstream import key_age
from flask_ssr_session.upstream.key_age import FetchedKeys

from .clocks import SteppedClock
from .fake_key_server import finish_background
from .key_server import (
    Behaviour,
    KeyServer,
    answer,
    dribble,
    flood,
    hang,
    ok,
    reset,
    speak_tls,
    write_certificate,
)

DAY = 24 * 3600.0

ACTIVE, INVALID, UNAVAILABLE = Reason.ACTIVE, Reason.INVALID, Reason.KEYS_UNAVAILABLE

# What the log says about an outage.
LATE = "no complete response in time"
TOO_LARGE = "the response is larger than 1 MiB"
NOT_JSON = "the document is not JSON"
NO_KEY_SET = "the document is not a key set"
NO_USABLE_KEY = "the key set contains no usable RSA signing key"

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"

# What the server does; None if it closes its port.
Make = Callable[["Bench"], "Behaviour | None"]

Certificate = tuple[Path, Path]


def key_set(*entries: object) -> bytes:
    return json.dumps({"keys": entries}).encode()


def answer_keys(*entries: object) -> Behaviour:
    return answer(ok(key_set(*entries)))


class Bench:
    """One app's keys, the server they come from, and the cookies of a few browsers.

    :ivar good: the normal behaviour of the server: its key set has the key ``d-test``.
    :ivar elsewhere: another origin with good keys, which must not be requested.
    :ivar tokens: of ``d-test``; of ``d-good``, a key that is not in the normal key set; and
        a forged one that names ``d-test``.
    """

    def __init__(
        self,
        origin: str,
        server: KeyServer,
        elsewhere: KeyServer,
        clock: SteppedClock,
        signers: tuple[SessionSigner, SessionSigner],
        certificates: tuple[Certificate, Certificate],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.host = f"{origin.partition('//')[2]}:{server.port}"
        self.server = server
        self.elsewhere = elsewhere
        self.clock = clock
        self.jwk, self.neighbour_jwk = (signer.jwk() for signer in signers)
        self.private_key = signers[0].private_key
        self.document = key_set(self.jwk)
        self.certificate, self.strange_certificate = certificates
        self.file = self.certificate[0].with_name("jwks.json")
        self.file.write_bytes(self.document)
        self.good = elsewhere.behave = answer(ok(self.document))
        if origin.startswith("https"):
            self.good = speak_tls(self.certificate, self.good)
        forger = SessionSigner("d-test", signers[1].private_key)
        self.tokens = {
            name: signer.sign(signer.claims(issued_at=clock.wall(), valid_seconds=3 * DAY))
            for name, signer in zip(("d-test", "d-good", "forged"), (*signers, forger), strict=True)
        }
        self.expired = signers[0].sign(
            signers[0].claims(issued_at=clock.wall() - 3600, valid_seconds=3600)
        )
        self._keys = FetchedKeys(
            [f"{origin}:{server.port}/jwks.json"],
            max_stale_seconds=DAY,
            clock=clock,
            log=ThrottledLog(clock),
        )
        self._monkeypatch = monkeypatch
        self.change(lambda _: self.good)

    def verdict(self, raw_token: str) -> Verdict:
        started = time.monotonic()
        decided = decide(
            [raw_token],
            has_front_token=True,
            keys=self._keys,
            rules=TokenRules(),
            now=self.clock.wall(),
        )
        # Servers that hang or dribble do so for five seconds.
        assert time.monotonic() - started < 4
        return decided

    def reasons(self, *names: str) -> list[Reason]:
        """Return the verdicts on the tokens of these names; wait for background fetches.

        An expired token is always expired, whatever the server does.
        """
        assert self.verdict(self.expired).reason is Reason.EXPIRED
        reasons = [self.verdict(self.tokens[name]).reason for name in names]
        finish_background()
        return reasons

    def change(self, make: Make, *, patience: float = 10) -> None:
        """Change the behaviour of the server.

        :param patience: its deadline in seconds; ten are enough for every response that ends.
        """
        behaviour = make(self)
        if behaviour is None:
            self.server.refuse()
        else:
            self.server.accept_again()
            self.server.behave = behaviour
        self._monkeypatch.setattr(key_age, "FETCH_SECONDS", patience)
        self._monkeypatch.setattr(key_age, "WAIT_SECONDS", patience)

    def fail(self, make: Make, problem: str) -> None:
        """Make the server fail, with a short deadline if it does not respond in time."""
        self.change(make, patience=0.1 if problem == LATE else 10)

    def heal(self) -> None:
        """Restore the normal behaviour, and let ten seconds pass."""
        self.change(lambda _: self.good)
        self.clock.advance(10)
        # The request that starts the next fetch may not wait for it.
        self.reasons("d-test")


@pytest.fixture(scope="module")
def certificates(
    tmp_path_factory: pytest.TempPathFactory,
    signer: SessionSigner,
    other_private_key: RSAPrivateKey,
) -> tuple[Certificate, Certificate]:
    """Two certificates of ``localhost``: a trusted and an untrusted one."""
    return (
        write_certificate(tmp_path_factory.mktemp("trusted"), signer.private_key),
        write_certificate(tmp_path_factory.mktemp("strange"), other_private_key),
    )


@pytest.fixture
def origin() -> str:
    """The origin of the server without its port; a table may override it."""
    return "http://127.0.0.1"


@pytest.fixture
def bench(
    origin: str,
    clock: SteppedClock,
    signer: SessionSigner,
    other_private_key: RSAPrivateKey,
    certificates: tuple[Certificate, Certificate],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Bench]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates[0][0]))
    with closing(KeyServer(hang())) as server, closing(KeyServer(hang())) as elsewhere:
        yield Bench(
            origin,
            server,
            elsewhere,
            clock,
            (signer, SessionSigner("d-good", other_private_key)),
            certificates,
            monkeypatch,
        )
        finish_background()


# Responses that cannot be used


def with_status(status: str, header: str = "") -> Callable[[Bench], Behaviour]:
    """Respond with good keys, and a status other than 200."""
    head = f"HTTP/1.1 {status}\r\n{header}".encode()
    return lambda bench: answer(head + ok(bench.document).removeprefix(OK))


def redirect(status: int) -> Callable[[Bench], Behaviour]:
    return lambda bench: with_status(f"{status} Go", f"Location: {bench.elsewhere.url}\r\n")(bench)


def gzip_bomb(document: bytes) -> bytes:
    """Return less than 1 MiB that decompresses to *document* and 400 MiB of spaces."""
    return gzip.compress(document) + gzip.compress(b" " * 2**20) * 400


# An entry for d-test that must not be used.
BAD_ENTRIES: dict[str, Callable[[Bench], object]] = {
    "an HMAC key": lambda bench: bench.jwk | {"kty": "oct", "k": "c2VjcmV0"},
    "an EC key": lambda bench: (
        bench.jwk | ECAlgorithm.to_jwk(generate_ec_key(SECP256R1()).public_key(), as_dict=True)
    ),
    "a key of 1024 bits": lambda bench: SessionSigner(
        bench.jwk["kid"],
        generate_private_key(public_exponent=65537, key_size=1024),  # noqa: S505
    ).jwk(),
    "a key to encrypt": lambda bench: bench.jwk | {"use": "enc"},
    "a key of RS512": lambda bench: bench.jwk | {"alg": "RS512"},
    "a key that only signs": lambda bench: bench.jwk | {"key_ops": ["sign"]},
    "a key without kid": lambda bench: {
        name: value for name, value in bench.jwk.items() if name != "kid"
    },
    "a kid that is a number": lambda bench: bench.jwk | {"kid": 1},
    "a kid that is too long": lambda bench: bench.jwk | {"kid": "d" * (MAX_KID_CHARS + 1)},
    "a modulus that is broken": lambda bench: bench.jwk | {"n": "?"},
}


def alone(make_entry: Callable[[Bench], object]) -> Make:
    return lambda bench: answer_keys(make_entry(bench))


def beside_a_good_key(make_entry: Callable[[Bench], object]) -> Make:
    return lambda bench: answer_keys(make_entry(bench), bench.neighbour_jwk)


# Behaviour of the server: what the log says, and the code.
OUTAGES: dict[str, tuple[str, Make]] = {
    "hangs before the headers": (LATE, lambda _: hang()),
    "hangs after the headers": (LATE, lambda _: hang(OK + b"Content-Length: 400\r\n\r\n")),
    "hangs before the last byte": (LATE, lambda bench: hang(ok(bench.document)[:-1])),
    "dribbles headers": (LATE, lambda _: dribble(OK, b"X: y\r\n")),
    "dribbles blanks behind a key set": (
        LATE,
        lambda bench: dribble(b"HTTP/1.0 200 OK\r\n\r\n" + bench.document, b" "),
    ),
    "dribbles chunks": (LATE, lambda _: dribble(CHUNKED, b"1\r\n \r\n")),
    "floods with chunks": (
        TOO_LARGE,
        lambda _: flood(CHUNKED, b"10000\r\n" + b" " * 0x10000 + b"\r\n"),
    ),
    "floods with 200 MiB": (TOO_LARGE, lambda _: flood(OK + b"Content-Length: 209715200\r\n\r\n")),
    "floods with a header": (
        "the connection failed (LineTooLong)",
        lambda _: flood(OK + b"X: "),
    ),
    "sends a gzip bomb": (
        NOT_JSON,
        lambda bench: answer(ok(gzip_bomb(bench.document), b"Content-Encoding: gzip\r\n")),
    ),
    "says nothing": (NOT_JSON, lambda _: answer(ok(b""))),
    "breaks JSON off": (NOT_JSON, lambda bench: answer(ok(bench.document[:-1]))),
    "nests JSON deeply": (NOT_JSON, lambda _: answer(ok(b'{"keys": ' + b"[" * 500_000))),
    "sends a page": (NOT_JSON, lambda _: answer(ok(b"<!doctype html><title>Sign in</title>"))),
    "sends a list": (NO_KEY_SET, lambda bench: answer(ok(b"[" + bench.document + b"]"))),
    "sends null": (NO_KEY_SET, lambda _: answer(ok(b"null"))),
    "sends a text": (NO_KEY_SET, lambda _: answer(ok(b'"d-test"'))),
    "sends keys that are a text": (NO_KEY_SET, lambda _: answer(ok(b'{"keys": "d-test"}'))),
    "sends no keys": (NO_USABLE_KEY, lambda _: answer_keys()),
    **{f"sends just {name}": (NO_USABLE_KEY, alone(bad)) for name, bad in BAD_ENTRIES.items()},
    "sends two keys of one kid": (
        NO_USABLE_KEY,
        lambda bench: answer_keys(bench.jwk, bench.neighbour_jwk | {"kid": "d-test"}),
    ),
    "has no content": ("the response has status 204", with_status("204 No Content")),
    "has nothing new": ("the response has status 304", with_status("304 Not Modified")),
    "wants a password": ("the response has status 401", with_status("401 Unauthorized")),
    "finds nothing": ("the response has status 404", with_status("404 Not Found")),
    "fails": ("the response has status 500", with_status("500 Internal Server Error")),
    "is overloaded": ("the response has status 503", with_status("503 Service Unavailable")),
    **{
        f"redirects with {status}": (f"the response has status {status}", redirect(status))
        for status in (301, 302, 303, 307, 308)
    },
    "redirects to a file": (
        "the response has status 302",
        lambda bench: with_status("302 Found", f"Location: {bench.file.as_uri()}\r\n")(bench),
    ),
    "fails, then answers": (
        "the response has status 500",
        lambda bench: answer(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n" + ok(bench.document)),
    ),
    "closes its port": ("the connection failed (ConnectionRefusedError)", lambda _: None),
    "hangs up": ("the connection failed (RemoteDisconnected)", lambda _: answer(b"")),
    "hangs up before the last byte": (
        "the response was cut off",
        lambda bench: answer(ok(bench.document)[:-1]),
    ),
    "tears the connection down": (
        "the connection failed (ConnectionResetError)",
        lambda _: reset(),
    ),
    "tears the connection down before the last byte": (
        "the connection failed (ConnectionResetError)",
        lambda bench: reset(ok(bench.document)[:-1]),
    ),
}

TLS_OUTAGES: dict[str, tuple[str, Make]] = {
    "hangs in the handshake": (LATE, lambda _: hang()),
    # The header of a TLS record of 16 KiB.
    "dribbles the handshake": (LATE, lambda _: dribble(b"\x16\x03\x03\x40\x00")),
    "hangs after the handshake": (LATE, lambda bench: speak_tls(bench.certificate, hang())),
    "answers without TLS": (
        "the connection failed (SSLError)",
        lambda bench: hang(ok(bench.document)),
    ),
    "has a strange certificate": (
        "the connection failed (SSLCertVerificationError)",
        lambda bench: speak_tls(bench.strange_certificate, answer(ok(bench.document))),
    ),
}

every_outage = pytest.mark.parametrize(
    ("origin", "problem", "make"),
    [
        pytest.param(origin, *row, id=f"{prefix}{row_id}")
        for prefix, origin, table in (
            ("", "http://127.0.0.1", OUTAGES),
            ("TLS: ", "https://localhost", TLS_OUTAGES),
        )
        for row_id, row in table.items()
    ],
)


@every_outage
def test_without_keys_nothing_is_known_until_the_first_good_answer(
    bench: Bench, problem: str, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    bench.fail(make, problem)

    assert bench.reasons("d-test", "forged") == [UNAVAILABLE, UNAVAILABLE]

    assert bench.server.connections <= 1
    assert bench.elsewhere.connections == 0
    assert caplog.messages == [f"keys_not_fetched: {problem} at {bench.host}; there are no keys"]
    bench.heal()
    assert bench.reasons("d-test", "forged") == [ACTIVE, INVALID]


@every_outage
def test_known_keys_serve_for_a_day(
    bench: Bench, problem: str, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    known = bench.verdict(bench.tokens["d-test"]).session
    assert known is not None
    bench.fail(make, problem)

    # The keys are 240 s old, 300 s, a day.
    for seconds in (240, 60, DAY - 300):
        bench.clock.advance(seconds)
        assert bench.reasons("d-test", "forged") == [ACTIVE, INVALID]
        # Still cached, so the keys were not replaced.
        assert bench.verdict(bench.tokens["d-test"]).session is known
    bench.clock.advance(10)
    assert bench.reasons("d-test", "forged") == [UNAVAILABLE, UNAVAILABLE]

    causes = [message.partition(": ")[2].partition(";")[0] for message in caplog.messages]
    assert causes == [f"{problem} at {bench.host}"] * 4
    assert bench.elsewhere.connections == 0
    bench.heal()
    assert bench.reasons("d-test", "forged") == [ACTIVE, INVALID]


# Responses with other keys


def private_members(bench: Bench) -> dict[str, str]:
    jwk = RSAAlgorithm.to_jwk(bench.private_key, as_dict=True)
    return {name: jwk[name] for name in ("d", "p", "q", "dp", "dq", "qi")}


# Response of the server: the verdicts on the tokens of d-test and d-good, and the code.
ANSWERS: dict[str, tuple[Reason, Reason, Make]] = {
    "another key": (INVALID, ACTIVE, lambda bench: answer_keys(bench.neighbour_jwk)),
    "both keys": (ACTIVE, ACTIVE, lambda bench: answer_keys(bench.jwk, bench.neighbour_jwk)),
    "a key twice": (ACTIVE, INVALID, lambda bench: answer_keys(bench.jwk, bench.jwk)),
    "two keys of one kid beside a good key": (
        INVALID,
        ACTIVE,
        lambda bench: answer_keys(
            bench.jwk, bench.neighbour_jwk | {"kid": "d-test"}, bench.neighbour_jwk
        ),
    ),
    "a key with its private half": (
        ACTIVE,
        INVALID,
        lambda bench: answer_keys(bench.jwk | private_members(bench)),
    ),
    "broken neighbours": (
        ACTIVE,
        INVALID,
        lambda bench: answer_keys(None, 1, "d-good", [], {}, {"kid": "d-good"}, bench.jwk, True),
    ),
    "two answers": (
        ACTIVE,
        INVALID,
        lambda bench: answer(ok(bench.document) + ok(key_set(bench.neighbour_jwk))),
    ),
    **{
        f"{name} beside a good key": (INVALID, ACTIVE, beside_a_good_key(bad))
        for name, bad in BAD_ENTRIES.items()
    },
}

every_answer = pytest.mark.parametrize(
    ("of_test", "of_good", "make"),
    [pytest.param(*row, id=row_id) for row_id, row in ANSWERS.items()],
)


@every_answer
def test_first_answer_decides(bench: Bench, of_test: Reason, of_good: Reason, make: Make) -> None:
    bench.change(make)

    assert bench.reasons("d-test", "d-good", "forged") == [of_test, of_good, INVALID]


@every_answer
def test_next_answer_decides_after_five_minutes(
    bench: Bench, of_test: Reason, of_good: Reason, make: Make
) -> None:
    assert bench.reasons("d-test", "d-good", "forged") == [ACTIVE, INVALID, INVALID]
    bench.change(make)

    bench.clock.advance(300)
    assert bench.reasons("d-test", "d-good", "forged") == [of_test, of_good, INVALID]

    bench.change(lambda _: bench.good)
    bench.clock.advance(300)
    assert bench.reasons("d-test", "d-good", "forged") == [ACTIVE, INVALID, INVALID]
