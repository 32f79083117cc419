"""Judge what the key server, the API and the site answered. Values in, findings out.

An answer is a stranger's text: statuses, counts and our own words are told, never what it said.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from datetime import timezone
from email.utils import parsedate_to_datetime
from urllib.parse import urljoin

from .doctor import Finding, Setup, ok, place_of, problem, warning
from .doctor_policy import refused_directives
from .errors import FetchError
from .fetching import Reply
from .jwks import parse_key_set
from .tokens import MAX_CLOCK_AHEAD_SECONDS

Answer = Reply | FetchError

# ``Date`` has whole seconds, and the answer took a while.
_CLOCK_TOLERANCE_SECONDS = 5.0

# What the browser SDK sends to the refresh API beyond what every page may send.
CORS_HEADERS = ("fdi-version", "rid", "st-auth-mode")

_KINDS = {"d-": "dynamic", "s-": "static"}

# Paths alone: what a page names on other hosts is not asked for.
_SCRIPT = re.compile(r'<script src="(/(?!/)[^"]*/ssr-session-[0-9a-f]+\.js)"[^>]*>')
_STYLE = re.compile(r'<link rel="stylesheet" href="(/(?!/)[^"]*/ssr-session-[0-9a-f]+\.css)"[^>]*>')
_NONCE = re.compile(r' nonce="([^"]+)"')


def ago(seconds: float) -> str:
    """Return a span of time in the largest unit that has two of it."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if abs(seconds) >= 2 * size:
            return f"{abs(seconds) / size:.0f} {unit}"
    return f"{abs(seconds):.0f} s"


def about_static_keys(setup: Setup, kids: Collection[str]) -> Finding:
    """Tell whether keys that came with the settings can be of use."""
    kind = setup.deployment.kid_prefix
    if kind is not None and not any(kid.startswith(kind) for kid in kids):
        return _wrong_kind("SSR_SESSION_JWKS", kind)
    if kind == "d-" or (kind is None and not any(kid.startswith("s-") for kid in kids)):
        return warning(
            "keys",
            "SSR_SESSION_JWKS holds dynamic keys: once SuperTokens makes a new one, which it does "
            "every week, everybody is refused",
            "session.init(use_dynamic_access_token_signing_key=False), and the static keys here",
        )
    return ok("keys", f"{_counted(kids)} in SSR_SESSION_JWKS, so none are fetched")


def about_keys(
    setup: Setup, answers: Sequence[tuple[str, Answer]], now: float
) -> Iterator[Finding]:
    """Yield what the key servers, tried in turn, come to; the first good answer counts."""
    failed: list[str] = []
    for uri, answer in answers:
        kids = key_ids(answer)
        if isinstance(answer, Reply) and kids:
            if failed:
                yield warning(
                    "keys",
                    f"no keys from {', '.join(failed)}, which is asked first",
                    "start it, or take it out of connection_uri",
                )
            yield _about_kinds(setup, place_of(uri), kids, now)
            yield from about_clock(answer, now)
            return
        failed.append(f"{place_of(uri)} ({_why(answer)})")
    yield problem(
        "keys",
        f"no keys can be had from {', '.join(failed)}, so nobody's token can be checked",
        "start the core, or correct connection_uri or SSR_SESSION_JWKS_URI",
    )


def key_ids(answer: Answer) -> frozenset[str]:
    """Return the ids of the usable keys in an answer, none where it holds no key set."""
    if isinstance(answer, FetchError) or answer.status != 200:
        return frozenset()
    try:
        return frozenset(parse_key_set(answer.body))
    except FetchError:
        return frozenset()


def _why(answer: Answer) -> str:
    if isinstance(answer, FetchError):
        return str(answer)
    return f"status {answer.status}" if answer.status != 200 else "no usable key set"


def _about_kinds(setup: Setup, host: str, kids: Collection[str], now: float) -> Finding:
    kind = setup.deployment.kid_prefix
    if kind is not None and not any(kid.startswith(kind) for kid in kids):
        return _wrong_kind(host, kind)
    made = [int(kid[2:]) / 1000 for kid in kids if re.fullmatch(r"d-\d{1,15}", kid, re.ASCII)]
    age = f", the newest dynamic one {ago(now - max(made))} old" if made else ""
    return ok("keys", f"{_counted(kids)} at {host}{age}")


def _wrong_kind(where: str, kind: str) -> Finding:
    return problem(
        "keys",
        f"{where} holds no {_KINDS[kind]} key, and the SDK here says that those sign",
        "let use_dynamic_access_token_signing_key say the same wherever the SDK is initialised",
    )


def _counted(kids: Collection[str]) -> str:
    counts = [
        f"{count} {kind}"
        for prefix, kind in _KINDS.items()
        if (count := sum(kid.startswith(prefix) for kid in kids))
    ]
    noun = "key" if len(kids) == 1 else "keys"
    return f"{len(kids)} {noun}" + (f" ({', '.join(counts)})" if counts else "")


def about_clock(answer: Reply, now: float, whose: str = "the key server") -> Iterator[Finding]:
    """Yield how this machine's clock differs from that of whoever answered, if that is told."""
    try:
        date = parsedate_to_datetime(answer.headers.get("Date", ""))
        # "-0000" is UTC of which nobody says whose (RFC 5322 section 3.3).
        ahead = date.replace(tzinfo=date.tzinfo or timezone.utc).timestamp() - now
    except (TypeError, ValueError, OverflowError):
        return
    if abs(ahead) <= _CLOCK_TOLERANCE_SECONDS:
        yield ok("clock", f"this machine and {whose} tell the same time")
        return
    says = f"{whose}'s clock is {ago(ahead)} {'ahead of' if ahead > 0 else 'behind'} ours"
    advice = "let both machines set their clocks by NTP"
    if ahead > MAX_CLOCK_AHEAD_SECONDS:
        yield problem("clock", f"{says}: tokens begin in the future, and pages are 503", advice)
    elif ahead < -MAX_CLOCK_AHEAD_SECONDS:
        yield problem("clock", f"{says}: tokens run out early, or as soon as they are made", advice)
    else:
        yield warning("clock", says, advice)


def about_api(setup: Setup, answer: Answer, verifying: Collection[str]) -> Finding:
    """Judge the API by its public key set, which is beside the refresh API.

    :param verifying: ids of the keys that pages verify with.
    """
    place = place_of(setup.deployment.api_domain)
    where = f"{place}, below {setup.deployment.api_base_path or '/'}"
    kids = key_ids(answer)
    if not kids:
        return problem(
            "refresh_api",
            f"SuperTokens' API does not answer at {where} ({_why(answer)})",
            "start it, call Middleware(app) there, and let api_domain, api_gateway_path and "
            "api_base_path name the place as browsers see it",
        )
    if verifying and kids.isdisjoint(verifying):
        return problem(
            "refresh_api",
            f"the API at {place} has other keys than pages verify with: two cores",
            "let both processes use one core (connection_uri), or one key set",
        )
    return ok("refresh_api", f"SuperTokens' API answers at {where}")


def about_cors(setup: Setup, site: str, answer: Answer) -> Finding:
    """Judge the answer to the question that a browser asks before it refreshes elsewhere."""
    where = f"the API at {place_of(setup.deployment.api_domain)}"
    if isinstance(answer, FetchError):
        return problem("cors", f"{where} does not answer OPTIONS ({answer})", "start it")
    header = answer.headers.get
    allowed = {
        name.strip().lower() for name in (header("Access-Control-Allow-Headers") or "").split(",")
    }
    missing = [name for name in CORS_HEADERS if name not in allowed]
    if not 200 <= answer.status < 300:
        lack = f"answers OPTIONS with status {answer.status}"
    elif header("Access-Control-Allow-Origin") != site:
        lack = "does not name the site in Access-Control-Allow-Origin"
    elif header("Access-Control-Allow-Credentials") != "true":
        lack = "does not allow credentials"
    elif missing:
        lack = f"does not allow the headers {', '.join(missing)}"
    else:
        return ok("cors", f"{where} lets pages of {site} refresh")
    return problem(
        "cors",
        f"{where} {lack}, so browsers refuse to refresh from {site}",
        f"there: CORS(app, origins=['{site}'], supports_credentials=True, "
        "allow_headers=['content-type', *get_all_cors_headers()])",
    )


def about_refresh_page(setup: Setup, url: str, answer: Answer) -> Iterator[Finding]:
    """Yield what the refresh page, asked for at *url*, is missing."""
    path = setup.settings.refresh_path
    if isinstance(answer, FetchError):
        yield problem(
            "refresh_page",
            f"nothing answers at {place_of(url)} ({answer})",
            "start the site, name it with --url, or pass --offline",
        )
        return
    page = answer.body.decode("utf-8", "replace")
    script = _SCRIPT.search(page)
    if answer.status != 200 or script is None:
        yield problem(
            "refresh_page",
            f"{path} shows no refresh page (status {answer.status})",
            "let hooks of the app, and what stands before it, pass the endpoint "
            "'ssr_session.refresh' and all below it; remove a view of your own at that address",
        )
        return
    if "no-store" not in (answer.headers.get("Cache-Control") or "").lower():
        yield problem(
            "refresh_page",
            f"{path} may be kept by caches, so visitors would get an old answer again and again",
            "leave its Cache-Control: no-store alone, in hooks and in proxies",
        )
    else:
        yield ok("refresh_page", f"{path} shows it")
    wanted = [("script-src", urljoin(url, script[1]), _nonce(script[0]))]
    if style := _STYLE.search(page):
        wanted.append(("style-src", urljoin(url, style[1]), _nonce(style[0])))
    deployment = setup.deployment
    refresh_api = f"{deployment.api_domain}{deployment.api_base_path}/session/refresh"
    wanted.append(("connect-src", refresh_api, None))
    policies = answer.headers.get_all("Content-Security-Policy") or []
    if refused := refused_directives(policies, url, wanted):
        yield problem(
            "csp",
            f"the Content-Security-Policy stops the refresh page ({', '.join(refused)})",
            "allow 'self' there, and the API's origin in connect-src; with nonces, give the "
            "templates a global csp_nonce()",
        )
    else:
        yield ok("csp", "the Content-Security-Policy lets the refresh page work")


def _nonce(element: str) -> str | None:
    found = _NONCE.search(element)
    return found[1] if found else None


def script_url(url: str, answer: Answer) -> str | None:
    """Return where the refresh page at *url* loads its script from."""
    found = _SCRIPT.search("" if isinstance(answer, FetchError) else answer.body.decode("latin-1"))
    return urljoin(url, found[1]) if found else None


def about_script(answer: Answer, content: bytes) -> Finding:
    """Tell whether browsers get the script that this process has."""
    advice = "let proxies and hooks pass what is below SSR_SESSION_REFRESH_PATH as it is"
    if isinstance(answer, FetchError) or answer.status != 200:
        return problem("script", f"the refresh page's script is not there ({_why(answer)})", advice)
    if "javascript" not in (answer.headers.get("Content-Type") or "").lower():
        return problem(
            "script", "the script is not sent as JavaScript, so no browser runs it", advice
        )
    if answer.body != content:
        return warning(
            "script",
            "the site sends another script than this installation has",
            "bring the running site to the same version of flask_ssr_session; after that, see "
            "what changes the file on its way",
        )
    return ok("script", "browsers get the script as it was built")


def about_sign_in(url: str, answer: Answer) -> Finding:
    """Tell whether a stranger who is sent to sign in arrives there."""
    advice = "set SSR_SESSION_LOGIN_URL to the sign-in page, or website_base_path of the SDK"
    if isinstance(answer, FetchError):
        return problem("sign_in", f"nothing answers at {place_of(url)} ({answer})", advice)
    if answer.status == 404:
        return problem("sign_in", "there is no sign-in page where visitors are sent to", advice)
    if answer.status in (401, 403) or "SSR-Session" in answer.headers:
        return problem(
            "sign_in",
            "the sign-in page itself asks for a session, so nobody can ever sign in",
            "mark its view with session_optional or session_ignored",
        )
    if answer.status >= 400:
        return problem("sign_in", f"the sign-in page answers with status {answer.status}", advice)
    return ok("sign_in", f"the sign-in page answers at {place_of(url)}")
