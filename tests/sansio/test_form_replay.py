"""Which forms are kept, and that they are resubmitted unchanged or not at all."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from flask_ssr_session.sansio import form_replay
from flask_ssr_session.sansio.form_replay import ReplayableForm, parse_replayable_form
from tests import browser_forms
from tests.browser_forms import BOTH, MULTIPART, URLENCODED, FieldList, encoded, multipart
from tests.tables import rows
from tests.tokens import make_token


def kept(content_type: str, fields: FieldList) -> ReplayableForm | None:
    """Parse the form as the browser sends it."""
    return parse_replayable_form(content_type, encoded(content_type, fields))


def sent_again(form: ReplayableForm) -> bytes:
    """Return the form as the browser resubmits it from the refresh page."""
    content_type = URLENCODED if form.enctype == URLENCODED else MULTIPART
    return encoded(content_type, browser_forms.sent_by_hidden_inputs(form.fields))


def seen_by_app(content_type: str, body: bytes) -> Any:
    """Return the fields and file names of a request, as a view sees them."""
    environ = EnvironBuilder(method="POST", data=body, content_type=content_type).get_environ()
    with Request(environ) as request:
        return request.form.to_dict(flat=False), [
            (name, file.filename, file.read()) for name, file in request.files.items(multi=True)
        ]


FORMS: dict[str, Any] = {
    # A button without a name sends nothing.
    "no field": [],
    "one name three times": [("tag", "a"), ("tag", "b"), ("tag", "a")],
    "button that was pressed": [("title", "Tea"), ("action", "save"), ("action", "publish")],
    "file inputs left empty": [("a", "1"), ("photo", None), ("photo", None), ("b", "")],
    "lines": [("text", "one\r\ntwo\r\n\r\nfour\r\n"), ("text", "\r\n")],
    "lines in a name": [("a\r\nb", "1")],
    "every ASCII sign": [("signs", "".join(map(chr, range(32, 127))))],
    "signs in a name": [("a&b=c+d%20;e~*-._", "1")],
    "markup": [("<b>", "</textarea><script>alert(1)</script>"), ("x", "&lt;&amp;&#0;")],
    "other letters": [("größe", "ß"), ("名前", "山田"), ("עברית", "\u202eabc")],
    "separators of Unicode": [("x", "a\u2028b\u2029c\x85d\u00a0e\ufeff")],
    "looks like another field": [("x", "1&admin=1"), ("y", "a=b")],
    "looks like another part": [("x", f"--{browser_forms.BOUNDARY[:-1]}--\r\n\r\n--\r\n")],
    "the page's encoding by name": [("_charset_", "UTF-8"), ("x", "ä")],
    "CSRF token of Flask-WTF": [("title", "Tea"), ("csrf_token", "IjEi.abc")],
    "CSRF token behind prefixes": [("contact-csrf_token", "1"), ("a-b-csrf_token", "2")],
}


@BOTH
@rows("fields", FORMS)
def test_form_is_sent_again_as_it_was(content_type: str, fields: FieldList) -> None:
    body = encoded(content_type, fields)
    form: Any = parse_replayable_form(content_type, body, "the owner")
    assert form.enctype == content_type.partition(";")[0]
    assert form.owner == "the owner"
    if content_type == URLENCODED:
        assert form.fields == tuple((name, value or "") for name, value in fields)
    else:  # whose names the browser escapes for good
        assert [value for _, value in form.fields] == [value for _, value in fields]
    assert sent_again(form) == body
    assert not any(name in repr(form) for name, _ in fields if len(name) > 2)


@rows("content_type", {"urlencoded": URLENCODED, "multipart": "multipart/form-data; boundary=x"})
def test_largest_forms_are_kept_and_no_larger_one(content_type: str) -> None:
    def body_of(fields: FieldList) -> bytes:
        is_urlencoded = content_type == URLENCODED
        return browser_forms.urlencoded(fields) if is_urlencoded else multipart(fields, "x")

    last_byte = "a" * (form_replay.MAX_FORM_BYTES - len(body_of([("x", "")])))
    many = [("a", "")] * 1000
    for name, fields, is_kept in (
        ("to the last byte", [("x", last_byte)], True),
        ("a thousand fields", many, True),
        ("one field more", [*many, ("a", "")], False),
    ):
        assert len(body_of(fields)) <= form_replay.MAX_FORM_BYTES
        form = parse_replayable_form(content_type, body_of(fields))
        assert (form and form.fields) == (tuple(fields) if is_kept else None), name
    assert form_replay.MAX_FIELDS == 1000


# Every text that a browser can send; characters special to a parser are drawn often.
SPECIAL = st.sampled_from("ab&=+%;\"'<>\\ -_.~*[]\t\n\r\x00\x0b\x7f\x85\u2028\ufeffäß😀")
TEXTS = st.text(st.one_of(SPECIAL, st.characters(exclude_categories=["Cs"])), max_size=12)
NAMES = st.one_of(TEXTS, st.sampled_from(["a", "b", "_charset_", "a\\", "\\\\"]))


@BOTH
@settings(max_examples=60, deadline=None)
@given(fields=st.lists(st.tuples(NAMES, TEXTS), max_size=6))
@example(fields=[("a\\", "1")])
@example(fields=[("_CHARSET_", "windows-1252")])
def test_any_form_is_sent_again_unchanged_or_not_kept(content_type: str, fields: FieldList) -> None:
    form = kept(content_type, fields)
    assert form is None or sent_again(form) == encoded(content_type, fields)


ORDINARY_NAMES = st.text("abcxyzäß😀 0-9[]", min_size=1, max_size=8)
ORDINARY = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)


@BOTH
@settings(max_examples=60, deadline=None)
@given(fields=st.lists(st.tuples(ORDINARY_NAMES, ORDINARY), max_size=6))
def test_ordinary_form_is_always_kept(content_type: str, fields: FieldList) -> None:
    assert kept(content_type, fields) is not None


DISPOSITION = b"Content-Disposition: form-data"
PIECES = [
    *(b"a=1", b"&", b"%", b"%zz", b"%C3%A4", b"%E4", b"%00", b"%0D", b"\xc3\xa4", b"\xff", b"\x00"),
    *(b"--x\r\n", b"--x--\r\n", b"--x--", b"\r\n", b"\r\n\r\n", b"\n", b"\r", DISPOSITION),
    *(b'; name="a"', b"; name=b", b"; name*=UTF-8''c", b'; name="a\\"', b'; filename=""'),
    b"Content-Type: text/plain; charset=iso-8859-1",
]


@rows("content_type", {"urlencoded": URLENCODED, "multipart": "multipart/form-data; boundary=x"})
@settings(max_examples=100, deadline=None)
@given(pieces=st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=4)), max_size=14))
@example(pieces=[b"--x\r\n", DISPOSITION, b"\r\n\r\n", b"1\r\n", b"--x--"])
def test_bytes_are_kept_as_an_app_reads_them_or_not(content_type: str, pieces: list[bytes]) -> None:
    body = b"".join(pieces)
    form = parse_replayable_form(content_type, body)
    if form is not None:
        again = MULTIPART if "multipart" in content_type else URLENCODED
        assert seen_by_app(again, sent_again(form)) == seen_by_app(content_type, body)


SECRETS = """
    password Password PASSWORD new_password password2 user[password] passwd Passwort confirmPassword
    passphrase passcode door_passcode pass user_pass newPass pass1 pass_word pass-word pwd userPwd
    pw userPW pw_again secret client_secret secretAnswer card cardnumber card-number creditCard
    CARD_NO cc-number cvc cvc2 card_cvc cvv CVV2 cc-csc otp totp otp-code OTP one-time-code token
    access_token apiToken csrfToken csrf_token2 xcsrf_token CSRF_TOKEN pin PIN userPin PinCode PIN2
    user_pin pin-code Kennwort mot_de_passe contraseña contrasena2 senha wachtwoord haslo Hasło
    security_code securityCode"""
HARMLESS = "shipping opinion Pinwand topic compass bypassed quote c"


@BOTH
@rows("names, is_kept", {"secrets": (SECRETS, False), "their letters alone": (HARMLESS, True)})
def test_form_with_a_secret_field_is_not_kept(content_type: str, names: str, is_kept: bool) -> None:
    for name in names.split():
        form = kept(content_type, [("title", "Tea"), (name, "1234"), ("note", "")])
        assert (form is not None) is is_kept, name
        assert (kept(content_type, [(name, "")]) is not None) is is_kept, name
        # Its twin: the same word as a value.
        assert kept(content_type, [("title", name), ("note", "1234")]) is not None, name


FIELDS: dict[str, Any] = {
    "NUL": ("x", "\0"),
    # A hidden input without a name is not sent.
    "no name": ("", "1"),
    # The browser would submit the encoding of the refresh page.
    "encoding of the page before": ("_charset_", "windows-1252"),
    "encoding, spelled otherwise": ("_Charset_", "utf-8"),
    "a secret of two words": ("pass word", "1"),
}


@BOTH
@rows("field", FIELDS)
def test_field_that_no_page_can_send_is_not_kept(content_type: str, field: tuple[str, str]) -> None:
    assert kept(content_type, [("title", "Tea"), field]) is None
    twin: Any = kept(content_type, [("title", "Tea")])
    assert twin.owner == ""


def url(body: bytes) -> tuple[str, bytes, bool]:
    return URLENCODED, body, False


def multi(body: bytes) -> tuple[str, bytes, bool]:
    return MULTIPART, body, False


PART, FILE = multipart([("x", "?")]), multipart([("photo", None)])
BINARY = b"application/octet-stream"
OF_TYPE = b"\r\nContent-Type: " + BINARY
TWO_HEADERS = BINARY + b"\r\nContent-Transfer-Encoding: binary"
NAME, IN_LATIN = b'name="x"', b'name="x"\r\nContent-Type: text/plain; charset=iso-8859-1'
BROKEN = {
    "urlencoded, twin": (URLENCODED, b"x=%C3%A4&y=a%0D%0Ab", True),
    "urlencoded, Latin-1": url(b"x=%E4"),
    "urlencoded, a surrogate": url(b"x=%ED%A0%80"),
    "urlencoded, bytes that are not ASCII": url("x=ä".encode()),
    "urlencoded, CR alone": url(b"x=a%0Db"),
    "urlencoded, LF alone": url(b"x=a%0Ab"),
    "urlencoded, LF in a name": url(b"a%0Ab=1"),
    "urlencoded, name alone": url(b"x"),
    "multipart, twin": (MULTIPART, PART, True),
    "multipart, Latin-1": multi(PART.replace(b"?", b"\xe4")),
    "multipart, Latin-1 in a name": multi(PART.replace(NAME, b'name="\xe4"')),
    "multipart, CR alone": multi(PART.replace(b"?", b"a\rb")),
    "multipart, LF alone": multi(PART.replace(b"?", b"a\nb")),
    "multipart, the end missing": multi(PART[:-8]),
    "multipart, no name": multi(PART.replace(b"; " + NAME, b"")),
    "multipart, an empty name": multi(PART.replace(NAME, b'name=""')),
    "multipart, no disposition": multi(PART.replace(b"Disposition", b"Location")),
    "multipart, a backslash before the quote": multi(multipart([("x\\", "1")])),
    "multipart, an encoding of its own": multi(PART.replace(NAME, IN_LATIN)),
    "multipart, twin without a file": (MULTIPART, FILE, True),
    "multipart, a file": multi(browser_forms.multipart_file("photo", "a.png", b"\x89PNG")),
    "multipart, a file without bytes": multi(browser_forms.multipart_file("photo", "a.png")),
    "multipart, bytes without a name": multi(browser_forms.multipart_file("photo", "", b"text")),
    "multipart, an empty file of a type": multi(FILE.replace(BINARY, b"text/plain")),
    "multipart, an empty file of no type": multi(FILE.replace(OF_TYPE, b"")),
    "multipart, one with a header more": multi(FILE.replace(BINARY, TWO_HEADERS)),
    "multipart, a file behind a field": (
        *(
            MULTIPART,
            PART[:-4] + b"\r\n" + browser_forms.multipart_file("photo", "a.txt", b"text"),
            False,
        ),
    ),
    "multipart, a file named by RFC 2231": (
        *(MULTIPART, PART.replace(NAME, b"name=\"x\"; filename*=UTF-8''a.txt"), False),
    ),
    "no boundary": ("multipart/form-data", PART, False),
    "a strange boundary": ("multipart/form-data; boundary=ä", multipart([("x", "1")], "ä"), False),
    # Browsers do not send a charset; a client that does may mean other characters.
    "UTF-8 in capitals": (f"{URLENCODED}; charset=UTF-8", b"x=%C3%A4", True),
    "another charset": (f"{URLENCODED}; charset=iso-8859-1", b"x=%C3%A4", False),
}


@rows("content_type, body, is_kept", BROKEN)
def test_what_may_be_altered_is_not_kept(content_type: str, body: bytes, is_kept: bool) -> None:
    assert (parse_replayable_form(content_type, body) is not None) is is_kept


TYPES: dict[str, Any] = {
    "urlencoded": (URLENCODED, 10, True),
    "urlencoded, UTF-8": (f"{URLENCODED}; charset=UTF-8", 10, True),
    "multipart": (MULTIPART, 10, True),
    "begins like multipart": ("multipart/form-data-x", 10, False),
    "a form as a parameter": (f"text/plain; x={URLENCODED}", 10, False),
    "begins like urlencoded": ("application/x-www-form-urlencoded-x", 10, False),
    "no type": (None, 10, False),
    "the largest": (URLENCODED, 65_536, True),
    "one byte larger": (URLENCODED, 65_537, False),
    "of unknown length": (URLENCODED, None, False),
}


@rows("content_type, length, may", TYPES)
def test_only_a_small_form_is_read(content_type: str | None, length: int | None, may: bool) -> None:
    assert form_replay.can_replay(content_type, length) is may


# The first two are test vectors of FNV-1a.
A, FOOBAR, OTHER = "e40c292c", "bf9cf968", "c47e6168"


def front(json: bytes) -> str:
    return b64encode(json).decode()


FRONT_A, FRONT_B = front(b'{"uid": "a"}'), front(b'{"uid": "b"}')
# The SDK's front tokens that name nobody.
NOBODY = {
    "empty": "",
    "no base64": "!!!!",
    "a sign that is no base64": f"!{FRONT_A}",
    "not ASCII": "ä",
    "no UTF-8": front(b'{"uid": "\xff"}'),
    "deep": front(b"[" * 100_000),
    "half a character": front(b'{"uid": "\\ud800"}'),
    "a list": front(b'["uid"]'),
    "text": front(b'"uid"'),
    "no user": front(b"{}"),
    "a number": front(b'{"uid": 1}'),
    "no name": front(b'{"uid": ""}'),
}

OWNERS: dict[str, Any] = {
    "token": (["of a"], [], A),
    "token of a user who is not ASCII": (["of größe 山田"], [], OTHER),
    "one token twice": (["of a", "of a"], [], A),
    "two users": (["of a", "of b"], [], None),
    "two users, whatever the SDK says": (["of a", "of b"], [FRONT_A], None),
    "token first": (["of a"], [FRONT_B], A),
    "front token": ([], [front(b'{"uid": "foobar"}')], FOOBAR),
    "front token in UTF-8": ([], [front('{"uid": "größe 山田"}'.encode())], OTHER),
    "junk, front token": (["junk", ""], [FRONT_A], A),
    "front token beside junk": ([], [FRONT_A, "junk"], A),
    "two front tokens": ([], [FRONT_A, FRONT_B], None),
    "nothing": ([], [], None),
    **{f"front token: {name}": ([], [token], None) for name, token in NOBODY.items()},
}


@rows("tokens, fronts, owner", OWNERS)
def test_form_belongs_to_its_user(tokens: list[str], fronts: list[str], owner: str | None) -> None:
    made = [make_token(user_id=word[3:]) if word.startswith("of ") else word for word in tokens]
    assert form_replay.form_owner(made, fronts) == owner
