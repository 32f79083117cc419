"""Compare the verdict with PyJWT's and joserfc's, over tokens mutated from fixed seeds."""

from __future__ import annotations

import pytest

from flask_ssr_session.testing import SessionSigner

from .fuzz_tokens import NOW, STRICTER, Fuzzer
from .reference_verifiers import ReferenceVerifiers


@pytest.mark.parametrize("seed", range(4))
def test_what_we_accept_all_judges_accept_and_the_rest_has_a_reason(seed: int) -> None:
    fuzzer = Fuzzer(seed)
    for _ in range(400):
        fuzzer.step()
    # The run means something only if it reached both ends and most rules between them.
    assert fuzzer.outcomes["active"] > 20
    assert len(fuzzer.outcomes) > 10


def test_the_judges_know_good_from_bad() -> None:
    signer = SessionSigner()
    verifiers = ReferenceVerifiers(signer.public_key)
    claims = signer.claims(issued_at=NOW)
    assert verifiers.accept(signer.sign(claims), NOW)
    for bad in (
        signer.sign(claims, signer.header() | {"version": "2"}),
        signer.sign(claims, signer.header() | {"alg": "RS512"}),
        signer.sign(claims | {"stt": 1}),
        signer.sign({name: claims[name] for name in claims if name != "rsub"}),
        signer.sign(claims)[:-2],
        "ä",
    ):
        assert not verifiers.accept(bad, NOW)
    assert not verifiers.accept(signer.sign(claims), claims["exp"])
    assert len(STRICTER) == 8
