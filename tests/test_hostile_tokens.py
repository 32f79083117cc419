"""Hostile tokens: each row is one edit of a valid token, and none is accepted.

A rejected token gives a verdict and no exception, and opens no file, name or socket.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from flask_ssr_session.sansio.states import Reason
from flask_ssr_session.sansio.verdict import decide
from flask_ssr_session.sansio.verification import TokenRules
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.upstream.key_set import KeySet, StaticKeys

NOW = 1_700_000_000
LONG_KID = "d-" + "k" * 126

SIGNER = SessionSigner()
STRANGER = SessionSigner(private_key=generate_private_key(public_exponent=65537, key_size=2048))
CLAIMS = SIGNER.claims(issued_at=NOW) | {
    "sessionHandle": "7c6d5d9e-3f43-4a3c-9a35-0d3f1a0f9a11",
    "refreshTokenHash1": "ab" * 32,
}
HEADER = SIGNER.header()
MISSING = object()

Row = tuple[str, str]


def encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def edited(original: dict[str, Any], edits: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in (original | edits).items() if value is not MISSING}


def token(
    header: dict[str, Any] | None = None,
    claims: dict[str, Any] | None = None,
    signer: SessionSigner = SIGNER,
) -> str:
    """Return a correctly signed token with these edits of header and claims."""
    return signer.sign(edited(CLAIMS, claims or {}), edited(HEADER, header or {}))


GOOD = token()
H, P, S = GOOD.split(".")


def signed_input(header: dict[str, Any]) -> str:
    return f"{encode(json.dumps(edited(HEADER, header)).encode())}.{P}"


def raw(header: bytes | None = None, payload: bytes | None = None) -> str:
    """Sign these bytes in place of a header or a payload."""
    return SIGNER.sign_raw(
        json.dumps(HEADER).encode() if header is None else header,
        json.dumps(CLAIMS).encode() if payload is None else payload,
    )


# --- algorithms ----------------------------------------------------------------------------------

NONES = ("none", "None", "NONE", "nOnE", "none ", "")
ALGORITHMS: tuple[Any, ...] = (
    *NONES,
    *("RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"),
    *("HS256", "HS384", "HS512", "RSA-OAEP", "dir", "RSA", "rs256", "Rs256", "RS256 ", " RS256"),
    *("RS256\x00", "RS256\n", "RS-256", "RS256,none", "\uff32\uff33256", "RS\u0662\u0665\u0666"),
    *(["RS256"], ["RS256", "none"], {"alg": "RS256"}, None, True, 256, 256.0, MISSING),
)


def algorithms() -> Iterator[Row]:
    for alg in ALGORITHMS:
        shown = "missing" if alg is MISSING else repr(alg)
        yield f"label {shown}", token({"alg": alg})
    for alg in NONES:
        unsigned = signed_input({"alg": alg})
        yield f"unsigned {alg!r}", f"{unsigned}."
        yield f"signature of another, {alg!r}", f"{unsigned}.{S}"
    yield from (("no signature", f"{H}.{P}."), ("no signature, no dot", f"{H}.{P}"))


def public_key_encodings() -> dict[str, bytes]:
    """What a confused verifier might take for the secret of an HMAC."""
    key, jwk = SIGNER.public_key, SIGNER.jwk()
    forms, encodings = serialization.PublicFormat, serialization.Encoding
    spki = key.public_bytes(encodings.PEM, forms.SubjectPublicKeyInfo)
    return {
        "PEM": spki,
        "PEM without its last newline": spki.rstrip(),
        "PEM of PKCS 1": key.public_bytes(encodings.PEM, forms.PKCS1),
        "DER": key.public_bytes(encodings.DER, forms.SubjectPublicKeyInfo),
        "DER of PKCS 1": key.public_bytes(encodings.DER, forms.PKCS1),
        "modulus": key.public_numbers().n.to_bytes(256, "big"),
        "modulus in base64url": jwk["n"].encode(),
        "JWK": json.dumps(jwk).encode(),
        "key id": b"d-test",
        "nothing": b"",
    }


def hmacs() -> Iterator[Row]:
    for name, secret in public_key_encodings().items():
        for size in (256, 384, 512):
            for label in (f"HS{size}", "RS256"):
                text = signed_input({"alg": label})
                mac = hmac.new(secret, text.encode(), f"sha{size}").digest()
                yield f"HS{size} by the {name}, said to be {label}", f"{text}.{encode(mac)}"


def other_signatures() -> Iterator[Row]:
    """Signatures by the right key, of another kind, under their own label and under ours."""
    for size in (256, 384, 512):
        digest = {256: hashes.SHA256(), 384: hashes.SHA384(), 512: hashes.SHA512()}[size]
        kinds = {
            f"RS{size}": padding.PKCS1v15(),
            f"PS{size}": padding.PSS(padding.MGF1(digest), 32),
        }
        for kind, pad in kinds.items():
            for label in (kind, "RS256"):
                if kind == "RS256":
                    continue
                text = signed_input({"alg": label})
                signature = SIGNER.private_key.sign(text.encode(), pad, digest)
                yield f"{kind} said to be {label}", f"{text}.{encode(signature)}"


# --- headers -------------------------------------------------------------------------------------

KIDS: tuple[Any, ...] = (
    *(MISSING, None, 1, 1.5, True, [], ["d-test"], {}, {"kid": "d-test"}, ""),
    *("k" * 129, "d-" + "k" * 2000, "../../../../etc/passwd", "/dev/null", "file:///etc/passwd"),
    *("http://127.0.0.1:9/jwks.json", "https://evil.example/jwks.json", "\\\\evil\\share"),
    *("d-test\x00", "d-test\n", "d-test\r\nX: y", "\x00", " d-test", "d-test ", "\td-test"),
    *("D-TEST", "d-tes\u0442", "\uff44-test", "d\u2010test", "d-test\u200b", "\u202ed-test"),
    *("d-test\ufeff", "d-te\u0073\u0323t", "d-\ud800test", "' OR '1'='1", "d-test;--", "*", "d-*"),
    *("__proto__", "constructor", "%64-test", "d-test%00", "${jndi:x}", "{{7*7}}", "d-", "s-", "-"),
)


def kids() -> Iterator[Row]:
    for kid in KIDS:
        shown = "missing" if kid is MISSING else ascii(kid)[:40]
        yield shown, token({"kid": kid})


def embedded_keys() -> Iterator[Row]:
    """A key, or a place to get one, in the token itself."""
    values: dict[str, tuple[Any, ...]] = {
        "jwk": (STRANGER.jwk(), SIGNER.jwk(), {}, None),
        "jku": ("https://evil.example/jwks.json", "file:///etc/passwd", ""),
        "x5u": ("https://evil.example/cert.pem", "file:///etc/passwd"),
        "x5c": (["MIIB"], []),
        "x5t": ("AAAA", ""),
        "x5t#S256": ("AAAA", None),
    }
    for name, options in values.items():
        for number, value in enumerate(options):
            for who, signer in (("stranger", STRANGER), ("right key", SIGNER)):
                yield f"{name} {number} by {who}", token({name: value}, signer=signer)


def header_parameters() -> Iterator[Row]:
    criticals: tuple[Any, ...] = ([], ["exp"], ["b64"], ["x"], "exp", None, {})
    for critical in criticals:
        yield f"crit {critical}", token({"crit": critical})
    for b64 in (True, False, "false", None):
        yield f"b64 {b64}", token({"b64": b64})
    for zipped in ("DEF", "", None):
        yield f"zip {zipped!r}", token({"zip": zipped})
    yield "enc", token({"enc": "A256GCM"})
    yield "enc with alg dir", token({"alg": "dir", "enc": "A256GCM"})
    yield "JWE of five segments", f"{H}.{P}.{S}.{P}.{S}"
    for typ in (
        MISSING,
        None,
        "jwt",
        "JWS",
        "at+jwt",
        "JWT ",
        "application/jwt",
        ["JWT"],
        True,
        "",
    ):
        yield f"typ {'missing' if typ is MISSING else repr(typ)}", token({"typ": typ})
    versions = (
        MISSING,
        None,
        5,
        5.0,
        True,
        "",
        "0",
        "1",
        "2",
        "-5",
        "+5",
        "5.0",
        " 5",
        "5 ",
        "005",
    )
    for version in (*versions, "100", "V5", "five", "\u0665", "\u2075", ["5"], {"v": "5"}, "5\x00"):
        shown = "missing" if version is MISSING else ascii(version)
        yield f"version {shown}", token({"version": version})


# --- signatures ----------------------------------------------------------------------------------

SHA256_PREFIX = bytes.fromhex("3031300d060960864801650304020105000420")


def raw_rsa(block: bytes) -> str:
    """Return the RSA signature whose decrypted block is *block*, well formed or not."""
    private = SIGNER.private_key.private_numbers()
    number = pow(int.from_bytes(block, "big"), private.d, private.public_numbers.n)
    return f"{H}.{P}.{encode(number.to_bytes(256, 'big'))}"


def block(
    digest_info: bytes, *, head: bytes = b"\x00\x01", fill: bytes | None = None, tail: bytes = b""
) -> bytes:
    """Return an EMSA-PKCS1-v1_5 block (RFC 8017 section 9.2) with one thing changed."""
    if fill is None:
        fill = b"\xff" * (256 - len(head) - 1 - len(digest_info) - len(tail))
    return head + fill + b"\x00" + digest_info + tail


def bad_padding() -> Iterator[Row]:
    digest = hashlib.sha256(f"{H}.{P}".encode()).digest()
    info = SHA256_PREFIX + digest
    prefixes = {
        "SHA-1 named": "3021300906052b0e03021a05000414",
        "SHA-224 named": "302d300d06096086480165030402040500041c",
        "SHA-512 named": "3051300d060960864801650304020305000440",
        "MD5 named": "3020300c06082a864886f70d020505000410",
        "no NULL parameter": "302f300b0609608648016503040201 0420".replace(" ", ""),
        "long form of a length": "308131300d060960864801650304020105000420",
        "garbage as parameter": "3035301106096086480165030402010604deadbeef0420",
        "wrong inner length": "3031300d060960864801650304020105000421",
    }
    for name, prefix in prefixes.items():
        yield name, raw_rsa(block(bytes.fromhex(prefix) + digest))
    bad_blocks = {
        "digest alone": block(digest),
        "digest cut short": block(SHA256_PREFIX + digest[:-1]),
        "digest of nothing": block(SHA256_PREFIX + hashlib.sha256(b"").digest()),
        "digest of the payload": block(SHA256_PREFIX + hashlib.sha256(P.encode()).digest()),
        "block type 2": block(info, head=b"\x00\x02"),
        "block type 0": block(info, head=b"\x00\x00"),
        "no leading zero": block(info, head=b"\x01\x01"),
        "zeros for padding": block(info, fill=b"\x00" * 202),
        "one byte of padding bent": block(info, fill=b"\xff" * 100 + b"\xfe" + b"\xff" * 101),
        "short padding, garbage behind": block(info, fill=b"\xff" * 8, tail=b"\x00" * 194),
        "short padding, other garbage behind": block(info, fill=b"\xff" * 8, tail=b"\xaa" * 194),
        "garbage in front of the digest": block(b"\xaa" * 20 + info),
        "no separator": b"\x00\x01" + b"\xff" * (254 - len(info)) + info,
    }
    for name, value in bad_blocks.items():
        yield name, raw_rsa(value)


def bent_signatures() -> Iterator[Row]:
    signature = SIGNER.private_key.sign(f"{H}.{P}".encode(), padding.PKCS1v15(), hashes.SHA256())
    modulus = SIGNER.public_key.public_numbers().n
    for position in (0, 1, 64, 127, 128, 200, 254, 255):
        for bit in (0, 7):
            bent = bytearray(signature)
            bent[position] ^= 1 << bit
            yield f"bit {bit} of byte {position}", f"{H}.{P}.{encode(bytes(bent))}"
    numbers = {"zero": 0, "one": 1, "two": 2, "n": modulus, "n - 1": modulus - 1}
    values = {name: number.to_bytes(256, "big") for name, number in numbers.items()}
    values |= {
        "without its first byte": signature[1:],
        "without its last byte": signature[:-1],
        "with a zero in front": b"\x00" + signature,
        "with a zero behind": signature + b"\x00",
        "twice": signature * 2,
        "plus n": (int.from_bytes(signature, "big") + modulus).to_bytes(257, "big"),
        "reversed": signature[::-1],
        "ones": b"\xff" * 256,
        "one byte": b"\x01",
    }
    for name, value in values.items():
        yield name, f"{H}.{P}.{encode(value)}"
    other = token(claims={"sub": "somebody else"}).split(".")
    yield "of another payload", f"{H}.{P}.{other[2]}"
    yield "payload of another", f"{H}.{other[1]}.{S}"
    yield "header of another", f"{encode(json.dumps(HEADER | {'x': 1}).encode())}.{P}.{S}"
    yield "by a stranger", token(signer=STRANGER)
    yield "header and payload swapped", f"{P}.{H}.{S}"


# --- spelling ------------------------------------------------------------------------------------


def spellings() -> Iterator[Row]:
    """Other ways to write the same bytes: one token has one spelling."""
    extras = (
        "=",
        "==",
        " ",
        "\n",
        "\t",
        "\r\n",
        "\x00",
        "%3D",
        "%20",
        "A",
        "\u200b",
        "\uff21",
        "-_",
    )
    for position, name in enumerate(("header", "payload", "signature")):
        segments = [H, P, S]

        def with_segment(text: str, *, at: int = position, of: list[str] = segments) -> str:
            return ".".join([*of[:at], text, *of[at + 1 :]])

        segment = segments[position]
        for extra in extras:
            yield f"{name} with {extra!r} behind", with_segment(segment + extra)
        for extra in (" ", "\n", "=", "\x00"):
            yield f"{name} with {extra!r} in front", with_segment(extra + segment)
            yield (
                f"{name} with {extra!r} inside",
                with_segment(f"{segment[:8]}{extra}{segment[8:]}"),
            )
        yield f"{name} in upper case", with_segment(segment.upper())
        yield f"{name} empty", with_segment("")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    # 256 bytes leave four spare bits in the last character of a signature.
    last = alphabet.index(S[-1])
    for spare in range(1, 16):
        yield f"signature with spare bits {spare}", f"{H}.{P}.{S[:-1]}{alphabet[last ^ spare]}"
    standard = S.replace("-", "+").replace("_", "/")
    yield "signature in the standard alphabet", f"{H}.{P}.{standard}"


def segment_counts() -> Iterator[Row]:
    texts = {
        "a dot": ".",
        "two dots": "..",
        "three dots": "...",
        "one letter": "a",
        "two letters": "a.b",
        "three letters": "a.b.c",
        "no header": f".{P}.{S}",
        "no payload": f"{H}..{S}",
        "a dot behind": f"{GOOD}.",
        "a dot in front": f".{GOOD}",
        "four segments": f"{GOOD}.{S}",
        "no dots": f"{H}{P}{S}",
        "commas": f"{H},{P},{S}",
        "full-width dots": f"{H}\uff0e{P}\uff0e{S}",
        "null": "null",
    }
    yield from texts.items()
    for around in ('"{}"', "Bearer {}", " {}", "{} ", "{}\n", "{};"):
        yield f"wrapped {around!a}", around.format(GOOD)


# --- claims --------------------------------------------------------------------------------------

NO_IDENTIFIERS: tuple[Any, ...] = (
    *(MISSING, None, 0, 1, 1.5, True, False, [], ["user-1"], {}, {"v": "user-1"}, ""),
    *("x" * 1025, "user\x00", "user\n", "\x1b[31m", "user\x7f", "user\x85", "\ud800", "a\udfff"),
)
NO_TIMES: tuple[Any, ...] = (
    *(None, "1700000000", "", True, False, [], [NOW], {}, -1, -0.5, 253_402_300_800, 10**15, 1e300),
)


def claims() -> Iterator[Row]:
    for name in ("sub", "sessionHandle", "refreshTokenHash1", "tId", "rsub"):
        for value in NO_IDENTIFIERS:
            shown = "missing" if value is MISSING else ascii(value)[:20]
            yield f"{name} {shown}", token(claims={name: value})
    for name in ("iat", "exp", "nbf"):
        for value in (*NO_TIMES, MISSING):
            if name != "nbf" or value is not MISSING:
                shown = "missing" if value is MISSING else repr(value)
                yield f"{name} {shown}", token(claims={name: value})
        numbers = (
            "NaN",
            "Infinity",
            "-Infinity",
            "1e999",
            "9" * 5000,
            "0x10",
            "01",
            "1_0",
            "+1",
            ".5",
        )
        for number in numbers:
            text = json.dumps(edited(CLAIMS, {name: "HERE"})).replace('"HERE"', number)
            yield f"{name} written {number[:10]}", raw(payload=text.encode())
    for value in (1, 2, -1, 3, "0", "", True, False, None, 0.0, [], {}):
        yield f"stt {value!r}", token(claims={"stt": value})


def look_alikes() -> Iterator[Row]:
    """What SuperTokens signs with the same keys (facts of SuperTokens core)."""
    recipe = {"version": MISSING}
    no_hash = {"refreshTokenHash1": MISSING}
    oauth = no_hash | {"stt": 1, "aud": "app", "client_id": "app", "scp": ["openid"]}
    id_token = no_hash | {"stt": 2, "sid": "s", "at_hash": "h", "sessionHandle": MISSING}
    yield "JWT recipe", token(recipe, {"sessionHandle": MISSING} | no_hash)
    yield "JWT recipe with a session's claims", token(recipe)
    yield "OAuth2 access token", token(recipe, oauth)
    yield "OAuth2 access token with a version", token(claims=oauth)
    yield "OAuth2 access token with all claims", token(claims={"stt": 1})
    yield "OAuth2 id token", token(recipe, id_token)
    yield "OAuth2 id token with a version", token(claims=id_token)
    yield "token of version 2", token({"version": "2"})


# --- JSON ----------------------------------------------------------------------------------------


def json_documents() -> Iterator[Row]:
    header, payload = json.dumps(HEADER), json.dumps(CLAIMS)
    for name in HEADER:
        yield f"header names {name} twice", raw(f'{header[:-1]}, "{name}": "x"}}'.encode())
        yield f"header names {name} first", raw(f'{{"{name}": "x", {header[1:]}'.encode())
    for name in ("sub", "exp", "iat", "tId", "sessionHandle", "x"):
        twice = f'{payload[:-1]}, "{name}": 1, "{name}": 1}}'
        yield f"payload names {name} twice", raw(payload=twice.encode())
    nested = f'{payload[:-1]}, "st-role": {{"v": ["a"], "v": ["admin"]}}}}'
    yield "claim names a member twice", raw(payload=nested.encode())
    escaped = f'{payload[:-1]}, "\\u0073ub": "admin"}}'
    yield "payload names sub twice, once escaped", raw(payload=escaped.encode())
    documents: dict[str, Callable[[str], bytes]] = {
        "with a BOM": lambda text: b"\xef\xbb\xbf" + text.encode(),
        "in UTF-16": lambda text: text.encode("utf-16"),
        "in UTF-16 LE": lambda text: text.encode("utf-16-le"),
        "in UTF-32": lambda text: text.encode("utf-32"),
        "with a byte of Latin-1": lambda text: text.encode()[:-1] + b', "x": "\xe4"}',
        "with an overlong sequence": lambda text: text.encode()[:-1] + b', "x": "\xc0\xaf"}',
        "with a surrogate in UTF-8": lambda text: text.encode()[:-1] + b', "x": "\xed\xa0\x80"}',
        "with a trailing comma": lambda text: text.encode()[:-1] + b",}",
        "with a comment": lambda text: b"/* */" + text.encode(),
        "in single quotes": lambda text: text.replace('"', "'").encode(),
        "twice": lambda text: text.encode() * 2,
        "in a list": lambda text: f"[{text}]".encode(),
        "as a string": lambda text: json.dumps(text).encode(),
        "cut short": lambda text: text.encode()[:-1],
        "with a zero behind": lambda text: text.encode() + b"\x00",
        "with a control character": lambda text: text.encode()[:-1] + b', "x": "\n"}',
        "with NaN": lambda text: text.encode()[:-1] + b', "x": NaN}',
        "with a number out of range": lambda text: text.encode()[:-1] + b', "x": -1e999}',
        "with 5000 digits": lambda text: text.encode()[:-1] + b', "x": ' + b"7" * 5000 + b"}",
        "33 lists deep": lambda text: deep(text, "[", "]", 33),
        "33 objects deep": lambda text: deep(text, '{"a":', "}", 33),
        "2000 lists deep": lambda text: deep(text, "[", "]", 2000),
        "500 objects deep": lambda text: deep(text, '{"a":', "}", 500),
        "without an end": lambda text: text.encode()[:-1] + b', "x": ' + b"[" * 3000,
        "empty": lambda _: b"",
        "of blanks": lambda _: b"   ",
        "null": lambda _: b"null",
        "a number": lambda _: b"1",
        "an empty list": lambda _: b"[]",
        "an empty object": lambda _: b"{}",
    }
    for name, write in documents.items():
        yield f"header {name}", raw(header=write(header))
        yield f"payload {name}", raw(payload=write(payload))


def deep(text: str, opening: str, closing: str, levels: int) -> bytes:
    return f'{text[:-1]}, "x": {opening * levels}1{closing * levels}}}'.encode()


def oversized() -> Iterator[Row]:
    for length in (8193, 8200, 10_000, 100_000, 1_000_000):
        yield f"{length} characters", sized(length)
        yield f"{length} dots", "." * length
        yield f"{length} brackets", encode(b"[" * (length * 3 // 4)) + ".e30.AA"


def sized(length: int) -> str:
    """Return a valid token of about *length* characters, and never fewer."""
    return token(claims={"x": "x" * ((length - len(GOOD)) * 3 // 4 + 4)})


FAMILIES: dict[str, Callable[[], Iterator[Row]]] = {
    family.__name__: family
    for family in (
        *(algorithms, hmacs, other_signatures, kids, embedded_keys, header_parameters),
        *(bad_padding, bent_signatures, spellings, segment_counts, claims, look_alikes),
        *(json_documents, oversized),
    )
}
ROWS = [(f"{name}: {row}", text) for name, family in FAMILIES.items() for row, text in family()]

# Twins of rejected rows, which differ only in the defect.
TWINS = {
    "algorithms": token({"alg": "RS256"}),
    "hmacs": GOOD,
    "other_signatures": f"{H}.{P}.{S}",
    "kids": token({"kid": LONG_KID}),
    "embedded_keys": token({"cty": "JWT", "x": SIGNER.jwk()}),
    "header_parameters": token({"version": "3", "typ": "JWT"}),
    "bad_padding": raw_rsa(block(SHA256_PREFIX + hashlib.sha256(f"{H}.{P}".encode()).digest())),
    "bent_signatures": raw(),
    "spellings": ".".join((H, P, S)),
    "segment_counts": GOOD,
    "claims": token(
        claims={
            "sub": "x" * 1024,
            "tId": "m\u00fcnchen \u6771\u4eac",
            "iat": NOW - 0.5,
            "nbf": NOW,
            "exp": 253_402_300_798,
            "stt": 0,
        }
    ),
    "look_alikes": token(claims={"iss": "https://api.example.com/auth", "aud": "app"}),
    "json_documents": raw(payload=deep(json.dumps(CLAIMS), "[", "]", 31)),
    "oversized": sized(8100),
}


@pytest.fixture(scope="module")
def keys() -> StaticKeys:
    return StaticKeys(KeySet({"d-test": SIGNER.public_key, LONG_KID: SIGNER.public_key}))


@pytest.fixture(scope="module")
def touched() -> Iterator[list[str]]:
    """A list that fills with what the process touches outside itself while ``armed`` is in it."""
    events: list[str] = []

    def hook(event: str, _arguments: object) -> None:
        if events and event.partition(".")[0] in ("open", "socket", "subprocess", "os", "urllib"):
            events.append(event)

    sys.addaudithook(hook)
    yield events
    events.clear()


def verdict(text: str, keys: StaticKeys) -> Reason:
    return decide([text], has_front_token=False, keys=keys, rules=TokenRules(), now=NOW).reason


def test_there_are_enough_rows_and_every_family_has_its_twin() -> None:
    assert len(ROWS) >= 400
    assert len({name for name, _ in ROWS}) == len(ROWS)
    assert TWINS.keys() == FAMILIES.keys()


@pytest.mark.parametrize("text", [text for _, text in ROWS], ids=[name for name, _ in ROWS])
def test_hostile_token_is_refused_and_touches_nothing(
    text: str, keys: StaticKeys, touched: list[str]
) -> None:
    touched[:] = ["armed"]
    try:
        assert verdict(text, keys) is Reason.INVALID
        assert touched == ["armed"]
    finally:
        touched.clear()


@pytest.mark.parametrize("family", TWINS)
def test_twin_of_a_hostile_family_is_accepted(family: str, keys: StaticKeys) -> None:
    assert verdict(TWINS[family], keys) is Reason.ACTIVE


def test_the_audit_hook_sees_what_it_should(touched: list[str]) -> None:
    touched[:] = ["armed"]
    with open(__file__, encoding="utf-8"):  # noqa: PTH123 - the event is the point
        pass
    assert touched == ["armed", "open"]
    touched.clear()
