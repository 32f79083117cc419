"""One table of return paths (``redirectBack``): refused, harmless, legitimate, and respelled.

The name of a refused value is what a log would show of it, unless another file asks for it by name.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from .tables import shown

EVIL, OURS = "evil.example", "app.example.com"
# The package's own paths, in every app that these values are used with.
REFRESH, SIGN_IN = "/refresh-session", "/auth"
OWN_ORIGIN = f"https://{OURS}"

_NAMED = {
    "scheme javascript": "javascript:alert(1)",
    "javascript behind a tabulator": "\tjavascript:alert(1)",
    "scheme data": "data:text/html,<script>alert(1)</script>",
    "two slashes, name": f"//{EVIL}",
    "slash, backslash, name": f"/\\{EVIL}",
    "tabulator between, name": f"/\t/{EVIL}",
    "encoded slash, name": f"/%2f{EVIL}",
    "slash encoded twice, name": f"/%252f{EVIL}",
    "dots behind a name, name": f"/a/..//{EVIL}",
    "full URL, https, name": f"https://{EVIL}/",
    "full URL, user info": f"https://x@{OURS}/",
    "header in the path": "/dash\r\nSet-Cookie: a=bboard",
    "our refresh page, nested twice": f"{REFRESH}?redirectBack={REFRESH}%3FredirectBack%3D%2Fx",
    "our sign-in, letter encoded twice": "/%2561uth",
}
_SCHEMES = (
    *("javascript:alert(1)", "data:text/html,<script>", "data:text/html;base64,PHNjcmlwdD4="),
    *("vbscript:msgbox(1)", f"blob:https://{EVIL}/0", "about:blank", "file:///etc/passwd"),
    *(f"filesystem:https://{EVIL}/temporary/x", f"view-source:https://{EVIL}/", f"ftp://{EVIL}/"),
    *(f"ws://{EVIL}/", f"wss://{OURS}/", f"mailto:a@{EVIL}", "tel:1"),
    *(f"intent://{EVIL}#Intent;end", "chrome://settings", "moz-extension://x/"),
    *(f"jar:https://{EVIL}!/x", "xyz:1", f"ftp://{OURS}/", f"javascript://{OURS}/%0aalert(1)"),
    *("javascript%3aalert(1)", "%6aavascript:alert(1)", "javascript\uff1aalert(1)"),
)
# What stands between nothing and a host: to some reader, two slashes.
_SLASHES = (
    *("//", "///", "/////", "/\\", "\\/", "\\\\", "\\\\\\", "/\\/", "/\t/", "/\n/", "/\r/"),
    *("/\t\\", "/\n\\", "\t//", " //", "\x00//", "\x1f//", "/.//", "/..//", "/a/..//"),
    *("/a/b/../..//", "/%2e//", "/%2E%2e//", "/.%2e//", "/..\\\\", "/.\\/", "/%2f", "/%2F", "/%5c"),
    *("/%5C", "%2f%2f", "%2f/", "%5c%5c", "/%252f", "/%25252F", "/%2525252f", f"/%{'25' * 9}2f"),
    *("/%255c", f"/%{'25' * 9}5c", "/%09/", "/%0a/", "/%0d/", "/%00/", "/%2509/", "/%2e%2f"),
    *("\uff0f", "\uff0f\uff0f", "\u2044\u2044", "\u2215\u2215"),
)
_HOSTS = (*(EVIL, f"{EVIL}:443", f"{OURS}@{EVIL}", "192.0.2.1", "[2001:db8::bad]"),)
_BEHIND_SLASHES = (
    *("", f"{OURS}/dashboard", f"{EVIL}/a?b#c", "3232235777", "0x7f.1", "\u24d4vil.example"),
)
_URLS = (
    *(f"https:/{EVIL}", f"https:{EVIL}", f"https:///{EVIL}", f"https:\\\\{EVIL}"),
    *(f"https:/\\{EVIL}", f"https:%2f%2f{EVIL}", "https:", "https:/dashboard", "http:dashboard"),
    *("https://", "https://:443/", f"https://{OURS}.{EVIL}/", f"https://evil-{OURS}/"),
    *(f"https://..{OURS}/", f"https://{OURS}./", "https://app..example.com/"),
    *(f"https://{OURS}:x@{EVIL}/", f"https://{OURS}%40{EVIL}/", f"https://x:y@{OURS}/"),
    *(f"https://@{OURS}/", f"https://:@{OURS}/", f"https://x@{OURS}@{EVIL}/"),
    *(f"https://{OURS}\\@{EVIL}/", f"https://{EVIL}\\@{OURS}/", f"https://{OURS}\\.{EVIL}/"),
    *(f"https://{EVIL}?@{OURS}/", f"https://{EVIL}#@{OURS}/", f"https://app.example\t.com.{EVIL}/"),
    *(f"https://{OURS}\n.{EVIL}/", f"https://{OURS}\x00.{EVIL}/", f"https://{OURS} {EVIL}/"),
    *(f"https://{OURS}%00.{EVIL}/", "https://app%2eexample.com/", f"https://{OURS}:8443/"),
    *(f"https://{OURS}:0/", f"https://{OURS}:65979/", f"https://{OURS}:x/"),
    *(f"https://{OURS}:+443/", f"https://{OURS}: 443/", f"https://{OURS}:\u0664\u0664\u0663/"),
    *(f"http://{OURS}/", "https://localhost:3000/", "https://\u0430pp.example.com/"),
    *("https://app.ex\u03b1mple.com/", "https://xn--pp-6kc.example.com/"),
    *("https://\uff41pp.example.com/", "https://app\u3002example\u3002com/"),
    *("https://app\uff0eexample.com/", f"https://{OURS}\uff0f/", f"https://{OURS}\uff20{EVIL}/"),
    *(f"https://{EVIL}\uff03.{OURS}/", f"https://{EVIL}\u2100.{OURS}/"),
    *("https://app\u00ad.example.com/", "https://app\u200b.example.com/"),
    *("https://\u202emoc.elpmaxe/", "https://stra\u00dfe.example/", f"https://[{OURS}/"),
    *(f"https://[{OURS}]/", "https://[::1", "https://[fe80::1%25eth0]/"),
    *("https://[::ffff:192.0.2.1]/", "https://[v1.a:b]/", f"{OWN_ORIGIN}//{EVIL}"),
    *(f"{OWN_ORIGIN}/%2f{EVIL}", f"{OWN_ORIGIN}/../x", f"{OWN_ORIGIN}{REFRESH}"),
    *(f"{OWN_ORIGIN}{SIGN_IN}?x", f"https://{'a' * 5000}@{EVIL}/"),
    f"https://{'a.' * 2500}example/",
)
_CONTROLS = (
    *("\x00", "\x07", "\x08", "\t", "\n", "\x0b", "\r", "\r\nSet-Cookie: a=b", "\x1b[31m", " "),
    *("\x7f", "\r\n\r\n<script>alert(1)</script>"),
)
_PATHS = (
    *("", "dashboard", ".", "..", "./dashboard", "../dashboard", "?a=b", "#top", f"@{EVIL}"),
    *(f"{EVIL}/", "evil.example:80", f";//{EVIL}", "%", "null", '"><script>alert(1)</script>'),
    *("/a/..", "/a/.", "/../dashboard", "/./dashboard", "/dashboard/.", "/a/%2e%2e/dashboard"),
    *("/a/%252e%252e/dashboard", "/a/..%2fdashboard", "/a/..%5cdashboard", "/a\\b", "/a\\"),
    *(f"/a\\\\{EVIL}", f"/\\@{EVIL}", "/%25", "/%2", "/%", "/" * 5000, "/" + "\\" * 5000),
    *("/" + "../" * 2000 + EVIL, "/" + "%25" * 2000 + f"2f{EVIL}", "a" * 5000 + ":x"),
    " " * 5000 + "/dashboard",
)


def _refused() -> Iterator[str]:
    for value in _SCHEMES:
        scheme, colon, rest = value.partition(":")
        mixed = (char.upper() if place % 2 else char for place, char in enumerate(scheme))
        yield from (value, f"{''.join(mixed)}{colon}{rest}")
    for noise in ("\t", "\n", "\r"):
        yield from (f"java{noise}script:alert(1)", f"javascript{noise}:alert(1)")
    for noise in ("\t", "\n", "\r", " ", "\x00", "\ufeff", "\xa0", "%20"):
        yield f"{noise}javascript:alert(1)"
    yield from map("".join, product(_SLASHES, _HOSTS))
    yield from map("".join, product(("//", "/\\"), _BEHIND_SLASHES))
    yield from (f"{scheme}://{host}/" for scheme in ("https", "http", "HTTPS") for host in _HOSTS)
    yield from (*_URLS, *_PATHS)
    for noise in _CONTROLS:
        yield from (f"/dash{noise}", f"/dash{noise}board", f"/a?a={noise}b", f"/a#{noise}b")
    for code in ("00", "09", "0a", "0d", "1b", "1f", "7f", "7F"):
        yield from (f"/dash%{code}board", f"/dash%25{code}board")
    # Half a character: no URL can hold it.
    for form, half in product(("/a{}b", "/a?b={}", "/a#{}"), ("\ud83d", "\udc00", "\udc00\ud83d")):
        yield form.format(half)
    for path in (REFRESH, SIGN_IN):
        letter = f"/%{ord(path[1]):02x}{path[2:]}"
        yield from (path, f"{path}/", f"{path}///", f"{path}?redirectBack=/x", f"{path}?")
        yield f"{path}#x"
        yield from (f"{path}/?x", letter, letter.replace("%", "%2525"), f"{path}%2f", f"/{path}")
        yield from (f"/.{path}", f"/a/..{path}", f"/a/%2e%2e{path}", "\\" + path[1:])
        yield "/" + "".join(f"%{ord(char):02X}" for char in path[1:])


# They lead to the front page.
HOSTILE = _NAMED | {shown(v): v for v in _refused() if v not in _NAMED.values()}

# They look like those above, but every parser reads them as paths of this site.
_HARMLESS = (
    *(f"/dashboard?next=https://{EVIL}/", f"/dashboard?next=//{EVIL}", f"/dashboard#//{EVIL}"),
    *(f"/dashboard?next=\\\\{EVIL}", f"/a?b={REFRESH}", f"/https://{EVIL}", f"/a//{EVIL}"),
    *("/javascript:alert(1)", "/a#javascript:alert(1)", f"/@{EVIL}", f"/x@{EVIL}:443/"),
    *(f"/:{EVIL}", f"/;//{EVIL}", "/a?b=/../c", "/a?b=%0d%0aSet-Cookie:%20x=y", "/a#%00"),
    *(f"/%20/{EVIL}", f"/%EF%BC%8F{EVIL}", f"/%E2%81%84{EVIL}", f"/%C0%AF{EVIL}"),
    *(f"/a%5C%5C{EVIL}", "/%E5%98%8D%E5%98%8ASet-Cookie:x", "/caf%c3%a9%2Fa%3Fb%23c", "/..."),
    *("/..a/b..", f"{REFRESH}s", REFRESH.upper(), f"/x{SIGN_IN}", f"{SIGN_IN}/x", "/a#b#c"),
    *("/a#%20{}|`/route?x", "/~a/@b/!$&'()*+,;=:|[]^"),
)
# In the spelling of browsers, so that they stay unchanged.
_LEGITIMATE = (
    *("/x/dashboard", "/x/a/", "/x/a?tab=2&sort=up", "/x/a?next=%2Fb%2fc", "/x/a?q=a+b%20c"),
    *("/x/a;v=1?b;c=2", "/x/a?b=&c&=d", "/x/a?tag=1&tag=2&tag=1", "/x/100%25?p=100%25"),
    *("/x/a?q=100%", "/x/~me/@you/!$&'()*+,;=:[]", "/x/a?q=\\`{}|^[]", "/x/a?b?c?"),
    *("/x/%C3%A9t%C3%A9/%E4%B8%AD%E6%96%87", "/x/a?q=%E4%B8%AD+%C3%A9", "/x/a?q=%E9t%e9"),
    *("/x/a?q=%c3%a9%7e", f"/x/a?next=https://{EVIL}/%3Fb"),
)
HARMLESS = {shown(value): value for value in _HARMLESS}
LEGITIMATE = {shown(value): value for value in _LEGITIMATE} | {
    "long query": "/x/a?" + "&".join(f"k{n}=%C3%A9+{n}" for n in range(140))
}

# They are accepted, and written as browsers write them.
RESPELLED = {
    "/caf\u00e9": "/caf%C3%A9",
    '/a"<b>': "/a%22%3Cb%3E",
    "/a`{b}": "/a%60%7Bb%7D",
    '/a?"<b>': "/a?%22%3Cb%3E",
    "/a#<b>": "/a#%3Cb%3E",
    "/a\x85b": "/a%C2%85b",
    "/a\u2028b": "/a%E2%80%A8b",
    "/\u202egpj": "/%E2%80%AEgpj",
    "/a?": "/a",
    "/a#": "/a",
    OWN_ORIGIN: f"{OWN_ORIGIN}/",
    f"{OWN_ORIGIN}?a": f"{OWN_ORIGIN}/?a",
    "HTTPS://APP.Example.COM/A": f"{OWN_ORIGIN}/A",
    f"{OWN_ORIGIN}:443/": f"{OWN_ORIGIN}/",
    f"{OWN_ORIGIN}:/": f"{OWN_ORIGIN}/",
}
