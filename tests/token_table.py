"""One table of access tokens: every defect, next to sound tokens that differ in one thing.

Tokens are made when a test asks for them. The name of a row says what is odd about its token.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from operator import mul
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key

from flask_ssr_session.errors import TokenDefect as D
from flask_ssr_session.testing import SessionSigner
from flask_ssr_session.upstream.key_set import KeySet, StaticKeys

from .tables import shown
from .tokens import ABSENT, Edits, edited

NOW = 1_700_000_000
# The key ids that name the one good key.
GOOD_KIDS = ("d-test", "d", "d-" + "k" * 126, "d test", "d-\u00fc")

Recipe = Callable[[], str]
Row = tuple[Recipe, D | None]
Family = Iterator[tuple[str, Recipe, D | None]]

SIGNER = SessionSigner()
HEADER = SIGNER.header()
CLAIMS = SIGNER.claims(issued_at=NOW) | {
    "sessionHandle": "7c6d5d9e-3f43-4a3c-9a35-0d3f1a0f9a11",
    "refreshTokenHash1": "ab" * 32,
}


@cache
def stranger() -> SessionSigner:
    """Return a signer whose key nobody trusts, under the key id of the good one."""
    return SessionSigner(private_key=generate_private_key(public_exponent=65537, key_size=2048))


def good_keys() -> StaticKeys:
    """Return keys that have verified no token yet."""
    return StaticKeys(KeySet(dict.fromkeys(GOOD_KIDS, SIGNER.public_key)))


def encode(data: bytes) -> str:
    """Return base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def written(value: object) -> bytes:
    """Return JSON, escaped only if it has to be, so that long texts fit into a token."""
    try:
        return json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a character
        return json.dumps(value).encode()


def h(header: Edits, claims: Edits | None = None, signer: SessionSigner = SIGNER) -> Recipe:
    """Return a recipe for a signed token with these edits."""
    head, payload = edited(HEADER, header), edited(CLAIMS, claims or {})
    return lambda: signer.sign_raw(written(head), written(payload))


def c(claims: Edits) -> Recipe:
    return h({}, claims)


def by_stranger(claims: Edits, header: Edits | None = None) -> Recipe:
    return lambda: h(header or {}, claims, stranger())()


def r(header: bytes = written(HEADER), payload: bytes = written(CLAIMS)) -> Recipe:
    """Return a recipe for a signed token of these bytes."""
    return lambda: SIGNER.sign_raw(header, payload)


@cache
def segments() -> tuple[str, str, str]:
    """Return the segments of a sound token; each has ``-`` and ``_`` and ends with spare bits."""
    for count in range(100):
        mark = "~~~???\x7f\x7f" + "\u00fc" * count
        head, payload = written(HEADER | {"x": mark}), written(CLAIMS | {"x": mark})
        # One byte more than a multiple of three leaves four spare bits.
        head, payload = (part + b" " * ((1 - len(part)) % 3) for part in (head, payload))
        found = SIGNER.sign_raw(head, payload).split(".")
        if all({"-", "_"} <= set(segment) for segment in found):
            return found[0], found[1], found[2]
    raise AssertionError("no such token")


def t(form: str) -> Recipe:
    """Return a recipe for a text that is made of the segments of a sound token."""
    return lambda: form.format(**dict(zip("hps", segments(), strict=True)))


# What a member may be, and what it may not be.
Values = tuple[D, tuple[Any, ...], tuple[Any, ...]]

_NO_TEXTS: tuple[Any, ...] = (
    *(ABSENT, None, 0, 1, 1.5, True, False, [], ["d-test"], {}, {"v": "user-1"}, ""),
)
_ALGORITHMS = (
    *("none", "None", "NONE", "nOnE", "none ", "", "RS384", "RS512", "PS256", "PS512", "ES256"),
    *("EdDSA", "HS256", "HS384", "HS512", "RSA-OAEP", "dir", "RSA", "rs256", "Rs256", "RS256 "),
    *(" RS256", "RS256\x00", "RS256\n", "RS-256", "RS256,none", "\uff32\uff33256"),
    *("RS\u0662\u0665\u0666", ["RS256"], ["RS256", "none"], {"RS256": 1}, None, True, 256, ABSENT),
)
_TYPES = (*_NO_TEXTS, "jwt", "JWS", "JWT ", "at+jwt", "application/jwt", ["JWT"])
_KIDS = (
    *(*_NO_TEXTS, "k" * 129, "d-" + "k" * 2000, "d-test\x00", "d-test\n", "d-test\r\nX: y"),
    *("\td-test", "d-\x7f", "d-test\u200b", "\u202ed-test", "d-test\ufeff", "d-\ud800"),
)
_VERSIONS = (
    *(*_NO_TEXTS, 5, 5.0, "0", "1", "2", "02", "-5", "+5", "5.0", " 5", "5 ", "005", "100"),
    *("V5", "five", "\u0665", "\u2075", "\u00b5", "\u00b9", ["5"], {"v": "5"}, "5\x00"),
)
_HEADER_VALUES: Mapping[str, Values] = {
    "alg": (D.ALGORITHM, _ALGORITHMS, ("RS256",)),
    "typ": (D.TYPE, _TYPES, ("JWT",)),
    "kid": (D.KEY_ID, _KIDS, GOOD_KIDS),
    "version": (D.VERSION, _VERSIONS, ("3", "4", "5", "05", "6", "99")),
}
_UNKNOWN_KIDS = (
    *("../../../../etc/passwd", "file:///etc/passwd", "http://127.0.0.1:9/jwks.json", "\\\\e\\s"),
    *(" d-test", "d-test ", "D-TEST", "d-tes\u0442", "\uff44-test", "d\u2010test", "d-te\u0323t"),
    *("' OR '1'='1", "d-*", "__proto__", "%64-test", "${jndi:x}", "{{7*7}}", "d-", "s-test"),
)
# Parameters that supply a key, or change what is signed.
_FORBIDDEN: Mapping[str, tuple[Any, ...]] = {
    "jwk": ({"kty": "RSA"}, {}, None),
    "jku": ("https://evil.example/jwks.json", "file:///etc/passwd", ""),
    "x5u": ("https://evil.example/cert.pem", "file:///etc/passwd"),
    "x5c": (["MIIB"], []),
    "x5t": ("AAAA", ""),
    "x5t#S256": ("AAAA", None),
    "crit": ([], ["exp"], ["b64"], "exp", None, {}),
    "b64": (True, False, "false", None),
    "zip": ("DEF", "", None),
    "enc": ("A256GCM",),
}
_IDS = ("sub", "sessionHandle", "refreshTokenHash1", "tId", "rsub")
_NO_IDS = (
    *(*_NO_TEXTS, "x" * 1025, "\u00fc" * 1025, "a\x00", "a\nb", "\x1b[31m", "a\x1f", "a\x7f"),
    *("\u00fc\x00", "\u00fc\x1f", "\u00fc\x7f", "a\x80", "a\x85", "a\x9f", "a\ud800", "\udbff"),
    "\udfffa",
)
_SOUND_IDS = (
    *("a", "x" * 1024, "\u00fc" * 1024, "anna b@x.example|1~", "\u00fc \u00fc~", "a\xa0", "\xa1"),
    *("\ud7ff", "\ue000", "\U0001f600", "m\u00fcnchen \u6771\u4eac"),
)
_NO_TIMES: tuple[Any, ...] = (
    *(None, "1700000000", "", True, False, [], [NOW], {}, -1, -0.5, 253_402_300_799, 10**15, 1e300),
    10**3000,
)
_CLAIM_VALUES: Mapping[str, Values] = {
    **dict.fromkeys(_IDS, (D.CLAIMS, _NO_IDS, _SOUND_IDS)),
    "exp": (D.TIMES, (*_NO_TIMES, ABSENT), (253_402_300_798, NOW + 0.5, NOW + 1)),
    "iat": (D.TIMES, (*_NO_TIMES, ABSENT), (0, -0.0, NOW - 0.25, NOW + 60)),
    "nbf": (D.TIMES, _NO_TIMES, (0, NOW, NOW + 60, ABSENT)),
    # OAuth2 access tokens (1) and id tokens (2) are signed by the same keys.
    "stt": (D.TOKEN_TYPE, (1, 2, -1, "0", "", True, False, None, 0.0, [], {}), (0, ABSENT)),
    "parentRefreshTokenHash1": (D.CLAIMS, (), (ABSENT, None, "0f" * 32, 5)),
}
_NO_NUMBERS = ("NaN", "Infinity", "-Infinity", "1e999", "9" * 5000, "0x10", "01", "1_0", "+1", ".5")


# For tools and tests that combine them: every name that means something, and values near a rule.
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 5, 0.0, 0.5, 1e300, 10**20, NOW - 1, NOW, NOW + 60, NOW + 61),
    *(NOW * 1000, "", "0", "3", "5", "6", "99", "003", "\u0665", "RS256", "none", "HS256", "JWT"),
    *("d-test", "public", "x" * 1025, "\x00", "\ud800", "\u2028", [], ["RS256"], [[[]]], {}),
    {"v": [1]},
)
NAMES = (
    *("alg", "typ", "kid", "version", "crit", "b64", "jwk", "zip", "x", "sub", "rsub", "tId"),
    *("sessionHandle", "refreshTokenHash1", "parentRefreshTokenHash1", "exp", "iat", "nbf", "stt"),
    "aud",
)


def _values(table: Mapping[str, Values], recipe: Callable[[Edits], Recipe]) -> Family:
    for name, (defect, refused, sound) in table.items():
        yield from ((f"{name} is {shown(v)}", recipe({name: v}), defect) for v in refused)
        yield from ((f"{name} is {shown(v)}", recipe({name: v}), None) for v in sound)


def header_values() -> Family:
    yield from _values(_HEADER_VALUES, h)
    for kid in _UNKNOWN_KIDS:
        yield f"kid is {shown(kid)}", h({"kid": kid}), D.KEY_UNKNOWN
    for name, values in _FORBIDDEN.items():
        for value in values:
            yield f"{name} is {shown(value)}", h({name: value}), D.HEADER
            yield f"{name}2 is {shown(value)}", h({f"{name}2": value}), None
    yield "jwk is the good key", h({"jwk": SIGNER.jwk()}), D.HEADER
    yield "jwk is the good key, by a stranger", by_stranger({}, {"jwk": SIGNER.jwk()}), D.HEADER
    yield "alg is dir, and enc", h({"alg": "dir", "enc": "A256GCM"}), D.ALGORITHM


def claim_values() -> Family:
    yield from _values(_CLAIM_VALUES, c)
    for name in ("iat", "exp", "nbf"):
        for number in _NO_NUMBERS:
            text = written(edited(CLAIMS, {name: "HERE"})).replace(b'"HERE"', number.encode())
            yield f"{name} is written {number[:10]}", r(payload=text), D.JSON
    for version, count in {"3": 3, "4": 4, "5": 5, "6": 5}.items():
        for name in _IDS:
            recipe = h({"version": version}, {name: ABSENT})
            is_required = name in _IDS[:count]
            yield f"version {version} without {name}", recipe, D.CLAIMS if is_required else None


def several_members() -> Family:
    """What depends on two things, and what else SuperTokens signs with the same keys."""
    recipe, gone = {"version": ABSENT}, {"exp": NOW}
    no_hash = {"refreshTokenHash1": ABSENT}
    oauth = no_hash | {"stt": 1, "aud": "app", "client_id": "app", "scp": ["openid"]}
    id_token = no_hash | {"stt": 2, "sid": "s", "at_hash": "h", "sessionHandle": ABSENT}
    yield "expires in a second", c({"exp": NOW + 1}), None
    yield "expires now", c(gone), D.EXPIRED
    yield "expired when time began", c({"exp": 0}), D.EXPIRED
    yield "expired, by a retired key", h({"kid": "d-retired"}, gone), D.EXPIRED
    yield "expired, issued in the future", c(gone | {"iat": NOW + 1000}), D.EXPIRED
    yield "expired, by a stranger", by_stranger(gone), D.EXPIRED
    yield "expired, without a user", c(gone | {"sub": 5}), D.CLAIMS
    for name in ("iat", "nbf"):
        early = {name: NOW + 61}
        yield f"{name} is 61 s ahead", c(early), D.NOT_YET_VALID
        yield f"{name} is 61 s ahead, by a stranger", by_stranger(early), D.SIGNATURE
    yield "version 7 by a stranger", by_stranger({}, {"version": "7"}), D.SIGNATURE
    yield "by a stranger", by_stranger({}), D.SIGNATURE
    yield "by the good key", h({}), None
    yield "of the JWT recipe", h(recipe, {"sessionHandle": ABSENT} | no_hash), D.VERSION
    yield "of the JWT recipe, with a session's claims", h(recipe), D.VERSION
    yield "OAuth2 access token", h(recipe, oauth), D.VERSION
    yield "OAuth2 access token with a version", c(oauth), D.CLAIMS
    yield "OAuth2 id token with a version", c(id_token), D.CLAIMS
    yield "with an issuer and an audience that nobody asks for", c({"iss": "x", "aud": "app"}), None


# Members before the closing bracket of a header or a payload, and whether they are sound.
_MEMBERS: Mapping[str, tuple[bytes, bool]] = {
    "a number": (b'"x": 1.5', True),
    "the largest power": (b'"x": 1e308', True),
    "a number out of range": (b'"x": [{"y": -1e999}]', False),
    "NaN": (b'"x": NaN', False),
    "minus infinity": (b'"x": -Infinity', False),
    "two members": (b'"x": 1, "y": 1', True),
    "one member twice": (b'"x": 1, "x": 1', False),
    "one member twice, once escaped": (b'"x": 1, "\\u0078": 1', False),
    "one member twice inside": (b'"x": [{"y": 1, "y": 2}]', False),
    "one name in two objects": (b'"x": [{"y": 1}, {"y": 2}]', True),
    "many shallow lists": (b'"x": [' + b"[]," * 40 + b"{}]", True),
    "32 lists": (b'"x": ' + b"[" * 31 + b"1" + b"]" * 31, True),
    "33 lists": (b'"x": ' + b"[" * 32 + b"1" + b"]" * 32, False),
    "32 objects": (b'"x": ' + b'{"y":' * 31 + b"1" + b"}" * 31, True),
    "33 objects": (b'"x": ' + b'{"y":' * 32 + b"1" + b"}" * 32, False),
    "33 lists and objects in turn": (b'"x": ' + b'[{"y":' * 16 + b"1" + b"}]" * 16, False),
    "2000 lists": (b'"x": ' + b"[" * 2000 + b"]" * 2000, False),
    "3000 lists left open": (b'"x": ' + b"[" * 3000, False),
    "4000 digits": (b'"x": ' + b"7" * 4000, True),
    "5000 digits": (b'"x": ' + b"7" * 5000, False),
    "an escaped tabulator": (b'"x": "\\t"', True),
    "a bare tabulator in a text": (b'"x": "\t"', False),
    "a name in single quotes": (b"'x': 1", False),
    "a comma at the end": (b"", False),
    "a second object": (b'"x": 1} {"y": 1', False),
    "UTF-8": (b'"x": "\xc3\xa9"', True),
    "Latin-1": (b'"x": "\xe9"', False),
    "overlong UTF-8": (b'"x": "\xc0\xaf"', False),
    "a surrogate in UTF-8": (b'"x": "\xed\xa0\x80"', False),
    "an escaped surrogate": (b'"x": "\\ud800"', True),
}
_DOCUMENTS: Mapping[str, Callable[[bytes], bytes]] = {
    "with a BOM": lambda text: b"\xef\xbb\xbf" + text,
    "in UTF-16": lambda text: text.decode().encode("utf-16"),
    "in UTF-16 LE": lambda text: text.decode().encode("utf-16-le"),
    "in UTF-32": lambda text: text.decode().encode("utf-32"),
    "with a comment": lambda text: b"/* */" + text,
    "twice": lambda text: text * 2,
    "in a list": lambda text: b"[" + text + b"]",
    "as a list of pairs": lambda text: written(list(json.loads(text).items())),
    "as a text": lambda text: written(text.decode()),
    "cut short": lambda text: text[:-1],
    "with a zero behind": lambda text: text + b"\x00",
}


def json_documents() -> Family:
    header, payload = written(HEADER), written(CLAIMS)
    for name, (members, is_sound) in _MEMBERS.items():
        defect = None if is_sound else D.JSON
        yield f"header with {name}", r(header[:-1] + b", " + members + b"}"), defect
        yield f"payload with {name}", r(payload=payload[:-1] + b", " + members + b"}"), defect
    for name, write in _DOCUMENTS.items():
        yield f"header {name}", r(write(header)), D.JSON
        yield f"payload {name}", r(payload=write(payload)), D.JSON
    for text in (b"", b"   ", b"null", b"true", b"1", b"[]"):
        yield f"header {text!r}", r(text), D.JSON
        yield f"payload {text!r}", r(payload=text), D.JSON
    for name in HEADER:
        yield f"header with a second {name}", r(header[:-1] + f', "{name}": "x"}}'.encode()), D.JSON
        first = f'{{"{name}": "x", '.encode()
        yield f"header with another {name} first", r(first + header[1:]), D.JSON
    for name in ("sub", "exp", "sessionHandle", "\\u0073ub"):
        twice = payload[:-1] + f', "{name}": 1}}'.encode()
        yield f"payload with a second {name}", r(payload=twice), D.JSON
    yield "an empty header", r(b"{}"), D.ALGORITHM
    yield "an empty payload", r(payload=b"{}"), D.TIMES


# Other ways to write the bytes of a segment: around and between two parts of it.
_SPELLINGS = (
    *("{}{}=", "{}{}==", "{}{}====", "{}{} ", "{}{}\n", "{}{}\t", "{}{}\r\n", "{}{}\x00"),
    *("{}{}%3D", "{}{}\u200b", " {}{}", "\n{}{}", "={}{}", "\x00{}{}", "%2{}{}", "{} {}", "{}\n{}"),
    *("{}={}", "{}\x00{}", "{}!{}", "{}\u00e9{}"),
)
_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_TEXTS: Mapping[D | None, tuple[str, ...]] = {
    None: ("{h}.{p}.{s}",),
    D.SEGMENTS: (
        *(".", "...", "a", "a.b", "{h}.{p}", "{h}.{p}.{s}.", ".{h}.{p}.{s}", "{h}.{p}.{s}.{s}"),
        *("{h}.{p}.{s}.{p}.{s}", "{h}.{p}..{s}", "{h}{p}{s}", "{h},{p},{s}"),
    ),
    D.ENCODING: (
        *("a.b.c", "{h}\uff0e{p}\uff0e{s}", '"{h}.{p}.{s}"', "Bearer {h}.{p}.{s}", "{h}.{p}.{s};"),
    ),
    D.JSON: ("..", ".{p}.{s}", "{h}..{s}"),
    D.ALGORITHM: ("{p}.{h}.{s}",),
    D.SIGNATURE: ("{h}.{p}.",),
}


def spellings() -> Family:
    """One token has one spelling."""
    for defect, forms in _TEXTS.items():
        yield from ((f"segments as {form!a}", t(form), defect) for form in forms)
    for place, segment in enumerate(("header", "payload", "signature")):
        for form in _SPELLINGS:
            yield f"{segment} as {form!a}", _bent(place, partial(_formed, form)), D.ENCODING
        yield f"{segment} with plus", _bent(place, lambda s: s.replace("-", "+")), D.ENCODING
        yield f"{segment} with slash", _bent(place, lambda s: s.replace("_", "/")), D.ENCODING
        longer = _bent(place, lambda s: s + "A" * (5 - len(s) % 4))
        yield f"{segment} with one character more than whole groups", longer, D.ENCODING
        # One byte in the last group of characters leaves four bits that do not count.
        for bits in range(1, 16):
            spell = partial(_with_spare, bits)
            yield f"{segment} with spare bits {bits}", _bent(place, spell), D.ENCODING


def _formed(form: str, text: str) -> str:
    return form.format(text[:8], text[8:])


def _with_spare(bits: int, text: str) -> str:
    return text[:-1] + _ALPHABET[_ALPHABET.index(text[-1]) ^ bits]


def _bent(place: int, spell: Callable[[str], str]) -> Recipe:
    return lambda: ".".join(
        spell(part) if at == place else part for at, part in enumerate(segments())
    )


def sizes() -> Family:
    yield "8192 characters", lambda: sized(8192), None
    yield "8193 characters", lambda: sized(8193), D.TOO_LARGE
    yield "a megabyte", lambda: sized(1_000_000), D.TOO_LARGE
    for text in (".", "[", "a", "\u00e9", "\ud800", "\x00", "e30."):
        yield f"a megabyte of {text!a}", partial(mul, text, 1_000_000), D.TOO_LARGE


def sized(length: int) -> str:
    """Return a token of exactly this many characters, by white space in its JSON."""
    head, payload = written(HEADER), written(CLAIMS)
    chars = length - 342 - 2
    for pad in range(3):
        left = chars - len(encode(head + b" " * pad))
        if left % 4 != 1:  # no number of bytes takes such a number of characters
            token = r(head + b" " * pad, payload.ljust(left * 3 // 4))()
            assert len(token) == length
            return token
    raise AssertionError(f"no token has {length} characters")


def _signed(alg: object) -> str:
    return f"{encode(written(edited(HEADER, {'alg': alg})))}.{encode(written(CLAIMS))}"


def _signed_by(alg: str, pad: Any, digest: Any, bend: Callable[[bytes], bytes] = bytes) -> str:
    signature = SIGNER.private_key.sign(_signed(alg).encode(), pad, digest)
    return f"{_signed(alg)}.{encode(bend(signature))}"


def hmacs() -> Family:
    """A confused verifier takes the public key, which everybody knows, for a secret."""
    key, pem, der = SIGNER.public_key, serialization.Encoding.PEM, serialization.Encoding.DER
    spki, pkcs1 = serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.PKCS1
    secrets = {
        "PEM": key.public_bytes(pem, spki),
        "PEM without its last newline": key.public_bytes(pem, spki).rstrip(),
        "PEM of PKCS 1": key.public_bytes(pem, pkcs1),
        "DER": key.public_bytes(der, spki),
        "DER of PKCS 1": key.public_bytes(der, pkcs1),
        "modulus": key.public_numbers().n.to_bytes(256, "big"),
        "modulus in base64url": SIGNER.jwk()["n"].encode(),
        "JWK": written(SIGNER.jwk()),
        "key id": b"d-test",
        "nothing": b"",
    }
    for name, secret in secrets.items():
        for size in (256, 384, 512):
            for alg, defect in ((f"HS{size}", D.ALGORITHM), ("RS256", D.SIGNATURE)):
                text = _signed(alg)
                mac = encode(hmac.digest(secret, text.encode(), f"sha{size}"))
                yield f"HS{size} by the {name}, said to be {alg}", f"{text}.{mac}".strip, defect


def other_signatures() -> Family:
    """The good key signs in another way, under the name of that way and under ours."""
    sizes = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
    for size, digest in sizes.items():
        ways = {f"RS{size}": padding.PKCS1v15(), f"PS{size}": padding.PSS(padding.MGF1(digest), 32)}
        for way, pad in ways.items():
            for alg in dict.fromkeys((way, "RS256")):
                defect = None if way == "RS256" else D.SIGNATURE if alg == "RS256" else D.ALGORITHM
                yield f"{way} said to be {alg}", partial(_signed_by, alg, pad, digest), defect
    for alg in ("none", "None", ""):
        yield f"unsigned, alg {alg!r}", partial("{}.".format, _signed(alg)), D.ALGORITHM


def _raw_rsa(block: Callable[[bytes], bytes]) -> Recipe:
    """Return a recipe for the RSA signature of what *block* makes of the digest."""

    def made() -> str:
        private, signed = SIGNER.private_key.private_numbers(), _signed("RS256")
        value = int.from_bytes(block(hashlib.sha256(signed.encode()).digest()), "big")
        number = pow(value, private.d, private.public_numbers.n)
        return f"{signed}.{encode(number.to_bytes(256, 'big'))}"

    return made


def _block(info: bytes, head: bytes = b"\x00\x01", fill: bytes = b"", tail: bytes = b"") -> bytes:
    """Return an EMSA-PKCS1-v1_5 block (RFC 8017 section 9.2) with one thing changed."""
    fill = fill or b"\xff" * (256 - len(head) - 1 - len(info) - len(tail))
    return head + fill + b"\x00" + info + tail


_SHA256 = bytes.fromhex("3031300d060960864801650304020105000420")
_PREFIXES = {
    "SHA-1 named": "3021300906052b0e03021a05000414",
    "SHA-224 named": "302d300d06096086480165030402040500041c",
    "SHA-512 named": "3051300d060960864801650304020305000440",
    "MD5 named": "3020300c06082a864886f70d020505000410",
    "no NULL parameter": "302f300b06096086480165030402010420",
    "a length in its long form": "308131300d060960864801650304020105000420",
    "garbage as parameter": "3035301106096086480165030402010604deadbeef0420",
    "a wrong inner length": "3031300d060960864801650304020105000421",
}
_BLOCKS: Mapping[str, Callable[[bytes], bytes]] = {
    "the digest alone": lambda d: _block(d),
    "the digest cut short": lambda d: _block(_SHA256 + d[:-1]),
    "the digest of nothing": lambda _: _block(_SHA256 + hashlib.sha256(b"").digest()),
    "block type 2": lambda d: _block(_SHA256 + d, head=b"\x00\x02"),
    "block type 0": lambda d: _block(_SHA256 + d, head=b"\x00\x00"),
    "no leading zero": lambda d: _block(_SHA256 + d, head=b"\x01\x01"),
    "zeros for padding": lambda d: _block(_SHA256 + d, fill=b"\x00" * 202),
    "one byte bent": lambda d: _block(_SHA256 + d, fill=b"\xff" * 100 + b"\xfe" + b"\xff" * 101),
    "short, zeros behind": lambda d: _block(_SHA256 + d, fill=b"\xff" * 8, tail=b"\x00" * 194),
    "short, garbage behind": lambda d: _block(_SHA256 + d, fill=b"\xff" * 8, tail=b"\xaa" * 194),
    "garbage in front of the digest": lambda d: _block(b"\xaa" * 20 + _SHA256 + d),
    "no separator": lambda d: b"\x00\x01" + b"\xff" * 203 + _SHA256 + d,
}


def _prefixed(prefix: bytes, digest: bytes) -> bytes:
    return _block(prefix + digest)


def bad_padding() -> Family:
    yield "as RFC 8017 says", _raw_rsa(lambda digest: _block(_SHA256 + digest)), None
    for name, prefix in _PREFIXES.items():
        yield name, _raw_rsa(partial(_prefixed, bytes.fromhex(prefix))), D.SIGNATURE
    for name, block in _BLOCKS.items():
        yield name, _raw_rsa(block), D.SIGNATURE


def bent_signatures() -> Family:
    """Its bits are flipped one by one in ``test_verification.py``."""
    modulus = SIGNER.public_key.public_numbers().n
    bends: dict[str, Callable[[bytes], bytes]] = {
        "without its first byte": lambda s: s[1:],
        "without its last byte": lambda s: s[:-1],
        "with a zero in front": lambda s: b"\x00" + s,
        "with a zero behind": lambda s: s + b"\x00",
        "twice": lambda s: s * 2,
        "plus n": lambda s: (int.from_bytes(s, "big") + modulus).to_bytes(257, "big"),
    }
    for name, bend in bends.items():
        made = partial(_signed_by, "RS256", padding.PKCS1v15(), hashes.SHA256(), bend)
        yield name, made, D.SIGNATURE
    for name, number in {"0": 0, "1": 1, "2": 2, "n - 1": modulus - 1, "n": modulus}.items():
        signature = encode(number.to_bytes(256, "big"))
        yield f"the number {name}", f"{_signed('RS256')}.{signature}".strip, D.SIGNATURE
    for length in (1, 255, 257, 4096):
        signature = encode(b"\x01" * length)
        yield f"{length} bytes", f"{_signed('RS256')}.{signature}".strip, D.SIGNATURE


def _table() -> dict[str, Row]:
    table: dict[str, Row] = {}
    for family in (
        *(header_values, claim_values, several_members, json_documents, spellings, sizes),
        *(hmacs, other_signatures, bad_padding, bent_signatures),
    ):
        for name, recipe, defect in family():
            row = f"{family.__name__.replace('_', ' ')}: {name}"
            assert row not in table, row
            table[row] = recipe, defect
    return table


TABLE = _table()


@cache
def token_of(row: str) -> str:
    return TABLE[row][0]()


def hostile_tokens() -> dict[str, str]:
    """Return every token that is refused, by the name of its row."""
    return {row: token_of(row) for row, (_, defect) in TABLE.items() if defect is not None}


def can_be_sent(token: str) -> bool:
    """Return whether a cookie brings *token* to a server as it is."""
    return re.fullmatch(r"[!#-+\--:<-\[\]-~]{1,60000}", token) is not None
