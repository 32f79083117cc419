"""Gather what the doctor judges: from the app, from the SDK, and from whoever answers.

The app is asked as a browser without any cookie would ask it, and others by GET and OPTIONS alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urljoin, urlsplit

from flask import Flask

from . import assets
from .config import Deployment
from .decorators import check_decorator_order
from .doctor import Finding, Setup, examine, ok, problem
from .doctor_network import (
    CORS_HEADERS,
    Answer,
    about_api,
    about_clock,
    about_cors,
    about_keys,
    about_refresh_page,
    about_script,
    about_sign_in,
    about_static_keys,
    key_ids,
    script_url,
)
from .doctor_token import explain_token
from .errors import ConfigError, FetchError, MisuseError
from .fetching import Deadline, Reply, ask
from .jwks import parse_key_set
from .logs import ReasonLog
from .pages import is_packaged_look, render_document
from .sdk import read_cookie_rules, read_sdk
from .state import ACCESS_TOKEN_COOKIE, AppState, current_request
from .urls import parse_origin
from .verdict import Reason, Verdict

_ASK_SECONDS = 3.0

# A page request of a browser that has never been here.
_AS_A_BROWSER = {
    "Accept": "text/html,application/xhtml+xml,*/*;q=0.8",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
    "Sec-Fetch-Site": "none",
}

# One for each page of ours that an app's template may have to show.
_SITUATIONS = (Reason.EXPIRED, Reason.ANONYMOUS, Reason.KEYS_UNAVAILABLE, Reason.CROSS_SITE)


def check_up(state: AppState, url: str | None, *, offline: bool) -> Iterator[Finding]:
    """Yield everything that can be found out about an app.

    :param url: where browsers see the front page; None for what the SDK or SERVER_NAME says.
    :param offline: ask nobody but the app itself.
    """
    try:
        check_decorator_order(state.app)
        sdk = read_sdk()
        deployment = Deployment.of(state.settings, sdk)
        script = assets.script().content
        assets.style()
    except MisuseError as error:
        yield problem("decorators", str(error), "mend this first: nothing else was looked at")
        return
    except ConfigError as error:
        yield problem("setup", str(error), "mend this first: nothing else was looked at")
        return
    yield ok("decorators", "every decorator stands below its route")
    front = url or _front_page(state.app, sdk.website_origin if sdk else None)
    setup = Setup(
        settings=state.settings,
        deployment=deployment,
        sdk=sdk,
        cookies=read_cookie_rules(),
        sdk_version=_sdk_version(),
        answers_api=_answers_api(state.app),
        site=_origin(front) if front else None,
    )
    yield from examine(setup)
    yield _about_templates(state, front)
    verifying = frozenset[str]()
    if state.settings.jwks is not None:
        verifying = _static_kids(state)
        yield about_static_keys(setup, verifying)
    if offline:
        if front:
            address = _below(front, state.settings.refresh_path)
            yield from about_refresh_page(setup, address, _ask_app(state.app, front, address))
        return
    if deployment.key_uris:
        answers = [(uri, _ask(uri)) for uri in deployment.key_uris]
        verifying = next(filter(None, (key_ids(answer) for _, answer in answers)), verifying)
        yield from about_keys(setup, answers, state.clock.wall())
    yield from _about_api(setup, verifying, state.clock.wall())
    if front:
        yield from _about_site(setup, front, script)


def explain_input(state: AppState, text: str, *, offline: bool) -> Iterator[Finding]:
    """Yield what can be told of the access token in *text*, none of which is repeated.

    :param offline: fetch no keys; keys that came with the settings are used all the same.
    """
    try:
        ready = state.ready()
    except (ConfigError, MisuseError) as error:
        yield problem("setup", str(error), "mend this first: the token was not looked at")
        return
    raw_token = text.strip().removeprefix(f"{ACCESS_TOKEN_COOKIE}=")
    keys = None if offline and ready.deployment.key_uris else ready.keys
    yield from explain_token(raw_token, keys, ready.rules, state.clock.wall())


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return parse_origin(f"{parts.scheme}://{parts.netloc}")


def _front_page(app: Flask, website: str | None) -> str | None:
    if website is None and app.config["SERVER_NAME"]:
        website = f"{app.config['PREFERRED_URL_SCHEME']}://{app.config['SERVER_NAME']}"
    return website and _below(website, app.config["APPLICATION_ROOT"])


def _below(front: str, path: str) -> str:
    return front.rstrip("/") + path


def _sdk_version() -> str | None:
    try:
        return version("supertokens-python")
    except PackageNotFoundError:
        return None


def _answers_api(app: Flask) -> bool:
    hooks = app.before_request_funcs.get(None, [])
    return any(hook.__module__.startswith("supertokens_python.") for hook in hooks)


def _static_kids(state: AppState) -> frozenset[str]:
    document = state.settings.jwks or {}
    return frozenset(
        parse_key_set(Path(document).read_bytes() if isinstance(document, str) else document)
    )


class _Heard(ReasonLog):
    """Keeps what would be logged of templates that failed."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def write(
        self,
        level: int,  # noqa: ARG002
        reason: str,
        message: str,
        *,
        exc_info: BaseException | None = None,  # noqa: ARG002
    ) -> None:
        if reason == "override_broken":
            self.messages.append(message)


@contextmanager
def _listening(state: AppState) -> Iterator[list[str]]:
    """Hear what the package would log of the app; this process serves nobody else."""
    log, state.log = state.log, (heard := _Heard())
    try:
        yield heard.messages
    finally:
        state.log = log


def _about_templates(state: AppState, front: str | None) -> Finding:
    """Let the app's own templates show each of our pages, as they would to a visitor."""
    for reason in _SITUATIONS:
        with (
            _listening(state) as heard,
            state.app.test_request_context(state.settings.refresh_path, base_url=front),
        ):
            if is_packaged_look():
                return ok("templates", "the refresh page has its original look")
            try:
                # Hooks of the app may set what its templates show.
                state.app.preprocess_request()
                state.record(current_request()).verdict = Verdict(reason)
                render_document()
            except Exception as error:  # noqa: BLE001 - the app's code, anything may come out
                return problem(
                    "templates",
                    f"the refresh page cannot be rendered in this app ({type(error).__name__})",
                    "see what before_request, context processors and csp_nonce() do there",
                )
            if heard:
                return problem("templates", heard[0], "mend the template, or take it out")
    return ok("templates", "the app's own templates show every page of ours")


def _ask(
    url: str, headers: Mapping[str, str] = MappingProxyType({}), method: str = "GET"
) -> Answer:
    try:
        return ask(method, url, Deadline(_ASK_SECONDS), headers)
    except FetchError as error:
        return error


def _ask_app(app: Flask, front: str, url: str) -> Answer:
    """Ask the app without a server; as when nobody may use the network."""
    path = urlsplit(url).path.removeprefix(urlsplit(front).path.rstrip("/"))
    try:
        response = app.test_client().get(path, base_url=front, headers=_AS_A_BROWSER)
    except Exception as error:  # noqa: BLE001 - in debug, what the app raises comes out here
        return FetchError(f"the app failed with {type(error).__name__}")
    headers = Message()
    for name, value in response.headers:
        headers[name] = value
    return Reply(response.status_code, headers, response.data)


def _about_api(setup: Setup, verifying: frozenset[str], now: float) -> Iterator[Finding]:
    deployment = setup.deployment
    api = f"{deployment.api_domain}{deployment.api_base_path}"
    answer = _ask(f"{api}/jwt/jwks.json")
    yield about_api(setup, answer, verifying)
    if not deployment.key_uris and isinstance(answer, Reply):
        yield from about_clock(answer, now, "the API")
    if setup.site is not None and not setup.is_api_here and isinstance(answer, Reply):
        leave = _ask(
            f"{api}/session/refresh",
            {
                "Origin": setup.site,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": ",".join(CORS_HEADERS),
            },
            "OPTIONS",
        )
        yield about_cors(setup, setup.site, leave)


def _about_site(setup: Setup, front: str, script: bytes) -> Iterator[Finding]:
    address = _below(front, setup.settings.refresh_path)
    page = _ask(address, _AS_A_BROWSER)
    yield from about_refresh_page(setup, address, page)
    if isinstance(page, FetchError):
        return
    if (at := script_url(address, page)) is not None:
        yield about_script(_ask(at), script)
    sign_in = urljoin(address, setup.deployment.login_url)
    yield about_sign_in(sign_in, _ask(sign_in, _AS_A_BROWSER))
