"""The README is correct: its code runs, its table matches, its links work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_ssr_session import session_required
from flask_ssr_session.dev_core import DevelopmentCore
from flask_ssr_session.testing import (
    PAGE_HEADERS,
    expire,
    install_test_keys,
    outage,
    set_token,
    sign_in,
    sign_out,
)
from tests.dev_core.sdk import sign_up
from tests.sdk.conftest import *  # noqa: F403 - fixtures, for pytest to find

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def rows(heading: str) -> list[list[str]]:
    section = README.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def paste(folder: Path) -> str:
    """Paste the templates of the quickstart into a folder and return its Python source."""
    (folder / "templates").mkdir()
    for name, template in zip(("dashboard", "sign_in"), blocks("jinja"), strict=True):
        (folder / "templates" / f"{name}.html").write_text(template, encoding="utf-8")
    (source,) = blocks("python")
    return source


def quickstart(core: DevelopmentCore, folder: Path) -> Flask:
    """Paste the quickstart into a folder and return its app."""
    source = paste(folder).replace("http://127.0.0.1:3567", core.uri)
    # Flask finds the templates beside the file of the module that makes it.
    names: dict[str, Any] = {"__name__": "pasted", "__file__": str(folder / "app.py")}
    exec(compile(source, folder / "app.py", "exec"), names)  # noqa: S102 - this is the test
    app: Flask = names["app"]
    app.template_folder = str(folder / "templates")
    return app


@pytest.fixture
def pasted(live_core: DevelopmentCore, sdk_environment: None, tmp_path: Path) -> Flask:  # noqa: ARG001
    return quickstart(live_core, tmp_path)


def test_the_quickstart_works_when_pasted(pasted: Flask) -> None:
    client = pasted.test_client()
    page = {"Accept": "text/html,*/*"}
    assert client.get("/", headers=page).location == "/auth?redirectToPath=/"
    sign_in_page = client.get("/auth?redirectToPath=/dashboard", headers=page).text
    assert 'data-return-path="/dashboard"' in sign_in_page
    assert 'data-mode="session"' in sign_in_page
    user_id = sign_up(client)
    assert client.get("/").text == f"Hello, {user_id}"
    assert f"Hello, {user_id}." in client.get("/dashboard", headers=page).text
    client.set_cookie("sAccessToken", "nonsense")
    assert 'data-ssr-session="refresh"' in client.get("/dashboard", headers=page).text


# --- who sees what -------------------------------------------------------------------------------


@contextmanager
def visit(client: FlaskClient, visitor: str) -> Iterator[None]:
    """Make a signed-in *client* the visitor that a row of the table is about."""
    with ExitStack() as until_then:
        match visitor:
            case "a token that verifies" | "a POST from another site":
                pass
            case "a token that has run out, or does not verify":
                expire(client)
            case "no token, but the browser SDK's sign of a session":
                client.delete_cookie("sAccessToken")
            case "nothing":
                sign_out(client)
            case "a token, while no signing key can be had":
                until_then.enter_context(outage(client.application))
            case "the session of a user who has not completed all factors of sign-in":
                sign_in(client, roles=["reader"], mfa_complete=False)
            case "a session without a role or another claim that is asked for":
                sign_in(client, roles=["guest"])
            case _:
                pytest.fail("nobody tries what this row says")
        yield


@pytest.mark.parametrize("row", rows("Who sees what"), ids=lambda row: row[0])
def test_a_row_of_the_table_says_what_is_answered(pasted: Flask, row: list[str]) -> None:
    @pasted.route("/here", methods=["GET", "POST"])
    @session_required(role="reader")
    def here() -> str:
        return "itself"

    pasted.testing = True
    install_test_keys(pasted)
    client = pasted.test_client()
    sign_in(client, roles=["reader"])
    method, site = ("POST", "cross-site") if "POST" in row[0] else ("GET", "same-origin")
    with visit(client, row[0]):
        statuses = [
            client.open(
                "/here", method=method, headers={**kind, "Sec-Fetch-Site": site}
            ).status_code
            for kind in (PAGE_HEADERS, {"Sec-Fetch-Dest": "empty"})
        ]
    assert statuses == [int(status) for cell in row[1:] for status in re.findall(r"\d{3}", cell)]


def test_a_token_that_does_not_verify_is_answered_as_one_that_has_run_out(pasted: Flask) -> None:
    client = pasted.test_client()
    set_token(client, "does not verify")
    refused = client.get("/", headers=PAGE_HEADERS)
    assert (refused.status_code, refused.headers["SSR-Session"]) == (200, "refresh; reason=invalid")


# --- what it points to ---------------------------------------------------------------------------


def test_links_and_pictures_lead_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert {f"docs/{name}" for name in ("configuration.rst", "images/late-form.png")} <= {*targets}
    for target in targets:
        assert (ROOT / target).is_file(), target


def test_every_page_of_the_documentation_is_linked() -> None:
    for page in (ROOT / "docs").glob("*.rst"):
        assert page.stem == "index" or f"(docs/{page.name})" in README, page.name


def test_pictures_are_small_and_say_what_they_show() -> None:
    pictures = re.findall(r"!\[([^]]*)\]\(([^)]+)\)", README)
    assert len(pictures) == 2
    for text, picture in pictures:
        assert len(text) > 40
        assert (ROOT / picture).stat().st_size < 60_000


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 170


def test_ci_runs_the_test_command_and_nothing_else() -> None:
    command = blocks("sh")[1].strip()
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    commands = [line for line in script if line and not line.startswith(("#", "set ", "cd "))]
    assert commands == [f"exec {command}"]
