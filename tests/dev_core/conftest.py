from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from flask_ssr_session.dev_core import DevelopmentCore
from flask_ssr_session.dev_core.keys import generate_rsa_key

from ..clocks import SteppedClock
from .sdk import reset_sdk
from .support import LaggingClock

__all__ = (  # for other folders
    *("key_factory", "lagging_clock", "live_core", "loopback_only", "rsa_keys", "sdk_environment"),
)
KeyFactory = Callable[[], RSAPrivateKey]


@pytest.fixture(autouse=True)
def loopback_only(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that would leave the machine, but to the core of ``--core``."""
    if request.config.getoption("core"):
        return
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: Any) -> None:
        if self.family in {socket.AF_INET, socket.AF_INET6} and address[0] != "127.0.0.1":
            raise AssertionError(f"connection to {address} attempted")
        connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)


@pytest.fixture(scope="session")
def rsa_keys() -> list[RSAPrivateKey]:
    return [generate_rsa_key() for _ in range(4)]


@pytest.fixture(scope="session")
def key_factory(rsa_keys: list[RSAPrivateKey]) -> KeyFactory:
    """Return the same few keys in turn, because making keys takes time."""
    keys = itertools.cycle(rsa_keys)
    return lambda: next(keys)


@pytest.fixture
def core(clock: SteppedClock, key_factory: KeyFactory) -> Iterator[DevelopmentCore]:
    with DevelopmentCore(clock=clock.wall, key_factory=key_factory) as core:
        yield core


@pytest.fixture
def lagging_clock() -> LaggingClock:
    return LaggingClock()


@pytest.fixture
def live_core(
    lagging_clock: LaggingClock, key_factory: KeyFactory, request: pytest.FixtureRequest
) -> Iterator[DevelopmentCore]:
    """A running core for the SDK, which uses the machine's clock."""
    cdi: str = request.config.getoption("cdi")
    with DevelopmentCore(clock=lagging_clock, key_factory=key_factory, cdi=cdi) as core:
        yield core


@pytest.fixture(scope="session")
def core_uri(request: pytest.FixtureRequest, key_factory: KeyFactory) -> Iterator[str]:
    """The core whose contract is tested: that of ``--core``, else a development core."""
    uri = request.config.getoption("core")
    if uri:
        yield uri
        return
    with DevelopmentCore(key_factory=key_factory) as core:
        yield core.uri


@contextmanager
def fresh_sdk(folder: Path) -> Iterator[None]:
    """Allow this process to initialise supertokens-python, and reset it at the end.

    :param folder: an empty one.
    """
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("SUPERTOKENS_ENV", "testing")
        monkeypatch.setenv("SUPERTOKENS_TLDEXTRACT_DISABLE_HTTP", "1")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        # The SDK makes a TLS context per call to the core, which is faster without certificates.
        monkeypatch.setenv("SSL_CERT_DIR", str(folder))
        monkeypatch.delenv("SSL_CERT_FILE", raising=False)
        reset_sdk()
        # The SDK's synchronous functions run the thread's event loop and never close it.
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        yield
        asyncio.set_event_loop(None)
        loop.close()
        reset_sdk()


@pytest.fixture
def sdk_environment(tmp_path: Path) -> Iterator[None]:
    """Allow the test to initialise supertokens-python, and reset it afterwards."""
    with fresh_sdk(tmp_path):
        yield
