"""``flask ssr-session doctor``: its input, its output, and one token explained."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from flask_ssr_session import FlaskSSRSession
from flask_ssr_session.doctor import command
from flask_ssr_session.sansio.base64url import decode_base64url
from flask_ssr_session.testing import SessionSigner

from .conftest import MakeApp, app_without_sdk, line, run, signed_in

ROOT = Path(__file__).resolve().parents[3]

# --- one token -----------------------------------------------------------------------------------


def test_good_token_is_explained_and_not_repeated(example: MakeApp) -> None:
    app = example()
    token = signed_in(app)
    result = run(app, "--token", "-", input=f"sAccessToken={token}\n")

    assert result.exit_code == 0
    assert line(result, "token") == "ok token the token proves a session"
    assert line(result, "sub") == "ok sub present"
    assert line(result, "st-role").startswith("ok st-role present, fetched ")
    payload = json.loads(decode_base64url(token.split(".")[1].encode()))
    secrets = {*token.split("."), *(value for value in payload.values() if isinstance(value, str))}
    # Short values, for example "public", are also words of the messages.
    assert not [value for value in secrets if len(value) > 8 and value in result.output]


def test_token_of_another_core_is_rejected(example: MakeApp) -> None:
    signer = SessionSigner("d-1700000000000")
    result = run(example(), "--token", "-", input=signer.sign(signer.claims()))

    assert result.exit_code == 1
    assert line(result, "token").startswith(
        "problem token the token is rejected: no key of the key set signed it"
    ) or line(result, "token").startswith("problem token the token could not be checked")


def test_token_is_checked_offline_except_for_its_signature(example: MakeApp) -> None:
    app = example()
    result = run(app, "--token", "-", "--offline", input=signed_in(app))

    assert result.exit_code == 0
    assert line(result, "token").startswith(
        "warning token well formed and not expired; the signature was not checked"
    )


def test_token_on_the_command_line_is_rejected_and_not_repeated() -> None:
    app = Flask("arguments")
    FlaskSSRSession(app, api_domain="https://api.example.com")
    result = run(app, "--token", "eyJhbGciOiJSUzI1NiJ9.x.y")

    assert result.exit_code == 2
    assert "--token -" in result.output
    assert "eyJ" not in result.output


@pytest.mark.parametrize("arguments", [["eyJhbGciOi"], ["--token", "-", "eyJhbGciOi"]])
def test_token_as_one_argument_too_many_is_not_repeated(arguments: list[str]) -> None:
    result = run(app_without_sdk(), *arguments)

    assert result.exit_code == 2
    assert "--token -" in result.output
    assert "eyJ" not in result.output


def test_cookie_header_is_read_for_its_token(example: MakeApp) -> None:
    app = example()
    token = signed_in(app)
    header = f"theme=a:b; sAccessToken={token}; notsAccessToken=x; sFrontToken=eyJ"

    for given in (header, f"Cookie: {header}", f"cookie: {header}"):
        assert line(run(app, "--token", "-", input=given), "token").startswith("ok token")


def test_two_session_cookies_are_reported(example: MakeApp) -> None:
    app = example()
    token = signed_in(app)
    header = f"sAccessToken={token}; theme=a:b; sAccessToken={token}"
    result = run(app, "--token", "-", input=header)

    assert result.exit_code == 1
    assert line(result, "cookies") == (
        "problem cookies the browser sends 2 cookies sAccessToken, so every refresh fails -> in "
        "the API, set session.init(older_cookie_domain=...) to the previous cookie domain, or to "
        '"" if there was none'
    )


def test_token_that_a_terminal_has_broken_into_lines_is_one_token(example: MakeApp) -> None:
    app = example()
    token = signed_in(app)
    broken = "\r\n ".join(token[start : start + 80] for start in range(0, len(token), 80))

    assert line(run(app, "--token", "-", input=broken), "token").startswith("ok token")


@pytest.mark.parametrize("given", [b"", b"\xff\xfeh\x00", b"\x80" * 100_000])
def test_input_that_is_not_text_is_an_invalid_token(given: bytes) -> None:
    result = run(app_without_sdk(), "--token", "-", input=given)

    assert result.exit_code == 1
    assert line(result, "token").startswith("problem token the token is rejected: ")


def test_closed_input_is_an_empty_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)

    assert command._read_token() == ""


# --- the address ---------------------------------------------------------------------------------


def test_address_is_required_without_an_sdk() -> None:
    app = app_without_sdk()

    assert line(run(app, "--offline"), "site").startswith(
        "warning site the site's address is unknown"
    )
    assert "the site is at https://www.example.com," in line(
        run(app, "--offline", "--url", "https://www.example.com/"), "site"
    )


@pytest.mark.parametrize(("name", "scheme"), [("exämple.com", "https"), ("www.example.com", "ws")])
def test_server_name_that_is_not_an_address_is_reported(name: str, scheme: str) -> None:
    app = app_without_sdk()
    app.config.update(SERVER_NAME=name, PREFERRED_URL_SCHEME=scheme)

    result = run(app, "--offline")
    assert result.exit_code == 1
    assert "SERVER_NAME is not an address that browsers can open" in line(result, "server_name")
    assert line(result, "site").startswith("warning site the site's address is unknown")
    assert "server_name" not in run(app, "--offline", "--url", "https://www.example.com").output


def test_server_name_gives_the_address() -> None:
    app = app_without_sdk()
    app.config.update(SERVER_NAME="www.example.com", PREFERRED_URL_SCHEME="https")

    assert "the site is at https://www.example.com," in line(run(app, "--offline"), "site")


def test_mount_point_of_the_app_belongs_to_the_address(example: MakeApp) -> None:
    app = example()
    app.config["APPLICATION_ROOT"] = "/mounted"

    # The served app is not mounted there.
    assert "status 404" in line(run(app), "refresh_page")
    assert line(run(app, "--offline"), "refresh_page").startswith("ok refresh_page")


def test_mount_point_belongs_to_the_address() -> None:
    result = run(app_without_sdk(), "--offline", "--url", "https://www.example.com/mounted/")

    assert line(result, "refresh_page") == "ok refresh_page /refresh-session shows the refresh page"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "www.example.com",
        "localhost:5000",
        "ftp://x.example",
        "https://",
        "https://me:secret@x.example",
        "https://secret[x.example",
        "https://x.example/?secret=1",
        "https://x.example?secret=1",
        "https://x.example/a#secret",
        "https://x.example/a b",
        "https://x.example/\x1b[31m",
        "https://x.example/\u00e9",
        "https://x.example/a\\b",
        "https://x.example//a",
        "https://x.example/a//b",
        "https://x.example/a/../b",
        "https://x.example:99999",
        "https://x..example",
        f"https://{'x' * 64}.example",
    ],
)
def test_invalid_address_is_rejected(url: str) -> None:
    result = run(app_without_sdk(), "--offline", "--url", url)

    assert result.exit_code == 2
    assert "for example https://www.example.com" in " ".join(result.output.split())
    assert "secret" not in result.output


@pytest.mark.parametrize(
    ("url", "site"),
    [
        (" HTTPS://WWW.Example.com:443/ ", "https://www.example.com"),
        ("http://[::1]:5000", "http://[::1]:5000"),
        (f"https://{'x' * 63}.example/a/b/", f"https://{'x' * 63}.example"),
    ],
)
def test_address_is_read_as_browsers_read_it(url: str, site: str) -> None:
    result = run(app_without_sdk(), "--offline", "--url", url)

    assert f"the site is at {site}," in result.output
    assert line(result, "refresh_page") == "ok refresh_page /refresh-session shows the refresh page"


def test_missing_api_domain_is_named() -> None:
    result = run(app_without_sdk(api_domain=None))

    assert result.exit_code == 1
    assert "SSR_SESSION_API_DOMAIN" in line(result, "setup")


def test_static_keys_are_checked_offline() -> None:
    static = SessionSigner("s-test").jwk()
    assert "1 key (1 static) in SSR_SESSION_JWKS" in line(
        run(app_without_sdk(jwks={"keys": [static]}), "--offline"), "keys"
    )
    dynamic = SessionSigner("d-1700000000000").jwk()
    assert line(run(app_without_sdk(jwks={"keys": [dynamic]}), "--offline"), "keys").startswith(
        "warning keys SSR_SESSION_JWKS holds dynamic keys"
    )


# --- the output ----------------------------------------------------------------------------------


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    app = app_without_sdk()

    assert "\x1b[" not in run(app, "--offline").output
    assert "\x1b[33mwarning" in run(app, "--offline", color=True).output
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in run(app, "--offline", color=True).output


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pseudo-terminals")
def test_token_that_is_typed_in_a_terminal_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "typed.py").write_text(
        "from flask import Flask\n"
        "from flask_ssr_session import FlaskSSRSession\n"
        "app = Flask('typed')\n"
        "FlaskSSRSession(app, api_domain='https://api.example.com')\n"
    )
    signer = SessionSigner()
    token = signer.sign(signer.claims())
    terminal, program_side = os.openpty()
    arguments = [sys.executable, "-m", "flask", "--app", "typed", "ssr-session", "doctor"]
    with subprocess.Popen(
        [*arguments, "--offline", "--token", "-"],
        stdin=program_side,
        stdout=program_side,
        stderr=program_side,
        cwd=tmp_path,
        env={
            **os.environ,
            "COLUMNS": "100",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)]),
        },
        start_new_session=True,
    ) as process:
        os.close(program_side)
        shown = _shown(terminal, until=b"(not shown): ")
        os.write(terminal, token.encode() + b"\n")
        shown += _shown(terminal)
        os.close(terminal)
        assert process.wait(30) == 0

    assert "\x1b[33mwarning" in shown
    assert "well formed and not expired" in shown
    # The advice has its own line, below the message.
    advice = [row for row in shown.splitlines() if "->" in row]
    margin = shown.splitlines()[-3].index("well formed") - len("\x1b[33m" + "\x1b[0m")
    assert advice == [" " * margin + "-> omit --offline"]
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
    text = command._wrap_finding(row, 30, 70)

    first, *others = text.split("\n")
    assert all(len(part) <= 40 for part in (first, *(other[30:] for other in others)))
    assert all(other.startswith(" " * 30) for other in others)
    assert [other[30:33] for other in others if "do" in other] == ["-> ", "   "]
    assert text.split() == (row["says"] + " -> " + row["advice"]).split()
    # One line each without a terminal, or if it is too narrow for two columns.
    for columns in (0, 59):
        assert "\n" not in command._wrap_finding(row, 30, columns)
    assert "\n" in command._wrap_finding(row, 30, 60)


def test_names_of_checks_fit_the_column(example: MakeApp) -> None:
    app = example()
    apps = json.loads(run(app, "--json").stdout)["findings"]
    tokens = json.loads(run(app, "--json", "--token", "-", input=signed_in(app)).stdout)["findings"]

    assert max(len(finding["check"]) for finding in apps) <= command._CHECK_WIDTH
    assert max(len(finding["check"]) for finding in tokens) == command._CLAIM_WIDTH


def test_each_finding_is_printed_as_soon_as_it_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    shown: list[str] = []

    def rows() -> Iterator[dict[str, str]]:
        for check in ("one", "two"):
            shown.append(capsys.readouterr().out)
            yield {"check": check, "level": "ok", "says": "fine", "advice": ""}

    assert command._print(rows(), 3) == {"ok": 2, "warning": 0, "problem": 0}
    assert shown == ["", "ok       one  fine\n"]


NOTHING_LOADED = """
import sys
from flask import Flask
from flask_ssr_session import FlaskSSRSession
FlaskSSRSession(Flask("lazy"), api_domain="https://api.example.com")
names = [name.partition(".")[2] for name in sys.modules if name.startswith("flask_ssr_session.")]
sys.stdout.write(",".join(name for name in names if name.startswith("doctor")))
"""


def test_serving_loads_nothing_of_the_doctor() -> None:
    result = subprocess.run(
        [sys.executable, "-c", NOTHING_LOADED], capture_output=True, text=True, check=True
    )

    assert result.stdout == ""
