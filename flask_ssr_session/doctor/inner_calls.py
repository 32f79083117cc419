"""Find views and hooks whose own code calls ``require_session()``.

What such a call requires shows only when it runs, so no check knows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from types import CodeType
from typing import Any

from flask import Flask

from ..decorators import require_session
from ..sansio.requirements import wrapped_chain


def inner_calls(app: Flask) -> Iterator[str]:
    """Yield the endpoint of each such view, and the name of each such hook."""
    for endpoint, view in app.view_functions.items():
        view_class = getattr(view, "view_class", None)
        methods = [] if view_class is None else vars(view_class).values()
        if any(_names_require_session(function) for function in [*wrapped_chain(view), *methods]):
            yield endpoint
    for hook in chain.from_iterable(app.before_request_funcs.values()):
        if any(map(_names_require_session, wrapped_chain(hook))):
            yield getattr(hook, "__name__", type(hook).__name__)


def _names_require_session(function: Any) -> bool:
    code = getattr(function, "__code__", None)
    return isinstance(code, CodeType) and _uses(code, require_session.__name__)


def _uses(code: CodeType, name: str) -> bool:
    """Return whether *code*, or a function inside it, uses *name*."""
    inner = (each for each in code.co_consts if isinstance(each, CodeType))
    return name in code.co_names or any(_uses(each, name) for each in inner)
