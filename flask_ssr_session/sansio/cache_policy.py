"""Decide what caches may do with a response, by its type and the state of the session."""

from __future__ import annotations

from enum import Enum

from .states import SessionState

_PAGES = ("text/html", "application/xhtml+xml", "text/vnd.turbo-stream.html")


class Caching(Enum):
    """What happens to the cache headers that a view gave its response."""

    LEAVE = "leave"
    PRIVATE = "private"
    NO_STORE = "no_store"


def is_page(media_type: str) -> bool:
    """Return whether a browser shows this type as a page, which a template may have rendered."""
    return media_type.lower() in _PAGES


def choose_caching(
    state: SessionState,
    *,
    media_type: str,
    streams: bool = False,
    protected: bool = False,
    optional: bool = False,
) -> Caching:
    """Return what caches may do with a response that does not contain the refresh page yet.

    Call it only if the session was read: an exempt view that does not read it keeps its headers.

    :param state: ``ACTIVE`` also for a pending session that the view admits.
    :param media_type: of the response, without parameters.
    :param streams: a template may still render the refresh page into it.
    :param protected: the response is content that was withheld until the session was known.
    :param optional: visitors without a session may see the page, too.
    """
    shows_page = is_page(media_type)
    if state is SessionState.ACTIVE:
        # Any page may read g.session without this package noticing.
        return Caching.PRIVATE if protected or shows_page else Caching.LEAVE
    if protected or (streams and shows_page):
        return Caching.NO_STORE
    if state is SessionState.ANONYMOUS:
        return Caching.LEAVE
    if state in (SessionState.REFRESH, SessionState.PENDING):
        # An optional page shows its signed-out content for now. Any other page is the same for all
        # visitors, and a refresh or the next factor changes the cookie that it varies by.
        return Caching.NO_STORE if optional else Caching.LEAVE
    # After the outage, the same cookie gets another page.
    return Caching.NO_STORE if shows_page or optional else Caching.LEAVE
