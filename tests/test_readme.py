"""The README is correct: its code runs, its table matches, its links work."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, render_template
from flask.testing import FlaskClient
from supertokens_python.recipe import emailpassword, session

from flask_ssr_session import session_required, testing
from flask_ssr_session.dev_core import DevelopmentCore
from flask_ssr_session.testing import PAGE_HEADERS, sign_in
from tests.dev_core.sdk import init_sdk, sign_up
from tests.sdk.conftest import *  # noqa: F403 - fixtures, for pytest to find

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def rows(heading: str) -> list[list[str]]:
    section = README.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@pytest.fixture
def pasted(live_core: DevelopmentCore, sdk_environment: None, tmp_path: Path) -> Flask:  # noqa: ARG001
    """The app of the example, with its template at ``/template``."""
    init_sdk(live_core.uri, [emailpassword.init(), session.init()])
    (source,) = blocks("python")
    names: dict[str, Any] = {"__name__": "pasted"}
    exec(compile(source, "README.md", "exec"), names)  # noqa: S102 - this is the test
    app: Flask = names["app"]
    app.template_folder = str(tmp_path)
    (template,) = blocks("jinja")
    (tmp_path / "template.html").write_text(template, encoding="utf-8")
    app.add_url_rule("/template", "template", lambda: render_template("template.html"))
    return app


@pytest.mark.parametrize("path", ["/account", "/template"])
def test_the_example_works_when_pasted(pasted: Flask, path: str) -> None:
    client = pasted.test_client()
    assert "Hello" not in client.get(path, headers=PAGE_HEADERS).text
    assert f"Hello, {sign_up(client)}" in client.get(path, headers=PAGE_HEADERS).text
    testing.set_token(client, "does not verify")
    refused = client.get(path, headers=PAGE_HEADERS)
    assert (refused.status_code, refused.headers["SSR-Session"]) == (200, "refresh; reason=invalid")
    assert 'data-ssr-session="refresh"' in refused.text


@contextmanager
def visit(client: FlaskClient, visitor: str) -> Iterator[None]:
    """Make a signed-in *client* the visitor that a row of the table is about."""
    with ExitStack() as until_then:
        match visitor:
            case "a valid access token" | "a POST from another site":
                pass
            case "an expired or invalid token":
                testing.expire(client)
            case "no token":
                testing.sign_out(client)
            case "a token, while no signing key can be fetched":
                until_then.enter_context(testing.outage(client.application))
            case "a token of a user who has not completed all factors of sign-in":
                sign_in(client, roles=["reader"], mfa_complete=False)
            case "a token without a role or another claim that the page asks for":
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
    testing.install_test_keys(pasted)
    client = pasted.test_client()
    sign_in(client, roles=["reader"])
    method, site = ("POST", "cross-site") if "POST" in row[0] else ("GET", "same-origin")
    with visit(client, row[0]):
        statuses = []
        for kind in (PAGE_HEADERS, {"Sec-Fetch-Dest": "empty"}):
            headers = {**kind, "Sec-Fetch-Site": site}
            statuses.append(client.open("/here", method=method, headers=headers).status_code)
    assert statuses == [int(status) for cell in row[1:] for status in re.findall(r"\d{3}", cell)]


def test_links_and_pictures_lead_somewhere() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert {"docs/configuration.rst", "docs/images/late-form.png"} <= {*targets}
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


def test_readme_changelog_and_package_name_one_version() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    version = re.findall(r'^version = "(.+)"$', project, re.MULTILINE)
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\S+)", changelog, re.MULTILINE)[:1] == version
    assert re.findall(r"\*\*Status:\*\* version (\S+),", README) == version


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 170


def test_no_file_contains_a_merge_conflict() -> None:
    command = ["git", "grep", "-lIE", "^(<<<<<<<|>>>>>>>) "]
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).stdout == b""


def test_ci_runs_the_test_command_and_nothing_else() -> None:
    command = blocks("sh")[-1].strip()
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    commands = [line for line in script if line and not line.startswith(("#", "set ", "cd "))]
    assert commands == [f"exec {command}"]
