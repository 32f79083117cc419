"""The command ``flask ssr-session doctor``: its options, its input and its output."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator
from typing import NoReturn

import click
from flask.cli import with_appcontext

from ..app_state import current_state
from ..sansio.origins import parse_origin
from .finding import Finding
from .run import explain_input, run_checks

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}
_PLURALS = {"ok": "ok", "warning": "warnings", "problem": "problems"}

# More than any token that could be one, and less than a file given by mistake.
_MAX_INPUT_BYTES = 16 * 1024

# The longest names of checks, of an app and of a token, so that no line waits for the last one.
_CHECK_WIDTH = len("older_cookie_domain")
_CLAIM_WIDTH = len("parentRefreshTokenHash1")

# In a terminal that is narrower, text beside the names would be a column of single words.
_MIN_COLUMNS = 60

_INVALID_PATH_CHARACTERS = set('?#\\<>"% ')


def _front_page(_context: click.Context, _option: click.Parameter, url: str | None) -> str | None:
    if url is None:
        return None
    scheme, _, rest = url.strip().partition("://")
    place, slash, path = rest.partition("/")
    try:
        origin = parse_origin(f"{scheme}://{place}")
        if any(len(label) not in range(1, 64) for label in place.split(":")[0].split(".")):
            raise ValueError("a part of the host's name is empty or longer than 63 characters")
        if not path.isascii() or set(path) & _INVALID_PATH_CHARACTERS or not path.isprintable():
            raise ValueError("only a path may follow, without a query")
        if {"", ".", ".."} & set(path.rstrip("/").split("/")) and path.strip("/"):
            raise ValueError("the path has an empty part, or one of dots")
    except ValueError as error:
        raise click.BadParameter(f"{error}, for example https://www.example.com.") from None
    return origin + (slash + path).rstrip("/")


def _reject_token() -> NoReturn:
    # The value is not repeated: it may well be a token.
    raise click.BadParameter(
        "a token does not belong on a command line, where the shell and the list of processes "
        "keep it. Pass --token - and give it by standard input."
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
    "--url", callback=_front_page, help="Where browsers see the site, such as https://example.com."
)
@click.option("--offline", is_flag=True, help="Ask neither the core, nor the API, nor the site.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--token",
    "explain",
    metavar="-",
    callback=_from_input,
    help="Explain the access token, or the Cookie header, on standard input instead; no value of "
    "it is printed.",
)
# Click would repeat what is too much.
@click.argument("more", nargs=-1, metavar="", callback=_reject_extra_arguments, expose_value=False)
@with_appcontext
def doctor(url: str | None, offline: bool, as_json: bool, explain: bool) -> None:
    """Tell why sessions do not work: one line each, and what to do.

    Nothing is changed: the site is asked as a stranger's browser asks it, the refresh API without
    a session.

    The exit status is 1 where there is a problem, and 0 where there are warnings at most.
    """
    state = current_state()
    if explain:
        findings = explain_input(state, _read_token(), offline=offline)
    else:
        findings = run_checks(state, url, offline=offline)
    rows = _rows(findings)
    if as_json:
        all_rows = list(rows)
        counts = _counts(all_rows)
        click.echo(json.dumps({"findings": all_rows, "counts": counts}, indent=1))
    else:
        counts = _print(rows, _CLAIM_WIDTH if explain else _CHECK_WIDTH)
    sys.exit(1 if counts["problem"] else 0)


def _read_token() -> str:
    if sys.stdin is None:
        return ""
    if sys.stdin.isatty():
        return str(click.prompt("Access token (not shown)", hide_input=True, err=True))
    # Whatever is no ASCII is no token, and no reason to fail.
    return sys.stdin.buffer.read(_MAX_INPUT_BYTES).decode("ascii", "replace")


def _rows(findings: Iterable[Finding]) -> Iterator[dict[str, str]]:
    for f in findings:
        yield {"check": f.check, "level": f.level.value, "says": f.message, "advice": f.advice}


def _counts(rows: list[dict[str, str]]) -> dict[str, int]:
    return {level: sum(row["level"] == level for row in rows) for level in _COLOURS}


def _print(rows: Iterable[dict[str, str]], width: int) -> dict[str, int]:
    """Print each finding when it is known, one line each where no terminal shows them."""
    # https://no-color.org; where the output is no terminal, click drops colours by itself.
    color = False if os.environ.get("NO_COLOR") else None
    columns = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0
    printed = []
    for row in rows:
        level = click.style(f"{row['level']:<8}", fg=_COLOURS[row["level"]])
        text = _wrap_finding(row, len(f"{'':8} {'':{width}}  "), columns)
        click.echo(f"{level} {row['check']:<{width}}  {text}", color=color)
        printed.append(row)
    counts = _counts(printed)
    told = (f"{n} {level if n == 1 else _PLURALS[level]}" for level, n in counts.items())
    click.echo(", ".join(told))
    return counts


def _wrap_finding(row: dict[str, str], margin: int, columns: int) -> str:
    """Return what a finding says and advises, broken into lines for a terminal.

    :param columns: of the terminal; 0 where there is none.
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
