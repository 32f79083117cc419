"""Let the conditions of a request (RFC 9110 section 13) count only for a copy of this visitor's.

A view that answers 304 by itself renders nothing: the browser shows the copy that it has, whoever
asks now. ``Vary: Cookie`` is not enough. Where the cookies differ, Chromium and Firefox leave
``If-Modified-Since`` out, but still send the ETag of the copy (``tests/browser/test_caches.py``).
"""

from __future__ import annotations

import re
from hashlib import sha256

from flask import Request

from .sansio.states import SessionState

_CONDITIONS = (
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Range",
)

_WITH_TAGS = ("If-Match", "If-None-Match", "If-Range")

# Werkzeug's make_conditional() looks at no other method.
_MAY_BE_UNCHANGED = ("GET", "HEAD")

_TAG = re.compile(r'(?:W/)?"[^"]*"')


def _environ_key(name: str) -> str:
    return f"HTTP_{name.upper().replace('-', '_')}"


_WITH_TAGS_KEYS = {_environ_key(name) for name in _WITH_TAGS}


def may_ask_conditionally(state: SessionState) -> bool:
    """Return whether the app may answer a condition in this state, without rendering a page.

    Strangers may: public pages live by 304. In every other state but an active session, a visitor
    has a token or its sign, and 304 would show a private page and never refresh.
    """
    return state in (SessionState.ACTIVE, SessionState.ANONYMOUS)


def drop_conditions(request: Request) -> None:
    """Let the app see a request that asks for the whole page.

    Only GET and HEAD can be answered by 304 and 206. Elsewhere a condition keeps one user's change
    from overwriting another's, and the change must not happen without it.
    """
    if request.method in _MAY_BE_UNCHANGED:
        for name in _CONDITIONS:
            _set_condition(request, name, None)


def unmark_tags(request: Request, session_handle: str) -> None:
    """Hand the app its own entity tags, without the mark of the session.

    Marks of other sessions stay: no tag of the app's is equal to such a tag. Where a page is asked
    for, tags without any mark are dropped, too: the copy is from before the sign-in.
    """
    if request.environ.keys().isdisjoint(_WITH_TAGS_KEYS):
        return
    mark = _mark(session_handle)
    for name in _WITH_TAGS:
        tags = request.environ.get(_environ_key(name))
        if tags is None:
            continue
        if name == "If-None-Match" and _asks_for_page(request):
            tags = ", ".join(tag for tag in _TAG.findall(tags) if mark in tag)
        _set_condition(request, name, tags.replace(mark, "") or None)


def mark_tag(tag: str, session_handle: str) -> str:
    """Return an entity tag that says to which session its page was shown.

    :param tag: the value of an ``ETag`` header.
    """
    mark = _mark(session_handle)
    return f'{tag[:-1]}{mark}"' if tag.endswith('"') else f"{tag}{mark}"


def _mark(session_handle: str) -> str:
    """Return what a tag of this session ends with: a hash, as the handle is nobody's business.

    The handle outlives a refresh, so the browser's copy stays good after one.
    """
    return f".ssr-{sha256(session_handle.encode()).hexdigest()[:16]}"


def _asks_for_page(request: Request) -> bool:
    """Return whether the answer is to be HTML.

    False for a script that accepts anything: JSON keeps its 304, and at worst such a script shows
    the copy of a public page from before the sign-in.
    """
    accept = request.headers.get("Accept", "").lower()
    return request.method in _MAY_BE_UNCHANGED and "text/html" in accept


def _set_condition(request: Request, name: str, value: str | None) -> None:
    if value is None:
        request.environ.pop(_environ_key(name), None)
    else:
        request.environ[_environ_key(name)] = value
    # Werkzeug keeps what it parsed, where somebody asked before the hook.
    request.__dict__.pop(name.lower().replace("-", "_"), None)
