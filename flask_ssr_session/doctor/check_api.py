"""Judge the refresh API, its leave for pages elsewhere, and the core. Values in, findings out.

An answer is a stranger's text: statuses and our own words are told, never what it said.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping

from ..errors import FetchError
from ..upstream.fetch import FetchedResponse
from .check_keys import Answer, ProbeResult, failure_text, key_ids
from .finding import Environment, Finding, host_and_port, ok, problem, warning

# What the browser SDK sends to the refresh API beyond what every page may send.
CORS_HEADERS = ("fdi-version", "rid", "st-auth-mode")


def check_refresh_api(setup: Environment, answer: Answer) -> Finding:
    """Judge what the refresh API says to a browser that has no session.

    SuperTokens says then, beside its status, that what is left of a session is to be removed.
    """
    status = setup.deployment.session_expired_status
    where = f"the refresh API at {_place(setup)}, below {setup.deployment.api_base_path or '/'},"
    if isinstance(answer, FetchError):
        return problem(
            "refresh_api",
            f"{where} does not answer ({answer})",
            "start it, and let api_domain have the scheme and the port that it answers at",
        )
    if answer.headers.get("front-token") != "remove":
        is_elsewhere = 300 <= answer.status < 400 or answer.status in (404, 405)
        return problem(
            "refresh_api",
            f"{where} does not answer as SuperTokens does (status {answer.status})",
            "call Middleware(app) there, and let api_domain, api_gateway_path and api_base_path "
            "name the place as browsers see it"
            if is_elsewhere
            else "see its log, and let proxies and hooks of the app (such as a CSRF protection) "
            "pass what is below the API base path, with its headers",
        )
    if answer.status != status:
        return problem(
            "refresh_api",
            f"{where} says 'no session' by status {answer.status}, and here {status} is expected",
            "let session_expired_status_code say the same wherever the SDK is initialised; "
            "without the SDK, 401 is expected",
        )
    return ok("refresh_api", f"{where} answers as SuperTokens does")


def check_api_keys(
    setup: Environment, answer: Answer, verification_kids: Collection[str]
) -> Finding:
    """Tell by its public key set whether the API uses the core that pages go by.

    :param verification_kids: ids of the keys that pages verify with.
    """
    kids = key_ids(answer)
    if not kids:
        return warning(
            "api_keys",
            f"the API at {_place(setup)} shows no keys ({failure_text(answer)}), so whether it "
            "uses the same core cannot be seen",
            "see whether its core answers",
        )
    if kids.isdisjoint(verification_kids):
        return problem(
            "api_keys",
            f"the API at {_place(setup)} has other keys than pages verify with: two cores, "
            "or an old SSR_SESSION_JWKS",
            "let both processes use one core (connection_uri), or one key set",
        )
    return ok("api_keys", f"the API at {_place(setup)} has the keys that pages verify with")


def check_cors(setup: Environment, site: str, leave: Answer, answer: FetchedResponse) -> Finding:
    """Judge whether a browser may refresh elsewhere.

    :param leave: the answer to the question it asks before.
    :param answer: what the refresh API says then.
    """
    where = f"the API at {_place(setup)}"
    if isinstance(leave, FetchError):
        return problem("cors", f"{where} does not answer OPTIONS ({leave})", "start it")
    lack = _missing_cors_header(leave, site, {"Access-Control-Allow-Headers": CORS_HEADERS})
    if not 200 <= leave.status < 300:
        lack = f"answers OPTIONS with status {leave.status}"
    lack = lack or _missing_cors_header(
        answer, site, {"Access-Control-Expose-Headers": ("front-token",)}
    )
    if not lack:
        return ok("cors", f"{where} lets pages of {site} refresh")
    return problem(
        "cors",
        f"{where} {lack}, so browsers refuse to refresh from {site}",
        f"there: CORS(app, origins=['{site}'], supports_credentials=True, "
        "allow_headers=['content-type', *get_all_cors_headers()])",
    )


def _missing_cors_header(
    answer: FetchedResponse, site: str, lists: Mapping[str, tuple[str, ...]]
) -> str:
    """Return what a browser misses in an answer to *site*, or nothing."""

    def values(name: str) -> list[str]:
        return answer.headers.get_all(name) or []

    if len(values("Access-Control-Allow-Origin")) > 1:
        return "names the site in Access-Control-Allow-Origin twice"
    if values("Access-Control-Allow-Origin") != [site]:
        return "does not name the site in Access-Control-Allow-Origin"
    if values("Access-Control-Allow-Credentials") != ["true"]:
        return "does not say true, once, in Access-Control-Allow-Credentials"
    for header, names in lists.items():
        listed = {name.strip().lower() for name in ",".join(values(header)).split(",")}
        if missing := [name for name in names if name not in listed]:
            return f"does not list {', '.join(missing)} in {header}"
    return ""


def check_core(heard: Collection[ProbeResult]) -> Finding:
    """Judge whether the cores take what the SDK asks them, by asking for no one's session."""
    for url, answer, _ in heard:
        if isinstance(answer, FetchedResponse) and _reports_unauthorised(answer):
            continue
        place = host_and_port(url)
        if isinstance(answer, FetchedResponse) and answer.status == 401:
            return problem(
                "core",
                f"the core at {place} refuses the API key of this process, so nobody can sign in "
                "or refresh",
                "set api_key of SupertokensConfig to one that the core knows",
            )
        return problem(
            "core",
            f"the core at {place} does not take what the SDK asks ({failure_text(answer)})",
            "start it, correct the path in connection_uri, and run a core of a version that this "
            "supertokens-python speaks with",
        )
    return ok("core", "the core takes what the SDK of this process asks")


def _reports_unauthorised(answer: FetchedResponse) -> bool:
    try:
        said = json.loads(answer.body) if answer.status == 200 else None
    except (ValueError, RecursionError):
        return False
    return isinstance(said, dict) and said.get("status") == "UNAUTHORISED"


def _place(setup: Environment) -> str:
    return host_and_port(setup.deployment.api_domain)
