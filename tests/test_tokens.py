"""Every rule for access tokens, each with a valid twin."""

from __future__ import annotations

import hmac
import json
import logging
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, NoReturn

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt as joserfc_jwt
from joserfc.jwk import RSAKey
from joserfc.jws import JWSRegistry

from flask_ssr_session.errors import (
    KeysUnavailableError,
    TokenDefect,
    TokenError,
    TokenExpiredError,
    TokenInvalidError,
    TokenNotYetValidError,
)
from flask_ssr_session.sansio import verification
from flask_ssr_session.sansio.base64url import decode_base64url
from flask_ssr_session.sansio.jwks import parse_key_set
from flask_ssr_session.sansio.jwt import decode_unverified_token
from flask_ssr_session.sansio.verification import TokenRules, verify_access_token
from flask_ssr_session.session import SSRSession
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.upstream.key_set import KeySet, StaticKeys

NOW = 1_700_000_000.0


class Absent:
    """Removes a member from a header or from claims."""

    def __repr__(self) -> str:
        return "absent"


ABSENT = Absent()

# joserfc rejects the unknown header parameter "version" by default.
JOSERFC = JWSRegistry(algorithms=["RS256"], strict_check_header=False)

Edits = Mapping[str, Any]

# Made once with this package's signer; header and claims as SuperTokens core 12 writes them.
PINNED_TOKEN = (
    "eyJraWQiOiJkLTE3MDAwMDAwMDAwMDAiLCJ0eXAiOiJKV1QiLCJ2ZXJzaW9uIjoiNSIsImFsZyI6IlJTMjU2In0."
    "eyJpYXQiOjE3MDAwMDAwMDAsImV4cCI6MTcwMDAwMzYwMCwic3ViIjoiNGJkM2ExYTQtN2QxYy00YTBlLTlkMzUt"
    "MGY3ZjBhM2E1YjExIiwidElkIjoicHVibGljIiwicnN1YiI6IjRiZDNhMWE0LTdkMWMtNGEwZS05ZDM1LTBmN2Yw"
    "YTNhNWIxMSIsInNlc3Npb25IYW5kbGUiOiJhOWMwYzNjMi01OGEwLTRiMGUtOGI4YS02YTdkNGY2ZDJjOWUiLCJy"
    "ZWZyZXNoVG9rZW5IYXNoMSI6IjlmODZkMDgxODg0YzdkNjU5YTJmZWFhMGM1NWFkMDE1YTNiZjRmMWIyYjBiODIy"
    "Y2QxNWQ2YzE1YjBmMDBhMDgiLCJwYXJlbnRSZWZyZXNoVG9rZW5IYXNoMSI6bnVsbCwiYW50aUNzcmZUb2tlbiI6"
    "bnVsbCwiaXNzIjoiaHR0cDovL2xvY2FsaG9zdDo1MDAwL2F1dGgiLCJzdC1yb2xlIjp7InYiOlsiYWRtaW4iXSwi"
    "dCI6MTcwMDAwMDAwMDAwMH19.QH8R5uVzY0Ju2DR8djL3dUKpSaoUpaQw_9yfl7zZr2QjWqCOknyx4H40QDSFGr7"
    "YB_UJfjRbPJpxXBBHELfvwH7kwuEmJpwNOvz_6Wwbs1Y1hBC_6b3q23vCY4mGSdiBo3MPt1ORUv3MQBqY_h1-Z5M"
    "vLRM_C0NqWRU-JtJnCTxT6wE5gSNrY5zr3yeYci0dQmOe4wrzTgNcq3Xp6YF535Du9UVDLy69WrNIlbSD9jLffCv"
    "tme0pPsfW4YmJ4wk0i56lRWbbPUZd1lzLPLtdD8OPvuvGOlVpjzgHRQ_KTOyT4gAeSdaYy40kmtwyEjQeO_wGRsL"
    "rKL-pa1RfGZzsYQ"
)
PINNED_KEY = {
    "kty": "RSA",
    "kid": "d-1700000000000",
    "n": (
        "qQ19HvKq1DEwTsbhzaiuAQihuMZ4r3jJzDsB53hGcm6RjLgc_YssNdb29mHZ11r95Md4DO7FfDBrsazt5w1O4h4a"
        "MN9ziO2cohPqwT4d_c1jTCwldZn4c68-GbFep1ZSMR1swj3TWmJMWull9ujR0T10cGmnFAA2NGPfurmfESS5qcJt"
        "Ww4XbKjIEZR61Es4dL4xMD3FE8j2tMEv5_g7ZUP2Lf6layxUU42VYM5fORjTE9d30kXyu8VV4YwLfe2N4UWYLBRR"
        "SbFI6FGf-ERp3YBcF-6Iqk9ffnwS_QI804ecXyJPsyXLk6H6gh5wmU7JTK10S1uDT-wEebT6FiA1nw"
    ),
    "e": "AQAB",
    "alg": "RS256",
    "use": "sig",
}


class CountedKeys(StaticKeys):
    """One signer's key, and a record of the look-ups."""

    def __init__(self, signer: SessionSigner) -> None:
        super().__init__(KeySet({signer.kid: signer.public_key}))
        self.asked: list[tuple[str, float]] = []

    def get_or_fetch(self, kid: str, issued_at: float) -> RSAPublicKey | None:
        self.asked.append((kid, issued_at))
        return super().get_or_fetch(kid, issued_at)


class NoKeys(StaticKeys):
    """Keys in an outage."""

    def __init__(self) -> None:
        super().__init__(KeySet({}))

    def get_or_fetch(self, kid: str, issued_at: float) -> NoReturn:  # noqa: ARG002
        raise KeysUnavailableError("out of reach")


@pytest.fixture
def keys(signer: SessionSigner) -> CountedKeys:
    return CountedKeys(signer)


def edited(members: Edits, edits: Edits) -> dict[str, Any]:
    return {name: value for name, value in {**members, **edits}.items() if value is not ABSENT}


def make_token(signer: SessionSigner, claims: Edits = {}, header: Edits = {}) -> str:  # noqa: B006
    return signer.sign(
        edited(signer.claims(issued_at=NOW), claims), header=edited(signer.header(), header)
    )


def verify(token: str, keys: StaticKeys, rules: TokenRules | None = None) -> SSRSession:
    return verify_access_token(token, keys, rules or TokenRules(), NOW)


def defect_of(token: str, keys: StaticKeys, rules: TokenRules | None = None) -> TokenDefect | None:
    """Return what is wrong with *token*, or None if it proves a session."""
    try:
        verify(token, keys, rules)
    except TokenError as error:
        return error.reason
    return None


def with_raw_members(signer: SessionSigner, *, header: bytes = b"", claims: bytes = b"") -> str:
    """Sign a token with these bytes before the closing brackets of its objects."""
    raw_header = json.dumps(signer.header()).encode()
    raw_claims = json.dumps(signer.claims(issued_at=NOW)).encode()
    return signer.sign_raw(raw_header[:-1] + header + b"}", raw_claims[:-1] + claims + b"}")


def token_of_length(signer: SessionSigner, length: int) -> str:
    """Make a valid token of exactly this many characters, by white space in its JSON."""
    header = json.dumps(signer.header()).encode()
    claims = json.dumps(signer.claims(issued_at=NOW)).encode()
    start = (length - len(signer.sign_raw(header, claims))) * 3 // 4 - 4
    for header_pad in range(3):
        for claims_pad in range(start, start + 8):
            token = signer.sign_raw(header + b" " * header_pad, claims + b" " * claims_pad)
            if len(token) == length:
                return token
    raise AssertionError(f"no token of {length} characters")


def test_good_token_gives_its_session(signer: SessionSigner, keys: CountedKeys) -> None:
    session = verify(make_token(signer, {"sub": "anna"}), keys)

    assert session.user_id == "anna"
    assert keys.asked == [("d-test", NOW)]


def test_pinned_token_verifies_with_pinned_key() -> None:
    keys = StaticKeys(KeySet(parse_key_set({"keys": [PINNED_KEY]})))

    session = verify_access_token(PINNED_TOKEN, keys, TokenRules(), 1_700_003_599.0)

    assert session.user_id == "4bd3a1a4-7d1c-4a0e-9d35-0f7f0a3a5b11"
    assert session.session_handle == "a9c0c3c2-58a0-4b0e-8b8a-6a7d4f6d2c9e"
    assert session.roles == ("admin",)
    with pytest.raises(TokenExpiredError):
        verify_access_token(PINNED_TOKEN, keys, TokenRules(), 1_700_003_600.0)


@pytest.mark.parametrize("version", ["3", "4", "5"])
def test_independent_libraries_agree_on_good_tokens(
    signer: SessionSigner, keys: CountedKeys, version: str
) -> None:
    token = make_token(signer, {"exp": 4_000_000_000}, {"version": version})
    payload = verify(token, keys).get_access_token_payload()

    assert payload == jwt.decode(token, signer.public_key, algorithms=["RS256"])
    key = RSAKey.import_key(dict(signer.jwk()))
    assert payload == joserfc_jwt.decode(token, key, registry=JOSERFC).claims


def test_independent_libraries_agree_on_pinned_token() -> None:
    key = parse_key_set({"keys": [PINNED_KEY]})["d-1700000000000"]
    claims = jwt.decode(PINNED_TOKEN, key, algorithms=["RS256"], options={"verify_exp": False})

    assert decode_unverified_token(PINNED_TOKEN).payload["sub"] == claims["sub"]
    decoded = joserfc_jwt.decode(
        PINNED_TOKEN, RSAKey.import_key(dict(PINNED_KEY)), registry=JOSERFC
    )
    assert decoded.claims == claims


# Size and segments


@pytest.mark.parametrize(
    ("length", "defect"),
    [
        pytest.param(8192, None, id="8 KiB"),
        pytest.param(8193, TokenDefect.TOO_LARGE, id="one more"),
    ],
)
def test_token_may_have_8_kib(
    signer: SessionSigner, keys: CountedKeys, length: int, defect: TokenDefect | None
) -> None:
    assert defect_of(token_of_length(signer, length), keys) is defect


@pytest.mark.parametrize("text", ["." * 10_000_000, "é" * 8193, "\ud800" * 8193])
def test_size_is_checked_before_anything_else(text: str, keys: CountedKeys) -> None:
    assert defect_of(text, keys) is TokenDefect.TOO_LARGE


@pytest.mark.parametrize(
    "shape",
    ["", "{0}", "{0}.{1}", "{0}.{1}.{2}.", ".{0}.{1}.{2}", "{0}.{1}.{2}.{2}", "{0}.{1}..{2}"],
)
def test_token_has_three_segments(signer: SessionSigner, keys: CountedKeys, shape: str) -> None:
    token = make_token(signer)

    assert defect_of(shape.format(*token.split(".")), keys) is TokenDefect.SEGMENTS
    assert defect_of(token, keys) is None


@pytest.mark.parametrize(
    ("shape", "defect"),
    [
        pytest.param(".{1}.{2}", TokenDefect.JSON, id="header"),
        pytest.param("{0}..{2}", TokenDefect.JSON, id="payload"),
        pytest.param("{0}.{1}.", TokenDefect.SIGNATURE, id="signature"),
        pytest.param("..", TokenDefect.JSON, id="all"),
    ],
)
def test_no_segment_may_be_empty(
    signer: SessionSigner, keys: CountedKeys, shape: str, defect: TokenDefect
) -> None:
    assert defect_of(shape.format(*make_token(signer).split(".")), keys) is defect


# Base64url: one token has one encoding


def bent_spare_bits(segment: str) -> str:
    """Change the unused bits of the last character."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    bent = segment[:-1] + alphabet[alphabet.index(segment[-1]) + 1]
    padding = "=" * (-len(segment) % 4)
    assert urlsafe_b64decode(bent + padding) == urlsafe_b64decode(segment + padding)
    return bent


@pytest.mark.parametrize("position", [0, 1, 2], ids=["header", "payload", "signature"])
@pytest.mark.parametrize(
    "spelling",
    [
        pytest.param(lambda s: s + "=" * (-len(s) % 4), id="padding"),
        pytest.param(lambda s: s + "====", id="much padding"),
        pytest.param(lambda s: s.replace("-", "+"), id="plus"),
        pytest.param(lambda s: s.replace("_", "/"), id="slash"),
        pytest.param(lambda s: s[:3] + "\n" + s[3:], id="line feed"),
        pytest.param(lambda s: s + " ", id="blank"),
        pytest.param(lambda s: s[:3] + "!" + s[3:], id="stray character"),
        pytest.param(lambda s: s[:3] + "\x00" + s[3:], id="nul"),
        pytest.param(lambda s: s[:3] + "é" + s[3:], id="no ascii"),
        pytest.param(lambda s: "%2" + s, id="percent"),
        pytest.param(lambda s: s + "A" * (5 - len(s) % 4), id="four characters and one"),
        pytest.param(bent_spare_bits, id="spare bits"),
    ],
)
def test_another_encoding_of_a_valid_token_is_invalid(
    signer: SessionSigner, keys: CountedKeys, position: int, spelling: Any
) -> None:
    segments = token_with_every_character(signer).split(".")
    assert defect_of(".".join(segments), keys) is None

    assert spelling(segments[position]) != segments[position]
    segments[position] = spelling(segments[position])

    assert defect_of(".".join(segments), keys) is TokenDefect.ENCODING


def token_with_every_character(signer: SessionSigner) -> str:
    """Make a token whose segments contain ``-`` and ``_`` and end with unused bits."""
    for count in range(100):
        # In UTF-8 these give both characters at every offset.
        mark = "~~~???\x7f\x7f" + "ü" * count
        header = json.dumps(signer.header() | {"x": mark}, ensure_ascii=False).encode()
        claims = json.dumps(signer.claims(issued_at=NOW) | {"x": mark}, ensure_ascii=False).encode()
        header += b" " * ((1 - len(header)) % 3)
        claims += b" " * ((1 - len(claims)) % 3)
        token = signer.sign_raw(header, claims)
        if all({"-", "_"} <= set(segment) for segment in token.split(".")):
            return token
    raise AssertionError("no such token")


@given(st.binary(max_size=200))
def test_every_byte_string_has_one_spelling(data: bytes) -> None:
    segment = urlsafe_b64encode(data).rstrip(b"=")

    assert decode_base64url(segment) == data


# JSON

MEMBERS = [
    pytest.param(b', "x": 1.5', None, id="number"),
    pytest.param(b', "x": NaN', TokenDefect.JSON, id="nan"),
    pytest.param(b', "x": Infinity', TokenDefect.JSON, id="infinity"),
    pytest.param(b', "x": -Infinity', TokenDefect.JSON, id="minus infinity"),
    pytest.param(b', "x": 1e308', None, id="largest power"),
    pytest.param(b', "x": 1e999', TokenDefect.JSON, id="number out of range"),
    pytest.param(b', "x": [{"y": -1e999}]', TokenDefect.JSON, id="number out of range inside"),
    pytest.param(b', "x": 1, "y": 1', None, id="two members"),
    pytest.param(b', "x": 1, "x": 1', TokenDefect.JSON, id="one member twice"),
    pytest.param(b', "x": 1, "\\u0078": 1', TokenDefect.JSON, id="one member twice, escaped"),
    pytest.param(b', "x": [{"y": 1, "y": 2}]', TokenDefect.JSON, id="one member twice inside"),
    pytest.param(b', "x": [{"y": 1}, {"y": 2}]', None, id="one name in two objects"),
    pytest.param(b', "x": ' + b"[" * 31 + b"]" * 31, None, id="32 levels"),
    pytest.param(b', "x": ' + b"[" * 32 + b"]" * 32, TokenDefect.JSON, id="33 levels"),
    pytest.param(b', "x": ' + b'{"y":' * 31 + b"1" + b"}" * 31, None, id="32 objects"),
    pytest.param(b', "x": ' + b'{"y":' * 32 + b"1" + b"}" * 32, TokenDefect.JSON, id="33 objects"),
    pytest.param(b', "x": ' + b"[" * 2000 + b"]" * 2000, TokenDefect.JSON, id="2000 levels"),
    pytest.param(b', "x": ' + b"[" * 5000, TokenDefect.JSON, id="5000 levels left open"),
    pytest.param(b', "x": ' + b"7" * 4000, None, id="4000 digits"),
    pytest.param(b', "x": ' + b"7" * 4500, TokenDefect.JSON, id="4500 digits"),
    pytest.param(b', "x": "\\t"', None, id="escaped tabulator"),
    pytest.param(b', "x": "\t"', TokenDefect.JSON, id="bare tabulator in a text"),
    pytest.param(b", 'x': 1", TokenDefect.JSON, id="single quotes"),
    pytest.param(b",", TokenDefect.JSON, id="comma at the end"),
    pytest.param(b"} {", TokenDefect.JSON, id="two objects"),
    pytest.param(b', "x": "\xc3\xa9"', None, id="utf-8"),
    pytest.param(b', "x": "\xe9"', TokenDefect.JSON, id="latin-1"),
    pytest.param(b', "x": "\xc0\xaf"', TokenDefect.JSON, id="overlong utf-8"),
    pytest.param(b', "x": "\xed\xa0\x80"', TokenDefect.JSON, id="surrogate as utf-8"),
    pytest.param(b', "x": "\\ud800"', None, id="surrogate as escape, in a claim of the app's"),
]


@pytest.mark.parametrize(("members", "defect"), MEMBERS)
def test_payload_is_strict_json(
    signer: SessionSigner, keys: CountedKeys, members: bytes, defect: TokenDefect | None
) -> None:
    assert defect_of(with_raw_members(signer, claims=members), keys) is defect


@pytest.mark.parametrize(("members", "defect"), MEMBERS)
def test_header_is_strict_json(
    signer: SessionSigner, keys: CountedKeys, members: bytes, defect: TokenDefect | None
) -> None:
    assert defect_of(with_raw_members(signer, header=members), keys) is defect


def test_a_second_sub_does_not_replace_the_first(signer: SessionSigner, keys: CountedKeys) -> None:
    token = with_raw_members(signer, claims=b', "sub": "admin"')

    assert defect_of(token, keys) is TokenDefect.JSON


@pytest.mark.parametrize(
    "document",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'[{"alg": "RS256"}]', id="object in a list"),
        pytest.param(b'"text"', id="text"),
        pytest.param(b"1", id="number"),
        pytest.param(b"null", id="null"),
        pytest.param(b"true", id="true"),
        pytest.param(b"\xef\xbb\xbf{}", id="byte order mark"),
        pytest.param("{}".encode("utf-16"), id="utf-16"),
        pytest.param("{}".encode("utf-32"), id="utf-32"),
    ],
)
def test_header_and_payload_are_one_object(
    signer: SessionSigner, keys: CountedKeys, document: bytes
) -> None:
    header = json.dumps(signer.header()).encode()
    claims = json.dumps(signer.claims(issued_at=NOW)).encode()

    assert defect_of(signer.sign_raw(document, claims), keys) is TokenDefect.JSON
    assert defect_of(signer.sign_raw(header, document), keys) is TokenDefect.JSON
    assert defect_of(signer.sign_raw(header, claims), keys) is None


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xff\xfe"], ids=["utf-8", "utf-16"])
def test_byte_order_mark_before_valid_json_is_invalid(
    signer: SessionSigner, keys: CountedKeys, mark: bytes
) -> None:
    header = json.dumps(signer.header()).encode()
    claims = json.dumps(signer.claims(issued_at=NOW)).encode()

    assert defect_of(signer.sign_raw(mark + header, claims), keys) is TokenDefect.JSON
    assert defect_of(signer.sign_raw(header, mark + claims), keys) is TokenDefect.JSON


# Header


@pytest.mark.parametrize(
    "algorithm",
    [
        *("rs256", "Rs256", "RS256 ", "RS384", "RS512", "PS256", "ES256", "HS256", "none", "None"),
        *("", None, ABSENT, 256, True, ["RS256"], {"RS256": 1}),
    ],
    ids=repr,
)
def test_algorithm_is_rs256_and_nothing_else(
    signer: SessionSigner, keys: CountedKeys, algorithm: object
) -> None:
    token = make_token(signer, header={"alg": algorithm})

    assert defect_of(token, keys) is TokenDefect.ALGORITHM
    assert defect_of(make_token(signer, header={"alg": "RS256"}), keys) is None


def test_public_key_is_no_hmac_secret(signer: SessionSigner, keys: CountedKeys) -> None:
    token = make_token(signer, header={"alg": "HS256"})
    signed = token.rpartition(".")[0]
    secret = signer.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    tag = urlsafe_b64encode(hmac.digest(secret, signed.encode(), "sha256")).rstrip(b"=").decode()

    assert defect_of(f"{signed}.{tag}", keys) is TokenDefect.ALGORITHM


@pytest.mark.parametrize("kind", ["jwt", "JWT ", "at+jwt", "", None, ABSENT, 1], ids=repr)
def test_type_is_jwt(signer: SessionSigner, keys: CountedKeys, kind: object) -> None:
    assert defect_of(make_token(signer, header={"typ": kind}), keys) is TokenDefect.TYPE
    assert defect_of(make_token(signer, header={"typ": "JWT"}), keys) is None


@pytest.mark.parametrize(
    ("version", "defect"),
    [
        pytest.param("3", None, id="3"),
        pytest.param("4", None, id="4"),
        pytest.param("5", None, id="5"),
        pytest.param("05", None, id="05"),
        pytest.param("99", None, id="99"),
        pytest.param("2", TokenDefect.VERSION, id="2"),
        pytest.param("02", TokenDefect.VERSION, id="02"),
        pytest.param("0", TokenDefect.VERSION, id="0"),
        pytest.param("100", TokenDefect.VERSION, id="100"),
        pytest.param("005", TokenDefect.VERSION, id="005"),
        pytest.param("", TokenDefect.VERSION, id="empty"),
        pytest.param("5 ", TokenDefect.VERSION, id="blank behind"),
        pytest.param("-5", TokenDefect.VERSION, id="sign"),
        pytest.param("V5", TokenDefect.VERSION, id="letter"),
        pytest.param("\u0665", TokenDefect.VERSION, id="arabic-indic five"),
        pytest.param("\u00b5", TokenDefect.VERSION, id="micro sign"),
        pytest.param("\u00b9", TokenDefect.VERSION, id="superscript one"),
        pytest.param(5, TokenDefect.VERSION, id="number"),
        pytest.param(True, TokenDefect.VERSION, id="true"),
        pytest.param(["5"], TokenDefect.VERSION, id="list"),
        pytest.param(None, TokenDefect.VERSION, id="null"),
        pytest.param(ABSENT, TokenDefect.VERSION, id="absent, as in JWT-recipe tokens"),
    ],
)
def test_version_is_a_text_of_one_or_two_digits_from_three(
    signer: SessionSigner, keys: CountedKeys, version: object, defect: TokenDefect | None
) -> None:
    assert defect_of(make_token(signer, header={"version": version}), keys) is defect


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("crit", ["exp"]),
        ("crit", []),
        ("jwk", {"kty": "RSA"}),
        ("jku", "https://evil.example/jwks.json"),
        ("x5u", "https://evil.example/cert.pem"),
        ("x5c", ["MIIB"]),
        ("x5t", "x"),
        ("x5t#S256", "x"),
        ("b64", False),
        ("b64", True),
        ("zip", "DEF"),
        ("enc", "A256GCM"),
        ("jwk", None),
    ],
)
def test_header_may_not_say_how_it_is_checked(
    signer: SessionSigner, keys: CountedKeys, parameter: str, value: object
) -> None:
    refused = make_token(signer, header={parameter: value})
    harmless = make_token(signer, header={f"{parameter}2": value})

    assert defect_of(refused, keys) is TokenDefect.HEADER
    assert defect_of(harmless, keys) is None


def test_key_in_the_header_is_not_used(keys: CountedKeys, other_private_key: RSAPrivateKey) -> None:
    forger = SessionSigner("d-test", other_private_key)

    token = make_token(forger, header={"jwk": forger.jwk()})

    assert defect_of(token, keys) is TokenDefect.HEADER
    assert defect_of(make_token(forger), keys) is TokenDefect.SIGNATURE


@pytest.mark.parametrize(
    "kid",
    [
        "",
        "d" * 129,
        "d-\n",
        "d-\x00",
        "d-\x7f",
        "d-\u202e",
        "d-\ud800",
        None,
        ABSENT,
        1,
        ["d-test"],
    ],
    ids=ascii,
)
def test_bad_key_id_is_invalid(signer: SessionSigner, keys: CountedKeys, kid: object) -> None:
    assert defect_of(make_token(signer, header={"kid": kid}), keys) is TokenDefect.KEY_ID
    assert keys.asked == []


@pytest.mark.parametrize("kid", ["d", "d" * 128, "d test", "d-ü"])
def test_good_key_id_names_its_key(signer: SessionSigner, kid: str) -> None:
    named = SessionSigner(kid, signer.private_key)

    assert defect_of(make_token(named), CountedKeys(named)) is None


def test_key_id_has_to_be_known(signer: SessionSigner, keys: CountedKeys) -> None:
    with pytest.raises(TokenInvalidError) as caught:
        verify(make_token(signer, header={"kid": "d-other"}), keys)

    assert caught.value.reason is TokenDefect.KEY_UNKNOWN
    assert caught.value.kid == "d-other"


@pytest.mark.parametrize(
    ("kid", "prefix", "defect"),
    [
        ("d-1", "d-", None),
        ("s-1", "s-", None),
        ("d-1", None, None),
        ("s-1", None, None),
        ("s-1", "d-", TokenDefect.KEY_KIND),
        ("d-1", "s-", TokenDefect.KEY_KIND),
        ("D-1", "d-", TokenDefect.KEY_KIND),
        ("xd-1", "d-", TokenDefect.KEY_KIND),
    ],
)
def test_key_is_of_the_kind_that_the_sdk_signs_with(
    signer: SessionSigner, kid: str, prefix: str | None, defect: TokenDefect | None
) -> None:
    named = SessionSigner(kid, signer.private_key)

    rules = TokenRules(kid_prefix=prefix)

    assert defect_of(make_token(named), CountedKeys(named), rules) is defect


# Signature


def test_another_key_of_the_same_name_signs_nothing(
    keys: CountedKeys, signer: SessionSigner, other_private_key: RSAPrivateKey
) -> None:
    claims = {"sessionHandle": "handle", "refreshTokenHash1": "hash"}

    assert defect_of(make_token(signer, claims), keys) is None
    forged = make_token(SessionSigner("d-test", other_private_key), claims)
    assert defect_of(forged, keys) is TokenDefect.SIGNATURE


@pytest.mark.parametrize("position", [0, 100, 255])
def test_bad_signature_is_invalid(signer: SessionSigner, keys: CountedKeys, position: int) -> None:
    token = make_token(signer)
    signed, _, segment = token.rpartition(".")
    signature = bytearray(urlsafe_b64decode(segment + "=="))
    signature[position] ^= 1
    bent = f"{signed}.{urlsafe_b64encode(signature).rstrip(b'=').decode()}"

    assert defect_of(bent, keys) is TokenDefect.SIGNATURE
    assert defect_of(token, keys) is None
    with pytest.raises(jwt.InvalidSignatureError):
        jwt.decode(bent, signer.public_key, algorithms=["RS256"], options={"verify_exp": False})


@pytest.mark.parametrize("length", [1, 255, 257, 4096])
def test_signature_of_another_length_is_invalid(
    signer: SessionSigner, keys: CountedKeys, length: int
) -> None:
    signed = make_token(signer).rpartition(".")[0]
    signature = urlsafe_b64encode(b"\x01" * length).rstrip(b"=").decode()

    assert defect_of(f"{signed}.{signature}", keys) is TokenDefect.SIGNATURE


def test_signature_belongs_to_header_and_payload(signer: SessionSigner, keys: CountedKeys) -> None:
    one = make_token(signer, {"sub": "anna"}).split(".")
    other = make_token(signer, {"sub": "bert"}, {"x": 1}).split(".")

    assert defect_of(".".join((one[0], other[1], one[2])), keys) is TokenDefect.SIGNATURE
    assert defect_of(".".join((other[0], one[1], one[2])), keys) is TokenDefect.SIGNATURE


# Claims


@pytest.mark.parametrize(
    ("version", "required"),
    [
        ("3", {"sub", "sessionHandle", "refreshTokenHash1"}),
        ("4", {"sub", "sessionHandle", "refreshTokenHash1", "tId"}),
        ("5", {"sub", "sessionHandle", "refreshTokenHash1", "tId", "rsub"}),
        ("6", {"sub", "sessionHandle", "refreshTokenHash1", "tId", "rsub"}),
    ],
)
def test_each_version_has_its_claims(
    signer: SessionSigner, keys: CountedKeys, version: str, required: set[str]
) -> None:
    refused = {
        claim: defect_of(make_token(signer, {claim: ABSENT}, {"version": version}), keys)
        for claim in signer.claims()
        if claim not in ("iat", "exp")
    }

    assert {claim for claim, defect in refused.items() if defect is not None} == required
    assert {refused[claim] for claim in required} == {TokenDefect.CLAIMS}


@pytest.mark.parametrize("claim", ["sub", "sessionHandle", "refreshTokenHash1", "tId", "rsub"])
@pytest.mark.parametrize(
    ("value", "defect"),
    [
        pytest.param("a", None, id="one character"),
        pytest.param("a" * 1024, None, id="1 KiB"),
        pytest.param("a" * 1025, TokenDefect.CLAIMS, id="one more"),
        pytest.param("ü", None, id="letter"),
        pytest.param("ü" * 1024, None, id="1024 letters"),
        pytest.param("ü" * 1025, TokenDefect.CLAIMS, id="1025 letters"),
        pytest.param("anna b@x.example|1", None, id="blank and signs"),
        pytest.param("\U0001f600", None, id="surrogate pair"),
        pytest.param("", TokenDefect.CLAIMS, id="empty"),
        pytest.param("a\nb", TokenDefect.CLAIMS, id="line feed"),
        pytest.param("a\x00", TokenDefect.CLAIMS, id="nul"),
        pytest.param("a\x7f", TokenDefect.CLAIMS, id="delete"),
        pytest.param("ü\x00", TokenDefect.CLAIMS, id="nul beside a letter"),
        pytest.param("ü\x7f", TokenDefect.CLAIMS, id="delete beside a letter"),
        pytest.param("a\x85", TokenDefect.CLAIMS, id="next line"),
        pytest.param("a\x9f", TokenDefect.CLAIMS, id="last control character"),
        pytest.param("a\xa1", None, id="first sign behind them"),
        pytest.param("a\ud800", TokenDefect.CLAIMS, id="high surrogate"),
        pytest.param("\udfffa", TokenDefect.CLAIMS, id="low surrogate"),
        pytest.param(None, TokenDefect.CLAIMS, id="null"),
        pytest.param(1, TokenDefect.CLAIMS, id="number"),
        pytest.param(True, TokenDefect.CLAIMS, id="true"),
        pytest.param(["a"], TokenDefect.CLAIMS, id="list"),
        pytest.param({"a": "b"}, TokenDefect.CLAIMS, id="object"),
    ],
)
def test_ids_are_texts_that_are_safe_to_print(
    signer: SessionSigner,
    keys: CountedKeys,
    claim: str,
    value: object,
    defect: TokenDefect | None,
) -> None:
    claims = edited(signer.claims(issued_at=NOW), {claim: value})
    # Without \u escapes if possible, so that the longest still fits into a token.
    raw = json.dumps(claims, ensure_ascii=False).encode("utf-8", "surrogatepass")
    if b"\xed" in raw:
        raw = json.dumps(claims).encode()

    token = signer.sign_raw(json.dumps(signer.header()).encode(), raw)

    assert defect_of(token, keys) is defect


def test_payload_list_is_no_set_of_claims(signer: SessionSigner, keys: CountedKeys) -> None:
    header = json.dumps(signer.header()).encode()
    claims = json.dumps(list(signer.claims(issued_at=NOW).items())).encode()

    assert defect_of(signer.sign_raw(header, claims), keys) is TokenDefect.JSON


@pytest.mark.parametrize(
    ("token_type", "defect"),
    [
        pytest.param(ABSENT, None, id="absent"),
        pytest.param(0, None, id="0"),
        pytest.param(1, TokenDefect.TOKEN_TYPE, id="OAuth2 access token"),
        pytest.param(2, TokenDefect.TOKEN_TYPE, id="OAuth2 id token"),
        pytest.param(-1, TokenDefect.TOKEN_TYPE, id="negative"),
        pytest.param(False, TokenDefect.TOKEN_TYPE, id="false"),
        pytest.param(True, TokenDefect.TOKEN_TYPE, id="true"),
        pytest.param(0.0, TokenDefect.TOKEN_TYPE, id="0.0"),
        pytest.param("0", TokenDefect.TOKEN_TYPE, id="text"),
        pytest.param(None, TokenDefect.TOKEN_TYPE, id="null"),
        pytest.param([], TokenDefect.TOKEN_TYPE, id="list"),
    ],
)
def test_other_types_of_token_are_no_session(
    signer: SessionSigner, keys: CountedKeys, token_type: object, defect: TokenDefect | None
) -> None:
    assert defect_of(make_token(signer, {"stt": token_type}), keys) is defect


def test_jwt_recipe_token_with_a_session_in_it_is_no_session(
    signer: SessionSigner, keys: CountedKeys
) -> None:
    """A token that an app makes with ``create_jwt`` is signed by the same keys."""
    token = make_token(signer, header={"version": ABSENT})

    assert defect_of(token, keys) is TokenDefect.VERSION


@pytest.mark.parametrize("parent", [ABSENT, None, "0f" * 32, 5], ids=repr)
def test_parent_of_the_refresh_token_does_not_matter(
    signer: SessionSigner, keys: CountedKeys, parent: object
) -> None:
    assert defect_of(make_token(signer, {"parentRefreshTokenHash1": parent}), keys) is None


@pytest.mark.parametrize(
    ("expected", "issuer", "defect"),
    [
        pytest.param("https://a.example/auth", "https://a.example/auth", None, id="same"),
        pytest.param(None, "https://a.example/auth", None, id="any"),
        pytest.param(None, ABSENT, None, id="any, and none"),
        pytest.param("https://a.example/auth", ABSENT, TokenDefect.ISSUER, id="absent"),
        pytest.param("https://a.example/auth", None, TokenDefect.ISSUER, id="null"),
        pytest.param(
            "https://a.example/auth", "https://a.example/auth/", TokenDefect.ISSUER, id="slash"
        ),
        pytest.param("https://a.example", "https://b.example", TokenDefect.ISSUER, id="foreign"),
        pytest.param("https://a.example", ["https://a.example"], TokenDefect.ISSUER, id="list"),
    ],
)
def test_issuer_is_the_configured_one(
    signer: SessionSigner,
    keys: CountedKeys,
    expected: str | None,
    issuer: object,
    defect: TokenDefect | None,
) -> None:
    token = make_token(signer, {"iss": issuer})

    assert defect_of(token, keys, TokenRules(issuer=expected)) is defect


@pytest.mark.parametrize(("version", "is_logged"), [("5", False), ("6", True), ("12", True)])
def test_later_version_is_taken_and_logged_once(
    signer: SessionSigner,
    keys: CountedKeys,
    caplog: pytest.LogCaptureFixture,
    version: str,
    is_logged: bool,
) -> None:
    verification._log_newer_version.cache_clear()
    with caplog.at_level(logging.WARNING, "flask_ssr_session"):
        for _ in range(3):
            assert defect_of(make_token(signer, header={"version": version}), keys) is None

    assert [f"version {version}" in record.getMessage() for record in caplog.records] == [
        True
    ] * is_logged


def test_forged_token_of_a_later_version_is_not_logged(
    keys: CountedKeys, other_private_key: RSAPrivateKey, caplog: pytest.LogCaptureFixture
) -> None:
    verification._log_newer_version.cache_clear()
    forger = SessionSigner("d-test", other_private_key)

    assert defect_of(make_token(forger, header={"version": "7"}), keys) is TokenDefect.SIGNATURE
    assert caplog.records == []


# Times


@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
@pytest.mark.parametrize(
    "value",
    [
        pytest.param(True, id="true"),
        pytest.param("1700000000", id="text"),
        pytest.param(None, id="null"),
        pytest.param([1_700_000_000], id="list"),
        pytest.param(-1, id="negative"),
        pytest.param(-0.5, id="negative fraction"),
        pytest.param(253_402_300_799, id="end of the year 9999"),
        pytest.param(1e300, id="huge"),
        pytest.param(10**3000, id="huge integer"),
    ],
)
def test_times_are_seconds_that_a_calendar_has(
    signer: SessionSigner, keys: CountedKeys, claim: str, value: object
) -> None:
    assert defect_of(make_token(signer, {claim: value}), keys) is TokenDefect.TIMES


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("exp", 253_402_300_798),
        ("exp", NOW + 0.5),
        ("iat", 0),
        ("iat", -0.0),
        ("iat", NOW - 0.25),
        ("nbf", 0),
        ("nbf", NOW),
        ("nbf", ABSENT),
    ],
)
def test_whole_and_broken_seconds_are_times(
    signer: SessionSigner, keys: CountedKeys, claim: str, value: object
) -> None:
    session = verify(make_token(signer, {claim: value}), keys)

    assert session.issued_at <= session.expires_at


@pytest.mark.parametrize("claim", ["exp", "iat"])
def test_expiry_and_issue_time_are_required(
    signer: SessionSigner, keys: CountedKeys, claim: str
) -> None:
    assert defect_of(make_token(signer, {claim: ABSENT}), keys) is TokenDefect.TIMES


@pytest.mark.parametrize(
    ("expiry", "leeway", "defect"),
    [
        pytest.param(NOW + 1, 0.0, None, id="one second left"),
        pytest.param(NOW, 0.0, TokenDefect.EXPIRED, id="now"),
        pytest.param(NOW - 1, 0.0, TokenDefect.EXPIRED, id="one second ago"),
        pytest.param(NOW - 29, 30.0, None, id="within the leeway"),
        pytest.param(NOW - 30, 30.0, TokenDefect.EXPIRED, id="at its end"),
        pytest.param(0, 300.0, TokenDefect.EXPIRED, id="long ago"),
    ],
)
def test_token_counts_until_its_expiry_and_the_leeway(
    signer: SessionSigner,
    keys: CountedKeys,
    expiry: float,
    leeway: float,
    defect: TokenDefect | None,
) -> None:
    token = make_token(signer, {"exp": expiry})

    assert defect_of(token, keys, TokenRules(leeway_seconds=leeway)) is defect


@pytest.mark.parametrize("claim", ["iat", "nbf"])
@pytest.mark.parametrize(("seconds_ahead", "defect"), [(60, None), (61, TokenDefect.NOT_YET_VALID)])
def test_token_from_the_future_is_a_matter_of_clocks(
    signer: SessionSigner,
    keys: CountedKeys,
    claim: str,
    seconds_ahead: int,
    defect: TokenDefect | None,
) -> None:
    token = make_token(signer, {claim: NOW + seconds_ahead})

    assert defect_of(token, keys) is defect


def test_only_a_genuine_token_speaks_of_clocks(
    signer: SessionSigner, keys: CountedKeys, other_private_key: RSAPrivateKey
) -> None:
    claims = {"iat": NOW + 61}

    with pytest.raises(TokenNotYetValidError):
        verify(make_token(signer, claims), keys)
    forged = make_token(SessionSigner("d-test", other_private_key), claims)
    assert defect_of(forged, keys) is TokenDefect.SIGNATURE


@pytest.mark.parametrize(
    ("claims", "header"),
    [
        pytest.param({}, {"kid": "d-retired"}, id="retired key"),
        pytest.param({}, {"kid": "s-test"}, id="other kind of key"),
        pytest.param({"iss": "https://b.example"}, {}, id="foreign issuer"),
        pytest.param({"iat": NOW + 1000}, {}, id="issued in the future"),
    ],
)
def test_expired_comes_before_whatever_needs_a_key(
    signer: SessionSigner, claims: Edits, header: Edits
) -> None:
    rules = TokenRules(issuer="https://a.example", kid_prefix="d-")
    expired = make_token(signer, {**claims, "exp": NOW}, header)

    with pytest.raises(TokenExpiredError):
        verify(expired, NoKeys(), rules)
    assert defect_of(make_token(signer, claims, header), CountedKeys(signer), rules) not in (
        None,
        TokenDefect.EXPIRED,
    )


def test_expired_token_of_wrong_shape_is_invalid(signer: SessionSigner, keys: CountedKeys) -> None:
    assert defect_of(make_token(signer, {"exp": NOW, "sub": 5}), keys) is TokenDefect.CLAIMS


def test_without_keys_nothing_is_known_of_a_token(signer: SessionSigner) -> None:
    with pytest.raises(KeysUnavailableError):
        verify(make_token(signer), NoKeys())


# Tokens that were verified before


def test_same_token_is_verified_once(signer: SessionSigner, keys: CountedKeys) -> None:
    token = make_token(signer)

    first, second = verify(token, keys), verify(token, keys)

    assert second is first
    assert len(keys.asked) == 1


def test_cached_token_still_expires(signer: SessionSigner, keys: CountedKeys) -> None:
    token = make_token(signer, {"exp": NOW + 10})
    verify(token, keys)
    rules = TokenRules(leeway_seconds=5)

    assert verify_access_token(token, keys, rules, NOW + 14) is verify(token, keys)
    with pytest.raises(TokenExpiredError):
        verify_access_token(token, keys, rules, NOW + 15)


def test_invalid_token_is_not_cached(
    signer: SessionSigner, keys: CountedKeys, other_private_key: RSAPrivateKey
) -> None:
    forged = make_token(SessionSigner("d-test", other_private_key))
    early = make_token(signer, {"iat": NOW + 61})

    for _ in range(2):
        assert defect_of(forged, keys) is TokenDefect.SIGNATURE
        assert defect_of(early, keys) is TokenDefect.NOT_YET_VALID

    assert (keys.token_cache.get(forged), keys.token_cache.get(early)) == (None, None)
    assert len(keys.asked) == 4


def test_remembering_goes_by_the_whole_token(signer: SessionSigner, keys: CountedKeys) -> None:
    token = make_token(signer)
    verify(token, keys)

    assert defect_of(token[:-10] + "A" * 10, keys) is not None
    assert defect_of(token + "=", keys) is TokenDefect.ENCODING


# Every other text or JSON is rejected


def json_values() -> st.SearchStrategy[Any]:
    scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=5,
    )


@settings(max_examples=200, deadline=None)
@given(
    name=st.sampled_from(["alg", "typ", "kid", "version", "crit", "sub", "exp", "iat", "stt"]),
    value=json_values(),
)
def test_whatever_a_member_holds_is_judged(signer: SessionSigner, name: str, value: object) -> None:
    token = make_token(signer, {name: value}, {name: value} if name in signer.header() else {})

    assert defect_of(token, CountedKeys(signer)) in {None, *TokenDefect}


@settings(max_examples=200, deadline=None)
@given(position=st.integers(0, 1200), replacement=st.characters())
def test_no_changed_character_goes_unnoticed(
    signer: SessionSigner, position: int, replacement: str
) -> None:
    token = make_token(signer)
    position %= len(token)
    changed = token[:position] + replacement + token[position + 1 :]

    assert (defect_of(changed, CountedKeys(signer)) is None) == (changed == token)


def test_errors_carry_no_claim_value(signer: SessionSigner, keys: CountedKeys) -> None:
    token = make_token(signer, {"sub": "secret-user", "stt": 1})

    with pytest.raises(TokenInvalidError) as caught:
        verify(token, keys)

    assert str(caught.value) == "token_type"
    assert caught.value.kid == "d-test"
    assert "secret-user" not in repr(caught.value)
    assert sha256(token.encode()).hexdigest() not in repr(caught.value)


def test_header_that_was_taken_before_excuses_nothing_else(
    signer: SessionSigner, keys: CountedKeys
) -> None:
    """A valid header is checked once for all tokens of a key, an invalid one each time."""
    claims = signer.claims(issued_at=NOW)
    for header, defect in (
        (None, None),
        (signer.header() | {"alg": "none"}, TokenDefect.ALGORITHM),
        (signer.header() | {"alg": "none"}, TokenDefect.ALGORITHM),
        (None, None),
    ):
        token = signer.sign(claims | {"sessionHandle": str(len(keys.asked))}, header)
        if defect is None:
            assert verify_access_token(token, keys, TokenRules(), NOW).user_id == "user-1"
        else:
            with pytest.raises(TokenInvalidError) as caught:
                verify_access_token(token, keys, TokenRules(), NOW)
            assert caught.value.reason is defect
