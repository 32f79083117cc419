"""The app that real servers run in these tests; ``JWKS_URI`` is the address of its keys."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any
from urllib.parse import urlsplit

from flask import Flask, g

from flask_ssr_session import FlaskSSRSession, session_required
from flask_ssr_session.app_state import EXTENSION_NAME

from .support import RunningClock

JWKS_URI = os.environ["JWKS_URI"]

app = Flask(__name__)
FlaskSSRSession(app, api_domain="https://api.example.com", jwks_uri=JWKS_URI)
clock = app.extensions[EXTENSION_NAME].clock = RunningClock()
connects: list[Any] = []


def note_connect(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "socket.connect" and arguments[1][1] == urlsplit(JWKS_URI).port:
        connects.append(arguments[1])


# An audit hook, because a closed port cannot count the connections to it.
sys.addaudithook(note_connect)


@app.route("/")
@session_required
def page() -> str:
    return f"{os.getpid()} {g.session.user_id}"


@app.route("/async")
@session_required
async def async_page() -> str:
    before = g.session
    await asyncio.sleep(0)
    assert g.session is before
    return f"{os.getpid()} {g.session.user_id}"


@app.route("/advance/<int:seconds>")
def advance(seconds: int) -> str:
    clock.advance(seconds)
    return ""


@app.route("/connects")
def count_connects() -> str:
    return str(len(connects))
