"""What the other tools send, and who else judges it: hostile tokens, values, two libraries."""

from __future__ import annotations

import re

from flask_ssr_session.testing import SessionSigner
from tests.fuzz_tokens import NAMES, VALUES
from tests.reference_verifiers import ReferenceVerifiers
from tests.test_hostile_tokens import NOW, ROWS, encode

__all__ = ["NAMES", "NOW", "ROWS", "SENDABLE_ROWS", "VALUES", "encode", "is_accepted"]

# Other rows contain characters that change a cookie, so another token would arrive.
SENDABLE_ROWS = [row for row in ROWS if re.fullmatch(r"[!#-+\--:<-\[\]-~]{1,60000}", row[1])]

_judges = ReferenceVerifiers(SessionSigner().public_key)


def is_accepted(token: str, now: float) -> bool:
    """Return whether the independent judges take *token* for a session's."""
    return _judges.accept(token, now)
