"""The process that ``benchmarks.hook`` measures in: it calls apps as a WSGI server calls them.

A test client or a socket would cost more than what is measured. The garbage collector runs as it
does in a server. Every response is checked after the clock is stopped.
"""

import json
import logging
import os
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from importlib import import_module
from itertools import cycle
from pathlib import Path
from typing import Any, NamedTuple

from flask import Flask, g, request
from werkzeug.serving import make_server
from werkzeug.test import EnvironBuilder

from flask_ssr_session.testing import SessionSigner
from tests.browser_requests import PAGE

from . import sites
from .frame import PACKAGE

BARE, FLOOR, RSA = "bare request", "floor: g.session, Vary", "RSA check in a request"
SEEN, NEVER, REQUIRED = "token seen before", "token never seen", "+ session_required"
BARE_FILE, FOLDER = "bare static file", str(Path(__file__).parent)
USER = b"user-1"
# What two recipes write, as in the token of a user who has completed everything.
CLAIMS = {"st-ev": {"v": True, "t": 0}, "st-mfa": {"c": {"emailpassword": 1}, "v": True}}


class Case(NamedTuple):
    """An app, its requests, and a text in the response to each."""

    app: Flask
    environs: Iterator[dict[str, Any]]  # endless, or as many as there will be requests
    text: bytes = b"ok"
    base: str = BARE  # the name of the case whose time is subtracted
    units: tuple[str, ...] = ()  # the names of the cases to which the difference is compared


Cases = Iterator[tuple[str, Case]]


def environ(token: str = "", path: str = "/", cookie: str = "") -> dict[str, Any]:
    """Return the WSGI environ of a browser's request for a page."""
    cookie = f"sAccessToken={token}" if token else cookie
    headers = PAGE | ({"Cookie": cookie} if cookie else {})
    return EnvironBuilder(path, headers=[*headers.items()]).get_environ()


def run(case: Case, count: int) -> float:
    """Return the CPU microseconds per request; every response must be the expected one."""
    environs = [next(case.environs).copy() for _ in range(count)]
    bodies: list[bytes] = []
    start_response: Any = lambda _status, _headers, _error=None: None  # noqa: E731
    started = time.thread_time()
    for each in environs:
        chunks: Any = case.app(each, start_response)
        bodies.append(b"".join(chunks))
        chunks.close()
    elapsed = time.thread_time() - started
    if not all(case.text in body for body in bodies):
        raise RuntimeError(f"{bodies[0][:200]!r} is not what was expected")
    return elapsed / count * 1e6


def cases(sign: Callable[..., str], never_seen: list[str], settings: dict[str, Any]) -> Cases:
    """Yield the name of each case, and the case; *sign* returns a new token."""
    required = import_module("flask_ssr_session").session_required
    ours: Callable[..., Flask] = partial(sites.ours, **settings)
    request, file = environ(sign()), cycle([environ(path="/static/__init__.py")])
    seen, pending = cycle([request]), cycle([environ(sign(**{"st-mfa": {"c": {}, "v": False}}))])

    def guarded(requests: Any = seen, base: str = REQUIRED, **conditions: Any) -> Case:
        return Case(ours(required(**conditions)(sites.user_view())), requests, USER, base)

    yield BARE, Case(sites.bare(), seen, base="")
    yield FLOOR, Case(sites.floor(), seen)
    yield RSA, Case(sites.rsa_check(), seen)
    yield "no token", Case(ours(), cycle([environ()]), units=(FLOOR,))
    yield SEEN, Case(ours(), seen, USER, units=(FLOOR,))
    yield NEVER, Case(ours(), map(environ, never_seen), USER, units=(RSA,))
    yield REQUIRED, guarded(base=SEEN)
    yield "+ role=", guarded(role="reader")
    with suppress(TypeError):  # 0.1.0 has neither of these
        yield "+ user=True, user_loader", guarded(user=True)
        yield "+ allow_pending, pending user", guarded(pending, allow_pending=True)
    yield BARE_FILE, Case(sites.bare(static=FOLDER), file, PACKAGE.encode(), "")
    yield "static file", Case(ours(static=FOLDER), file, PACKAGE.encode(), BARE_FILE, (FLOOR,))
    expired = environ(sign(issued_at=0))
    yield from page("refused page", ours(required(sites.user_view())), expired, sites.bare)
    script = ours(sites.render_page, "{{ session_script() }}")
    yield from page("+ session_script()", script, request, ours)


def page(name: str, app: Flask, sent: dict[str, Any], make_alike: Callable[..., Flask]) -> Cases:
    """Yield a page, and before it an app that renders the same bytes as a template."""
    text = app.response_class.from_app(app, sent.copy()).data
    if b"<script" not in text:
        raise RuntimeError(f"{name}: {text[:200]!r} is not the page")
    alike = make_alike(sites.render_page, f"{{% raw %}}{text.decode()}\n{{% endraw %}}")
    yield f"bare render: {name}", Case(alike, cycle([sent]), text, "")
    yield name, Case(app, cycle([sent]), text, f"bare render: {name}")


def rivals(token: str, key: Any) -> Cases:
    """Yield the alternatives, as their documentation has them; none uses the network."""
    import flask_login
    import jwt
    from supertokens_python.framework.flask import Middleware
    from supertokens_python.recipe.session.framework.flask import verify_session
    from supertokens_python.recipe.session.syncio import get_session

    def case(app: Flask, cookie: str = f"sAccessToken={token}") -> Case:
        return Case(app, cycle([environ(cookie=cookie)]), USER, units=(SEEN, NEVER))

    yield "get_session", case(sites.bare(lambda: get_session(request).get_user_id()))  # type: ignore[union-attr]
    verified = sites.bare(verify_session()(lambda: g.supertokens.get_user_id()))
    Middleware(verified)
    yield "verify_session", case(verified)
    decode = partial(jwt.decode, key=key, algorithms=["RS256"])
    yield "PyJWT", case(sites.bare(lambda: decode(request.cookies["sAccessToken"])["sub"]))
    known = flask_login.UserMixin()
    known.id = USER.decode()
    login = sites.bare(flask_login.login_required(lambda: flask_login.current_user.id))
    login.secret_key = "benchmarks" * 4
    login.add_url_rule("/login", "login", lambda: str(flask_login.login_user(known)))
    flask_login.LoginManager(login).user_loader(lambda _user_id: known)
    cookie = login.test_client().get("/login").headers["Set-Cookie"].partition(";")[0]
    yield "flask-login", case(login, cookie)


def start_sdk(jwk: dict[str, str]) -> None:
    """Initialise the SDK with two recipes that require a claim; it needs only the core's keys."""
    from supertokens_python.recipe import emailverification, multifactorauth, session

    from tests.dev_core.sdk import init_sdk

    os.environ.update(SUPERTOKENS_TLDEXTRACT_DISABLE_HTTP="1", NO_PROXY="127.0.0.1")
    core = Flask("core")
    core.add_url_rule("/.well-known/jwks.json", "keys", lambda: {"keys": [jwk]})
    server = make_server("127.0.0.1", 0, core)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    verification, factors = emailverification.init(mode="REQUIRED"), multifactorauth.init()
    init_sdk(f"http://127.0.0.1:{server.server_port}", [verification, factors, session.init()])


def main() -> None:
    """Print the microseconds of each case over its base, and its units."""
    logging.disable()  # of refused tokens, and of requests for keys
    has_sdk, batches, batch = sys.argv[1] == "with the SDK", int(sys.argv[2]), int(sys.argv[3])
    signer = SessionSigner()
    settings = {"api_domain": "https://api.example.com", "jwks": {"keys": [signer.jwk()]}}
    if has_sdk:
        start_sdk(signer.jwk())

    def sign(**more: Any) -> str:
        claims = signer.claims(USER.decode(), roles=["reader"], **more)
        return signer.sign({**(CLAIMS if has_sdk else {}), **claims})

    never_seen = [sign() for _ in range((batches + 1) * batch)]
    made = dict(cases(sign, never_seen, {} if has_sdk else settings))
    if has_sdk and not os.environ[PACKAGE]:
        made |= dict(rivals(sign(), signer.public_key))
    found = []
    for _ in range(batches + 1):  # the first warms up
        names = random.sample([*made], len(made))
        found.append({name: run(made[name], batch) for name in names})
    figures = {}
    for name, case in made.items():
        over = [each[name] - each.get(case.base, 0) for each in found[1:]]
        figures[name] = (statistics.median(over), case.units)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
