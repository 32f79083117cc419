"""The command ``flask ssr-session routes``: what each route asks of a session."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import click
from flask.cli import ScriptInfo, pass_script_info

from ..app_state import EXTENSION_NAME, AppState
from ..config.resolved import ResolvedSettings
from ..config.sdk import read_sdk
from ..errors import ConfigError
from ..sign_in_url import sign_in_name
from .finding import Finding
from .load_app import load_app
from .route_list import Route, Source, list_routes

_HEADINGS = ("endpoint", "methods", "rule", "asks", "by", "reads")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_script_info
def routes(script_info: ScriptInfo, as_json: bool) -> None:
    """List every route, what it asks of a session, and which views look at the session.

    No request is made, and no view runs. The SuperTokens SDK need not be initialised.
    """
    app = load_app(script_info)
    if isinstance(app, Finding):
        raise click.ClickException(f"{app.message} -> {app.advice}")
    with app.app_context():
        _list_routes(app.extensions[EXTENSION_NAME], as_json=as_json)


def _list_routes(state: AppState, *, as_json: bool) -> None:
    notes: list[str] = []
    try:
        resolved = ResolvedSettings.resolve(state.settings, read_sdk())
    except ConfigError as error:
        resolved = None
        notes.append(f"Sign-in and SuperTokens' API are unknown: {error}")
    listed = list(list_routes(state, resolved))
    notes += _notes(state, resolved, listed)
    if as_json:
        click.echo(json.dumps({"routes": [*map(_as_json, listed)], "notes": notes}, indent=1))
        return
    _print_table([_HEADINGS, *map(_cells, listed)])
    for note in notes:
        click.echo(f"\n{note}")


def _notes(
    state: AppState, resolved: ResolvedSettings | None, listed: Sequence[Route]
) -> Iterator[str]:
    if resolved is not None and not any(route.is_sign_in for route in listed):
        yield (
            f"No route is marked as the sign-in page {sign_in_name(resolved)}: it is elsewhere, or "
            "only a request can tell. The hook require_session opens it to visitors."
        )
    if state.settings.check_revoked:
        yield "SSR_SESSION_CHECK_REVOKED is on: every route with a session asks the core."
    unasked = sorted({route.endpoint for route in listed if route.reads_unasked})
    if unasked:
        yield (
            f"Reads the session and asks nothing: {', '.join(unasked)}. A visitor whose token has "
            "expired counts as signed out there; session_optional refreshes it first."
        )


def _as_json(route: Route) -> dict[str, Any]:
    return {
        **route._asdict(),
        "sources": [
            {"where": each.where, "optional": each.requirements.optional, **each.conditions}
            for each in route.sources
        ],
        "reads_unasked": route.reads_unasked,
    }


def _cells(route: Route) -> tuple[str, ...]:
    host = f"//{route.host}" if route.host else ""
    return (
        route.endpoint or "(SuperTokens)",
        ",".join(route.methods) or "*",
        host + route.rule,
        route.asks + (" (sign-in)" if route.is_sign_in else ""),
        "; ".join(map(_source_text, route.sources)),
        ", ".join(route.reads) + (" (!)" if route.reads_unasked else ""),
    )


def _source_text(source: Source) -> str:
    conditions = [
        name
        if value is True
        else f"{name}={'+'.join(value) if isinstance(value, tuple) else value}"
        for name, value in source.conditions.items()
    ]
    if source.requirements.optional:
        conditions.insert(0, "optional")
    return ": ".join(filter(None, (source.where, ", ".join(conditions))))


def _print_table(rows: Sequence[tuple[str, ...]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        click.echo("  ".join(cells).rstrip())
