"""Decide what caches may do with an answer, by the state of the session and by what it is."""

from __future__ import annotations

from enum import Enum

from .states import SessionState

_PAGES = ("text/html", "application/xhtml+xml", "text/vnd.turbo-stream.html")


class Caching(Enum):
    """What becomes of the cache headers that a view gave its answer."""

    LEAVE = "leave"
    PRIVATE = "private"
    NO_STORE = "no_store"


def is_page(media_type: str) -> bool:
    """Return whether a browser shows this type as a page, so that a template may be in it."""
    return media_type.lower() in _PAGES


def choose_caching(
    state: SessionState,
    *,
    media_type: str,
    streams: bool = False,
    protected: bool = False,
    optional: bool = False,
) -> Caching:
    """Return what caches may do with an answer in which no page of ours was rendered yet.

    Only where the session was looked at: an exempt view that never asks is left alone.

    :param state: ``ACTIVE`` also for a pending session that the view admits.
    :param media_type: of the answer, without parameters.
    :param streams: a template may still render the refresh page into it.
    :param protected: the answer is content that was held back until the session was known.
    :param optional: strangers may see the page, too.
    """
    shows_page = is_page(media_type)
    if state is SessionState.ACTIVE:
        # Any page may look at g.session, and nothing of ours sees it do so.
        return Caching.PRIVATE if protected or shows_page else Caching.LEAVE
    if protected or (streams and shows_page):
        return Caching.NO_STORE
    if state is SessionState.ANONYMOUS:
        return Caching.LEAVE
    if state in (SessionState.REFRESH, SessionState.PENDING):
        # An optional page shows itself here as to a stranger. Any other page is the same for
        # everybody, and a refresh or the next factor changes the cookie that it varies by.
        return Caching.NO_STORE if optional else Caching.LEAVE
    # The same cookie gets another page as soon as the keys, the clock or the core are back.
    return Caching.NO_STORE if shows_page or optional else Caching.LEAVE
