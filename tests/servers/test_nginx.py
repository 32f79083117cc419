"""nginx with TLS in front of gunicorn, both with the lines of docs/nginx.rst."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from http.client import HTTPConnection
from http.cookies import SimpleCookie
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from ..browser_requests import PAGE
from ..dev_core.sdk import FIELDS
from ..key_servers import write_certificate
from ..tables import rows
from ..test_docs import TEXTS, blocks
from .support import Server, serve, serve_core

pytestmark = pytest.mark.skipif(not shutil.which("nginx"), reason="nginx is not installed")

HOST = "www.example.com"
APP, COMMAND, SERVERS, LOCATION = (block.source.lstrip("\n") for block in blocks(TEXTS["nginx"]))
BUFFERS = re.compile(r"^ +(?:large_client_header_buffers|proxy_buffer).*\n", re.MULTILINE)
MAIN = """daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; {user}
events {{ }}
http {{
access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
fastcgi_temp_path {folder}/fastcgi; scgi_temp_path {folder}/scgi; uwsgi_temp_path {folder}/uwsgi;
{servers}
}}"""
MORE_VIEWS = """
from flask import Response, request, url_for
from mysite import app

@app.get("/facts")
def facts():
    return [request.remote_addr, request.url, url_for("account", _external=True)]

@app.get("/long")
def long():
    return Response("long", headers=[("Set-Cookie", f"{name}={'x' * 3000}") for name in "abc"])
"""


class Answer(NamedTuple):
    status: int
    headers: Message
    text: str


class Proxy(NamedTuple):
    """A running nginx: its ports for https and http, and what clients trust."""

    tls_port: int
    plain_port: int
    trust: ssl.SSLContext

    def ask(
        self, path: str, *, method: str = "GET", body: str = "", name: str = HOST, **headers: str
    ) -> Answer:
        connection = HTTPConnection(name)
        plain = socket.create_connection(("127.0.0.1", self.tls_port), 20)
        with plain, self.trust.wrap_socket(plain, server_hostname=name) as secured:
            connection.sock = secured
            sent = PAGE | {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read().decode())

    def sign_up(self, below: str = "") -> dict[str, str]:
        body = json.dumps({"formFields": FIELDS})
        json_type = {"Content_Type": "application/json", "st_auth_mode": "cookie"}
        answer = self.ask(f"{below}/auth/signup", method="POST", body=body, **json_type)
        assert json.loads(answer.text)["status"] == "OK"
        return cookies_of(answer)


def cookies_of(answer: Answer) -> dict[str, str]:
    """Return the ``Cookie`` header that a browser sends next."""
    jar = SimpleCookie("\n".join(answer.headers.get_all("Set-Cookie", [])))
    assert jar["sAccessToken"]["secure"]
    return {"Cookie": "; ".join(f"{name}={morsel.coded_value}" for name, morsel in jar.items())}


@contextmanager
def gunicorn(folder: Path, app: str) -> Iterator[Server]:
    dollar, gunicorn, *options, target = shlex.split(COMMAND)
    at = options.index("--bind")
    assert f"proxy_pass http://{options[at + 1]};" in SERVERS
    assert (dollar, gunicorn, target) == ("$", "gunicorn", "mysite:app")
    options[at : at + 2] = ["--workers", "1"]
    with serve_core(folder / "core.db") as core:
        (folder / "mysite.py").write_text(app.replace("http://127.0.0.1:3567", core))
        (folder / "more.py").write_text(MORE_VIEWS)
        local = {"SUPERTOKENS_TLDEXTRACT_DISABLE_HTTP": "1", "NO_PROXY": "127.0.0.1"}
        with serve(folder, None, *options, app="more:app", PYTHONPATH=f"{folder}", **local) as site:
            yield site


@contextmanager
def nginx(folder: Path, servers: str, port: int, key: RSAPrivateKey) -> Iterator[Proxy]:
    """Run nginx until the block ends; its ports listen from the start."""
    certificate, key_file = write_certificate(folder, key, HOST)
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    plain, tls = (listener.getsockname()[1] for listener in sockets)
    for line, replacement in {
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ": f"listen 127.0.0.1:{tls} ",
        f"/etc/nginx/tls/{HOST}.pem": f"{certificate}",
        f"/etc/nginx/tls/{HOST}.key": f"{key_file}",
        "127.0.0.1:8000": f"127.0.0.1:{port}",
    }.items():
        assert line in servers
        servers = servers.replace(line, replacement)
    user = "user root;" if os.geteuid() == 0 else ""
    config = folder / "nginx.conf"
    config.write_text(MAIN.format(folder=folder, user=user, servers=servers))
    inherited = [listener.fileno() for listener in sockets]
    with subprocess.Popen(
        ["nginx", "-p", f"{folder}", "-c", f"{config}"],
        env={**os.environ, "NGINX": "".join(f"{number};" for number in inherited)},
        pass_fds=inherited,
    ) as process:
        for listener in sockets:
            listener.close()
        try:
            yield Proxy(tls, plain, ssl.create_default_context(cafile=certificate))
        finally:
            process.terminate()
            process.wait(10)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with gunicorn(tmp_path_factory.mktemp("site"), APP) as server:
        yield server


@pytest.fixture(scope="module")
def proxy(
    site: Server, tmp_path_factory: pytest.TempPathFactory, other_private_key: RSAPrivateKey
) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("nginx")
    with nginx(folder, SERVERS, site.port, other_private_key) as running:
        yield running


def test_visitor_signs_up_and_is_refreshed_over_https(proxy: Proxy) -> None:
    assert proxy.ask("/account").headers["Location"] == "/auth?redirectToPath=/account"
    visitor = proxy.sign_up()
    page = proxy.ask("/account", **visitor)
    assert (page.status, page.text[:7]) == (200, "Hello, ")
    assert "max-age" in page.headers["Strict-Transport-Security"]
    refreshed = proxy.ask("/auth/session/refresh", method="POST", st_auth_mode="cookie", **visitor)
    assert proxy.ask("/account", **cookies_of(refreshed)).text == page.text
    refused = proxy.ask("/account", Cookie="sAccessToken=junk")
    assert refused.headers["SSR-Session"] == "refresh; reason=invalid"
    (script,) = re.findall(r'<script[^>]* src="([^"]+)"', refused.text)
    assert proxy.ask(script).status == 200


def test_app_knows_the_visitor_whatever_a_client_claims(proxy: Proxy) -> None:
    forged = {"X_Forwarded_For": "6.6.6.6", "X_Forwarded_Proto": "http"}
    forged |= {"X_Forwarded_Host": "evil.example", "X_Forwarded_Prefix": "/evil"}
    facts = ["127.0.0.1", f"https://{HOST}/facts", f"https://{HOST}/account"]
    assert json.loads(proxy.ask("/facts", **forged).text) == facts


def test_site_has_one_name(proxy: Proxy) -> None:
    connection = HTTPConnection("127.0.0.1", proxy.plain_port, timeout=20)
    connection.request("GET", "/account?x=1", headers={"Host": "example.com"})
    answer = connection.getresponse()
    assert (answer.status, answer.headers["Location"]) == (301, f"https://{HOST}/account?x=1")
    connection.close()
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        proxy.ask("/account", name="other.example.com")


SMALL = BUFFERS.sub("", SERVERS)


@rows("servers, statuses", {"as shown": (SERVERS, (200, 200)), "defaults": (SMALL, (400, 502))})
def test_long_headers_need_the_buffers(
    tmp_path: Path, site: Server, other_private_key: RSAPrivateKey, servers: str, statuses: object
) -> None:
    with nginx(tmp_path, servers, site.port, other_private_key) as proxy:
        sent = proxy.ask("/facts", Cookie=f"more={'x' * 12_000}")
        assert (sent.status, proxy.ask("/long").status) == statuses


def test_site_below_a_path_is_whole_there(tmp_path: Path, other_private_key: RSAPrivateKey) -> None:
    paths = 'api_base_path="/shop/auth", website_base_path="/shop/auth"'
    app = APP.replace("x_proto=1", "x_proto=1, x_prefix=1")
    app = app.replace("website_domain=SITE", f"website_domain=SITE, {paths}")
    servers = re.sub(r"(?ms)^    location / \{.*?^    \}\n", LOCATION, SERVERS)
    with (
        gunicorn(tmp_path, app) as server,
        nginx(tmp_path, servers, server.port, other_private_key) as proxy,
    ):
        visitor = proxy.sign_up("/shop")
        assert proxy.ask("/shop/account", **visitor).text.startswith("Hello, ")
        location = "/shop/auth?redirectToPath=/shop/account"
        assert proxy.ask("/shop/account").headers["Location"] == location
        page = proxy.ask("/shop/account", Cookie="sAccessToken=junk").text
        (script,) = re.findall(r'<script[^>]* src="(/shop/[^"]+)"', page)
        assert proxy.ask(script).status == 200
