"""The commands ``flask ssr-session …``. What they do is loaded when one of them runs."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import click
from flask.cli import AppGroup

if TYPE_CHECKING:
    from .doctor import Finding

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}

# More than any token that could be one, and less than a file given by mistake.
_MOST_INPUT_CHARS = 16 * 1024

commands = AppGroup("ssr-session", help="Look after SuperTokens sessions on pages.")


def _front_page(_context: click.Context, _option: click.Parameter, url: str | None) -> str | None:
    from .urls import parse_origin

    if url is None:
        return None
    try:
        parts = urlsplit(url)
        if parts.query or parts.fragment:
            raise ValueError("it has to end with the path")
        return parse_origin(f"{parts.scheme}://{parts.netloc}") + parts.path.rstrip("/")
    except ValueError as error:
        raise click.BadParameter(f"{error}, for example https://www.example.com.") from None


def _from_input(_context: click.Context, _option: click.Parameter, value: str | None) -> bool:
    # The value is not repeated: it may well be a token.
    if value not in (None, "-"):
        raise click.BadParameter(
            "a token does not belong on a command line, where the shell and the list of processes "
            "keep it. Pass --token - and give it by standard input."
        )
    return value == "-"


@commands.command()
@click.option(
    "--url", callback=_front_page, help="Where browsers see the site, such as https://example.com."
)
@click.option("--offline", is_flag=True, help="Ask neither the core, nor the API, nor the site.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--token",
    "explain",
    metavar="-",
    callback=_from_input,
    help="Explain the access token on standard input instead; it is not printed.",
)
def doctor(url: str | None, offline: bool, as_json: bool, explain: bool) -> None:
    """Tell why sessions do not work: one line each, and what to do.

    The exit status is 1 where there is a problem, and 0 where there are warnings at most.
    """
    from .checkup import check_up, explain_input
    from .state import current_state

    state = current_state()
    if explain:
        findings = list(explain_input(state, _read_token(), offline=offline))
    else:
        findings = list(check_up(state, url, offline=offline))
    _print(findings, as_json)
    sys.exit(any(finding.level.value == "problem" for finding in findings))


def _read_token() -> str:
    if sys.stdin.isatty():
        return str(click.prompt("Access token (not shown)", hide_input=True, err=True))
    return sys.stdin.read(_MOST_INPUT_CHARS)


def _print(findings: Iterable[Finding], as_json: bool) -> None:
    rows = [
        {"check": f.check, "level": f.level.value, "says": f.says, "advice": f.advice}
        for f in findings
    ]
    counts = {level: sum(row["level"] == level for row in rows) for level in _COLOURS}
    if as_json:
        click.echo(json.dumps({"findings": rows, "counts": counts}, indent=1))
        return
    width = max(len(row["check"]) for row in rows)
    # https://no-color.org; where the output is no terminal, click drops colours by itself.
    color = False if os.environ.get("NO_COLOR") else None
    for row in rows:
        level = click.style(f"{row['level']:<8}", fg=_COLOURS[row["level"]])
        advice = f" -> {row['advice']}" if row["advice"] else ""
        click.echo(f"{level} {row['check']:<{width}}  {row['says']}{advice}", color=color)
    plural = {"ok": "ok", "warning": "warnings", "problem": "problems"}
    told = (f"{count} {level if count == 1 else plural[level]}" for level, count in counts.items())
    click.echo(", ".join(told))
