"""Check the order in which the app registers decorators and hooks."""

from __future__ import annotations

from collections.abc import Iterator

from ..decorator_order import unreached_guards
from ..middleware_order import hook_before_api
from .environment import Environment
from .finding import Finding, ok, problem


def check_decorators(environment: Environment) -> Iterator[Finding]:
    """Check that the app calls every function through its session decorator."""
    if (unreached := unreached_guards(environment.state.app)) is not None:
        yield problem(
            "decorators",
            unreached,
            "put @session_required or @session_optional directly above the function, below all "
            "other decorators",
        )
    else:
        yield ok("decorators", "every session decorator is below its route")


def check_middleware(environment: Environment) -> Iterator[Finding]:
    """Check that no hook runs before the SDK's middleware and blocks the API."""
    message = hook_before_api(environment.state.app, environment.resolved)
    if message is not None:
        yield problem("middleware", message, "call Middleware(app) before you register the hook")
