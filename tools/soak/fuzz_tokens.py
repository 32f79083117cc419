"""Bend sound tokens at random and compare our verdict with independent judges.

``python -m tools.soak.fuzz_tokens --seconds 600`` judges some 3,000 tokens a second of a core.
Expect one line at the end: the seed, the number of tokens, and how often each outcome came up;
``active`` and at least ten defects are among them.

It stops with the exit status 1 and prints the seed and the token if the package accepts a token
that PyJWT or joserfc refuse, or refuses one that they accept by a rule that they have, too.
``--seed`` repeats a run.
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

from flask_ssr_session.sansio.states import Reason
from flask_ssr_session.sansio.verdict import decide
from flask_ssr_session.sansio.verification import TokenRules
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.upstream.key_set import KeySet, StaticKeys
from tests.judges import STRICTER, Judges
from tests.token_table import NAMES, NOW, VALUES

JUNK = (
    *('"', "{", "}", "[", "]", ",", ":", " ", "\n", "\\", "\\u0000", "/**/", "\ufeff"),
    *("NaN", "1e999", "0", "9" * 30, "true", "null", "[" * 40, '"sub":"x",', '"alg":"none",'),
)


class Fuzzer:
    """Makes mutated tokens from one seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._signer = SessionSigner()
        self._keys = StaticKeys(KeySet({"d-test": self._signer.public_key}))
        self._judges = Judges(self._signer.public_key)
        self._good = self._signer.sign(self._claims())
        self.outcomes: Counter[str] = Counter()

    def step(self) -> str | None:
        """Judge one token; return what is wrong if no stricter rule explains a difference."""
        bend: Callable[[], str] = self._random.choice(
            2 * (self._bent_text, self._bent_values) + (self._bent_json,)
        )
        token = bend()
        verdict = decide(
            [token], has_front_token=False, keys=self._keys, rules=TokenRules(), now=NOW
        )
        self._keys.clear()
        ours, theirs = verdict.reason is Reason.ACTIVE, self._judges.claims(token, NOW) is not None
        self.outcomes[verdict.detail or verdict.reason.value] += 1
        is_stricter = theirs and verdict.detail in {defect.value for defect in STRICTER}
        if not token or ours == theirs or is_stricter:
            return None
        return f"ours {verdict.reason} {verdict.detail}, theirs {theirs}: {token!r}"

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
    """Run until the time is over, or until a verdict differs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=time.time_ns() & 0xFFFFFFFF)
    options = parser.parse_args()
    fuzzer, end, steps = Fuzzer(options.seed), time.monotonic() + options.seconds, 0
    difference = None
    while difference is None and time.monotonic() < end:
        difference = fuzzer.step()
        steps += 1
    print(
        f"seed {options.seed}: {steps} tokens, {dict(fuzzer.outcomes.most_common())}",
        *(() if difference is None else (difference,)),
        sep="\n",
    )
    return 0 if difference is None else 1


if __name__ == "__main__":
    sys.exit(main())
