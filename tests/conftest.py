from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from flask_ssr_session.dev_core.cdi import CDI_VERSIONS
from flask_ssr_session.testing import SessionSigner

from .clocks import SteppedClock
from .key_servers import write_certificate


def pytest_addoption(parser: pytest.Parser) -> None:
    of_core = "run the contract tests of tests/dev_core against this SuperTokens core"
    parser.addoption("--core", metavar="URI", help=of_core)
    of_cdi = "the rules of the development core next to the SDK, servers and browsers"
    parser.addoption("--cdi", choices=CDI_VERSIONS, default=CDI_VERSIONS[0], help=of_cdi)


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture(scope="session")
def signer() -> SessionSigner:
    """Signs tokens with the key ``d-test``."""
    return SessionSigner()


@pytest.fixture(scope="session")
def other_private_key() -> RSAPrivateKey:
    """A second key, which the app does not trust unless a test adds it."""
    return generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="session")
def certificate(
    tmp_path_factory: pytest.TempPathFactory, other_private_key: RSAPrivateKey
) -> tuple[Path, Path]:
    """A certificate for ``localhost`` that no authority vouches for, and its key."""
    return write_certificate(tmp_path_factory.mktemp("certificate"), other_private_key)
