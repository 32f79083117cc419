"""The setup of an app: once, atomic, without network, and early enough."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, g, session
from flask.testing import FlaskClient

from flask_ssr_session import (
    ConfigError,
    FlaskSSRSession,
    MisuseError,
    app_state,
)
from flask_ssr_session.testing import SessionSigner, install_test_keys, sign_in
from tests.browser_requests import PAGE
from tests.tokens import make_token

from .conftest import API_DOMAIN, cookies, make_app, sdk_values, with_views

# --- init_app ------------------------------------------------------------------------------------


def test_constructor_and_init_app_do_the_same() -> None:
    direct, later = Flask("direct"), Flask("later")
    FlaskSSRSession(direct, api_domain=API_DOMAIN)
    extension = FlaskSSRSession(api_domain=API_DOMAIN)
    assert "ssr_session" not in later.extensions
    extension.init_app(later)
    for app in (direct, later):
        app.testing = True
        install_test_keys(app)
        with_views(app)
        assert app.test_client().get("/account", headers=PAGE).status_code == 302


def test_setting_up_twice_is_refused_and_leaves_the_first_as_it_is(
    app: Flask, client: FlaskClient
) -> None:
    before = _traces(app)
    with pytest.raises(ConfigError, match="set up for the app 'app' already"):
        FlaskSSRSession(app, api_domain="https://other.example.com")
    assert _traces(app) == before
    sign_in(client)
    assert client.get("/account").text == "account of user-1"


def test_config_of_the_app_wins_over_the_constructor() -> None:
    app = Flask("configured")
    app.testing = True
    app.config["SSR_SESSION_LOGIN_URL"] = "/from-config"
    FlaskSSRSession(app, login_url="/from-constructor", api_domain=API_DOMAIN)
    install_test_keys(app)
    with_views(app)
    app.config["SSR_SESSION_LOGIN_URL"] = "/too-late"
    location = app.test_client().get("/account", headers=PAGE).location
    assert location == "/from-config?redirectToPath=/account"


def _traces(app: Flask) -> tuple[Any, ...]:
    return (
        dict(app.extensions),
        dict(app.blueprints),
        [str(rule) for rule in app.url_map.iter_rules()],
        {name: list(hooks) for name, hooks in app.before_request_funcs.items()},
        {name: list(hooks) for name, hooks in app.after_request_funcs.items()},
        {name: list(hooks) for name, hooks in app.teardown_request_funcs.items()},
        set(app.jinja_env.globals),
        app.jinja_env.loader,
    )


@pytest.mark.parametrize(
    ("config", "names"),
    [
        ({"SSR_SESSION_API_DOMAN": "https://x.example"}, "SSR_SESSION_API_DOMAIN"),
        ({"SSR_SESSION_API_DOMAIN": "api.example.com"}, "SSR_SESSION_API_DOMAIN"),
        ({"SSR_SESSION_REFRESH_FLOW": "popup"}, "SSR_SESSION_REFRESH_FLOW"),
        ({"SSR_SESSION_REFRESH_PATH": "refresh"}, "SSR_SESSION_REFRESH_PATH"),
        ({"SSR_SESSION_JWKS": "/nowhere/jwks.json"}, "SSR_SESSION_JWKS"),
        ({"SSR_SESSION_JWKS": {"keys": []}}, "SSR_SESSION_JWKS"),
        ({"SSR_SESSION_LEEWAY_SECONDS": -1}, "SSR_SESSION_LEEWAY_SECONDS"),
    ],
)
def test_wrong_setting_leaves_the_app_untouched_and_a_corrected_call_works(
    config: dict[str, Any], names: str
) -> None:
    app = Flask("mistaken")
    app.testing = True
    before = _traces(app)
    app.config.update(config)
    with pytest.raises(ConfigError, match=names):
        FlaskSSRSession(app)
    assert _traces(app) == before
    for key in config:
        del app.config[key]
    FlaskSSRSession(app, api_domain=API_DOMAIN)
    install_test_keys(app)
    assert _traces(app) != before
    client = with_views(app).test_client()
    sign_in(client)
    assert client.get("/account").text == "account of user-1"


def test_wrong_keyword_is_refused_where_it_is_written() -> None:
    with pytest.raises(ConfigError, match=r"login_ur is not a setting .* did you mean login_url"):
        FlaskSSRSession(login_ur="/login")  # type: ignore[call-arg]
    with pytest.raises(ConfigError, match="refresh_flow"):
        FlaskSSRSession(refresh_flow="popup")  # type: ignore[arg-type]


def test_app_that_handled_a_request_cannot_be_set_up_any_more() -> None:
    app = Flask("running")
    app.add_url_rule("/", "page", lambda: "open")
    app.test_client().get("/")
    with pytest.raises(AssertionError, match="can no longer be called"):
        FlaskSSRSession(app, api_domain=API_DOMAIN)
    assert "ssr_session" not in app.extensions
    assert app.test_client().get("/").text == "open"


def test_keys_can_be_dropped_in_the_context_of_an_app(app: Flask, client: FlaskClient) -> None:
    extension = FlaskSSRSession(api_domain=API_DOMAIN)
    sign_in(client)
    with app.app_context():
        extension.clear_keys()
    assert client.get("/account").text == "account of user-1"
    other = Flask("other")
    extension.init_app(other)
    with other.app_context():
        extension.clear_keys()
    with Flask("bare").app_context(), pytest.raises(MisuseError, match="not set up"):
        extension.clear_keys()


# --- hooks ---------------------------------------------------------------------------------------


def test_hook_runs_before_hooks_that_were_registered_earlier() -> None:
    app = Flask("hooked")
    app.testing = True
    seen: list[str] = []
    app.before_request(lambda: seen.append(f"early {g.session.user_id}"))

    @app.after_request
    def early(response: Response) -> Response:
        response.headers["Cache-Control"] = "public"
        return response

    @app.teardown_request
    def at_the_end(_error: BaseException | None) -> None:
        seen.append(f"end {g.session.user_id}")

    FlaskSSRSession(app, api_domain=API_DOMAIN)
    install_test_keys(app)
    app.before_request(lambda: seen.append(f"late {g.session.user_id}"))
    with_views(app)
    client = app.test_client()
    sign_in(client)
    response = client.get("/account")
    assert seen == ["early user-1", "late user-1", "end user-1"]
    assert response.headers["Cache-Control"] == "private"


def test_session_cookie_of_flask_is_none_of_our_business(app: Flask, client: FlaskClient) -> None:
    app.secret_key = "test"

    @app.route("/remember")
    def remember() -> str:
        session["seen"] = True
        return str(g.session)

    response = client.get("/remember")
    assert response.text == "None"
    assert response.headers["Set-Cookie"].startswith("session=")
    assert list(response.vary) == ["Cookie"]


# --- what only the first request can tell --------------------------------------------------------


def test_missing_api_domain_is_an_error_at_every_request_until_mended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = with_views(make_app(api_domain=None))
    client = app.test_client()
    for path in ("/account", "/open", "/page", "/refresh-session", "/nowhere", "/account"):
        with pytest.raises(ConfigError, match="set SSR_SESSION_API_DOMAIN, for example https://"):
            client.get(path, headers=PAGE)
    app.testing = False
    assert client.get("/account", headers=PAGE).status_code == 500
    app.testing = True
    monkeypatch.setattr(app_state, "read_sdk", sdk_values)
    sign_in(client)
    assert client.get("/account", headers=PAGE).text == "account of user-1"


def test_what_the_sdk_says_is_read_once_and_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_state, "read_sdk", lambda: sdk_values(website_base_path="/first"))
    app = with_views(make_app(api_domain=None))
    client = app.test_client()
    assert client.get("/account", headers=PAGE).location == "/first?redirectToPath=/account"
    monkeypatch.setattr(app_state, "read_sdk", lambda: sdk_values(website_base_path="/second"))
    assert client.get("/account", headers=PAGE).location == "/first?redirectToPath=/account"


def test_error_of_the_sdk_configuration_is_raised_until_it_is_mended(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def header_mode() -> None:
        raise ConfigError("the SDK takes tokens from headers only")

    monkeypatch.setattr(app_state, "read_sdk", header_mode)
    client = with_views(make_app()).test_client()
    for _ in range(2):
        with pytest.raises(ConfigError, match="headers only"):
            client.get("/account", headers=PAGE)
    monkeypatch.setattr(app_state, "read_sdk", sdk_values)
    assert client.get("/account", headers=PAGE).status_code == 302


def test_key_set_over_plain_http_is_refused_at_the_first_request() -> None:
    app = Flask("plain")
    app.testing = True
    FlaskSSRSession(app, api_domain="http://api.example.com")
    with_views(app)
    with pytest.raises(ConfigError, match="plain http"):
        app.test_client().get("/open")


# --- no network, no SDK --------------------------------------------------------------------------


def test_importing_and_setting_up_uses_no_network_no_thread_and_no_sdk() -> None:
    code = """
import socket, sys, threading

def refuse(*args, **kwargs):
    raise AssertionError("network")

socket.socket.connect = socket.socket.connect_ex = refuse
socket.getaddrinfo = socket.create_connection = refuse

from flask import Flask
from flask_ssr_session import FlaskSSRSession, session_required

app = Flask("quiet")
FlaskSSRSession(app, api_domain="https://api.example.com")
app.add_url_rule("/", "page", session_required(lambda: "secret"))
assert app.test_client().get("/").status_code == 401
assert not [name for name in sys.modules if name.startswith("supertokens_python")]
assert "flask_ssr_session.testing" not in sys.modules
assert threading.active_count() == 1
"""
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


# --- a real server -------------------------------------------------------------------------------

SERVED_APP = """
import os
from flask import Flask, g
from flask_ssr_session import FlaskSSRSession, session_required

app = Flask(__name__)
FlaskSSRSession(app, api_domain=os.environ["API_DOMAIN"])


@app.route("/")
@session_required
def page():
    return f"{os.getpid()} {g.session.user_id}"


# The keys are fetched and the lock is used before the fork.
assert app.test_client(use_cookies=False).get(
    "/", headers={"Cookie": f"sAccessToken={os.environ['TOKEN']}"}
).status_code == 200
"""


class KeyServer(ThreadingHTTPServer):
    """Serves a key set on the loopback interface and counts how often."""

    daemon_threads = True

    def __init__(self, signer: SessionSigner) -> None:
        super().__init__(("127.0.0.1", 0), _KeyHandler)
        self.body = json.dumps({"keys": [signer.jwk()]}).encode()
        self.fetches = 0

    @property
    def origin(self) -> str:
        """Where it listens, as an API domain."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class _KeyHandler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        assert isinstance(self.server, KeyServer)
        self.server.fetches += 1
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.wfile.write(self.server.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def key_server() -> Iterator[KeyServer]:
    with KeyServer(SessionSigner()) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_keys_are_fetched_by_the_first_token_and_kept(key_server: KeyServer) -> None:
    app = Flask("fetching")
    app.testing = True
    extension = FlaskSSRSession(app, api_domain=key_server.origin)
    client = with_views(app).test_client(use_cookies=False)
    assert client.get("/account", headers=PAGE).status_code == 302
    assert client.get("/account", headers=PAGE | cookies("junk")).status_code == 200
    assert key_server.fetches == 0
    for _ in range(3):
        assert client.get("/account", headers=cookies(make_token())).text == "account of user-1"
    assert key_server.fetches == 1
    with app.app_context():
        extension.clear_keys()
    assert client.get("/account", headers=cookies(make_token())).text == "account of user-1"
    assert key_server.fetches == 2


def test_workers_forked_from_a_preloaded_app_serve_signed_in_requests(
    tmp_path: Path, key_server: KeyServer
) -> None:
    (tmp_path / "served.py").write_text(SERVED_APP)
    token = make_token(user_id="user-9")
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    environment = os.environ | {
        "API_DOMAIN": key_server.origin,
        "TOKEN": token,
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path),
    }
    with (
        listener,
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "served:app", "--preload", "--workers=2"),
                *(f"--bind=fd://{listener.fileno()}", "--graceful-timeout=1"),
            ],
            cwd=tmp_path,
            env=environment,
            pass_fds=[listener.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        ) as server,
    ):
        try:

            def ask(user: str | None) -> tuple[int, str]:
                # The socket listens already: a request waits in its queue for the first worker.
                connection = HTTPConnection("127.0.0.1", port, timeout=20)
                headers = {} if user is None else cookies(make_token(user_id=user))
                connection.request("GET", "/", headers=headers)
                response = connection.getresponse()
                body = response.read().decode()
                connection.close()
                return response.status, body

            users = [f"user-{number}" for number in range(20)]
            workers: set[str] = set()
            with ThreadPoolExecutor(8) as pool:
                for _ in range(50):  # the first worker may be up well before the second
                    for user, (status, body) in zip(users, pool.map(ask, users), strict=True):
                        worker, _, shown = body.partition(" ")
                        assert (status, shown) == (200, user)
                        workers.add(worker)
                    if len(workers) == 2:
                        break
            assert len(workers) == 2
            assert ask(None)[0] == 401
            assert str(server.pid) not in workers
        finally:
            server.terminate()
    assert key_server.fetches == 1, (tmp_path / "log").read_text()
