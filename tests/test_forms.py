"""Which forms are kept, and that they are resubmitted unchanged or not at all."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request

from flask_ssr_session.sansio.form_replay import (
    MAX_FIELDS,
    MAX_FORM_BYTES,
    ReplayableForm,
    can_replay,
    form_owner,
    parse_replayable_form,
)
from flask_ssr_session.testing import SessionSigner

from .browser_forms import (
    BOUNDARY,
    MULTIPART,
    URLENCODED,
    multipart,
    multipart_file,
    sent_by_hidden_inputs,
    urlencoded,
)

Fields = Sequence[tuple[str, "str | None"]]

ENCODERS = {URLENCODED: urlencoded, MULTIPART: multipart}
BOTH = pytest.mark.parametrize("content_type", ENCODERS, ids=["urlencoded", "multipart"])


def kept(content_type: str, fields: Fields) -> ReplayableForm | None:
    """Parse the form as the browser sends it."""
    return parse_replayable_form(content_type, ENCODERS[content_type](fields))


def sent_again(form: ReplayableForm) -> bytes:
    """Return the form as the browser resubmits it from the refresh page."""
    encode = urlencoded if form.enctype == URLENCODED else multipart
    return encode(sent_by_hidden_inputs(form.fields))


def seen_by_app(content_type: str, body: bytes) -> Any:
    """Return the fields and file names of a request, as a view sees them."""
    environ = EnvironBuilder(method="POST", data=body, content_type=content_type).get_environ()
    with Request(environ) as request:
        return request.form.to_dict(flat=False), [
            (name, file.filename, file.read()) for name, file in request.files.items(multi=True)
        ]


# Forms that are resubmitted unchanged

FORMS: dict[str, Fields] = {
    "one field": [("title", "Tea")],
    "empty value": [("title", "")],
    "all values empty": [("a", ""), ("b", ""), ("a", "")],
    "one name three times": [("tag", "a"), ("tag", "b"), ("tag", "a")],
    "order across names": [("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"), ("b", "5")],
    "button that was pressed": [("title", "Tea"), ("action", "save"), ("action", "publish")],
    "button without a value": [("title", "Tea"), ("publish", "")],
    "file inputs left empty": [("a", "1"), ("photo", None), ("photo", None), ("b", "")],
    "lines": [("text", "one\r\ntwo\r\n\r\nfour\r\n"), ("text", "\r\n")],
    "lines in a name": [("a\r\nb", "1")],
    "blanks": [(" a ", " b  c "), ("tab\t", "\t")],
    "every ASCII sign": [("signs", "".join(map(chr, range(32, 127))))],
    "signs in a name": [("a&b=c+d%20;e~*-._", "1")],
    "quotes in a name": [('say "hi"', "1"), ("it's", "2")],
    "percent in a name": [("100%22", "1"), ("%0D%0A", "2")],
    "brackets": [("rows[0][name]", "a"), ("rows[]", "b")],
    "markup": [("<b>", "</textarea><script>alert(1)</script>"), ("x", "&lt;&amp;&#0;")],
    "other letters": [("größe", "ß"), ("名前", "山田"), ("עברית", "\u202eabc")],
    "signs of two code units": [("😀", "👩\u200d👧 \U0001d518"), ("x", "\U0010ffff")],
    "composed and not": [("é", "e\u0301"), ("e\u0301", "é")],
    "separators of Unicode": [("x", "a\u2028b\u2029c\x85d\u00a0e\ufeff")],
    "control signs that HTML carries": [("x", "\x01\x08\x0b\x0c\x1b\x7f\x9f")],
    "looks like another field": [("x", "1&admin=1"), ("y", "a=b")],
    "looks like another part": [("x", f"--{BOUNDARY[:-1]}--\r\n\r\n--\r\n")],
    "names of form members": [("submit", "1"), ("action", "2"), ("method", "3"), ("form", "4")],
    "names of ours": [("redirectBack", "//x"), ("continueSignedOut", "1"), ("data-ssr", "2")],
    "browser's name for the encoding": [("_charset_", "UTF-8"), ("x", "ä")],
}


@BOTH
@pytest.mark.parametrize("fields", FORMS.values(), ids=FORMS)
def test_form_is_sent_again_as_it_was(content_type: str, fields: Fields) -> None:
    body = ENCODERS[content_type](fields)

    form = parse_replayable_form(content_type, body)

    assert form is not None
    assert form.enctype == content_type.partition(";")[0]
    assert sent_again(form) == body


def test_fields_are_what_was_typed() -> None:
    fields = [("tag", "a b"), ("größe", "1\r\n2"), ("tag", "")]

    for content_type in ENCODERS:
        form = kept(content_type, fields)
        assert form is not None
        assert form.fields == tuple(fields)


@pytest.mark.parametrize(("content_type", "body"), [(URLENCODED, b""), (MULTIPART, multipart([]))])
def test_form_without_fields_is_kept_as_one(content_type: str, body: bytes) -> None:
    """A form may consist of a button, and a button without a name sends nothing."""
    form = parse_replayable_form(content_type, body)

    assert form is not None
    assert form.fields == ()


def test_form_shows_none_of_its_fields() -> None:
    form = kept(URLENCODED, [("diary", "dear diary")])

    assert "diary" not in repr(form)


# Arbitrary forms

# Every text that a browser can send; characters special to a parser are drawn often.
TEXTS = st.text(
    st.one_of(
        st.sampled_from("ab&=+%;\"'<>\\ -_.~*[]\t\n\r\x00\x0b\x7f\x85\u2028\ufeffäß😀"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=12,
)
FIELDS = st.lists(
    st.tuples(st.one_of(TEXTS, st.sampled_from(["a", "b", "_charset_", "a\\", "\\\\"])), TEXTS),
    max_size=6,
)


@BOTH
@settings(max_examples=300, deadline=None)
@given(fields=FIELDS)
@example(fields=[("a\\", "1")])
@example(fields=[("\\\\\\\\", "1")])
@example(fields=[("", "1")])
@example(fields=[("_CHARSET_", "windows-1252")])
def test_any_form_is_sent_again_byte_for_byte_or_not_kept(
    content_type: str, fields: Fields
) -> None:
    body = ENCODERS[content_type](fields)

    form = parse_replayable_form(content_type, body)

    if form is not None:
        assert sent_again(form) == body


@BOTH
@settings(max_examples=200, deadline=None)
@given(
    fields=st.lists(
        st.tuples(
            st.text("abcxyzäß😀 0-9[]", min_size=1, max_size=8),
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
        ),
        max_size=6,
    )
)
def test_ordinary_form_is_always_kept(content_type: str, fields: Fields) -> None:
    assert kept(content_type, fields) is not None


@pytest.mark.parametrize("content_type", [URLENCODED, f"multipart/form-data; boundary={'x'}"])
@settings(max_examples=500, deadline=None)
@given(
    pieces=st.lists(
        st.one_of(
            st.sampled_from(
                [
                    b"a=1",
                    b"&",
                    b"%",
                    b"%zz",
                    b"%C3%A4",
                    b"%E4",
                    b"%00",
                    b"%0D",
                    b"--x\r\n",
                    b"--x--\r\n",
                    b"--x--",
                    b"\r\n",
                    b"\r\n\r\n",
                    b"\n",
                    b"\r",
                    b"Content-Disposition: form-data",
                    b'; name="a"',
                    b"; name=b",
                    b"; name*=UTF-8''c",
                    b'; name="a\\"',
                    b'; filename=""',
                    b"Content-Type: text/plain; charset=iso-8859-1",
                    b"\xc3\xa4",
                    b"\xff",
                    b"\x00",
                ]
            ),
            st.binary(max_size=4),
        ),
        max_size=14,
    )
)
@example(pieces=[b"--x\r\n", b"Content-Disposition: form-data", b"\r\n\r\n", b"1\r\n", b"--x--"])
@example(
    pieces=[
        *(b"--x\r\n", b"Content-Disposition: form-data", b'; name="a"', b'; filename=""', b"\r\n"),
        *(b"Content-Type: application/octet-stream", b"\r\n\r\n", b"\r\n", b"--x--"),
    ]
)
@example(
    pieces=[
        *(b"--x\r\n", b"Content-Disposition: form-data", b'; name="a"', b"\r\n"),
        *(b"Content-Type: text/plain; charset=iso-8859-1", b"\r\n\r\n", b"\xc3\xa4", b"\r\n"),
        b"--x--",
    ]
)
def test_any_bytes_are_kept_as_the_app_reads_them_or_not_at_all(
    content_type: str, pieces: list[bytes]
) -> None:
    body = b"".join(pieces)

    form = parse_replayable_form(content_type, body)

    if form is not None:
        again = MULTIPART if "multipart" in content_type else URLENCODED
        assert seen_by_app(again, sent_again(form)) == seen_by_app(content_type, body)


# Forms that are not kept


@BOTH
@pytest.mark.parametrize(
    "name",
    [
        *("password", "Password", "PASSWORD", "new_password", "password2", "user[password]"),
        *("passwd", "Passwort", "current-password", "new-password", "confirmPassword"),
        *("passphrase", "passcode", "door_passcode", "pwd", "userPwd", "pwd_again"),
        *("secret", "client_secret", "secretAnswer", "card", "cardnumber", "card-number"),
        *("creditCard", "CARD_NO", "cvc", "cvc2", "card_cvc", "cvv", "CVV2"),
        *("otp", "totp", "otp-code", "OTP", "token", "access_token", "apiToken", "Token"),
        *("pin", "PIN", "csrfToken", "csrf_token2", "xcsrf_token", "CSRF_TOKEN"),
    ],
)
def test_form_with_a_field_that_looks_secret_is_not_kept(content_type: str, name: str) -> None:
    assert kept(content_type, [("title", "Tea"), (name, "1234"), ("note", "")]) is None
    assert kept(content_type, [(name, "")]) is None
    # Its twin: the same word as a value.
    assert kept(content_type, [("title", name), ("note", "1234")]) is not None


@pytest.mark.parametrize(
    "name",
    [
        # Their autocomplete names in HTML.
        *("one-time-code", "cc-number", "cc-csc"),
        *("newPass", "userPin", "pass1", "PinCode", "PIN2", "pw", "userPW", "pw_again"),
        *("pass", "user_pass", "pass_word", "pass-word", "pass word", "user_pin", "pin-code"),
    ],
)
def test_secret_is_known_under_its_other_usual_names(name: str) -> None:
    assert kept(URLENCODED, [("title", "Tea"), (name, "1234")]) is None


@pytest.mark.parametrize(
    "name",
    ["shipping", "opinion", "Pinwand", "compass", "bypassed", "topic", "quote", "c"],
)
def test_name_that_only_holds_the_letters_is_kept(name: str) -> None:
    assert kept(URLENCODED, [(name, "1234")]) is not None


@BOTH
@pytest.mark.parametrize("name", ["csrf_token", "contact-csrf_token", "a-b-csrf_token"])
def test_csrf_token_of_flask_wtf_is_kept(content_type: str, name: str) -> None:
    form = kept(content_type, [("title", "Tea"), (name, "IjEi.abc")])

    assert form is not None
    assert form.fields[1] == (name, "IjEi.abc")


@BOTH
@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("x", "\0", id="NUL"),
        pytest.param("x\0", "1", id="NUL in a name"),
        # A hidden input without a name is not sent.
        pytest.param("", "1", id="no name"),
        # The browser would submit the encoding of the refresh page.
        pytest.param("_charset_", "windows-1252", id="encoding of the page before"),
        pytest.param("_Charset_", "utf-8", id="encoding, spelled otherwise"),
    ],
)
def test_field_that_no_page_can_send_again_is_not_kept(
    content_type: str, name: str, value: str
) -> None:
    assert kept(content_type, [("title", "Tea"), (name, value)]) is None


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        *(
            pytest.param(URLENCODED, body, id=f"urlencoded, {name}")
            for name, body in {
                "Latin-1": b"x=%E4",
                "UTF-16": b"x=%FF%FEa%00",
                "half a sign": b"x=%C3",
                "a surrogate": b"x=%ED%A0%80",
                "bytes that are not ASCII": "x=ä".encode(),
                "CR alone": b"x=a%0Db",
                "LF alone": b"x=a%0Ab",
                "CR before CR LF": b"x=a%0D%0D%0Ab",
                "LF after CR LF": b"x=a%0D%0A%0Ab",
                "LF in a name": b"a%0Ab=1",
                "name alone": b"x",
                "name alone beside another": b"x=1&y",
                "nothing between two signs": b"x=1&&y=2",
                "sign at the end": b"x=1&",
                "NUL": b"x=%00",
            }.items()
        ),
        *(
            pytest.param(MULTIPART, body, id=f"multipart, {name}")
            for name, body in {
                "nothing": b"",
                "text": b"hello",
                "Latin-1": multipart([("x", "?")]).replace(b"?", b"\xe4"),
                "Latin-1 in a name": multipart([("?", "1")]).replace(b"?", b"\xe4"),
                "half a sign": multipart([("x", "?")]).replace(b"?", b"\xc3"),
                "CR alone": multipart([("x", "a?b")]).replace(b"?", b"\r"),
                "LF alone": multipart([("x", "a?b")]).replace(b"?", b"\n"),
                "the end missing": multipart([("x", "1")])[:-8],
                "broken in a name": multipart([("x", "1")])[:60],
                "another boundary": multipart([("x", "1")], "other"),
                "no name": multipart([("x", "1")]).replace(b'; name="x"', b""),
                "an empty name": multipart([("x", "1")]).replace(b'name="x"', b'name=""'),
                "no disposition": multipart([("x", "1")]).replace(b"Disposition", b"Location"),
                "a backslash before the quote": multipart([("x\\", "1")]),
                "four backslashes": multipart([("\\\\\\\\", "1")]),
                "an encoding of its own": multipart([("x", "ä")]).replace(
                    b'name="x"', b'name="x"\r\nContent-Type: text/plain; charset=iso-8859-1'
                ),
                "a file": multipart_file("photo", "a.png", b"\x89PNG"),
                "a file without bytes": multipart_file("photo", "a.png"),
                "bytes without a name": multipart_file("photo", "", b"text"),
                "an empty file of another type": multipart([("photo", None)]).replace(
                    b"application/octet-stream", b"text/plain"
                ),
                "an empty file of no type": multipart([("photo", None)]).replace(
                    b"\r\nContent-Type: application/octet-stream", b""
                ),
                "an empty file with a header more": multipart([("photo", None)]).replace(
                    b"octet-stream", b"octet-stream\r\nContent-Transfer-Encoding: binary"
                ),
                "a file behind a field": multipart([("x", "1")])[:-4]
                + b"\r\n"
                + multipart_file("photo", "a.txt", b"text"),
                "a file named by RFC 2231": multipart([("x", "1")]).replace(
                    b'name="x"', b"name=\"x\"; filename*=UTF-8''a.txt"
                ),
            }.items()
        ),
        pytest.param("multipart/form-data", multipart([("x", "1")]), id="no boundary"),
        pytest.param("multipart/form-data; boundary=", multipart([("x", "1")]), id="an empty one"),
        pytest.param(
            "multipart/form-data; boundary=ä", multipart([("x", "1")], "ä"), id="a strange one"
        ),
    ],
)
def test_what_is_not_certain_to_come_out_as_it_went_in_is_not_kept(
    content_type: str, body: bytes
) -> None:
    assert parse_replayable_form(content_type, body) is None


@BOTH
def test_a_thousand_fields_are_kept_and_no_more(content_type: str) -> None:
    # The shortest field, so that the form has too many fields before it is too large.
    fields = [("a", "")] * MAX_FIELDS
    if content_type == URLENCODED:
        bodies = [urlencoded(fields), urlencoded([*fields, ("a", "")])]
    else:
        content_type = "multipart/form-data; boundary=x"
        bodies = [multipart(fields, "x"), multipart([*fields, ("a", "")], "x")]
    assert all(len(body) <= MAX_FORM_BYTES for body in bodies)

    form = parse_replayable_form(content_type, bodies[0])

    assert form is not None
    assert len(form.fields) == MAX_FIELDS == 1000
    assert parse_replayable_form(content_type, bodies[1]) is None


@BOTH
def test_largest_form_is_kept_to_its_last_byte(content_type: str) -> None:
    overhead = len(ENCODERS[content_type]([("x", "")]))
    fields = [("x", "a" * (MAX_FORM_BYTES - overhead))]

    form = kept(content_type, fields)

    assert form is not None
    assert form.fields == tuple(fields)


# Before the body is read


@pytest.mark.parametrize(
    ("length", "may"),
    [(0, True), (1, True), (65_536, True), (65_537, False), (2 * 1024**3, False), (None, False)],
)
@BOTH
def test_only_a_body_that_says_it_is_small_is_read(
    content_type: str, length: int | None, may: bool
) -> None:
    assert can_replay(content_type, length) is may


@pytest.mark.parametrize(
    ("content_type", "may"),
    [
        (URLENCODED, True),
        (f"{URLENCODED}; charset=UTF-8", True),
        (f"{URLENCODED};charset=utf-8", True),
        (MULTIPART, True),
        ("multipart/mixed; boundary=x", False),
        ("multipart/form-data-x", False),
        ("text/plain", False),
        ("application/json", False),
        (f"text/plain; x={URLENCODED}", False),
        (f"text/plain, {URLENCODED}", False),
        ("application/x-www-form-urlencoded-x", False),
        ("", False),
        (None, False),
    ],
)
def test_only_what_a_form_sends_is_read(content_type: str | None, may: bool) -> None:
    assert can_replay(content_type, 10) is may


@pytest.mark.parametrize("charset", ["iso-8859-1", "windows-1252", "utf-16", "utf-7", "x"])
def test_form_that_says_it_is_in_another_encoding_is_not_kept(charset: str) -> None:
    """Browsers do not send a charset; a client that does may mean other characters."""
    assert parse_replayable_form(f"{URLENCODED}; charset={charset}", b"x=%C3%A4") is None
    for spelling in ("utf-8", "UTF-8", '"utf-8"'):
        assert parse_replayable_form(f"{URLENCODED}; charset={spelling}", b"x=%C3%A4") is not None


# --- the owner of a form -------------------------------------------------------------------------


def token_of(user_id: str) -> str:
    signer = SessionSigner()
    return signer.sign(signer.claims(user_id, issued_at=1_700_000_000))


def front_of(content: object) -> str:
    return b64encode(json.dumps(content).encode()).decode()


# Hash and text; the first two are test vectors of FNV-1a.
MARKS = {"a": "e40c292c", "foobar": "bf9cf968", "größe 山田": "c47e6168"}
SURROGATE = b64encode(b'{"uid": "\\ud800"}').decode()


@pytest.mark.parametrize(
    ("tokens", "fronts", "owner"),
    [
        pytest.param(lambda: [token_of("a")], [], "a", id="token"),
        pytest.param(lambda: [token_of("größe 山田")], [], "größe 山田", id="no ASCII"),
        pytest.param(lambda: [token_of("a")] * 2, [], "a", id="one token twice"),
        pytest.param(lambda: ["junk", token_of("a")], [], "a", id="junk beside a token"),
        pytest.param(lambda: [token_of("a"), token_of("b")], [], None, id="two users"),
        pytest.param(
            lambda: [token_of("a"), token_of("b")],
            [front_of({"uid": "a"})],
            None,
            id="two users, whatever the SDK says",
        ),
        pytest.param(lambda: [token_of("a")], [front_of({"uid": "b"})], "a", id="token first"),
        pytest.param(list, [front_of({"uid": "foobar"})], "foobar", id="front token"),
        pytest.param(
            list,
            [b64encode('{"uid": "größe 山田"}'.encode()).decode()],
            "größe 山田",
            id="front token in UTF-8",
        ),
        pytest.param(lambda: ["junk", ""], [front_of({"uid": "a"})], "a", id="junk, front token"),
        pytest.param(list, [front_of({"uid": "a"}), "junk"], "a", id="front token beside junk"),
        pytest.param(
            list, [front_of({"uid": "a"}), front_of({"uid": "b"})], None, id="two front tokens"
        ),
        pytest.param(list, [], None, id="nothing"),
        *(
            pytest.param(list, [front], None, id=f"front token: {name}")
            for name, front in {
                "empty": "",
                "no base64": "!!!!",
                "no padding": "e30",
                "not ASCII": "ä",
                "no JSON": b64encode(b"{").decode(),
                "no UTF-8": b64encode(b'{"uid": "\xff"}').decode(),
                "deep": b64encode(b"[" * 100_000).decode(),
                "half a character": SURROGATE,
                "no object": front_of(["uid"]),
                "null": front_of(None),
                "text": front_of("uid"),
                "no user": front_of({}),
                "no text": front_of({"uid": 1}),
                "no name": front_of({"uid": ""}),
            }.items()
        ),
    ],
)
def test_form_belongs_to_the_user_it_came_with(
    tokens: Callable[[], list[str]], fronts: list[str], owner: str | None
) -> None:
    assert form_owner(tokens(), fronts) == (None if owner is None else MARKS[owner])
