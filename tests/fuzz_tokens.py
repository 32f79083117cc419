"""Mutate valid tokens at random and compare our verdict with reference verifiers.

``python -m tests.fuzz_tokens --seconds 600`` runs long; a short run is part of the tests. All
verifiers must accept every token that the package accepts. A token that they accept and the package
rejects must break a rule that they do not have. Other tokens are printed with the seed of the run.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from flask_ssr_session.errors import TokenDefect
from flask_ssr_session.sansio.states import Reason
from flask_ssr_session.sansio.verdict import decide
from flask_ssr_session.sansio.verification import TokenRules
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.upstream.key_set import KeySet, StaticKeys

from .reference_verifiers import ReferenceVerifiers

NOW = 1_700_000_000

# The rules that the reference verifiers do not have.
STRICTER = {
    TokenDefect.TOO_LARGE,
    TokenDefect.ENCODING,  # canonical base64url
    TokenDefect.JSON,  # duplicate members, NaN, depth
    TokenDefect.HEADER,  # parameters that supply keys
    TokenDefect.VERSION,  # two ASCII digits at most
    TokenDefect.CLAIMS,  # empty, long or unprintable identifiers
    TokenDefect.TIMES,  # times after the year 9999
    TokenDefect.TOKEN_TYPE,  # False and 0.0 equal 0
}

VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 5, 0.0, 0.5, 1e300, 10**20),
    *(NOW - 1, NOW, NOW + 60, NOW + 61, NOW * 1000),
    *("", "0", "3", "5", "6", "99", "003", "\u0665", "RS256", "none", "HS256", "JWT"),
    *("d-test", "public", "x" * 1025, "\x00", "\ud800", "\u2028"),
    *([], ["RS256"], [[[]]], {}, {"v": [1]}),
)
NAMES = (
    *("alg", "typ", "kid", "version", "crit", "b64", "jwk", "zip", "x"),
    *("sub", "rsub", "tId", "sessionHandle", "refreshTokenHash1", "parentRefreshTokenHash1"),
    *("exp", "iat", "nbf", "stt", "aud"),
)
JUNK = (
    *('"', "{", "}", "[", "]", ",", ":", " ", "\n", "\\", "\\u0000", "/**/", "\ufeff"),
    *("NaN", "1e999", "0", "9" * 30, "true", "null", "[" * 40, '"sub":"x",', '"alg":"none",'),
)


class Fuzzer:
    """Makes mutated tokens from one seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose
        self._signer = SessionSigner()
        self._keys = StaticKeys(KeySet({"d-test": self._signer.public_key}))
        self._judges = ReferenceVerifiers(self._signer.public_key)
        self._good = self._signer.sign(self._claims())
        self.outcomes: Counter[str] = Counter()

    def step(self) -> None:
        """Make one token and compare the verdicts.

        :raises AssertionError: they differ, and no stricter rule explains it.
        """
        bend: Callable[[], str] = self._random.choice(
            2 * (self._bent_text, self._bent_values) + (self._bent_json,)
        )
        token = bend()
        verdict = decide(
            [token], has_front_token=False, keys=self._keys, rules=TokenRules(), now=NOW
        )
        self._keys.clear()
        accepted, theirs = verdict.reason is Reason.ACTIVE, self._judges.accept(token, NOW)
        self.outcomes[verdict.detail or verdict.reason.value] += 1
        if not token or accepted == theirs:
            return
        explained = theirs and verdict.detail in {defect.value for defect in STRICTER}
        assert explained, f"ours {verdict.reason} {verdict.detail}, theirs {theirs}: {token!r}"

    def _claims(self) -> dict[str, Any]:
        return self._signer.claims(issued_at=NOW)

    def _bent_text(self) -> str:
        text = list(self._good)
        for _ in range(self._random.choice((1, 1, 1, 2, 5))):
            place = self._random.randrange(len(text))
            what = self._random.choice(("replace", "insert", "delete", "swap", "repeat"))
            character = self._random.choice('ABab01-_.=+/ \n\x00\u00e4{}"')
            if what == "replace":
                text[place] = character
            elif what == "insert":
                text.insert(place, character)
            elif what == "delete":
                del text[place]
            elif what == "swap":
                text[place], text[-1 - place] = text[-1 - place], text[place]
            else:
                text[place:place] = text[place : place + self._random.randrange(40)]
        return "".join(text)

    def _bent_values(self) -> str:
        header, claims = self._signer.header(), self._claims()
        for _ in range(self._random.choice((0, 1, 1, 1, 2, 3))):
            target = self._random.choice((header, claims))
            name = self._random.choice((*NAMES, *target))
            if self._random.random() < 0.2:
                target.pop(name, None)
            else:
                target[name] = self._random.choice(VALUES)
        return self._signer.sign(claims, header)

    def _bent_json(self) -> str:
        parts = [json.dumps(self._signer.header()), json.dumps(self._claims())]
        which = self._random.randrange(2)
        text = parts[which]
        place = self._random.randrange(len(text))
        text = text[:place] + self._random.choice(JUNK) + text[place + self._random.randrange(2) :]
        parts[which] = text
        header, payload = (part.encode("utf-8", "surrogatepass") for part in parts)
        return self._signer.sign_raw(header, payload)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns() & 0xFFFFFFFF)
    options = parser.parse_args()
    fuzzer, end, steps = Fuzzer(options.seed), time.monotonic() + options.seconds, 0
    while time.monotonic() < end:
        fuzzer.step()
        steps += 1
    print(f"seed {options.seed}: {steps} tokens, {dict(fuzzer.outcomes.most_common())}")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
