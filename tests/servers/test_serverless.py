"""A function that is called with events: a static key set, no network, no thread left behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from flask_ssr_session.testing import SessionSigner

from ..browser_requests import PAGE
from ..tokens import expired_token, make_token
from .support import ROOT


def event(token: str | None = None, path: str = "/", **changes: Any) -> dict[str, Any]:
    cookie = {} if token is None else {"Cookie": f"theme=dark; sAccessToken={token}"}
    return {"path": path, "headers": PAGE | cookie | changes.pop("headers", {}), **changes}


def invoke(*events: dict[str, Any], **environment: str) -> list[Any]:
    """Start a function, pass it the events; return its responses and its last line."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.servers.served"],
        cwd=ROOT,
        env=os.environ | environment,
        input="".join(json.dumps(event) + "\n" for event in events),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("source", ["variable", "file"])
def test_function_with_static_keys_answers_everything_without_network(
    source: str, signer: SessionSigner, tmp_path: Path
) -> None:
    keys = json.dumps({"keys": [signer.jwk()]})
    if source == "file":
        (tmp_path / "jwks.json").write_text(keys)
        keys = str(tmp_path / "jwks.json")
    active, expired = make_token(user_id="user-7"), expired_token("user-7")
    # Young enough to be signed by a key that a fetch would bring.
    unknown = make_token(SessionSigner("d-unknown"), user_id="user-7", issued_at=time.time() + 2)
    refresh = "refresh; reason="
    # Each event, its status, what SSR-Session says, and what the page shows.
    table: list[tuple[dict[str, Any], int, str | None, str]] = [
        (event(active), 200, None, "user-7"),
        (event(active, "/template"), 200, None, "Hello, user-7"),
        (event(expired), 200, f"{refresh}expired", 'src="/refresh-session/'),
        (event(expired, "/template"), 200, f"{refresh}expired", 'src="/refresh-session/'),
        (event(unknown), 200, f"{refresh}invalid", 'src="/refresh-session/'),
        (event(), 302, "anonymous; reason=anonymous", ""),
        (
            event(active, method="POST", headers={"Sec-Fetch-Site": "cross-site"}),
            *(403, "refused; reason=cross_site", ""),
        ),
        (event(active), 200, None, "user-7"),
    ]

    *answers, itself = invoke(*(row[0] for row in table), FLASK_SSR_SESSION_JWKS=keys)

    for (asked, *expected), (status, headers, text) in zip(table, answers, strict=True):
        assert [status, headers.get("SSR-Session")] == expected[:2], asked
        assert str(expected[2]) in text, asked
        assert ("user-7" in text) == (expected[1] is None), asked
    assert itself == {"network": [], "threads": ["MainThread"]}


def test_audit_hook_sees_the_network_where_keys_are_not_static() -> None:
    # No server listens at the discard port.
    answer, itself = invoke(event(make_token()), JWKS_URI="http://127.0.0.1:9/jwks.json")

    assert answer[0] == 503
    assert "socket.connect ('127.0.0.1', 9)" in itself["network"]
