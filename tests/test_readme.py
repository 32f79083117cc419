"""What the README says is so: its code runs, its table is the code's, its commands are the CI's."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from example_app.core import DevelopmentCore
from flask_ssr_session.config import Settings
from flask_ssr_session.verdict import Reason
from tests.beside_sdk.conftest import (
    key_factory,
    lagging_clock,
    live_core,
    rsa_keys,
    sdk_environment,
)

__all__ = ["key_factory", "lagging_clock", "live_core", "rsa_keys", "sdk_environment"]

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
    for name, template in zip(("dashboard", "sign_in"), blocks("jinja"), strict=False):
        (folder / "templates" / f"{name}.html").write_text(template, encoding="utf-8")
    return "\n".join(blocks("python")[:3])


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
    assert client.get("/").text == "Hello, stranger"
    page = {"Accept": "text/html,*/*"}
    assert client.get("/account", headers=page).location == "/auth?redirectToPath=/account"
    sign_in = client.get("/auth?redirectToPath=/account", headers=page).text
    assert 'data-return-path="/account"' in sign_in
    assert 'data-mode="session"' in sign_in
    fields = [{"id": "email", "value": "a@b.test"}, {"id": "password", "value": "password1"}]
    signed_up = client.post(
        "/auth/signup", json={"formFields": fields}, headers={"st-auth-mode": "cookie"}
    ).json
    assert signed_up is not None
    assert client.get("/").text == "Hello again"
    assert client.get("/account").text == f"Hello, {signed_up['user']['id']}"
    assert f"Hello, {signed_up['user']['id']}." in client.get("/dashboard", headers=page).text
    refused = client.get("/reports", headers=page)
    assert (refused.status_code, refused.text) == (403, "Ask somebody for st-perm")
    client.delete_cookie("sAccessToken")
    assert "data-ssr-session" in client.get("/dashboard", headers=page).text


def test_the_test_of_the_readme_passes_on_the_quickstart(pasted: Flask) -> None:
    names: dict[str, Any] = {}
    exec(blocks("python")[3], names)  # noqa: S102 - this is the test
    names["test_account"](pasted)


def test_the_override_of_the_readme_is_five_lines_and_works(pasted: Flask) -> None:
    override = blocks("jinja")[2]
    assert len(override.splitlines()) <= 5
    assert pasted.template_folder is not None
    (Path(pasted.template_folder) / "refresh_page.html").write_text(override, encoding="utf-8")
    client = pasted.test_client()
    client.set_cookie("sAccessToken", "nonsense")
    for path in ("/dashboard", "/account"):
        assert "fetching your things" in client.get(path, headers={"Accept": "text/html,*/*"}).text


def test_the_configuration_table_lists_every_setting_with_its_default() -> None:
    told = {row[0].strip("`"): row[1] for row in rows("Configuration")}
    assert list(told) == [f"SSR_SESSION_{field.name.upper()}" for field in fields(Settings)]
    for field in fields(Settings):
        default = told[f"SSR_SESSION_{field.name.upper()}"]
        if field.default is None:
            assert default == "`None`" or default.startswith("the SDK's")
        else:
            shown = int(field.default) if isinstance(field.default, float) else field.default
            assert default == f"`{shown}`"


def test_the_table_of_visitors_names_every_reason_but_our_own_defects() -> None:
    named = " ".join(row[1] for row in rows("Who sees what"))
    for reason in Reason:
        assert (reason.value in named) == (reason is not Reason.INTERNAL)


def test_ci_runs_the_test_command_and_nothing_else() -> None:
    command = blocks("sh")[1].strip()
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()
    commands = [line for line in script if line and not line.startswith(("#", "set ", "cd "))]
    assert commands == [f"exec {command}"]
