"""How recent a factor or the sign-in is, on both sides of each boundary."""

from __future__ import annotations

import math
from typing import Any

import pytest

from flask_ssr_session.errors import MisuseError
from flask_ssr_session.sansio.claims import UNSET
from flask_ssr_session.sansio.recency import Recency
from flask_ssr_session.session import SSRSession

from ..tables import rows

NOW = 1_700_000_000.0


def session(**payload: Any) -> SSRSession:
    return SSRSession({"sub": "u", **payload})


def mfa(at: Any, factor: str = "totp") -> SSRSession:
    return session(**{"st-mfa": {"c": {factor: at}, "v": True}})


TOTP, TOTP_300 = Recency("totp"), Recency("totp", 300)

FACTORS: dict[str, Any] = {
    "completed at any time": (TOTP, mfa(1), True),
    "another factor": (TOTP, mfa(NOW, "otp-email"), False),
    "no claim": (TOTP, session(), False),
    "a claim that is no object": (TOTP, session(**{"st-mfa": True}), False),
    "factors in a list": (TOTP, session(**{"st-mfa": {"c": ["totp"]}}), False),
    "a time that is true": (TOTP, mfa(True), False),
    "a time that is a text": (TOTP, mfa("1"), False),
    "a time that is no number": (TOTP, mfa(math.nan), False),
    "a time before 1970": (TOTP, mfa(-1), False),
    "a time that is far too large": (TOTP_300, mfa(10**400), False),
    "a time that is far too small": (TOTP_300, mfa(-(10**400)), False),
    "the same for any time, far too large": (TOTP, mfa(10**400), False),
    "300 s ago": (TOTP_300, mfa(NOW - 300), True),
    "a little longer ago": (TOTP_300, mfa(NOW - 300.001), False),
    "a clock that is 60 s ahead": (TOTP_300, mfa(NOW + 60), True),
    "a clock that is further ahead": (TOTP_300, mfa(NOW + 60.001), False),
    "milliseconds in place of seconds": (TOTP_300, mfa(NOW * 1000), False),
    "the same for any time": (TOTP, mfa(NOW * 1000), False),
    "nothing required": (Recency(), session(), True),
}


@rows("required, given, is_met", FACTORS)
def test_factor_is_completed_recently(required: Recency, given: SSRSession, is_met: bool) -> None:
    failures = required.failures(given, None, NOW)
    limit = {} if required.within is None else {"within": 300}
    reason = {"message": "factor is not completed recently", "factor": "totp", **limit}
    assert failures == ([] if is_met else [("st-mfa", reason, "totp", False)])


SIGN_INS: dict[str, Any] = {
    "just now": (NOW, True),
    "an hour ago": (NOW - 3600, True),
    "a little longer ago": (NOW - 3600.001, False),
    "a clock that is 60 s ahead": (NOW + 60, True),
    "a clock that is further ahead": (NOW + 60.001, False),
    "unknown": (None, False),
}


@rows("signed_in_at, is_met", SIGN_INS)
def test_sign_in_is_recent(signed_in_at: float | None, is_met: bool) -> None:
    # The token was issued now, but a refresh is no sign-in.
    failures = Recency(signed_in_within=3600).failures(session(iat=NOW), signed_in_at, NOW)
    reason = {"message": "sign-in is not recent", "within": 3600}
    assert failures == ([] if is_met else [("signed_in_within", reason, "", True)])


ARGUMENTS: dict[str, Any] = {
    "nothing": ((UNSET, UNSET, UNSET), None),
    "a factor": (("totp", UNSET, UNSET), None),
    "a factor and a limit": (("totp", 1, UNSET), None),
    "a sign-in": ((UNSET, UNSET, 0.5), None),
    "a sign-in of whole seconds": ((UNSET, UNSET, 15), None),
    "no factor": ((None, UNSET, UNSET), "factor="),
    "an empty factor": (("", UNSET, UNSET), "factor="),
    "several factors": ((["totp"], UNSET, UNSET), "factor="),
    "a limit of nothing": ((UNSET, 300, UNSET), "within= bounds the age of a factor"),
    "a limit of 0": (("totp", 0, UNSET), "within="),
    "a limit that is true": (("totp", True, UNSET), "within="),
    "an endless limit": (("totp", math.inf, UNSET), "within="),
    "a limit in words": ((UNSET, UNSET, "1 h"), "signed_in_within="),
    "no limit": ((UNSET, UNSET, None), "signed_in_within="),
}


@rows("arguments, message", ARGUMENTS)
def test_arguments_are_checked(arguments: tuple[Any, Any, Any], message: str | None) -> None:
    if message is None:
        expected = [None if each is UNSET else each for each in arguments]
        # As texts: an integer equals its float, but scripts are shown it as it was written.
        assert repr(list(Recency.of(*arguments))) == repr(expected)
        return
    with pytest.raises(MisuseError, match=message):
        Recency.of(*arguments)
