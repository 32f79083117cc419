"""Check the refresh page, its script and the sign-in page, as a new visitor receives them.

A server's response is untrusted: findings show its status, never its text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from ..errors import FetchError
from ..pages import assets
from ..upstream.fetch import FetchedResponse
from .csp import blocked_directives
from .environment import Environment
from .find_sign_in import has_sign_in_view
from .finding import Finding, ok, problem, warning
from .hosts import host_and_port
from .obstacles import find_obstacle
from .page_files import PageFile, find_script, find_style, loads_sdk, return_path
from .probes import RETURN_PATH, next_url

# The headers by which caches name a stored response: that of RFC 9211, and older ones.
_CACHE_HEADERS = ("Cache-Status", "X-Cache", "X-Cache-Status", "CF-Cache-Status")
_HIT = re.compile("(?<![a-z])hit(?![a-z])", re.IGNORECASE)
_MISSING = "add a view for it, or set SSR_SESSION_LOGIN_URL"


def check_refresh_page(environment: Environment) -> Iterator[Finding]:
    """Check that browsers receive the refresh page as HTML, and do not cache it."""
    page, path = environment.refresh_page, environment.settings.refresh_path
    if page is None:
        return
    answer, api = page.answer, environment.refresh_api
    if obstacle := find_obstacle(page, f"the site at {page.host}"):
        # If the API has the same host, check_refresh_api has reported it.
        if api is None or api.host != page.host or find_obstacle(api, "") is None:
            yield problem("refresh_page", *obstacle)
    elif isinstance(answer, FetchError):
        yield problem(
            "refresh_page",
            f"nothing responds at {page.host} ({answer})",
            "start the site, pass its address with --url, or pass --offline",
        )
    elif find_script(page) is None:
        yield problem(
            "refresh_page",
            f"{path} does not show the refresh page (status {answer.status})",
            "pass --url with the front page as browsers see it, including https"
            if 300 <= answer.status < 400 or answer.status == 404
            else "make hooks of the app, and proxies in front of it, pass the endpoint "
            "'ssr_session.refresh' and all paths below it; remove your own view at that path",
        )
    elif "text/html" not in answer.headers.get("Content-Type", "").lower():
        yield problem(
            "refresh_page",
            f"{path} is not sent as HTML, so browsers show its source",
            "do not change its Content-Type in hooks or proxies",
        )
    elif "no-store" not in ",".join(answer.headers.get_all("Cache-Control") or []).lower():
        yield problem(
            "refresh_page",
            f"caches may store {path}, so visitors would see an old response again and again",
            "do not change its Cache-Control: no-store in hooks or proxies",
        )
    elif return_path(page) != RETURN_PATH:
        yield problem(
            "refresh_page",
            "the query of a URL does not reach the app: pages miss their parameters, and visitors "
            "do not return to the page they asked for",
            "make the proxy pass the query: in nginx, write proxy_pass without a path, or with "
            "$request_uri in place of $uri",
        )
    else:
        yield ok("refresh_page", f"{path} shows the refresh page")


def check_caches(environment: Environment) -> Iterator[Finding]:
    """Check that no cache says that it has stored the refresh page."""
    pages = environment.refresh_page, environment.repeated_page
    if any(page is not None and _is_from_cache(page.answer) for page in pages):
        yield problem(
            "caches",
            "a cache on the way stores pages against Cache-Control, so visitors may see the pages "
            "of others",
            "turn it off for the pages of this site, and empty it",
        )


def _is_from_cache(answer: FetchedResponse | FetchError) -> bool:
    """Return whether a cache says that it had stored this page, which no cache may store."""
    if isinstance(answer, FetchError):
        return False
    headers = answer.headers
    if "no-store" not in ",".join(headers.get_all("Cache-Control") or []).lower():
        return False  # check_refresh_page reports it
    said = [value for name in _CACHE_HEADERS for value in headers.get_all(name) or []]
    age = headers.get("Age", "").strip()
    return (age.isdigit() and age.strip("0") != "") or any(map(_HIT.search, said))


def check_csp(environment: Environment) -> Iterator[Finding]:
    """Check that the Content-Security-Policy allows what the refresh page does."""
    page = environment.refresh_page
    if page is None or isinstance(page.answer, FetchError):
        return
    if (script := find_script(page)) is None:
        return
    loads: list[tuple[str, PageFile]] = [("script-src", script)]
    if style := find_style(page):
        loads.append(("style-src", style))
    loads.append(("connect-src", PageFile(environment.refresh_api_url, None)))
    policies = page.answer.headers.get_all("Content-Security-Policy") or []
    if blocked := blocked_directives(policies, page.url, loads):
        yield problem(
            "csp",
            f"the Content-Security-Policy blocks the refresh page ({', '.join(blocked)})",
            "allow 'self' there, and the API's origin in connect-src; if you use nonces, add a "
            "template global csp_nonce()",
        )
    else:
        yield ok("csp", "the Content-Security-Policy allows the refresh page")


def check_connection_allowlist(environment: Environment) -> Iterator[Finding]:
    """Check that ``Connection-Allowlist``, which some browsers obey, names the API."""
    page = environment.refresh_page
    if page is None or isinstance(page.answer, FetchError) or find_script(page) is None:
        return
    lists = page.answer.headers.get_all("Connection-Allowlist")
    if not lists:
        return
    origin = environment.api_origin
    names_api = [
        origin in each or ("response-origin" in each and origin == environment.site)
        for each in lists
    ]
    if not all(names_api):
        # Patterns may match what they do not name, so this is no verdict.
        yield warning(
            "connection_allowlist",
            f"the page sends Connection-Allowlist without the API's origin ({origin}); browsers "
            "that obey it block the refresh unless a pattern matches",
            "add the API's origin, and response-origin for the pages themselves",
        )


def check_script(environment: Environment) -> Iterator[Finding]:
    """Check that browsers receive the script of this installation."""
    if (probe := environment.script) is None:
        return
    answer = probe.answer
    advice = "make proxies and hooks pass everything below SSR_SESSION_REFRESH_PATH unchanged"
    if isinstance(answer, FetchError) or answer.status != 200:
        yield problem(
            "script",
            f"the refresh page's script is missing ({probe.failure_text})",
            f"{advice}; if a proxy removes a path prefix, tell the app its mount point",
        )
    elif "javascript" not in answer.headers.get("Content-Type", "").lower():
        yield problem(
            "script", "the script is not sent as JavaScript, so no browser runs it", advice
        )
    elif "Content-Encoding" in answer.headers:
        yield warning(
            "script",
            "the script is compressed, which the request did not allow: a cache ignores Vary",
            "make caches in front of the site obey Vary and Cache-Control, especially for pages",
        )
    elif answer.body != assets.script().content:
        yield warning(
            "script",
            "the site serves a different script than this installation has",
            "run the same version of flask_ssr_session on the site; if the scripts still differ, "
            "find what changes the file in transit",
        )
    else:
        yield ok("script", "browsers receive the script unchanged")


def check_sign_in(environment: Environment) -> Iterator[Finding]:
    """Check that visitors without a session can open the sign-in page."""
    url, probe = environment.sign_in_url, environment.sign_in
    if url is None:
        return
    if probe is not None:
        obstacle = find_obstacle(probe, f"the sign-in page at {probe.host}")
        yield (
            problem("sign_in", *obstacle)
            if obstacle
            else _check_sign_in(url, probe.url, probe.answer)
        )
    elif environment.is_offline and not has_sign_in_view(
        environment.state, environment.resolved, environment.front_page
    ):
        yield warning(
            "sign_in",
            "no view of this app serves the sign-in page, where visitors are sent",
            f"{_MISSING}, unless another service serves it",
        )


def _check_sign_in(url: str, final_url: str, answer: FetchedResponse | FetchError) -> Finding:
    """Check one response.

    :param url: where visitors are sent to.
    :param final_url: what responded: *url*, or where that redirects to.
    """
    advice = "set SSR_SESSION_LOGIN_URL to the sign-in page, or website_base_path of the SDK"
    if isinstance(answer, FetchError):
        return problem("sign_in", f"nothing responds at {host_and_port(url)} ({answer})", advice)
    if answer.status == 404:
        return problem(
            "sign_in", "visitors are sent to a sign-in page that does not exist", _MISSING
        )
    onward = next_url(final_url, answer)
    is_loop = onward is not None and urlsplit(onward).path in (
        urlsplit(url).path,
        urlsplit(final_url).path,
    )
    if is_loop or answer.status in (401, 403) or "SSR-Session" in answer.headers:
        return problem(
            "sign_in",
            "the sign-in page itself requires a session, so no visitor can ever sign in",
            "let visitors without a session in: remove the decorator or hook that requires a "
            "session there, or mark the view session_optional",
        )
    if answer.status >= 500:
        return problem(
            "sign_in",
            f"the sign-in page fails (status {answer.status})",
            "see the log of the server there",
        )
    if answer.status >= 400:
        return problem("sign_in", f"the sign-in page responds with status {answer.status}", advice)
    if answer.status < 300 and not loads_sdk(answer):
        return warning(
            "sign_in",
            "the sign-in page has no session_script(): unless it loads SuperTokens' browser SDK "
            "itself, sign-in sets no cookies",
            "add {{ session_script() }} to its head",
        )
    return ok("sign_in", f"the sign-in page responds at {host_and_port(url)}")
