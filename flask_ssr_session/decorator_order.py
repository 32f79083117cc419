"""Find decorators in the wrong order, at the first request and in the doctor.

A decorator of this package above a route protects nothing: the route has registered the bare
function.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from types import FunctionType, MethodType
from typing import Any
from weakref import WeakSet

from flask import Flask

from .app_state import APPS
from .errors import MisuseError
from .guards import GUARDS

_Function = Callable[..., Any]

# A function is identified by its id. A bound method has no lasting id: it is identified by the ids
# of its function and its object.
_Key = tuple[int, int]

# No view has more decorators; an endless chain must not hang the first request.
_MAX_STEPS = 500

_used_guards: WeakSet[_Function] = WeakSet()


class _Registered:
    """The functions that an app is known to call, down to the first guard.

    :ivar views: the views, and the functions that they wrap: key to endpoint.
    :ivar view_guards: ids of the guards among these, and below them.
    :ivar functions: these, hooks and error handlers, and the functions that they hold or close
        over: key to a description of where it was found.
    :ivar guards: ids of the guards among these, and below them.
    """

    def __init__(self) -> None:
        self.views: dict[_Key, str] = {}
        self.view_guards: set[int] = set()
        self.functions: dict[_Key, str] = {}
        self.guards: set[int] = set()


def check_decorator_order(app: Flask) -> None:
    """Reject an app in which a decorator above the route protects nothing.

    :raises MisuseError: names the endpoint whose view runs without the check written above it.
    """
    registered = _registered(app)
    for guard in _unused(app, registered.view_guards):
        for key in _below(guard):
            if key in registered.views:
                raise MisuseError(
                    f"The view of endpoint {registered.views[key]!r} runs without the session "
                    "decorator written on it, which stands above @app.route: the route has "
                    "registered the bare function. Put the route first, @session_required or "
                    "@session_optional below it."
                )


def unreached_guards(app: Flask) -> str | None:
    """Describe the functions that run without the decorator written on them, or return None.

    :func:`check_decorator_order` covers views. This covers hooks, error handlers, and functions
    that a decorated view calls.
    """
    registered = _registered(app)
    names = {
        f"{guard.__module__}.{guard.__qualname__} ({found})"
        for guard in _unused(app, registered.guards)
        for key in _below(guard)
        if (found := registered.functions.get(key)) is not None
    }
    if not names:
        return None
    return (
        f"{', '.join(sorted(names))} runs without the session decorator written on it: a decorator "
        "below that one has registered the bare function."
    )


def _unused(app: Flask, reached: set[int]) -> list[_Function]:
    """Return the guards that no app of this process has registered.

    :param reached: ids of the guards that *app* calls.

    One function may be registered twice on purpose, once behind a guard, by one app or by two. A
    guard counts as used even after the app that used it is gone.
    """
    guards = [guard for ref in GUARDS.valuerefs() if (guard := ref()) is not None]
    _used_guards.update(guard for guard in guards if id(guard) in reached)
    unused = [guard for guard in guards if guard not in _used_guards]
    if unused:
        others = [other for ref in APPS.valuerefs() if (other := ref()) not in (None, app)]
        elsewhere = {guard for other in others if other for guard in _registered(other).guards}
        _used_guards.update(guard for guard in unused if id(guard) in elsewhere)
    return [guard for guard in unused if guard not in _used_guards]


def _registered(app: Flask) -> _Registered:
    found = _Registered()
    for endpoint, view in list(app.view_functions.items()):
        for function in _chain(view):
            found.views.setdefault(_key(function), endpoint)
            if _is_guard(function):
                found.view_guards.update(map(id, filter(_is_guard, _chain(function))))
                break
        _walk(view, f"the view of endpoint {endpoint!r}", found)
    for hooks in list(app.before_request_funcs.values()):
        for hook in hooks:
            _walk(hook, "a before_request function", found)
    for by_code in list(app.error_handler_spec.values()):
        for by_class in list(by_code.values()):
            for handler in list(by_class.values()):
                _walk(handler, "an error handler", found)
    return found


def _walk(root: Any, origin: str, found: _Registered) -> None:
    """Add *root* and what it may call to *found*."""
    waiting, seen = [root], set[_Key]()
    while waiting and len(seen) < _MAX_STEPS:
        function = waiting.pop()
        key = _key(function)
        if key in seen:
            continue
        seen.add(key)
        found.functions.setdefault(key, origin)
        if _is_guard(function):
            found.guards.update(map(id, filter(_is_guard, _chain(function))))
            continue
        waiting += (
            inner
            for inner in inner_functions(function)
            # A recursive function closes over its own decorators, which have taken its name.
            if key not in _below(inner)
        )


def inner_functions(function: Any) -> Iterator[Any]:
    """Yield what *function* wraps, holds or closes over."""
    if isinstance(function, functools.partial):
        yield function.func
    if (wrapped := _wrapped(function)) is not None:
        yield wrapped
    if isinstance(function, FunctionType):
        for cell in function.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:  # the name has no value yet
                continue
            if isinstance(content, (FunctionType, MethodType, functools.partial)):
                yield content


def _chain(function: Any) -> Iterator[Any]:
    """Yield *function*, and the functions that it wraps."""
    for _ in range(_MAX_STEPS):
        if function is None:
            return
        yield function
        function = _wrapped(function)


def _wrapped(function: Any) -> Any:
    """Return the function of a bound method, or the one that *function* wraps, or None."""
    if isinstance(function, MethodType):
        return function.__func__
    # Not getattr: some objects have every attribute.
    try:
        return vars(function).get("__wrapped__")
    except (TypeError, RuntimeError):  # it has no attributes, or is an unbound proxy
        return None


def _below(guard: Any) -> Iterator[_Key]:
    """Yield the keys of the functions that *guard* protects."""
    for function in _chain(_wrapped(guard)):
        yield _key(function)
        # The function of a bound method serves other objects, too, perhaps unguarded on purpose.
        if isinstance(function, MethodType):
            return


def _is_guard(function: Any) -> bool:
    return GUARDS.get(id(function)) is function


def _key(function: Any) -> _Key:
    if isinstance(function, MethodType):
        return id(function.__func__), id(function.__self__)
    return id(function), 0
