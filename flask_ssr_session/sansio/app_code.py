"""Call code of the app, which may fail in any way, and must not wait."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from ..errors import MisuseError, error_location

Report = Callable[[str, str, "BaseException | None"], None]
"""Is told of app code that cannot be asked: its name, what is wrong with it, and the error."""

_WAITS = "waits for something; on a page the payload has to do"


def raise_misuse(name: str, problem: str, error: BaseException | None) -> None:
    """Refuse to go on: the default :data:`Report`.

    :raises MisuseError: always.
    """
    raise MisuseError(f"{name} {problem}") from error


def call_app_code(call: Callable[[], Any], name: str, report: Report) -> Any:
    """Return what *call* returns or its awaitable comes to at once; None where it fails.

    The SDK's validators are coroutines that only compute, so no event loop is needed. One that
    really waits would ask somebody, on every page.

    :param report: is told where the code raises, waits or returns None.
    """
    failure: BaseException | None = None
    problem = "returned nothing"
    try:
        result = call()
        if not inspect.isawaitable(result):
            finished = result
        else:
            steps = result.__await__()
            try:
                next(steps)
                finished, problem = None, _WAITS
            except StopIteration as stop:
                finished = stop.value
            finally:
                steps.close()
    except BaseException as error:  # it is the app's code, anything may come out
        if isinstance(error, (KeyboardInterrupt, SystemExit)):
            raise
        finished, failure = None, error
        if isinstance(error, RuntimeError) and "no running event loop" in str(error):
            problem = _WAITS
        else:
            # The message of an unknown error may hold a claim value.
            problem = f"failed with {error_location(error)}"
    if finished is None:
        report(name, problem, failure)
    return finished
