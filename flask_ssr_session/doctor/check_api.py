"""Check the core, the refresh API, and whether browsers may call it from the pages.

A server's response is untrusted: findings show its status, never its text.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from ..errors import FetchError
from ..upstream.fetch import FetchedResponse
from .environment import Environment
from .finding import Finding, Level, ok, problem, warning
from .hosts import host_and_port
from .obstacles import find_obstacle
from .probes import CORS_HEADERS, ProbeResult


def check_core(environment: Environment) -> Iterator[Finding]:
    """Check that every core accepts the requests that the SDK sends."""
    # check_keys reports the cores that have no keys.
    reported = {probe.host for probe in environment.key_servers if not probe.kids}
    cores = [probe for probe in environment.cores if probe.host not in reported]
    if not environment.verification_kids or not cores:
        return
    for probe in cores:
        if isinstance(probe.answer, FetchedResponse) and _reports_unauthorised(probe.answer):
            continue
        if isinstance(probe.answer, FetchedResponse) and probe.answer.status == 401:
            yield problem(
                "core",
                f"the core at {probe.host} rejects the API key of this process, so no user can "
                "sign in or refresh",
                "set api_key of SupertokensConfig to one that the core accepts",
            )
        elif isinstance(probe.answer, FetchedResponse) and probe.answer.status == 400:
            version = environment.resolved.core_headers["cdi-version"]
            yield problem(
                "core",
                f"the core at {probe.host} refuses this SDK's version of its interface, CDI "
                f"{version} (status 400), so no user can sign in or refresh",
                "remove supertokens_min_cdi_version from the core's configuration or lower it to "
                f"{version}, and run a core version that this supertokens-python supports",
            )
        else:
            yield problem(
                "core",
                f"the core at {probe.host} does not accept the SDK's requests "
                f"({probe.failure_text})",
                "start it, correct the path in connection_uri, and run a core version that this "
                "supertokens-python supports",
            )
        return
    yield ok("core", "the core accepts the requests of the SDK in this process")


def _reports_unauthorised(answer: FetchedResponse) -> bool:
    """Return whether a core says that the queried session does not exist."""
    try:
        body = json.loads(answer.body) if answer.status == 200 else None
    except (ValueError, RecursionError):
        return False
    return isinstance(body, dict) and body.get("status") == "UNAUTHORISED"


def check_refresh_api(environment: Environment) -> Iterator[Finding]:
    """Check that the refresh API responds to a browser without a session as SuperTokens does."""
    if environment.refresh_api is not None:
        yield _check_no_session(environment, environment.refresh_api)


def _check_no_session(environment: Environment, probe: ProbeResult) -> Finding:
    resolved, answer = environment.resolved, probe.answer
    status = resolved.session_expired_status
    where = f"the refresh API at {probe.host}, below {resolved.api_base_path or '/'},"
    if obstacle := find_obstacle(probe, where):
        return problem("refresh_api", *obstacle)
    if isinstance(answer, FetchError):
        return problem(
            "refresh_api",
            f"{where} does not respond ({answer})",
            "start it, and set api_domain with the scheme and the port that it listens on",
        )
    # Besides the status, SuperTokens tells the browser SDK to remove its front token.
    if answer.headers.get("front-token") != "remove":
        if lost := _lost_headers(answer):
            return problem(
                "refresh_api",
                f"{where} responds, but something on the way removes {lost} from its responses, so "
                "every refresh fails",
                "make proxies and CDNs in front of the API, and hooks of its app, pass these "
                "response headers",
            )
        is_elsewhere = 300 <= answer.status < 400 or answer.status in (404, 405)
        return problem(
            "refresh_api",
            f"{where} does not respond as SuperTokens does (status {answer.status})",
            "call Middleware(app) there, and set api_domain, api_gateway_path and api_base_path to "
            "the address that browsers use"
            if is_elsewhere
            else "see its log, and make proxies and hooks of the app (for example CSRF protection) "
            "pass requests below the API base path, with their headers, and the responses with "
            "status 401 (in nginx, without proxy_intercept_errors)",
        )
    if answer.status != status:
        return problem(
            "refresh_api",
            f"{where} reports 'no session' with status {answer.status}, but this process expects "
            f"{status}",
            "set session_expired_status_code to one value wherever the SDK is initialised; without "
            "the SDK, 401 is expected",
        )
    return ok("refresh_api", f"{where} responds as SuperTokens does")


def _lost_headers(answer: FetchedResponse) -> str:
    """Return which headers SuperTokens' response has lost; empty for any other response."""
    if "front-token" in answer.headers:
        return ""
    cookies = answer.headers.get_all("Set-Cookie") or []
    if any(cookie.startswith("sAccessToken=") for cookie in cookies):
        return "front-token"
    try:
        body = json.loads(answer.body)
    except (ValueError, RecursionError):
        return ""
    # The body of the SDK's response to a refresh without a session.
    return "front-token and Set-Cookie" if body == {"message": "unauthorised"} else ""


def working_refresh_api(environment: Environment) -> FetchedResponse | None:
    """Return the refresh API's response, or None if :func:`check_refresh_api` reports a problem."""
    probe = environment.refresh_api
    if probe is None or isinstance(probe.answer, FetchError):
        return None
    return probe.answer if _check_no_session(environment, probe).level is Level.OK else None


def check_cors(environment: Environment) -> Iterator[Finding]:
    """Check that browsers may call the refresh API from pages of another origin."""
    site, answer = environment.site, working_refresh_api(environment)
    if site is None or site == environment.api_origin or answer is None:
        return
    if urlsplit(site).scheme != urlsplit(environment.api_origin).scheme:
        return  # check_site reports it, and no header helps
    if (preflight := environment.preflight) is None:
        return
    where = f"the API at {preflight.host}"
    if isinstance(preflight.answer, FetchError):
        yield problem(
            "cors", f"{where} does not respond to OPTIONS ({preflight.answer})", "start it"
        )
    elif defect := _cors_defect(preflight.answer, answer, site):
        yield problem(
            "cors",
            f"{where} {defect}, so browsers block every refresh from {site}",
            f"in the API, call CORS(app, origins=['{site}'], supports_credentials=True, "
            "allow_headers=['content-type', *get_all_cors_headers()])",
        )
    else:
        yield ok("cors", f"{where} lets pages of {site} refresh")


def _cors_defect(preflight: FetchedResponse, answer: FetchedResponse, site: str) -> str:
    """Return why a browser blocks a refresh from *site*, or an empty text."""
    if not 200 <= preflight.status < 300:
        return f"responds to OPTIONS with status {preflight.status}"
    return _missing_cors_header(
        preflight, site, {"Access-Control-Allow-Headers": CORS_HEADERS}
    ) or _missing_cors_header(answer, site, {"Access-Control-Expose-Headers": ("front-token",)})


def _missing_cors_header(
    answer: FetchedResponse, site: str, lists: Mapping[str, tuple[str, ...]]
) -> str:
    """Return what a browser misses in a response to *site*, or an empty text."""

    def values(name: str) -> list[str]:
        return answer.headers.get_all(name) or []

    if len(values("Access-Control-Allow-Origin")) > 1:
        return "names the site in Access-Control-Allow-Origin twice"
    if values("Access-Control-Allow-Origin") != [site]:
        return "does not name the site in Access-Control-Allow-Origin"
    if values("Access-Control-Allow-Credentials") != ["true"]:
        return "does not send Access-Control-Allow-Credentials exactly once, as true"
    for header, names in lists.items():
        listed = {name.strip().lower() for name in ",".join(values(header)).split(",")}
        if missing := [name for name in names if name not in listed]:
            return f"does not list {', '.join(missing)} in {header}"
    return ""


def check_api_keys(environment: Environment) -> Iterator[Finding]:
    """Check that the API uses the core whose keys pages verify with."""
    # A process without the SDK fetches its keys from the API. check_keys reports missing keys.
    if (
        working_refresh_api(environment) is None
        or not environment.verification_kids
        or environment.api_key_set_url in environment.resolved.key_uris
        or (probe := environment.api_key_set) is None
    ):
        return
    where = f"the API at {host_and_port(environment.resolved.api_domain)}"
    if isinstance(probe.answer, FetchedResponse) and probe.answer.status >= 500:
        yield problem(
            "api_keys",
            f"the key set of {where} responds with status {probe.answer.status}, so sign-in and "
            "refresh most likely fail",
            "see the log of the API: its core is down, or rejects its api_key",
        )
    elif not probe.kids:
        yield warning(
            "api_keys",
            f"{where} publishes no keys ({probe.failure_text}), so the doctor cannot see whether "
            "it uses the same core",
            "check that its core is running",
        )
    elif probe.kids.isdisjoint(environment.verification_kids):
        yield problem(
            "api_keys",
            f"{where} has different keys than pages verify with: two cores, or an old "
            "SSR_SESSION_JWKS",
            "connect both processes to one core (connection_uri), or give them one key set",
        )
    else:
        yield ok("api_keys", f"{where} has the keys that pages verify with")
