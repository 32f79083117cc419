"""Apply the conditions of a request (RFC 9110 section 13) only to copies of the same session.

A view that answers 304 by itself renders nothing: the browser shows its copy, whatever session it
was rendered for. ``Vary: Cookie`` does not prevent that. If the cookies differ, Chromium and
Firefox leave ``If-Modified-Since`` out, but still send the ETag of the copy
(``tests/browser/test_caches.py``).
"""

from __future__ import annotations

import re
from hashlib import sha256

from flask import Request

from .sansio.states import SessionState


def _environ_key(name: str) -> str:
    return f"HTTP_{name.upper().replace('-', '_')}"


def _attribute(name: str) -> str:
    """Return the attribute under which Werkzeug keeps the parsed header."""
    return name.lower().replace("-", "_")


_TAG_CONDITIONS = ("If-Match", "If-None-Match", "If-Range")
_CONDITIONS = (*_TAG_CONDITIONS, "If-Modified-Since", "If-Unmodified-Since", "Range")
_ENVIRON_KEYS = {name: _environ_key(name) for name in _CONDITIONS}
_ATTRIBUTES = {name: _attribute(name) for name in _CONDITIONS}
_ALL_KEYS = frozenset(_ENVIRON_KEYS.values())
_TAG_KEYS = frozenset(_ENVIRON_KEYS[name] for name in _TAG_CONDITIONS)

# Werkzeug's make_conditional() applies conditions to no other method.
_CONDITIONAL_METHODS = ("GET", "HEAD")

_TAG = re.compile(r'(?:W/)?"[^"]*"')


def may_ask_conditionally(state: SessionState) -> bool:
    """Return whether the app may answer a condition in this state, without rendering a page.

    For visitors without a session it may: public pages live by 304. In every other state but an
    active session, the browser has a token or the SDK's sign of one, and 304 would show a private
    page and never refresh.
    """
    return state in (SessionState.ACTIVE, SessionState.ANONYMOUS)


def drop_conditions(request: Request) -> None:
    """Show the app a request for the whole page.

    Only GET and HEAD can be answered by 304 and 206. For other methods a condition keeps one user's
    change from overwriting another's, and the change must not happen without it.
    """
    if request.method in _CONDITIONAL_METHODS and not _ALL_KEYS.isdisjoint(request.environ):
        for name in _CONDITIONS:
            _set_condition(request, name, None)


def unmark_tags(request: Request, session_handle: str) -> None:
    """Show the app its own entity tags, without the mark of the session.

    Marks of other sessions stay: no tag of the app equals such a tag. If the request is for a page,
    tags without any mark are dropped, too: the copy is from before the sign-in.
    """
    if _TAG_KEYS.isdisjoint(request.environ):
        return
    mark = _mark(session_handle)
    for name in _TAG_CONDITIONS:
        tags = request.environ.get(_ENVIRON_KEYS[name])
        if tags is None:
            continue
        if name == "If-None-Match" and _accepts_page(request):
            tags = ", ".join(tag for tag in _TAG.findall(tags) if mark in tag)
        _set_condition(request, name, tags.replace(mark, "") or None)


def mark_tag(tag: str, session_handle: str) -> str:
    """Return an entity tag that names the session for which its page was rendered.

    :param tag: the value of an ``ETag`` header.
    """
    mark = _mark(session_handle)
    return f'{tag[:-1]}{mark}"' if tag.endswith('"') else f"{tag}{mark}"


def _mark(session_handle: str) -> str:
    """Return the end of every tag of this session: a hash, to keep the handle private.

    The handle outlives a refresh, so the browser's copy stays valid after one.
    """
    return f".ssr-{sha256(session_handle.encode()).hexdigest()[:16]}"


def _accepts_page(request: Request) -> bool:
    """Return whether the response is to be HTML.

    False for a script that accepts anything: JSON keeps its 304, and at worst such a script shows
    the copy of a public page from before the sign-in.
    """
    accept = request.headers.get("Accept", "").lower()
    return request.method in _CONDITIONAL_METHODS and "text/html" in accept


def _set_condition(request: Request, name: str, value: str | None) -> None:
    if value is None:
        request.environ.pop(_ENVIRON_KEYS[name], None)
    else:
        request.environ[_ENVIRON_KEYS[name]] = value
    # Werkzeug keeps the parsed header if something read it before the hook.
    request.__dict__.pop(_ATTRIBUTES[name], None)
