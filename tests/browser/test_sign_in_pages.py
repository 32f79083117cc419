"""Both sign-in pages of docs/sign-in.rst sign up and in, and their sessions are refreshed."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from hatch_build import run

from . import see
from .conftest import ROOT, Serve, Site, install
from .pasted_docs import blocks_below

PREBUILT, OWN = "SuperTokens' prebuilt pages", "A form of your own"
ENVIRONMENT = {"DOCS_PAGE": "quickstart", "SUPERTOKENS_TLDEXTRACT_DISABLE_HTTP": "1"}
HERE = "/account?page=2"


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the script of the prebuilt pages, built by the commands of the page.

    It is built again only if an input changes, as the package's own is.
    """
    examples = {block.file: block.source for block in blocks_below(PREBUILT)}
    commands = [b.source for b in blocks_below(PREBUILT) if b.language == "console"]
    added, bundled = (shlex.split(text.strip().splitlines()[-1]) for text in commands)
    packages = Path(__file__).parent / "prebuilt"
    dependencies = json.loads((packages / "package.json").read_text())["dependencies"]
    assert sorted(added[3:]) == sorted(dependencies)
    lock = (packages / "package-lock.json").read_text()
    script = examples["frontend/prebuilt.js"].lstrip("\n")
    digest = hashlib.sha256("\0".join([lock, script, *bundled]).encode()).hexdigest()
    built = ROOT / "build" / "prebuilt" / digest
    if not (built / "prebuilt.js").exists():
        folder = tmp_path_factory.mktemp("prebuilt")
        shutil.copytree(packages, folder, dirs_exist_ok=True)
        (folder / "frontend").mkdir()
        (folder / "frontend" / "prebuilt.js").write_text(script, encoding="utf-8")
        node, environment = install(folder)
        run([*node, "node_modules/esbuild/bin/esbuild", *bundled[3:]], folder, environment)
        shutil.rmtree(built.parent, ignore_errors=True)
        built.mkdir(parents=True)
        shutil.copyfile(folder / "static" / "prebuilt.js", built / "new")
        (built / "new").rename(built / "prebuilt.js")
    return built


def expect_refreshed_page(site: Site, page: Page) -> None:
    """Expect that *page*, which has signed up, gets its account, also with an expired token."""
    expect(page).to_have_url(site.url(HERE))
    hello = page.get_by_text(f"Hello, {page.evaluate('supertokensWebsite.getUserId()')}")
    expect(hello).to_be_visible()
    site.expire(page)
    documents = see.documents(page)
    page.reload()
    expect(hello).to_be_visible()
    assert documents == ["refresh; reason=expired", "200"]


def test_the_prebuilt_pages_sign_up_and_lead_back(serve: Serve, bundles: Path, page: Page) -> None:
    site = serve("tests.browser.pasted_docs", SIGN_IN=PREBUILT, BUNDLES=str(bundles), **ENVIRONMENT)
    asked = see.requests(page)
    page.goto(site.url("/auth/reset-password"))
    expect(page.get_by_text("Reset your password", exact=True)).to_be_visible()
    site.new_email()
    page.goto(site.url(HERE))
    page.get_by_text("Sign Up").click()
    page.fill("[name=email]", site.email)
    page.fill("[name=password]", "correct horse 1")
    page.get_by_role("button", name="SIGN UP").click()
    expect_refreshed_page(site, page)
    # They lead on whoever is signed in, but not to another site.
    page.goto(site.url("/auth?redirectToPath=/%5Cevil.example.test"))
    expect(page.get_by_text("Welcome back.")).to_be_visible()
    assert page.url == site.url("/")
    assert [one.url for one in asked if not one.url.startswith(site.origin)] == []


def test_a_form_of_ones_own_names_its_errors_and_leads_back(serve: Serve, page: Page) -> None:
    site = serve("tests.browser.pasted_docs", SIGN_IN=OWN, **ENVIRONMENT)
    site.new_email()
    page.goto(site.url(HERE))
    page.fill("#email", site.email)
    page.fill("#password", "short")
    page.get_by_role("button", name="Create an account").click()
    expect(page.locator("#password-error")).to_contain_text("8 characters")
    expect(page.get_by_label("Password")).to_be_focused()
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator("#form-error")).to_contain_text("do not match")
    expect(page.locator("#password-error")).to_be_empty()
    page.fill("#password", "correct horse 1")
    page.get_by_role("button", name="Create an account").click()
    expect_refreshed_page(site, page)
