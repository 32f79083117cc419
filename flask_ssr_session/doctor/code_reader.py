"""Read from the code of a view, and from its templates, whether it looks at the session.

Nothing is executed. What a view calls in other functions, or names only while it runs, is not seen.
"""

from __future__ import annotations

import dis
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from types import CodeType, FunctionType, ModuleType
from typing import Any, NamedTuple

import flask
from flask import Flask

from ..current_session import current_user, get_current_user
from ..decorator_order import inner_functions
from ..decorators import require_session
from ..sansio.requirements import own_mark

# No view closes over more functions.
_MAX_FUNCTIONS = 200

# Public functions that a view may call, by name.
_CALLED = frozenset({"get_ssr_session", "get_session_state", "require_session"})
# Public names that other packages have, too, or that an import often renames.
_OURS = {
    "current_user": current_user,
    "get_current_user": get_current_user,
    "require_session": require_session,
}

_IN_TEMPLATES = {
    "g.session": re.compile(r"\bg\.session\b"),
    "needs_refresh": re.compile(r"\bneeds_refresh\b"),
    "session_state": re.compile(r"\bsession_state\b"),
}
_USER_IN_TEMPLATES = {"current_user": re.compile(r"\bcurrent_user\b")}
_NAMED_TEMPLATES = re.compile(r"{%-?\+?\s*(?:extends|include|import|from)\s+[\"']([^\"']+)[\"']")


class CodeFindings(NamedTuple):
    """What the code of a view names.

    :ivar reads: ``g.session``, ``get_ssr_session``, ``needs_refresh`` and the like.
    :ivar calls: it calls ``require_session``.
    :ivar asks: it does, or it calls a function behind a session decorator.
    """

    reads: frozenset[str] = frozenset()
    calls: bool = False
    asks: bool = False


def read_code(app: Flask, view: Any) -> CodeFindings:
    """Return what *view* names: a function, a hook or a class-based view."""
    names, texts, is_guarded = set[str](), set[str](), False
    for function in functions_of(view):
        is_guarded = is_guarded or bool(own_mark(function).requirements)
        values = {**function.__globals__, **_closure(function)}
        for code in _codes(function.__code__):
            names |= _names(code, values)
            texts.update(each for each in code.co_consts if isinstance(each, str))
    names |= {name for text in texts for name in _template_names(app, text)}
    calls = "require_session" in names
    return CodeFindings(frozenset(names - {"require_session"}), calls, is_guarded or calls)


def functions_of(view: Any) -> Iterator[FunctionType]:
    """Yield *view* and the functions that it wraps, holds or closes over; methods of a class."""
    waiting, seen = [view], set[int]()
    while waiting and len(seen) < _MAX_FUNCTIONS:
        function = waiting.pop()
        if id(function) in seen:
            continue
        seen.add(id(function))
        waiting += inner_functions(function)
        if isinstance(function, FunctionType):
            yield function
            for each in getattr(vars(function).get("view_class"), "__mro__", ()):
                waiting += filter(_is_function, vars(each).values())


def _is_function(value: object) -> bool:
    return isinstance(value, FunctionType)


def _closure(function: FunctionType) -> dict[str, Any]:
    values = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # the name has no value yet
            values[name] = cell.cell_contents
    return values


def _codes(code: CodeType) -> Iterator[CodeType]:
    """Yield *code*, and that of the functions and comprehensions in it."""
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _names(code: CodeType, values: Mapping[str, Any]) -> set[str]:
    """Return the names about sessions in *code*.

    :param values: of the global names, and of the outer functions' names.
    """
    found, loads_g, after_g, value = set[str](), False, False, None
    for instruction in dis.get_instructions(code):
        name = instruction.argval
        if not instruction.opname.startswith(("LOAD_", "IMPORT_FROM")) or not isinstance(name, str):
            after_g, value = False, None
            continue
        is_attribute = instruction.opname in ("LOAD_ATTR", "LOAD_METHOD")
        if after_g and name == "session" and is_attribute:
            found.add("g.session")
        is_constant = instruction.opname == "LOAD_CONST"
        if is_attribute:
            value = getattr(value, name, None) if isinstance(value, ModuleType) else None
        else:
            value = None if is_constant else values.get(name)
        after_g = value is flask.g or (value is None and name == "g" and not is_constant)
        loads_g = loads_g or after_g
        if name in _CALLED and not is_constant:
            found.add(name)
        found.update(public for public, ours in _OURS.items() if value is ours)
    # g.get("session"), getattr(g, "session", None)
    if loads_g and "session" in code.co_consts:
        found.add("g.session")
    return found


def _template_names(app: Flask, name: str) -> set[str]:
    """Return the names about sessions in the template *name*, and in those that it names."""
    found, waiting, seen = set[str](), [name], set[str]()
    environment = app.jinja_env
    # With Flask-Login, templates have its current_user.
    has_login = hasattr(app, "login_manager")
    patterns = _IN_TEMPLATES if has_login else _IN_TEMPLATES | _USER_IN_TEMPLATES
    while waiting and environment.loader is not None:
        name = waiting.pop()
        # Texts of a view are seldom names of templates.
        if name in seen or "." not in name or not name.isprintable() or " " in name:
            continue
        seen.add(name)
        try:
            source, _, _ = environment.loader.get_source(environment, name)
        except Exception:  # noqa: BLE001, S112 - there is none, or it is not text
            continue
        found.update(each for each, pattern in patterns.items() if pattern.search(source))
        waiting += _NAMED_TEMPLATES.findall(source)
    return found
