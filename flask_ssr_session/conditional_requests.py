"""Apply the conditions of a request (RFC 9110 section 13) only to copies of the same session.

If a view responds with 304, the browser shows its copy, whatever session that was rendered for.
``Vary: Cookie`` does not prevent that: if the cookies differ, Chromium and Firefox omit
``If-Modified-Since``, but still send the ETag of the copy (``tests/browser/test_history.py``).
"""

from __future__ import annotations

import re
from hashlib import sha256

from flask import Request

from .sansio.states import SessionState
from .session import SSRSession


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


def may_respond_304(state: SessionState) -> bool:
    """Return whether the app may respond with 304 in this state.

    It may for visitors without a session, because public pages need 304. In every other inactive
    state the browser has a token or a front token: a 304 would show a private page, and would
    never refresh.
    """
    return state in (SessionState.ACTIVE, SessionState.ANONYMOUS)


def drop_conditions(request: Request) -> None:
    """Remove the conditions, so that the app renders the whole page.

    Only GET and HEAD get 304 and 206. For other methods the conditions stay: they keep one user's
    change from overwriting another's.
    """
    # Most requests have none. The view's method looks up each name; a set's would look at the whole
    # environ.
    has_condition = not request.environ.keys().isdisjoint(_ALL_KEYS)
    if has_condition and request.method in _CONDITIONAL_METHODS:
        for name in _CONDITIONS:
            _set_condition(request, name, None)


def unmark_tags(request: Request, session: SSRSession) -> None:
    """Remove the mark of *session* from the entity tags, so that they equal those of the app.

    Tags of other sessions keep their mark, so they equal no tag of the app. For a page request,
    unmarked tags are dropped, too: such a copy is from before sign-in.
    """
    if request.environ.keys().isdisjoint(_TAG_KEYS):
        return
    mark = _mark(session.session_handle)
    for name in _TAG_CONDITIONS:
        tags = request.environ.get(_ENVIRON_KEYS[name])
        if tags is None:
            continue
        if name == "If-None-Match" and _accepts_page(request):
            tags = ", ".join(tag for tag in _TAG.findall(tags) if mark in tag)
        _set_condition(request, name, tags.replace(mark, "") or None)


def mark_tag(tag: str, session_handle: str) -> str:
    """Return an entity tag with one mark of the session that its page was rendered for.

    :param tag: the value of an ``ETag`` header; it may have the mark already.
    """
    mark = _mark(session_handle)
    if mark in tag:
        return tag
    return f'{tag[:-1]}{mark}"' if tag.endswith('"') else f"{tag}{mark}"


def _mark(session_handle: str) -> str:
    """Return the suffix of this session's tags: a hash, to keep the handle private.

    The handle outlives a refresh, so the browser's copy stays valid after one.
    """
    return f".ssr-{sha256(session_handle.encode()).hexdigest()[:16]}"


def _accepts_page(request: Request) -> bool:
    """Return whether the request is for a page.

    False for a script that accepts anything: JSON keeps its 304, and at worst such a script shows
    a copy of a public page from before sign-in.
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
