"""Families of values for ``redirectBack``, and an app for real servers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from flask import Flask

from flask_ssr_session import FlaskSSRSession, session_required
from flask_ssr_session.testing import SessionSigner

EVIL = "evil.example"

# The package's own paths, in every app that these values are used with.
REFRESH, SIGN_IN = "/refresh-session", "/auth"

_SCHEMES = {
    "javascript": "alert(1)",
    "data": "text/html,<script>alert(1)</script>",
    "vbscript": "msgbox(1)",
    "blob": f"https://{EVIL}/0",
    "about": "blank",
    "file": "///etc/passwd",
    "filesystem": f"https://{EVIL}/temporary/x",
    "view-source": f"https://{EVIL}/",
    "ftp": f"//{EVIL}/",
    "ws": f"//{EVIL}/",
    "wss": f"//{EVIL}/",
    "mailto": f"a@{EVIL}",
    "tel": "1",
    "intent": f"//{EVIL}#Intent;end",
    "chrome": "//settings",
    "moz-extension": "//x/",
    "jar": f"https://{EVIL}!/x",
    "xyz": "1",
}

_TWO_SLASHES = {
    "two slashes": "//",
    "three slashes": "///",
    "five slashes": "/////",
    "slash, backslash": "/\\",
    "backslash, slash": "\\/",
    "two backslashes": "\\\\",
    "three backslashes": "\\\\\\",
    "backslash between slashes": "/\\/",
    "tabulator between": "/\t/",
    "line feed between": "/\n/",
    "carriage return between": "/\r/",
    "tabulator, backslash": "/\t\\",
    "line feed, backslash": "/\n\\",
    "tabulator in front": "\t//",
    "blank in front": " //",
    "nul in front": "\x00//",
    "unit separator in front": "\x1f//",
    "dot": "/.//",
    "two dots": "/..//",
    "dots behind a name": "/a/..//",
    "dots far down": "/a/b/../..//",
    "encoded dot": "/%2e//",
    "encoded dots": "/%2E%2e//",
    "half encoded dots": "/.%2e//",
    "dots, backslash": "/..\\\\",
    "dot, backslash, slash": "/.\\/",
    "encoded slash": "/%2f",
    "encoded slash, capital": "/%2F",
    "encoded backslash": "/%5c",
    "encoded backslash, capital": "/%5C",
    "encoded slashes": "%2f%2f",
    "encoded slash first": "%2f/",
    "encoded backslashes": "%5c%5c",
    "slash encoded twice": "/%252f",
    "slash encoded thrice": "/%25252F",
    "slash encoded four times": "/%2525252f",
    "slash encoded ten times": "/%" + "25" * 9 + "2f",
    "backslash encoded twice": "/%255c",
    "backslash encoded ten times": "/%" + "25" * 9 + "5c",
    "encoded tabulator": "/%09/",
    "encoded line feed": "/%0a/",
    "encoded carriage return": "/%0d/",
    "encoded nul": "/%00/",
    "tabulator encoded twice": "/%2509/",
    "encoded dot, encoded slash": "/%2e%2f",
    "one full-width slash": "\uff0f",
    "two full-width slashes": "\uff0f\uff0f",
    "two fraction slashes": "\u2044\u2044",
    "two division slashes": "\u2215\u2215",
}

_HOSTS = {
    "name": EVIL,
    "port": f"{EVIL}:443",
    "user": f"app.example.com@{EVIL}",
    "IPv4": "192.0.2.1",
    "IPv6": "[2001:db8::bad]",
}

_CONTROL = {
    "nul": "\x00",
    "bell": "\x07",
    "backspace": "\x08",
    "tabulator": "\t",
    "line feed": "\n",
    "vertical tabulator": "\x0b",
    "carriage return": "\r",
    "header": "\r\nSet-Cookie: a=b",
    "answer": "\r\n\r\n<script>alert(1)</script>",
    "escape": "\x1b[31m",
    "blank": " ",
    "delete": "\x7f",
}


def _schemes() -> Iterator[tuple[str, str]]:
    for scheme, rest in _SCHEMES.items():
        mixed = "".join(c.upper() if i % 2 else c for i, c in enumerate(scheme))
        yield f"scheme {scheme}", f"{scheme}:{rest}"
        yield f"scheme {scheme}, mixed letters", f"{mixed}:{rest}"
    for place, noise in (("tabulator", "\t"), ("line feed", "\n"), ("return", "\r")):
        yield f"javascript with a {place}", f"java{noise}script:alert(1)"
        yield f"javascript behind a {place}", f"{noise}javascript:alert(1)"
        yield f"javascript, {place} before the colon", f"javascript{noise}:alert(1)"
    for place, noise in (
        ("blank", " "),
        ("nul", "\x00"),
        ("byte order mark", "\ufeff"),
        ("no-break space", "\xa0"),
        ("encoded blank", "%20"),
    ):
        yield f"javascript behind a {place}", f"{noise}javascript:alert(1)"
    yield "javascript with a host of ours", "javascript://app.example.com/%0aalert(1)"
    yield "javascript, colon encoded", "javascript%3aalert(1)"
    yield "javascript, letter encoded", "%6aavascript:alert(1)"
    yield "javascript, full-width colon", "javascript\uff1aalert(1)"
    yield "data with base64", "data:text/html;base64,PHNjcmlwdD4="


def _slashes() -> Iterator[tuple[str, str]]:
    for how, slashes in _TWO_SLASHES.items():
        for kind, host in _HOSTS.items():
            yield f"{how}, {kind}", f"{slashes}{host}"
    for how, slashes in (("two slashes", "//"), ("backslash", "/\\")):
        yield f"{how}, nothing", slashes
        yield f"{how}, path", f"{slashes}{EVIL}/dashboard?a#b"
        yield f"{how}, host of ours", f"{slashes}app.example.com/dashboard"
        yield f"{how}, number", f"{slashes}3232235777"
        yield f"{how}, hexadecimal", f"{slashes}0x7f.1"
        yield f"{how}, circled letters", f"{slashes}\u24d4vil.example"


def _hosts() -> Iterator[tuple[str, str]]:
    for kind, host in _HOSTS.items():
        for scheme in ("https", "http", "HTTPS"):
            yield f"full URL, {scheme}, {kind}", f"{scheme}://{host}/"
    for how, url in {
        "one slash": f"https:/{EVIL}",
        "no slash": f"https:{EVIL}",
        "three slashes": f"https:///{EVIL}",
        "backslashes": f"https:\\\\{EVIL}",
        "slash, backslash": f"https:/\\{EVIL}",
        "encoded slashes": f"https:%2f%2f{EVIL}",
        "colon only": "https:",
        "path of ours": "https:/dashboard",
        "relative to ours": "http:dashboard",
        "no host": "https://",
        "port only": "https://:443/",
        "host of ours as a label": "https://app.example.com.evil.example/",
        "host of ours as an end": "https://evil-app.example.com/",
        "host of ours behind dots": "https://..app.example.com/",
        "dot behind the host": "https://app.example.com./",
        "two dots in the host": "https://app..example.com/",
        "host of ours as user and password": f"https://app.example.com:x@{EVIL}/",
        "host of ours as a user, encoded": f"https://app.example.com%40{EVIL}/",
        "user info": "https://x@app.example.com/",
        "user and password": "https://x:y@app.example.com/",
        "empty user": "https://@app.example.com/",
        "two users": f"https://x@app.example.com@{EVIL}/",
        "backslash and user": f"https://app.example.com\\@{EVIL}/",
        "backslash behind the host": f"https://{EVIL}\\@app.example.com/",
        "backslash as a dot": "https://app.example.com\\.evil.example/",
        "question mark and user": f"https://{EVIL}?@app.example.com/",
        "hash and user": f"https://{EVIL}#@app.example.com/",
        "tabulator in the host": "https://app.example\t.com.evil.example/",
        "line feed in the host": "https://app.example.com\n.evil.example/",
        "nul in the host": "https://app.example.com\x00.evil.example/",
        "blank in the host": "https://app.example.com evil.example/",
        "encoded nul in the host": "https://app.example.com%00.evil.example/",
        "encoded dot in the host": "https://app%2eexample.com/",
        "other port": "https://app.example.com:8443/",
        "port 0": "https://app.example.com:0/",
        "port too large": "https://app.example.com:65979/",
        "port with a sign": "https://app.example.com:+443/",
        "port with a blank": "https://app.example.com: 443/",
        "port in Arabic digits": "https://app.example.com:\u0664\u0664\u0663/",
        "other scheme": "http://app.example.com/",
        "Cyrillic letter": "https://\u0430pp.example.com/",
        "Greek letter": "https://app.ex\u03b1mple.com/",
        "the same in Punycode": "https://xn--pp-6kc.example.com/",
        "full-width letter": "https://\uff41pp.example.com/",
        "ideographic full stop": "https://app\u3002example\u3002com/",
        "full-width full stop": "https://app\uff0eexample.com/",
        "full-width slash": "https://app.example.com\uff0f.evil.example/",
        "full-width at sign": f"https://app.example.com\uff20{EVIL}/",
        "full-width hash": "https://evil.example\uff03.app.example.com/",
        "account-of sign": "https://evil.example\u2100.app.example.com/",
        "soft hyphen": "https://app\u00ad.example.com/",
        "zero width space": "https://app\u200b.example.com/",
        "right-to-left override": "https://\u202emoc.elpmaxe.ppa/",
        "sharp s": "https://stra\u00dfe.example/",
        "half a bracket": "https://[app.example.com/",
        "brackets around a name": "https://[app.example.com]/",
        "IPv6 with a zone": "https://[fe80::1%25eth0]/",
        "IPv6 that is IPv4": "https://[::ffff:192.0.2.1]/",
        "future address": "https://[v1.a:b]/",
        "two slashes behind a host of ours": f"https://app.example.com//{EVIL}",
        "encoded behind a host of ours": f"https://app.example.com/%2f{EVIL}",
        "dots behind a host of ours": "https://app.example.com/../x",
        "refresh page of ours": f"https://app.example.com{REFRESH}",
        "sign-in page of ours": f"https://app.example.com{SIGN_IN}?x",
    }.items():
        yield f"full URL, {how}", url


def _broken_paths() -> Iterator[tuple[str, str]]:
    for what, noise in _CONTROL.items():
        yield f"{what} at the end", f"/dashboard{noise}"
        yield f"{what} in the path", f"/dash{noise}board"
        yield f"{what} in the query", f"/dashboard?a={noise}b"
        yield f"{what} in the fragment", f"/dashboard#{noise}b"
    for code in ("00", "09", "0a", "0d", "1b", "7f"):
        yield f"encoded {code}", f"/dash%{code}board"
        yield f"encoded twice {code}", f"/dash%25{code}board"
    for how, path in {
        "empty": "",
        "name": "dashboard",
        "dot": ".",
        "two dots": "..",
        "dot, name": "./dashboard",
        "two dots, name": "../dashboard",
        "query": "?a=b",
        "fragment": "#top",
        "at sign": f"@{EVIL}",
        "host": f"{EVIL}/",
        "host and port": "evil.example:80",
        "semicolon": f";//{EVIL}",
        "percent sign": "%",
        "null": "null",
        "markup": '"><script>alert(1)</script>',
    }.items():
        yield f"no slash first, {how}", path
    for how, path in {
        "dots to the root": "/a/..",
        "dots": "/../dashboard",
        "dot": "/./dashboard",
        "dot at the end": "/dashboard/.",
        "encoded dots": "/a/%2e%2e/dashboard",
        "dots encoded twice": "/a/%252e%252e/dashboard",
        "dots, encoded slash": "/a/..%2fdashboard",
        "dots, encoded backslash": "/a/..%5cdashboard",
        "backslash": "/a\\b",
        "backslash at the end": "/a\\",
        "backslashes, host": f"/a\\\\{EVIL}",
        "backslash, at sign": f"/\\@{EVIL}",
    }.items():
        yield f"path with {how}", path
    for where, text in {"path": "/a{}b", "query": "/a?b={}", "fragment": "/a#{}"}.items():
        yield f"high surrogate in the {where}", text.format("\ud83d")
        yield f"low surrogate in the {where}", text.format("\udc00")
        yield f"surrogates turned round in the {where}", text.format("\udc00\ud83d")


def _own_pages() -> Iterator[tuple[str, str]]:
    for page, path in (("refresh page", REFRESH), ("sign-in", SIGN_IN)):
        letter = f"/%{ord(path[1]):02x}{path[2:]}"
        for how, spelled in {
            "itself": path,
            "slash behind": f"{path}/",
            "slashes behind": f"{path}///",
            "query": f"{path}?redirectBack=/x",
            "empty query": f"{path}?",
            "fragment": f"{path}#x",
            "slash and query": f"{path}/?x",
            "nested twice": f"{path}?redirectBack={path}%3FredirectBack%3D{path}",
            "letter encoded": letter,
            "letter encoded twice": letter.replace("%", "%25"),
            "letter encoded thrice": letter.replace("%", "%2525"),
            "slash behind, encoded": f"{path}%2f",
            "all encoded": "/" + "".join(f"%{ord(c):02X}" for c in path[1:]),
            "dot": f"/.{path}",
            "dots": f"/a/..{path}",
            "encoded dots": f"/a/%2e%2e{path}",
            "two slashes": f"/{path}",
            "backslash": "\\" + path[1:],
        }.items():
            yield f"our {page}, {how}", spelled


def _long() -> Iterator[tuple[str, str]]:
    for how, path in {
        "slashes": "/" * 5000,
        "backslashes": "/" + "\\" * 5000,
        "dots": "/" + "../" * 2000 + EVIL,
        "percent signs": "/" + "%25" * 2000 + f"2f{EVIL}",
        "user info": f"https://{'a' * 5000}@{EVIL}/",
        "host": f"https://{'a.' * 2500}example/",
        "scheme": "a" * 5000 + ":x",
        "blanks": " " * 5000 + "/dashboard",
    }.items():
        yield f"5000 {how}", path


HOSTILE: dict[str, str] = {}
for _family in (_schemes, _slashes, _hosts, _broken_paths, _own_pages, _long):
    for _name, _value in _family():
        assert _name not in HOSTILE, _name
        HOSTILE[_name] = _value

# They look like those above, but every parser reads them as paths of this site.
HARMLESS = {
    "URL in the query": f"/dashboard?next=https://{EVIL}/",
    "slashes in the query": f"/dashboard?next=//{EVIL}",
    "backslashes in the query": f"/dashboard?next=\\\\{EVIL}",
    "slashes in the fragment": f"/dashboard#//{EVIL}",
    "URL in the path": f"/https://{EVIL}",
    "slashes in the path": f"/a//{EVIL}",
    "javascript in the path": "/javascript:alert(1)",
    "javascript in the fragment": "/a#javascript:alert(1)",
    "user info in the path": f"/@{EVIL}",
    "user info further on": f"/x@{EVIL}:443/",
    "colon first": f"/:{EVIL}",
    "semicolon first": f"/;//{EVIL}",
    "blank between, encoded": f"/%20/{EVIL}",
    "full-width slash, encoded": f"/%EF%BC%8F{EVIL}",
    "fraction slash, encoded": f"/%E2%81%84{EVIL}",
    "header in letters that end like one": "/%E5%98%8D%E5%98%8ASet-Cookie:x",
    "overlong slash": f"/%C0%AF{EVIL}",
    "backslash further on, encoded": f"/a%5C%5C{EVIL}",
    "dots in the query": "/a?b=/../c",
    "dots in a name": "/...",
    "our refresh page as a beginning": f"{REFRESH}s",
    "our refresh page in capitals": REFRESH.upper(),
    "our sign-in page as a folder": f"/x{SIGN_IN}",
    "our refresh page in the query": f"/a?b={REFRESH}",
    "line feed in the query, encoded": "/a?b=%0d%0aSet-Cookie:%20x=y",
    "nul in the fragment, encoded": "/a#%00",
}

# In the spelling of browsers, so that they stay unchanged.
LEGITIMATE = {
    "path": "/x/dashboard",
    "slash at the end": "/x/a/",
    "query": "/x/a?tab=2&sort=up",
    "encoded slash in the query": "/x/a?next=%2Fb%2fc",
    "plus and encoded blank": "/x/a?q=a+b%20c",
    "semicolons": "/x/a;v=1?b;c=2",
    "empty values": "/x/a?b=&c&=d",
    "keys repeated": "/x/a?tag=1&tag=2&tag=1",
    "percent sign": "/x/100%25?p=100%25",
    "percent sign alone in the query": "/x/a?q=100%",
    "signs kept in a path": "/x/~me/@you/!$&'()*+,;=:[]",
    "signs kept in a query": "/x/a?q=\\`{}|^[]",
    "question marks": "/x/a?b?c?",
    "non-ASCII path": "/x/%C3%A9t%C3%A9/%E4%B8%AD%E6%96%87",
    "non-ASCII query": "/x/a?q=%E4%B8%AD+%C3%A9",
    "Latin-1 query": "/x/a?q=%E9t%e9",
    "small letters in the query": "/x/a?q=%c3%a9%7e",
    "URL in the query": f"/x/a?next=https://{EVIL}/%3Fb",
    "long query": "/x/a?" + "&".join(f"k{n}=%C3%A9+{n}" for n in range(140)),
}


def served_app(flow: Literal["inline", "redirect"] = "inline") -> Flask:
    """Return an app that requires a session below ``/x/``; for a server to import."""
    app = Flask(__name__)
    keys = {"keys": [SessionSigner().jwk()]}
    FlaskSSRSession(app, api_domain="https://api.example.com", jwks=keys, refresh_flow=flow)
    app.add_url_rule("/x/<path:rest>", "x", session_required(lambda rest: rest))
    return app
