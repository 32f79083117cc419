"""Keep the form of a POST whose access token has expired, so that the refresh page can offer it."""

from __future__ import annotations

from werkzeug.exceptions import HTTPException

from .request_state import RequestState
from .sansio.cookie_header import ACCESS_TOKEN_COOKIE, FRONT_TOKEN_COOKIE
from .sansio.cross_site import is_same_origin


def capture_form(state: RequestState) -> None:
    """Keep the posted form if it may be resubmitted."""
    if state.form_checked:
        return
    # init_app has loaded it.
    from .sansio.form_replay import can_replay, form_owner, parse_replayable_form

    state.form_checked = True
    request = state.request
    content_type = request.content_type or ""
    if (
        request.method != "POST"
        or not is_same_origin(request.headers.get, request.host)
        or not can_replay(content_type, request.content_length)
    ):
        return
    cookies = request.cookies
    owner = form_owner(cookies.getlist(ACCESS_TOKEN_COOKIE), cookies.getlist(FRONT_TOKEN_COOKIE))
    if owner is None:  # the page could offer it to another user who signs in later
        return
    try:
        body = request.get_data()
    except HTTPException:  # larger than the app allows, or cut off
        return
    # The body is shorter if something has parsed the form before; its content is unknown then.
    if len(body) == request.content_length:
        state.form = parse_replayable_form(content_type, body, owner)
