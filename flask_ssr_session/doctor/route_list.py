"""List the routes of an app, and what each asks of a session. No request is made."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import accumulate
from typing import Any, NamedTuple

from flask import Flask
from werkzeug.routing import Rule

from ..app_state import AppState
from ..config.field_types import is_address
from ..config.resolved import ResolvedSettings
from ..decorators import session_optional, session_required
from ..errors import MisuseError
from ..exemptions import serves_static_files
from ..middleware_order import is_require_session, is_sdk_hook
from ..request_paths import REFRESH_ENDPOINT, mounted
from ..sansio.requirements import Requirements, view_mark
from ..setup_checks import can_be_opened
from .code_reader import CodeFindings, read_code

_IMPLIED_METHODS = frozenset({"HEAD", "OPTIONS"})
_READS_SESSION = frozenset({"g.session", "get_ssr_session", "current_user", "get_current_user"})


class Source(NamedTuple):
    """Requirements, and where the app declares them: ``view``, ``app`` or ``blueprint NAME``."""

    where: str
    requirements: Requirements

    @property
    def conditions(self) -> dict[str, Any]:
        """The requirements that differ from those of a bare ``session_required``, by name."""
        values, defaults = _flat(self.requirements), _flat(Requirements())
        return {name: value for name, value in values.items() if value != defaults[name]}


class Route(NamedTuple):
    """One rule of the app.

    :ivar endpoint: empty for SuperTokens' API, which the SDK serves without a route.
    :ivar host: the host or sub-domain, if routes differ by it; else empty.
    :ivar asks: what a request needs, see :func:`_level`.
    :ivar is_sign_in: the hook ``require_session`` lets visitors sign in there.
    :ivar sources: what the view, its blueprints and the app require.
    :ivar reads: the names about sessions in the view's code and templates, for example
        ``g.session``.
    """

    endpoint: str
    methods: tuple[str, ...]
    host: str
    rule: str
    asks: str
    is_sign_in: bool = False
    sources: tuple[Source, ...] = ()
    reads: tuple[str, ...] = ()

    @property
    def reads_unasked(self) -> bool:
        """Whether the view reads the session and asks nothing; a state says that it has expired."""
        reads_session = not _READS_SESSION.isdisjoint(self.reads)
        return reads_session and self.asks in ("open", "exempt")


def list_routes(state: AppState, resolved: ResolvedSettings | None) -> Iterator[Route]:
    """Yield the routes of an app in the order of its URL map.

    :param resolved: None if the settings are incomplete; sign-in and the API are unknown then.
    """
    app = state.app
    known: dict[int, CodeFindings] = {}

    def read(function: Any) -> CodeFindings:
        if id(function) not in known:
            known[id(function)] = read_code(app, function)
        return known[id(function)]

    for rule in app.url_map.iter_rules():
        view = app.view_functions.get(rule.endpoint)
        is_sign_in = resolved is not None and _is_sign_in(app, rule, resolved)
        base = _base_level(app, rule.endpoint, view)
        passes = base != "open" or is_sign_in
        sources = tuple(_sources(app, rule.endpoint, view, passes_hooks=passes))
        asks_in_code = read(view).asks or any(
            read(hook).asks for _, hook in _hooks(app, rule.endpoint)
        )
        yield Route(
            rule.endpoint,
            tuple(sorted((rule.methods or set()) - _IMPLIED_METHODS)),
            rule.host or rule.subdomain or "",
            rule.rule,
            _level(base, sources, read(view).reads, asks_in_code=asks_in_code),
            is_sign_in,
            sources,
            tuple(sorted(read(view).reads)),
        )
    if resolved is not None and any(map(is_sdk_hook, app.before_request_funcs.get(None, ()))):
        yield Route("", (), "", f"{resolved.api_base_path}/<path>", "api")


def _level(
    base: str, sources: tuple[Source, ...], reads: frozenset[str], *, asks_in_code: bool
) -> str:
    """Return what a request needs.

    ``required`` or ``optional``: a session, as for the decorators. ``code``: the code of the view
    or of a hook calls ``require_session``, on some condition perhaps. ``template``: a template of
    the view uses ``needs_refresh``. Otherwise *base*: ``static``, ``refresh`` and ``exempt`` are
    never asked by hooks, and ``open`` asks nothing.
    """
    if sources:
        optional = all(source.requirements.optional for source in sources)
        return "optional" if optional else "required"
    if base not in ("open", "exempt"):
        return base
    if asks_in_code:
        return "code"
    return "template" if "needs_refresh" in reads else base


def _base_level(app: Flask, endpoint: str, view: Any) -> str:
    if endpoint == REFRESH_ENDPOINT:
        return "refresh"
    if serves_static_files(app, endpoint):
        return "static"
    return "exempt" if view_mark(view).exempt else "open"


def _sources(app: Flask, endpoint: str, view: Any, *, passes_hooks: bool) -> Iterator[Source]:
    """Yield what applies to requests for *endpoint*.

    :param passes_hooks: the hook ``require_session`` lets such requests pass.
    """
    mark = view_mark(view)
    for owner, hook in _hooks(app, endpoint):
        where = "app" if owner is None else f"blueprint {owner}"
        # A function behind a decorator lets no request pass, whatever it is for.
        for requirements in view_mark(hook).requirements:
            yield Source(where, requirements)
        if is_require_session(hook) and not passes_hooks:
            yield Source(where, hook_requirements(hook).lowered_by(mark))
    for requirements in mark.requirements:
        yield Source("view", requirements)


def _hooks(app: Flask, endpoint: str) -> Iterator[tuple[str | None, Any]]:
    """Yield the ``before_request`` functions for *endpoint* and their owners, in their order."""
    blueprints = accumulate(endpoint.split(".")[:-1], "{}.{}".format)
    for owner in (None, *blueprints):
        for hook in app.before_request_funcs.get(owner, ()):
            yield owner, hook


def hook_requirements(hook: Any) -> Requirements:
    """Return the requirements of the hook ``require_session``, perhaps in a partial."""
    keywords: dict[str, Any] = {}
    while isinstance(hook, partial):
        keywords = {**hook.keywords, **keywords}
        hook = hook.func
    try:
        is_optional = keywords.pop("optional", False) is True
        decorate = session_optional() if is_optional else session_required(**keywords)
        return view_mark(decorate(lambda: None)).requirements[0]
    except (MisuseError, TypeError):  # every request raises it
        return Requirements()


def _is_sign_in(app: Flask, rule: Rule, resolved: ResolvedSettings) -> bool:
    """Return whether every request for *rule* is one for the sign-in page, at its own path."""
    setting = resolved.login_url
    if not isinstance(setting, str):
        return False
    if not is_address(setting):
        # A rule with more arguments may serve any page.
        fewest = min(len(each.arguments) for each in app.url_map.iter_rules(rule.endpoint))
        is_page = len(rule.arguments) == fewest and can_be_opened(app, rule)
        return rule.endpoint == setting and is_page and rule.rule != "/"
    path = mounted(app.config["APPLICATION_ROOT"], rule.rule)
    return path.rstrip("/") == setting.rstrip("/") and rule.rule != "/"


def _flat(requirements: Requirements) -> dict[str, Any]:
    """Return requirements by the names of the decorators' arguments."""
    claims, recency = requirements.claims._asdict(), requirements.recency._asdict()
    claims["validators"] = tuple(str(each.id) for each in requirements.claims.validators)
    values = {**claims, **recency, **requirements._asdict()}
    for name in ("claims", "recency", "optional"):
        del values[name]
    return values
