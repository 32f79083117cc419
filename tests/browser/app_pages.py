"""The templates of the browser tests' app, by the part that shows them."""

from __future__ import annotations

from typing import Any

# --- texts that are no markup, and content that shadows names ------------------------------------

# Elements, scripts, placeholders and line ends of every language that a page is written in.
CANARY = (
    "'\"`--></noscript></title></style></textarea></script><img src=x onerror=pwned=1>"
    "<script>pwned=1</script>${pwned=1}{{7*191}}{%x%}\u2028pwned=1\u2029\\"
)

# What users may have written on a page: elements whose names shadow those of a script.
CLOBBERING = {
    "image": "<img name='{0}' id='{0}'>",
    "form": "<form name='{0}' id='{0}'><input name=init><object name=attemptRefreshingSession>"
    "</object></form>",
    "callable": "<form name='{0}' id='{0}'><object name=init></object></form>",
    "links": "<a id='{0}' href='data:,'></a><a id='{0}' name=init href='data:,'></a>",
    "frame": "<iframe name='{0}' srcdoc='<a id=init></a>'></iframe>",
}

# --- templates that an app puts in the place of ours, or of the example's ------------------------

OVERRIDES: dict[str, dict[str, Any]] = {
    "none": {},
    "policies": {
        "base.html": """<!doctype html><title>{% block title %}{% endblock %}</title>
{{ session_script() }}
<script nonce="{{ csp_nonce() }}" src="/static/example.js" defer></script>
<h1>{{ self.title() }}</h1>{% block about %}{% endblock %}
<main>{% block content %}{% endblock %}</main>"""
    },
    "translated": {
        "refresh_page.html": """
{% from "flask_ssr_session/refresh_page.html" import refresh_page as original %}
{% macro refresh_page() %}
{{ original(texts=translations.get(request.args.language, {}), **kwargs) }}
{% endmacro %}""",
        "refresh_document.html": """
{% extends "flask_ssr_session/refresh_document.html" %}
{% block lang %}{{ request.args.language }}{% endblock %}
{% block dir %}{{ "rtl" if request.args.language == "ar" else "ltr" }}{% endblock %}
{% block title %}{{ translations[request.args.language].working }}{% endblock %}""",
        "own.html": """{% from "refresh_page.html" import refresh_page %}<!doctype html>
<html lang="fr"><head><meta charset="utf-8"><title>Ours</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="stylesheet" href="/style/own.css"></head><body><main><h1>Ours</h1>
{% if needs_refresh %}{{ refresh_page(heading=request.args.get("heading", 2)) }}{% endif %}
</main></body></html>""",
    },
    "texts": {
        "ar": {
            "working": "لحظة من فضلك، يتم تجديد جلستك…",
            "slow": "يستغرق هذا وقتًا أطول من المعتاد.",
            "problem": "تعذر تجديد جلستك",
            "status": "حدثت مشكلة في خدمة تسجيل الدخول (الخطأ {status}). لم يتم تسجيل خروجك.",
            "retry": "أعد المحاولة",
            "sign_in": "تسجيل الدخول",
        },
        "de": {
            "working": "Sitzungsverlängerungsbestätigungsverfahren wird durchgeführt …",
            "slow": "Verzögerungsbenachrichtigungszeitüberschreitung.",
            "problem": "Sitzungsverlängerungsdienstleistungsunterbrechung",
            "status": "Anmeldedienstkommunikationsstörungsfehlermeldungsnummer {status}.",
            "retry": "Sitzungsverlängerungswiederholungsversuch",
            "sign_in": "Benutzerkontoanmeldungsformularseite",
        },
    },
}

# --- pages that a browser keeps ------------------------------------------------------------------

# name: (with our script, Cache-Control of the view)
REMEMBERED = {
    "with-script": (True, None),
    "without-script": (False, None),
    "for-an-hour": (False, "max-age=3600"),
    "asked-each-time": (False, "no-cache"),
    "not-stored": (False, "no-store"),
}

# A template with needs_refresh, and one that only reads the session.
DECIDES = """{% from "refresh_page.html" import refresh_page -%}
<!doctype html><title>Page</title>{% if needs_refresh %}{{ refresh_page() }}{% else %}
<p id="whose" data-user>{{ g.session.user_id }}</p>{% endif %}"""
LOOKS = """<!doctype html><title>Page</title>
<p id="whose">{{ g.session.user_id if g.session else "everybody" }}</p>"""
# name: (template, has a tag, has a date)
CACHED = {
    "decides": (DECIDES, True, True),
    "decides-date": (DECIDES, False, True),
    "looks": (LOOKS, True, True),
}

STYLES = {
    "own": "body { background: Canvas; color: CanvasText }",
    "history": "body { display: flow-root !important }",
}

# --- forms ---------------------------------------------------------------------------------------

PAGE = """<!doctype html><title>{{ name }}</title>
{% if "bare" not in request.args %}{{ session_script() }}{% endif %}"""
FORMS = {
    # Everything that a form may contain and a page may carry. Some fields are named like properties
    # of a form in JavaScript, or like markup of the page that carries them.
    "long": PAGE
    + """<form method="post" enctype="{{ request.args.get('enctype') }}">
<input name="title">
<textarea name="lines">
</textarea>
<select name="several" multiple><option>a &amp; b<option value="">none<option>c</select>
<input type="checkbox" name="tag" value="a"><input type="checkbox" name="tag">
<input type="checkbox" name="tag" value="c"><input type="checkbox" name="unchecked">
<input type="radio" name="one" value="1"><input type="radio" name="one" value="2">
<input type="hidden" name="hidden" value="  &amp;quot; &#160;">
<input name="empty"><input name="title" value="a second one">
<input type="datetime-local" name="when"><input type="number" name="number" step="any">
<input type="color" name="colour" value="#00ff7f"><input type="range" name="range" value="30">
<input name="submit" value="1"><input name="action" value="//evil.test/"><input name="method">
<input name="elements"><input name="length"><input name="append">
<input name="enctype" value="text/plain">
<input name="_charset_" type="hidden">
<input name="&quot;><script>window.pwned=1</script>"><input name="</form>" value="</form>">
<input name="list[0][größe 🦆]"><input name="{% raw %}{{ 7*7 }}{% endraw %}">
<input name="&amp;quot;" value="&amp;quot;&amp;#13;"><input name="+%2B&amp;=;">
<input type="file" name="none">
<input name="said" dirname="said.dir"><input name="off" disabled><input value="nameless">
<button name="go" value="now &amp; then">Send</button><button name="go" value="no">Other</button>
</form>""",
    # Buttons that change what is sent. The responses go into a frame, so that the page stays.
    "buttons": PAGE
    + """<iframe name="answer"></iframe>
<img name="baseURI" alt=""><img name="documentElement" alt=""><img name="documentElement" alt="">
<form id="main" method="post" target="answer"><input name="text" value="x">
<input name="submit"><input name="action"><input name="method"><input name="target">
<button id="first" name="go" value="1">1</button><input name="between">
<button id="second" name="go" value="">2</button><button id="nameless" value="x">3</button>
<input id="typed" type="submit" name="typed" value="4 &amp;">
<button id="elsewhere" name="go" formaction="/forms/keeps/buttons?by=button">5</button>
<button id="multipart" name="go" formenctype="multipart/form-data">6</button>
<button id="gets" name="go" formmethod="get" formaction="/forms/open">7</button>
<button id="tab" name="go" value="8" formtarget="_blank">8</button>
<input id="image" type="image" name="spot" alt="9">
<input type="file" name="none"><input type="file" name="files" multiple>
<fieldset><button id="fenced" name="go" value="10">10</button></fieldset>
<input name="last" value="y"></form>
<button id="outside" form="main" name="go" value="11" formaction="?outside">11</button>
<form action="/forms/open" target="answer"><button id="searches" name="q">12</button></form>
<form method="get" target="answer"><input name="text" value="z">
<button id="posts" formmethod="POST" name="go" value="13">13</button></form>
<table><form method="post" target="answer"><tr><td><input name="text"><button id="misnested"
name="go" value="14">14</button></td></tr></form></table>
<form method="post" target="answer" action="http://127.0.0.1:{{ port }}/forms/open"><button
id="abroad">15</button></form>
<dialog><form method="dialog"><button id="closes" value="16">16</button></form></dialog>""",
    "simple": PAGE
    + """<form method="post" action="{{ request.args.get('to', '') }}">
<input name="title"><button>Send</button></form>""",
    "fields": PAGE
    + """<style>body { display: block }</style>
<input id="text" value="a"><input id="range" type="range"><input id="colour" type="color">
<input type="range" min="60" max="90" step="7"><input type="email" multiple value=" a , b ">
<input id="number" type="number" value="x"><input type="hidden" value="h"><input type="submit">
<input id="box" type="checkbox"><input type="checkbox" checked><input type="file">
<input type="radio" name="one"><input id="radio" type="radio" name="one" checked>
<textarea id="lines">
a
b</textarea>
<select id="one"><option disabled>a<option>b<option>c</select>
<select id="marked"><option>a<option selected>b</select>
<select id="many" multiple><option selected>a<option>b</select>
<p id="editable" contenteditable>a</p>""",
}

# What a visitor may do on the page "fields", and how it is undone.
_TYPED = "editable.dispatchEvent(new Event('input', { bubbles: true }))"
FIELDS = {
    "nothing": ("", ""),
    "text": ("text.value = ''", "text.value = 'a'"),
    "a range": ("range.value = 51", "range.value = 50"),
    "a colour": ("colour.value = '#00ff00'", "colour.value = '#000000'"),
    "a number": ("number.value = 1", "number.value = ''"),
    "a box": ("box.checked = true", "box.checked = false"),
    "a radio button": ("radio.checked = false", "radio.checked = true"),
    "lines": ("lines.value += 'c'", "lines.value = 'a\\nb'"),
    "one of several": ("one.value = 'c'", "one.value = 'b'"),
    "another than the marked one": ("marked.value = 'a'", "marked.value = 'b'"),
    "many of several": ("many.options[1].selected = true", "many.options[1].selected = false"),
    "nothing again": ("", ""),
    "editable text": (_TYPED, ""),
}

# --- links ---------------------------------------------------------------------------------------

# Each link leads to a view that answers 204, so the page stays. The images, fields and links are
# named like what scripts look up in their documents, forms and windows.
LINKS = """<!doctype html><title>Links</title><link rel="icon" href="data:,">{{ session_script() }}
<img name="baseURI" alt=""><img name="documentElement" alt=""><img name="createElement" alt="">
<img name="addEventListener" alt=""><img name="querySelectorAll" alt="">
<p onclick="heard.push(event.target.id)"><a id="plain" href="{{ to }}plain?a=1&b=ö#part">Plain</a>
<a id="inner" href="{{ to }}inner" target="_SELF"><b id="bold">Inner</b></a>
<a id="secret" href="{{ to }}secret" rel="noopener noreferrer">No referrer</a>
<a id="policy" href="{{ to }}policy" referrerpolicy="origin">Policy</a>
<a id="pings" href="{{ to }}pings" ping="{{ to }}ping">Pings</a>
<a id="changed" href="/" onclick="this.href = '{{ to }}changed'">Changed</a></p>
<svg viewBox="0 0 40 10" width="400">
<a id="svg" href="{{ to }}svg"><rect width="20" height="9"/></a>
<a id="xlink" xlink:href="{{ to }}xlink"><rect x="20" width="20" height="9"/></a></svg>
<img usemap="#map" alt="" width="9" height="9" src="data:image/svg+xml,<svg xmlns=
'http://www.w3.org/2000/svg' width='9' height='9'/>">
<map name="map"><area id="area" href="{{ to }}area" coords="0,0,9,9" alt="Area"></map>
<shadow-host id="host"></shadow-host>
<form id="search" action="{{ to }}search?lost#part"><input name="q"><input name="submit"
value="ä &amp;"><input name="setAttribute"><button name="go" value="1">Search</button></form>
<form method="post" action="/"><input name="text" value="x"><button id="gets" formmethod="GET"
formaction="{{ to }}gets">Gets</button></form>
<form method="post" action="{{ to }}posted" id="posts"><button>Posts</button></form>
<div id="box"></div>
<script>heard = [];
host.attachShadow({ mode: "open" }).innerHTML = "<a id=shadow href='{{ to }}shadow'>Shadow</a>";
</script>"""

# --- kinds of requests ---------------------------------------------------------------------------

# In the order that the README asks for: the SDK has to come before what sends requests.
LAYOUT = """<!doctype html><html lang="en"><head><title>{{ request.path }}</title>
<link rel="icon" href="data:,">{% if "sdk" in request.args %}{{ session_script() }}{% endif %}"""
HTMX = """<script src="/kinds/library/{{ request.args.htmx }}/dist/htmx.js"></script>"""
BODY = """</head><body><p data-user>{{ g.session.user_id }}</p>"""
KINDS = {
    "links": LINKS.replace("{{ to }}", "/kinds/note/{{ request.args.run }}/"),
    "remembered": """<!doctype html><title>Page</title>
{%- if with_script %}{{ session_script() }}{% endif %}
<link rel="stylesheet" href="/style/history.css">
<p id="whose">{{ g.session.user_id }}</p><p id="asked">{{ number }}</p>
<form method="post"><input id="field" name="field"><button>Send</button></form>""",
    "plain": LAYOUT + BODY + """<p id="out">plain</p>""",
    "downloads": LAYOUT
    + BODY
    + """<a href="/kinds/download">A link</a>
<a href="/kinds/download" download="own.txt">A link that downloads</a>""",
    "fragment": """<turbo-frame id="frame"><span data-fragment>{{ g.session.user_id }} {{ note }}
</span></turbo-frame>""",
    "htmx": LAYOUT
    + HTMX
    + BODY
    + """<button hx-get="/kinds/fragment" hx-target="#out">Get</button>
<form hx-post="/kinds/fragment" hx-target="#out"><input name="note"><button>Send</button></form>
<p><a href="/kinds/plain?boosted" hx-boost="true">Boosted</a></p><div id="out">old</div>""",
    "loading": LAYOUT
    + HTMX
    + BODY
    + """<div id="out" hx-get="/kinds/fragment" hx-trigger="load">old</div>""",
    "turbo": LAYOUT
    + """<script src="/kinds/library/@hotwired/turbo/dist/turbo.es2017-umd.js"></script>
{% if "sdk-last" in request.args %}{{ session_script() }}{% endif %}"""
    + BODY
    + """<a href="/kinds/plain?visited">Visit</a>
<form method="post" action="/kinds/sent"><input name="note"><button>Send</button></form>
<a href="/kinds/fragment" data-turbo-frame="frame">Fill the frame</a>
<turbo-frame id="frame">old</turbo-frame>""",
    # One request of every kind that a page can cause by itself.
    "every": """<!doctype html><title>Every kind</title>
<base href="/kinds/note/{{ request.args.run }}/">
<link rel="icon" href="icon"><link rel="stylesheet" href="style">
<link rel="manifest" href="manifest"><link rel="prefetch" href="prefetch">
<link rel="preload" as="fetch" href="preload"><link rel="modulepreload" href="modulepreload">
<style>@font-face { font-family: x; src: url(font) }
p { font-family: x; background: url(background) }</style>
<script src="script"></script><script type="module" src="module"></script>
<p>text</p><img src="img" alt=""><video src="video" poster="poster"></video>
<audio src="audio" preload="auto"></audio>
<video><source src="source"><track default src="track"></video>
<iframe src="iframe" title=""></iframe><object data="object"></object><embed src="embed">
<a id="ping" href="{{ request.full_path }}#" ping="ping">ping</a>
<iframe name="target" title=""></iframe>
<form method="post" action="form" target="target"></form>
<script>
document.forms[0].submit();
document.getElementById("ping").click();
fetch("fetch");
fetch("fetch-html", { headers: { Accept: "text/html" } });
fetch("fetch-as-page", { headers: { Accept: "text/html,application/xhtml+xml,*/*;q=0.8" } });
fetch("fetch-post", { method: "POST", body: "x" });
fetch("keepalive", { method: "POST", keepalive: true });
const request = new XMLHttpRequest();
request.open("GET", "xhr");
request.send();
navigator.sendBeacon("beacon");
new EventSource("events");
new WebSocket(new URL("socket", document.baseURI).href.replace("http", "ws"));
new Worker("worker");
new SharedWorker("shared-worker");
navigator.serviceWorker?.register("service-worker").catch(() => {});
</script>""",
}
TAKES_OVER = """addEventListener("install", () => skipWaiting());
addEventListener("activate", (event) => event.waitUntil(clients.claim()));"""
WORKERS = {
    # Passes everything on as it is, as caching workers do.
    "pass-on": TAKES_OVER
    + """addEventListener("fetch", (event) => event.respondWith(fetch(event.request)));""",
    # Makes a request of its own, with the headers that it was given.
    "rebuild": TAKES_OVER
    + """addEventListener("fetch", (event) => {
  const { method, headers, url } = event.request;
  const own = { method, headers, credentials: "include", redirect: "manual" };
  event.respondWith(fetch(new Request(url, own)));
});""",
}

# --- tabs ----------------------------------------------------------------------------------------

TABS = {
    "template": DECIDES,
    "start": '<!doctype html><html lang="en"><title>Start</title><link rel="icon" href="data:,">',
    # Protected pages in two frames, and by a fetch that the SDK intercepts.
    "frames": """<!doctype html><html lang="en"><title>Frames</title><link rel="icon" href="data:,">
{{ session_script() }}<p id="out"></p>
<iframe src="/bare?1"></iframe><iframe src="/tabs/template?2"></iframe>
<script>fetch("/bare?3").then((answer) => answer.text()).then((text) => {
  document.getElementById("out").innerHTML = text;
});</script>""",
}
