"""The command ``flask ssr-session doctor``: its options, its input and its output."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import click
from flask.cli import ScriptInfo, pass_script_info

from ..app_state import EXTENSION_NAME, AppState
from ..sansio.origins import parse_origin
from ..throttled_log import logger
from .finding import Finding
from .load_app import load_app
from .run import explain_input, run_checks

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}
_PLURALS = {"ok": "ok", "warning": "warnings", "problem": "problems"}

# Larger than any valid token, but small enough to stop at a file that was piped in by mistake.
_MAX_INPUT_BYTES = 16 * 1024

# The longest check names of an app and of a token. Findings print one by one, so the width cannot
# depend on the later ones.
_CHECK_WIDTH = len("older_cookie_domain")
_CLAIM_WIDTH = len("parentRefreshTokenHash1")

# A narrower terminal has no room for a column of text next to the names.
_MIN_COLUMNS = 60

_INVALID_PATH_CHARACTERS = set('?#\\<>"% ')


def _front_page(_context: click.Context, _option: click.Parameter, url: str | None) -> str | None:
    if url is None:
        return None
    scheme, _, rest = url.strip().partition("://")
    authority, slash, path = rest.partition("/")
    try:
        origin = parse_origin(f"{scheme}://{authority}")
        if any(len(label) not in range(1, 64) for label in authority.split(":")[0].split(".")):
            raise ValueError("a part of the host name is empty or longer than 63 characters")
        if not path.isascii() or set(path) & _INVALID_PATH_CHARACTERS or not path.isprintable():
            raise ValueError("only a path may follow, without a query")
        if {"", ".", ".."} & set(path.rstrip("/").split("/")) and path.strip("/"):
            raise ValueError("the path has an empty part, or a part of dots")
    except ValueError as error:
        raise click.BadParameter(f"{error}, for example https://www.example.com.") from None
    return origin + (slash + path).rstrip("/")


def _reject_token() -> NoReturn:
    # The message does not repeat the value, because it may be a token.
    raise click.BadParameter(
        "do not put a token on the command line, where the shell history and the process list "
        "keep it. Pass --token - and give the token on standard input."
    )


def _from_input(_context: click.Context, _option: click.Parameter, value: str | None) -> bool:
    if value not in (None, "-"):
        _reject_token()
    return value == "-"


def _reject_extra_arguments(
    _context: click.Context, _argument: click.Parameter, values: tuple[str, ...]
) -> None:
    if values:
        _reject_token()


@click.command()
@click.option(
    "--url",
    callback=_front_page,
    help="The front page as browsers see it, for example https://example.com.",
)
@click.option("--offline", is_flag=True, help="Send no request to the core, the API or the site.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--token",
    "explain",
    metavar="-",
    callback=_from_input,
    help="Explain the access token, or the Cookie header, on standard input instead; no value of "
    "it is printed.",
)
# Click would repeat unexpected arguments in its error message.
@click.argument("more", nargs=-1, metavar="", callback=_reject_extra_arguments, expose_value=False)
@pass_script_info
def doctor(
    script_info: ScriptInfo, url: str | None, offline: bool, as_json: bool, explain: bool
) -> None:
    """Report why sessions do not work, and what to do.

    The doctor changes nothing: it requests pages as the browser of a new visitor does, and calls
    the refresh API without a session.

    The exit status is 1 if there is a problem, and 0 if there are warnings at most.
    """
    app = load_app(script_info)
    if isinstance(app, Finding):
        _report([app], as_json=as_json, explain=explain)
    with app.app_context(), _muted_log():
        state: AppState = app.extensions[EXTENSION_NAME]
        findings = (
            explain_input(state, _read_token(), offline=offline)
            if explain
            else run_checks(state, url, offline=offline)
        )
        _report(findings, as_json=as_json, explain=explain)


def _report(findings: Iterable[Finding], *, as_json: bool, explain: bool) -> NoReturn:
    """Print *findings*, and end the command with their exit status."""
    rows = _rows(findings)
    if as_json:
        all_rows = list(rows)
        counts = _counts(all_rows)
        click.echo(json.dumps({"findings": all_rows, "counts": counts}, indent=1))
    else:
        counts = _print(rows, _CLAIM_WIDTH if explain else _CHECK_WIDTH)
    sys.exit(1 if counts["problem"] else 0)


@contextmanager
def _muted_log() -> Iterator[None]:
    """Drop what the package logs while the doctor runs: the doctor's own requests cause it."""
    was_disabled, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = was_disabled


def _read_token() -> str:
    if sys.stdin is None:
        return ""
    if sys.stdin.isatty():
        return str(click.prompt("Access token (not shown)", hide_input=True, err=True))
    # Other bytes become "?", so that they fail as an invalid token instead of a traceback.
    return sys.stdin.buffer.read(_MAX_INPUT_BYTES).decode("ascii", "replace")


def _rows(findings: Iterable[Finding]) -> Iterator[dict[str, str]]:
    for f in findings:
        yield {"check": f.check, "level": f.level.value, "says": f.message, "advice": f.advice}


def _counts(rows: list[dict[str, str]]) -> dict[str, int]:
    return {level: sum(row["level"] == level for row in rows) for level in _COLOURS}


def _print(rows: Iterable[dict[str, str]], width: int) -> dict[str, int]:
    """Print each finding as soon as it is known, on one line if the output is not a terminal."""
    # https://no-color.org; click itself drops colours if the output is not a terminal.
    color = False if os.environ.get("NO_COLOR") else None
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    printed = []
    for row in rows:
        level = click.style(f"{row['level']:<8}", fg=_COLOURS[row["level"]])
        text = _wrap_finding(row, len(f"{'':8} {'':{width}}  "), columns)
        click.echo(f"{level} {row['check']:<{width}}  {text}", color=color)
        printed.append(row)
    counts = _counts(printed)
    click.echo(
        ", ".join(f"{n} {level if n == 1 else _PLURALS[level]}" for level, n in counts.items())
    )
    return counts


def _wrap_finding(row: dict[str, str], margin: int, columns: int) -> str:
    """Return message and advice of a finding, wrapped for a terminal.

    :param margin: columns in front of the text.
    :param columns: width of the terminal; 0 if the output is not a terminal.
    """
    parts = [row["says"]] + ([f"-> {row['advice']}"] if row["advice"] else [])
    if columns < _MIN_COLUMNS:
        return " ".join(parts)
    lines = [
        line
        for part in parts
        for line in textwrap.wrap(
            part,
            columns - margin,
            subsequent_indent="   " if part.startswith("-> ") else "",
            break_long_words=False,
            break_on_hyphens=False,
        )
    ]
    return ("\n" + " " * margin).join(lines)
