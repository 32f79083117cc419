from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient

from flask_ssr_session import app_state

from .apps import *  # noqa: F403 - for other folders
from .apps import make_app, sdk_values, with_views
from .visitors import *  # noqa: F403 - for other folders


@pytest.fixture(autouse=True)
def no_sdk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the SDK of this process, which other tests may have initialised."""
    monkeypatch.setattr(app_state, "read_sdk", lambda: None)


@pytest.fixture
def sdk(no_sdk: None, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001
    monkeypatch.setattr(app_state, "read_sdk", sdk_values)


@pytest.fixture
def app() -> Flask:
    return with_views(make_app())


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()
