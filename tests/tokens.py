"""The one maker of access tokens for the tests; sound in every respect but the edits."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from flask_ssr_session.testing import SessionSigner

Edits = Mapping[str, Any]


class Absent:
    def __repr__(self) -> str:
        return "absent"


# As the value of an edit, it removes the member from the header or the claims.
ABSENT: Final = Absent()


def edited(members: Edits, edits: Edits) -> dict[str, Any]:
    """Return *members* with *edits*."""
    return {name: value for name, value in {**members, **edits}.items() if value is not ABSENT}


def make_token(
    signer: SessionSigner | None = None, *, header: Edits | None = None, **claims: Any
) -> str:
    """Return an access token.

    :param signer: None for one with the key and the key id that apps under test trust.
    :param header: edits of the header.
    :param claims: arguments of :meth:`SessionSigner.claims`, and edits of any claim.
    """
    signer = signer or SessionSigner()
    removed = {name: value for name, value in claims.items() if value is ABSENT}
    kept = {name: value for name, value in claims.items() if value is not ABSENT}
    payload = edited(signer.claims(**kept), removed)
    return signer.sign(payload, edited(signer.header(), header or {}))


def expired_token(user_id: str = "user-1") -> str:
    return make_token(user_id=user_id, issued_at=time.time() - 7200)
