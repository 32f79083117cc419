"""Start a real server for the app of these tests, and send it requests."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from flask_ssr_session.clock import SystemClock

ROOT = Path(__file__).parents[2]


class RunningClock(SystemClock):
    """The machine's clock, plus the time by which it was advanced."""

    def __init__(self) -> None:
        self._ahead_seconds = 0.0

    def wall(self) -> float:
        return super().wall() + self._ahead_seconds

    def monotonic(self) -> float:
        return super().monotonic() + self._ahead_seconds

    def advance(self, seconds: float) -> None:
        self._ahead_seconds += seconds


@dataclass
class Server:
    port: int
    process: subprocess.Popen[bytes]
    log_file: Path

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def connect(self) -> HTTPConnection:
        """Return a connection that stays open from one request to the next."""
        return HTTPConnection("127.0.0.1", self.port, timeout=20)

    def ask(self, path: str, token: str | None = None) -> tuple[int, str]:
        """Send one request on a new connection, so that any worker may accept it."""
        with closing(self.connect()) as connection:
            return ask(connection, path, token)


def ask(connection: HTTPConnection, path: str, token: str | None = None) -> tuple[int, str]:
    connection.request("GET", path, headers=cookie(token))
    response = connection.getresponse()
    return response.status, response.read().decode()


def cookie(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Cookie": f"sAccessToken={token}"}


@contextmanager
def serve_core(database: Path, port: int = 0) -> Iterator[str]:
    """Run a development core in its own process until the block ends; yields its URI.

    :param database: its database file; may be that of an earlier core.
    :param port: 0 takes a free one.
    """
    command = [sys.executable, "-m", "flask", "ssr-session", "dev-core", f"--port={port}"]
    options = [f"--database={database}", "--access-token-validity=3600"]
    with subprocess.Popen(
        [*command, *options], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://\S+:\d+", process.stdout.readline())
            assert found, "the development core did not start"
            yield found[0]
        finally:
            process.terminate()
            process.wait(10)


@contextmanager
def serve(
    folder: Path,
    jwks_uri: str | None,
    *options: str,
    app: str = "tests.servers.served:app",
    **environment: str,
) -> Iterator[Server]:
    """Run gunicorn until the block ends; it then has 10 s to stop, less than its workers have.

    :param folder: for its log and its other files.
    :param jwks_uri: the app's ``JWKS_URI``; None for an app that fetches keys from its core.
    :param options: of the gunicorn command.
    :param app: what it serves, as gunicorn names it.
    :param environment: more variables of its environment.
    """
    log_file = folder / "gunicorn.log"
    # It listens already: requests before the first worker runs wait in its queue.
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    port = listener.getsockname()[1]
    with (
        log_file.open("wb") as log,
        subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", app, *options),
                *(f"--bind=fd://{listener.fileno()}", "--keep-alive=60"),
            ],
            cwd=ROOT,
            env=os.environ
            | {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder)}
            | ({} if jwks_uri is None else {"JWKS_URI": jwks_uri})
            | environment,
            pass_fds=[listener.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        ) as process,
    ):
        # Only gunicorn keeps it open: if gunicorn dies, no client waits for a response.
        listener.close()
        server = Server(port, process, log_file)
        try:
            yield server
        except BaseException:
            sys.stderr.write(server.log)
            raise
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
