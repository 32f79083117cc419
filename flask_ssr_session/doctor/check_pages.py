"""Judge the refresh page, its script and sign-in, as a stranger gets them. Values in, findings out.

An answer is a stranger's text: statuses and our own words are told, never what it said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from ..errors import FetchError
from ..upstream.fetch import FetchedResponse
from .check_keys import Answer, failure_text
from .csp import refused_directives
from .finding import Environment, Finding, browser_origin, host_and_port, ok, problem, warning

# Paths alone, of characters that no reader of addresses drops: what a page names on other hosts is
# not asked for. Each match ends at the next quote or bracket, so a large page takes no long time.
_PLACE = r"/(?![/\\])[!#-;=?-\[\]-~]*/ssr-session-[0-9a-f]+"
# Not session_script(), which loads the same file: its mode is "session".
_SCRIPT = re.compile(rf'<script src="({_PLACE}\.js)"[^<>]* data-mode="refresh"[^<>]*>')
_STYLE = re.compile(rf'<link rel="stylesheet" href="({_PLACE}\.css)"[^<>]*>')
_NONCE = re.compile(r' nonce="([^"]+)"')


@dataclass(frozen=True)
class _Loaded:
    """What a page loads from its own site."""

    url: str
    nonce: str | None


def _loaded(element: re.Pattern[str], url: str, answer: Answer) -> _Loaded | None:
    """Return what the first such element of the page at *url* loads, if the answer is that page."""
    if isinstance(answer, FetchError) or answer.status != 200:
        return None
    found = element.search(answer.body.decode("utf-8", "replace"))
    if found is None:
        return None
    nonce = _NONCE.search(found[0])
    return _Loaded(urljoin(url, found[1]), nonce[1] if nonce else None)


def script_url(url: str, answer: Answer) -> str | None:
    """Return where the refresh page at *url* loads its script from."""
    script = _loaded(_SCRIPT, url, answer)
    return script.url if script else None


def check_refresh_page(setup: Environment, url: str, answer: Answer) -> Iterator[Finding]:
    """Yield what the refresh page, asked for at *url*, is missing."""
    path = setup.settings.refresh_path
    if isinstance(answer, FetchError):
        yield problem(
            "refresh_page",
            f"nothing answers at {host_and_port(url)} ({answer})",
            "start the site, name it with --url, or pass --offline",
        )
        return
    script = _loaded(_SCRIPT, url, answer)
    if script is None:
        yield problem(
            "refresh_page",
            f"{path} shows no refresh page (status {answer.status})",
            "pass --url as browsers see the front page, with https if they do"
            if 300 <= answer.status < 400 or answer.status == 404
            else "let hooks of the app, and what stands before it, pass the endpoint "
            "'ssr_session.refresh' and all below it; remove a view of your own at that address",
        )
        return
    if "text/html" not in answer.headers.get("Content-Type", "").lower():
        yield problem(
            "refresh_page",
            f"{path} is not sent as HTML, so browsers show its source",
            "leave its Content-Type alone, in hooks and in proxies",
        )
    elif "no-store" not in ",".join(answer.headers.get_all("Cache-Control") or []).lower():
        yield problem(
            "refresh_page",
            f"{path} may be kept by caches, so visitors would get an old answer again and again",
            "leave its Cache-Control: no-store alone, in hooks and in proxies",
        )
    else:
        yield ok("refresh_page", f"{path} shows it")
    yield _about_policy(setup, url, answer, script)


def _about_policy(
    setup: Environment, url: str, answer: FetchedResponse, script: _Loaded
) -> Finding:
    wanted: list[tuple[str, str, str | None]] = [("script-src", script.url, script.nonce)]
    if style := _loaded(_STYLE, url, answer):
        wanted.append(("style-src", style.url, style.nonce))
    wanted.append(("connect-src", setup.refresh_api, None))
    policies = answer.headers.get_all("Content-Security-Policy") or []
    if refused := refused_directives(policies, url, wanted):
        return problem(
            "csp",
            f"the Content-Security-Policy stops the refresh page ({', '.join(refused)})",
            "allow 'self' there, and the API's origin in connect-src; with nonces, give the "
            "templates a global csp_nonce()",
        )
    return ok("csp", "the Content-Security-Policy lets the refresh page work")


def check_script(answer: Answer, content: bytes) -> Finding:
    """Tell whether browsers get the script that this process has."""
    advice = "let proxies and hooks pass what is below SSR_SESSION_REFRESH_PATH as it is"
    if isinstance(answer, FetchError) or answer.status != 200:
        return problem(
            "script",
            f"the refresh page's script is not there ({failure_text(answer)})",
            f"{advice}; where a proxy takes a path off, tell the app its mount point",
        )
    if "javascript" not in answer.headers.get("Content-Type", "").lower():
        return problem(
            "script", "the script is not sent as JavaScript, so no browser runs it", advice
        )
    if "Content-Encoding" in answer.headers:
        return warning(
            "script",
            "the script comes encoded though nobody asked for it: a cache ignores Vary",
            "let caches in front of the site obey Vary and Cache-Control, on pages above all",
        )
    if answer.body != content:
        return warning(
            "script",
            "the site sends another script than this installation has",
            "bring the running site to the same version of flask_ssr_session; after that, see "
            "what changes the file on its way",
        )
    return ok("script", "browsers get the script as it was built")


def next_url(url: str, answer: Answer) -> str | None:
    """Return where an answer of *url* sends the browser on the same site, or None.

    None also where this package sends it: that is what a stranger gets.
    """
    if isinstance(answer, FetchError) or not 300 <= answer.status < 400:
        return None
    if "SSR-Session" in answer.headers:
        return None
    location = answer.headers.get("Location")
    if not location:
        return None
    try:
        target = urljoin(url, location)
    except ValueError:  # no address at all
        return None
    return target if browser_origin(target) == browser_origin(url) else None


def _path(url: str) -> str:
    return urlsplit(url).path


def check_sign_in(url: str, at: str, answer: Answer) -> Finding:
    """Tell whether a stranger who is sent to sign in at *url* arrives there.

    :param at: who gave the answer: *url*, or where that sends to on its site.
    """
    advice = "set SSR_SESSION_LOGIN_URL to the sign-in page, or website_base_path of the SDK"
    if isinstance(answer, FetchError):
        return problem("sign_in", f"nothing answers at {host_and_port(url)} ({answer})", advice)
    if answer.status == 404:
        return problem("sign_in", "there is no sign-in page where visitors are sent to", advice)
    onward = next_url(at, answer)
    goes_round = onward is not None and _path(onward) in (_path(url), _path(at))
    if goes_round or answer.status in (401, 403) or "SSR-Session" in answer.headers:
        return problem(
            "sign_in",
            "the sign-in page itself asks for a session, so nobody can ever sign in",
            "let strangers in: no login_required there, and session_optional or session_exempt "
            "on its view",
        )
    if answer.status >= 500:
        return problem(
            "sign_in",
            f"the sign-in page fails (status {answer.status})",
            "see the log of the site there",
        )
    if answer.status >= 400:
        return problem("sign_in", f"the sign-in page answers with status {answer.status}", advice)
    return ok("sign_in", f"the sign-in page answers at {host_and_port(url)}")
