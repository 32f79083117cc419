"""Call code of the app, which may raise anything and must not wait."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from ..errors import MisuseError, error_location

Report = Callable[[str, str, "BaseException | None"], None]
"""Receives each failure of app code: the code's name, the problem, and the error or None."""

_WAITS = "waits for something, but a page checks the payload alone"


class _WaitsError(Exception):
    """An awaitable did not finish at once."""


def raise_misuse(name: str, problem: str, error: BaseException | None) -> None:
    """Report a failure as an error; the default :data:`Report`.

    :raises MisuseError: always.
    """
    raise MisuseError(f"{name} {problem}") from error


def call_app_code(call: Callable[[], Any], name: str, report: Report) -> Any:
    """Return the result of *call*, awaited if it is awaitable, or None if it fails.

    :param report: receives code that raises, waits or returns None.
    """
    problem, cause = "returned None", None
    try:
        result = call()
        if inspect.isawaitable(result):
            result = _run_to_completion(result)
    except (KeyboardInterrupt, SystemExit):
        raise
    except _WaitsError:
        result, problem = None, _WAITS
    except BaseException as error:  # noqa: BLE001 - app code may raise anything
        result, cause = None, error
        # The message of an unknown error may hold a claim value.
        problem = f"failed with {error_location(error)}"
        if isinstance(error, RuntimeError) and "no running event loop" in str(error):
            problem = _WAITS
    if result is None:
        report(name, problem, cause)
    return result


def _run_to_completion(awaitable: Awaitable[Any]) -> Any:
    """Return the result of *awaitable* without an event loop.

    The SDK's validators are coroutines that only compute. One that waits would send a request for
    every page.

    :raises _WaitsError: it waits.
    """
    steps = awaitable.__await__()
    try:
        next(steps)
    except StopIteration as stop:
        return stop.value
    finally:
        steps.close()
    raise _WaitsError
