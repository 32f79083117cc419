"""The development core as one object that starts and stops."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from .application import CoreApplication
from .cdi import CDI_VERSIONS, supported_versions
from .controls import Controls
from .factor_endpoints import FactorEndpoints
from .key_endpoints import KeyEndpoints
from .keys import SigningKeys, generate_rsa_key
from .one_time_tokens import Verification
from .role_endpoints import RoleEndpoints
from .roles import Roles
from .server import LOOPBACK_HOST, HTTPServerThread
from .session_endpoints import SessionEndpoints
from .sessions import Sessions
from .store import Store
from .totp import Devices
from .user_endpoints import UserEndpoints
from .users import Users


class DevelopmentCore(Controls):
    """A SuperTokens core for development, on 127.0.0.1, in threads of this process.

    As a context manager it runs inside the block and closes at its end::

        with DevelopmentCore() as core:
            supertokens_python.init(
                supertokens_config=SupertokensConfig(connection_uri=core.uri), ...
            )

    The controls (:class:`Controls`) work whether the core is running or not.
    """

    def __init__(
        self,
        *,
        database: str | Path | None = None,
        access_token_validity_seconds: int = 20,
        refresh_token_validity_minutes: int = 144_000,
        port: int = 0,
        cdi: str = CDI_VERSIONS[0],
        api_key: str | None = None,
        clock: Callable[[], float] = time.time,
        key_factory: Callable[[], RSAPrivateKey] = generate_rsa_key,
    ) -> None:
        """Open the database. :meth:`start` begins to serve.

        :param database: file for users, sessions and keys, which several cores may share; ``None``
            keeps them in memory.
        :param access_token_validity_seconds: short by default, to make expiry easy to see.
        :param refresh_token_validity_minutes: how long an unused session lives.
        :param port: 0 picks a free port at the first start and keeps it for later starts.
        :param cdi: ``5.6`` for the rules of refreshing that cores from 12.1 on have.
        :param api_key: refuse callers without this key; ``None`` lets everybody in.
        :param clock: returns seconds since the epoch; tests advance it.
        :param key_factory: makes RSA keys; tests reuse keys, because making them takes time.
        :raises ValueError: a validity is not positive, the refresh token does not outlive the
            access token, *cdi* is unknown, *api_key* is empty, or the file is not a database of
            this core.
        """
        versions = supported_versions(cdi)
        if api_key == "":
            raise ValueError("the API key is empty, so every caller would have it")
        if not 0 < access_token_validity_seconds < refresh_token_validity_minutes * 60:
            raise ValueError("a refresh token must live longer than an access token, both above 0")
        self._store = Store(database)
        self._port = port
        self._server: HTTPServerThread | None = None
        keys = SigningKeys(
            self._store,
            access_token_validity_seconds=access_token_validity_seconds,
            clock=clock,
            key_factory=key_factory,
        )
        sessions = Sessions(
            self._store,
            keys,
            access_token_validity_seconds=access_token_validity_seconds,
            refresh_token_validity_minutes=refresh_token_validity_minutes,
            clock=clock,
            cdi=cdi,
        )
        super().__init__(sessions, keys, clock=clock)
        users = Users(self._store, clock=clock)
        verification = Verification(self._store, clock=clock)
        table = {
            **KeyEndpoints(keys, versions=versions, clock=clock).table,
            **SessionEndpoints(sessions).table,
            **UserEndpoints(users, verification).table,
            **RoleEndpoints(Roles(self._store)).table,
            **FactorEndpoints(Devices(self._store, clock=clock), self._store).table,
        }
        self._application = CoreApplication(table, self, versions=versions, api_key=api_key)

    @property
    def uri(self) -> str:
        """The connection URI for ``SupertokensConfig``.

        :raises RuntimeError: the core is not running.
        """
        if self._server is None:
            raise RuntimeError("the development core is not running; call start()")
        return f"http://{LOOPBACK_HOST}:{self._server.port}"

    def start(self) -> str:
        """Start serving and return the URI. A running core stays as it is.

        :raises OSError: the port is in use.
        """
        if self._server is None:
            self._server = HTTPServerThread(self._application, self._port)
            self._port = self._server.port
        return self.uri

    def stop(self) -> None:
        """Stop serving, as in an outage. All data stay, and :meth:`start` serves them again."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def close(self) -> None:
        """Stop and close the database. Data in memory are lost."""
        self.stop()
        self._store.close()

    def __enter__(self) -> DevelopmentCore:
        self.start()
        return self

    def __exit__(
        self,
        exception_type: type[BaseException] | None,
        exception: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
