"""``flask ssr-session doctor``: its input, its output, and one token on standard input."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from flask_ssr_session import doctor
from flask_ssr_session.doctor import command
from flask_ssr_session.doctor.probes import PAGE_HEADERS
from flask_ssr_session.doctor.run import CHECKS
from flask_ssr_session.testing import SessionSigner
from tests.tables import rows, shown
from tests.tokens import expired_token, make_token

from .factories import PAGES, checks_run, line, pages_app, run

KEPT: dict[str, Any] = {"jwks": {"keys": [SessionSigner().jwk()]}}
PROVES = "ok token the token proves a session"
REJECTED = "problem token the token is rejected: {}"
NOT_CHECKED = "warning token well formed and not expired; the signature was not checked"


def test_every_check_runs_once() -> None:
    names = [path.stem for path in Path(doctor.__file__).parent.glob("check_*.py")]
    modules = [import_module(f"{doctor.__name__}.{name}") for name in names]
    checks = {
        function
        for module in modules
        for name, function in vars(module).items()
        if name.startswith("check_") and function.__module__ == module.__name__
    }
    assert checks == set(CHECKS)
    assert len(CHECKS) == len(checks)


HEADER = "theme=a:b; sAccessToken={}; notsAccessToken=x; sFrontToken=e30"
OTHER_CORE: dict[str, Any] = {"jwks": {"keys": [SessionSigner("d-1700000000000").jwk()]}}
NO_BASE64, NO_KEY = REJECTED.format("a part is not base64url"), REJECTED.format("no key of the key")
NO_PARTS, LARGE = REJECTED.format("it does not have three"), REJECTED.format("it is larger than")

GIVEN: dict[str, Any] = {
    "a token": ("{}\n", KEPT, "", PROVES),
    "a token that a terminal has broken": ("{:.80}\r\n {}", KEPT, "", PROVES),
    "a header": (HEADER, KEPT, "", PROVES),
    "a header with its name": (f"Cookie: {HEADER}", KEPT, "", PROVES),
    "a header with its name in small letters": (f"cookie: {HEADER}", KEPT, "", PROVES),
    "another header": ("X: sAccessToken={}", KEPT, "", NO_BASE64),
    "keys that are at hand offline": ("{}", KEPT, "--offline", PROVES),
    "keys that are elsewhere": ("{}", {}, "--offline", NOT_CHECKED),
    "keys of another core": ("{}", OTHER_CORE, "", NO_KEY),
    "nothing": ("", KEPT, "", NO_PARTS),
    "no text": (b"\xff\xfeh\x00", KEPT, "", "problem token the token is rejected"),
    "much that is no text": (b"\x80" * 100_000, KEPT, "", LARGE),
}


@rows("given, settings, arguments, expected", GIVEN)
def test_token_is_read_from_standard_input_and_not_repeated(
    given: str | bytes, settings: dict[str, Any], arguments: str, expected: str
) -> None:
    token = make_token()
    if isinstance(given, str):
        given = given.format(token, token[80:]) if "80" in given else given.format(token)
    result = run(pages_app(**settings), "--token", "-", *arguments.split(), input=given)
    assert line(result, "token").startswith(expected)
    assert result.exit_code == expected.startswith("problem")
    assert not [part for part in token.split(".") if part in result.output]


def test_two_session_cookies_are_reported() -> None:
    header = f"sAccessToken={make_token()}; theme=a:b; sAccessToken={expired_token()}"
    result = run(pages_app(**KEPT), "--token", "-", input=header)
    assert result.exit_code == 1
    assert line(result, "cookies").startswith(
        "problem cookies the browser sends 2 cookies sAccessToken, so every refresh fails -> in"
    )
    assert checks_run(result) == {"cookies"}


TOO_OPEN: dict[str, Any] = {
    "the value of the option": ["--token", "eyJhbGciOi"],
    "an argument": ["eyJhbGciOi"],
    "an argument too many": ["--token", "-", "eyJhbGciOi"],
}


@rows("arguments", TOO_OPEN)
def test_token_on_the_command_line_is_rejected_and_not_repeated(arguments: list[str]) -> None:
    result = run(pages_app(), *arguments)
    assert result.exit_code == 2
    assert "--token -" in result.output
    assert "eyJ" not in result.output


def test_closed_input_is_an_empty_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert command._read_token() == ""


@rows("arguments", {"of an app": [], "of a token": ["--token", "-"]})
def test_missing_api_domain_is_named(arguments: list[str]) -> None:
    result = run(pages_app(api_domain=None), *arguments)
    assert result.exit_code == 1
    assert "SSR_SESSION_API_DOMAIN" in line(result, "setup")
    assert checks_run(result) == {"setup"}


# Neither half an address, nor one with more than host, port and mount point, nor one that readers
# take for different places.
NO_ADDRESSES = (
    *("", "www.example.com", "localhost:5000", "ftp://x.example", "https://"),
    *("https://me:secret@x.example", "https://secret[x.example", "https://x.example/?secret=1"),
    *("https://x.example?secret=1", "https://x.example/a#secret", "https://x.example/a b"),
    *("https://x.example/\x1b[31m", "https://x.example/\u00e9", "https://x.example/a\\b"),
    *("https://x.example//a", "https://x.example/a//b", "https://x.example/a/../b"),
    *("https://x.example:99999", "https://x..example", f"https://{'x' * 64}.example"),
)


@rows("url", {shown(url): url for url in NO_ADDRESSES})
def test_invalid_address_is_rejected(url: str) -> None:
    result = run(pages_app(), "--offline", "--url", url)
    assert result.exit_code == 2
    assert "for example https://www.example.com" in " ".join(result.output.split())
    assert "secret" not in result.output


LONG = f"https://{'x' * 63}.example"

ADDRESSES: dict[str, Any] = {
    "capitals, spaces and the default port": (" HTTPS://WWW.Example.com:443/ ", PAGES),
    "an IPv6 address": ("https://[::1]:5000", "https://[::1]:5000"),
    "a label of 63 characters": (f"{LONG}/", LONG),
    "a mount point": (f"{PAGES}/mounted/a/", PAGES),
}


@rows("url, site", ADDRESSES)
def test_address_is_read_as_browsers_read_it(url: str, site: str) -> None:
    result = run(pages_app(), "--offline", "--url", url)
    assert f"the site is at {site}," in result.output
    assert line(result, "refresh_page") == "ok refresh_page /refresh-session shows the refresh page"


def test_json_has_the_findings_and_their_counts() -> None:
    for arguments in ((), ("--url", PAGES)):
        result = run(pages_app(), "--offline", "--json", *arguments)
        output = json.loads(result.stdout)
        *lines, last = run(pages_app(), "--offline", *arguments).stdout.splitlines()
        shown = [[row["level"], row["check"], *row["says"].split()] for row in output["findings"]]
        assert [row.partition("->")[0].split() for row in lines] == shown
        counts = output["counts"]
        plural = "" if counts["problem"] == 1 else "s"
        assert last.endswith(f"{counts['problem']} problem{plural}")
        assert result.exit_code == (1 if counts["problem"] else 0)


def test_log_about_the_doctors_own_requests_is_muted(caplog: pytest.LogCaptureFixture) -> None:
    app = pages_app(login_url="https://id.example.net/auth")
    run(app, "--offline", "--url", PAGES)
    assert not caplog.records
    app = pages_app(login_url="https://id.example.net/auth")
    app.test_client().get("/refresh-session", base_url=PAGES, headers=dict(PAGE_HEADERS))
    assert "other_host" in caplog.text


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    app = pages_app()
    assert "\x1b[" not in run(app, "--offline").output
    assert "\x1b[33mwarning" in run(app, "--offline", color=True).output
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in run(app, "--offline", color=True).output


TYPED = "from tests.doctor.factories import pages_app\napp = pages_app()\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_token_that_is_typed_in_a_terminal_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "typed.py").write_text(TYPED)
    token = make_token()
    terminal, program_side = os.openpty()
    arguments = [sys.executable, "-m", "flask", "--app", "typed", "ssr-session", "doctor"]
    paths = os.pathsep.join([str(Path(__file__).parents[2]), str(tmp_path)])
    with subprocess.Popen(
        [*arguments, "--offline", "--token", "-"],
        stdin=program_side,
        stdout=program_side,
        stderr=program_side,
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "100", "PYTHONPATH": paths},
        start_new_session=True,
    ) as process:
        os.close(program_side)
        shown = _shown(terminal, until=b"(not shown): ")
        os.write(terminal, token.encode() + b"\n")
        shown += _shown(terminal)
        os.close(terminal)
        assert process.wait(60) == 0
    assert "\x1b[33mwarning" in shown
    # The advice has its own line, below the message.
    *_, message, advice, _ = shown.splitlines()
    margin = message.index("well formed and not expired") - len("\x1b[33m" + "\x1b[0m")
    assert advice == " " * margin + "-> omit --offline"
    assert not [part for part in token.split(".") if part in shown]


def _shown(terminal: int, until: bytes | None = None) -> str:
    """Return what a terminal shows from now on, up to *until* or the end."""
    shown = b""
    while until is None or until not in shown:
        try:
            chunk = os.read(terminal, 4096)
        except OSError:  # on Linux: the program closed its side
            break
        if not chunk:
            break
        shown += chunk
    return shown.decode()


def test_findings_are_wrapped_in_a_terminal() -> None:
    row = {"says": "word " * 12 + "end", "advice": "do " * 20 + "that"}
    first, *others = command._wrap_finding(row, 30, 70).split("\n")
    assert all(len(part) <= 40 for part in (first, *(other[30:] for other in others)))
    assert all(other.startswith(" " * 30) for other in others)
    assert [other[30:33] for other in others if "do" in other] == ["-> ", "   "]
    assert " ".join([first, *others]).split() == f"{row['says']} -> {row['advice']}".split()
    # One line each without a terminal, or if it is too narrow for two columns.
    for columns, is_wrapped in ((0, False), (59, False), (60, True)):
        assert ("\n" in command._wrap_finding(row, 30, columns)) is is_wrapped, columns


def test_each_finding_is_printed_as_soon_as_it_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    shown: list[str] = []

    def findings() -> Iterator[dict[str, str]]:
        for check in ("one", "two"):
            shown.append(capsys.readouterr().out)
            yield {"check": check, "level": "ok", "says": "fine", "advice": ""}

    assert command._print(findings(), 3) == {"ok": 2, "warning": 0, "problem": 0}
    assert shown == ["", "ok       one  fine\n"]
    assert capsys.readouterr().out.endswith("\n2 ok, 0 warnings, 0 problems\n")
