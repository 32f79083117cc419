"""Pytest fixtures for :mod:`flask_ssr_session.testing`, loaded only on request.

Put this line into the ``conftest.py`` at the root of your tests, next to a fixture ``app`` that
returns your app with ``TESTING`` set::

    pytest_plugins = ["flask_ssr_session.pytest_plugin"]

A test then names the visitor::

    def test_account(signed_in_client, anonymous_client):
        assert signed_in_client.get("/account").status_code == 200
        assert anonymous_client.get("/account").location == "/auth?redirectToPath=/account"


    def test_admin_is_closed_to_readers(signed_in_as):
        assert signed_in_as("user-2", roles=["reader"]).get("/admin").status_code == 403


    def test_account_in_an_outage(signed_in_client, key_outage):
        assert signed_in_client.get("/account").status_code == 503

Each fixture makes a separate test client, of the app's own client class. It asks as a browser asks
for a page, unless a request has other headers::

    from flask_ssr_session.testing import SCRIPT_HEADERS


    def test_script_is_told_to_refresh(expired_client):
        assert expired_client.get("/account", headers=SCRIPT_HEADERS).status_code == 401
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from . import testing
from .testing import ClientMaker


@pytest.fixture
def ssr_session_app(app: Flask) -> Flask:
    """Return your app. It trusts the test keys from now on and calls no core.

    :raises MisuseError: ``app.testing`` is not set, or flask_ssr_session is not set up.
    """
    testing.install_test_keys(app)
    return app


@pytest.fixture
def anonymous_client(ssr_session_app: Flask) -> FlaskClient:
    """Return the client of a visitor without a session."""
    return testing.page_client(ssr_session_app)


@pytest.fixture
def signed_in_as(ssr_session_app: Flask) -> ClientMaker:
    """Return a maker of signed-in clients: ``signed_in_as("user-1", roles=["admin"])``."""

    def signed_in_as(user_id: str = "user-1", **claims: Any) -> FlaskClient:
        client = testing.page_client(ssr_session_app)
        testing.sign_in(client, user_id, **claims)
        return client

    return signed_in_as


@pytest.fixture
def signed_in_client(signed_in_as: ClientMaker) -> FlaskClient:
    """Return the client of ``user-1``, whose token has no roles and no permissions."""
    return signed_in_as()


@pytest.fixture
def expired_client(signed_in_as: ClientMaker) -> FlaskClient:
    """Return the client of a user whose access token has expired."""
    client = signed_in_as()
    testing.expire(client)
    return client


@pytest.fixture
def revoked_client(signed_in_as: ClientMaker) -> FlaskClient:
    """Return the client of a user with a revoked session, which only ``check_revoked`` notices."""
    client = signed_in_as()
    testing.revoke(client)
    return client


@pytest.fixture
def key_outage(ssr_session_app: Flask) -> Iterator[None]:
    """Make the signing keys unavailable during the test."""
    with testing.outage(ssr_session_app):
        yield


@pytest.fixture
def core_outage(ssr_session_app: Flask) -> Iterator[None]:
    """Make the core unavailable during the test, which only ``check_revoked`` notices."""
    with testing.core_outage(ssr_session_app):
        yield
