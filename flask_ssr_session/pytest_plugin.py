"""Pytest fixtures around :mod:`flask_ssr_session.testing`, loaded only where asked for.

Put this into the ``conftest.py`` at the root of your tests, beside a fixture ``app`` that returns
your app with ``TESTING`` set::

    pytest_plugins = ["flask_ssr_session.pytest_plugin"]

A test then names the visitor it is about::

    def test_account(signed_in_client, anonymous_client):
        assert signed_in_client.get("/account").status_code == 200
        assert anonymous_client.get("/account").status_code == 401


    def test_admin_is_closed_to_readers(signed_in_as):
        assert signed_in_as("user-2", roles=["reader"]).get("/admin").status_code == 403


    def test_account_in_an_outage(signed_in_client, key_outage):
        assert signed_in_client.get("/account").status_code == 503

Each client is a test client of its own, of whatever class the app makes.
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
    """Return your app, which trusts the test keys from now on and asks no core.

    :raises MisuseError: it is not being tested, or flask_ssr_session is not set up.
    """
    testing.install_test_keys(app)
    return app


@pytest.fixture
def anonymous_client(ssr_session_app: Flask) -> FlaskClient:
    """Return the client of a stranger."""
    return ssr_session_app.test_client()


@pytest.fixture
def signed_in_as(ssr_session_app: Flask) -> ClientMaker:
    """Return what makes clients of signed-in users: ``signed_in_as("user-1", roles=["admin"])``."""

    def signed_in_as(user_id: str = "user-1", **claims: Any) -> FlaskClient:
        client = ssr_session_app.test_client()
        testing.sign_in(client, user_id, **claims)
        return client

    return signed_in_as


@pytest.fixture
def signed_in_client(signed_in_as: ClientMaker) -> FlaskClient:
    """Return the client of ``user-1``, whose token names neither roles nor permissions."""
    return signed_in_as()


@pytest.fixture
def expired_client(signed_in_as: ClientMaker) -> FlaskClient:
    """Return the client of a user whose access token has run out."""
    client = signed_in_as()
    testing.expire(client)
    return client


@pytest.fixture
def revoked_client(signed_in_as: ClientMaker) -> FlaskClient:
    """Return the client of a user whose session was ended: only ``check_revoked`` sees that."""
    client = signed_in_as()
    testing.revoke(client)
    return client


@pytest.fixture
def key_outage(ssr_session_app: Flask) -> Iterator[None]:
    """Let the signing keys be out of reach during the test."""
    with testing.outage(ssr_session_app):
        yield


@pytest.fixture
def core_outage(ssr_session_app: Flask) -> Iterator[None]:
    """Let the core be out of reach during the test: only ``check_revoked`` asks it."""
    with testing.core_outage(ssr_session_app):
        yield
