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
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from flask_ssr_session.testing import SessionSigner

from .support import ROOT

BROWSER = {"accept": "text/html,*/*", "sec-fetch-dest": "document"}


def event(token: str | None = None, path: str = "/", **changes: Any) -> dict[str, Any]:
    """Return a request as a platform hands it over, with each cookie by itself."""
    cookies = ["theme=dark"] if token is None else ["theme=dark", f"sAccessToken={token}"]
    request: dict[str, Any] = {"method": "GET", "path": path, "query": "", "body": ""}
    return request | {"cookies": cookies, "headers": dict(BROWSER)} | changes


def invoke(*events: dict[str, Any], **environment: str) -> list[dict[str, Any]]:
    """Start a function, pass it the events; return its responses and its last line."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.servers.invoked"],
        cwd=ROOT,
        env=os.environ | environment,
        input="".join(json.dumps(event) + "\n" for event in events),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(params=["variable", "file"])
def static_keys(
    request: pytest.FixtureRequest, signer: SessionSigner, tmp_path: Path
) -> dict[str, str]:
    """The environment of a function: the key set itself, or the path of a file in its image."""
    keys = json.dumps({"keys": [signer.jwk()]})
    if request.param == "file":
        (tmp_path / "jwks.json").write_text(keys)
        keys = str(tmp_path / "jwks.json")
    return {"FLASK_SSR_SESSION_JWKS": keys}


def test_function_with_static_keys_answers_everything_without_network(
    static_keys: dict[str, str], signer: SessionSigner, other_private_key: RSAPrivateKey
) -> None:
    active = signer.sign(signer.claims("user-7"))
    expired = signer.sign(signer.claims("user-7", issued_at=time.time() - 7200))
    stranger = SessionSigner("d-unknown", other_private_key)
    # Young enough to be signed by a key that a fetch would bring.
    unknown = stranger.sign(stranger.claims("user-7", issued_at=time.time() + 2))
    form: dict[str, Any] = {"method": "POST"}
    form["headers"] = BROWSER | {"sec-fetch-site": "cross-site"}

    *answers, itself = invoke(
        event(active),
        event(active, "/template"),
        event(expired),
        event(expired, "/template"),
        event(unknown),
        event(),
        event(active, **form),
        event(active),
        **static_keys,
    )

    assert [answer["status"] for answer in answers] == [200, 200, 200, 200, 200, 302, 403, 200]
    said = [answer["headers"].get("SSR-Session") for answer in answers]
    refresh = "refresh; reason="
    assert said[2:5] == [f"{refresh}expired", f"{refresh}expired", f"{refresh}invalid"]
    assert said[5:7] == ["anonymous; reason=anonymous", "refused; reason=cross_site"]
    assert answers[0]["body"] == answers[7]["body"] == "user-7"
    assert "Hello, user-7" in answers[1]["body"]
    for answer in answers[2:7]:
        assert "user-7" not in answer["body"]
    for answer in answers[2:5]:
        assert 'src="/refresh-session/' in answer["body"]
    assert itself == {"network": [], "threads": ["MainThread"]}


def test_the_audit_hook_sees_the_network_where_keys_are_not_static(signer: SessionSigner) -> None:
    # No server listens at the discard port.
    environment = {"FLASK_SSR_SESSION_JWKS_URI": "http://127.0.0.1:9/jwks.json"}
    answer, itself = invoke(event(signer.sign(signer.claims())), **environment)

    assert answer["status"] == 503
    assert "socket.connect" in itself["network"]
