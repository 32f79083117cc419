"""What the other tools send, and who else judges it: hostile tokens, values, two libraries."""

from __future__ import annotations

from flask_ssr_session.testing import SessionSigner
from tests.judges import Judges
from tests.token_table import NAMES, NOW, VALUES, can_be_sent, encode, hostile_tokens

__all__ = ["NAMES", "NOW", "ROWS", "SENDABLE_ROWS", "VALUES", "encode", "is_accepted"]

ROWS = list(hostile_tokens().items())
SENDABLE_ROWS = [row for row in ROWS if can_be_sent(row[1])]

_judges = Judges(SessionSigner().public_key)


def is_accepted(token: str, now: float) -> bool:
    """Return whether the independent judges take *token* for a session's."""
    return _judges.claims(token, now) is not None
