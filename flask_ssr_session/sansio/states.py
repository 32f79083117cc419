"""The enums of a decision: states, reasons, and kinds of requests and responses."""

from __future__ import annotations

from enum import Enum
from operator import attrgetter
from typing import TYPE_CHECKING


class _Slug(Enum):
    # Enum's own are Python functions. A response that withholds content would call them 32 times,
    # which takes 5 µs.
    __hash__ = object.__hash__
    if not TYPE_CHECKING:  # type checkers would take it for a member
        value = property(attrgetter("_value_"))


class SessionState(_Slug):
    """The state of a request's session, which decides what a page shows.

    The value is the first word of the header ``SSR-Session``.

    ``PENDING`` is a session whose user has not completed all factors of sign-in yet.
    ``REFUSED`` is a request that another site sent; its tokens were not read.
    """

    ACTIVE = "active"
    PENDING = "pending"
    REFRESH = "refresh"
    ANONYMOUS = "anonymous"
    UNAVAILABLE = "unavailable"
    REFUSED = "refused"


class Reason(_Slug):
    """Why a request is in its state; the slug appears in headers and logs."""

    ACTIVE = "active"
    MFA_PENDING = "mfa_pending"
    EXPIRED = "expired"
    INVALID = "invalid"
    DUPLICATE = "duplicate"
    REVOKED = "revoked"
    REVOKED_BY_APP = "revoked_by_app"
    TOKEN_MISSING = "token_missing"  # noqa: S105 - a reason, not a secret
    ANONYMOUS = "anonymous"
    KEYS_UNAVAILABLE = "keys_unavailable"
    CLOCK = "clock"
    CORE_UNAVAILABLE = "core_unavailable"
    REVOCATION_UNKNOWN = "revocation_unknown"
    INTERNAL = "internal"
    CROSS_SITE = "cross_site"


STATE_OF_REASON = {
    Reason.ACTIVE: SessionState.ACTIVE,
    Reason.MFA_PENDING: SessionState.PENDING,
    Reason.EXPIRED: SessionState.REFRESH,
    Reason.INVALID: SessionState.REFRESH,
    Reason.DUPLICATE: SessionState.REFRESH,
    Reason.REVOKED: SessionState.REFRESH,
    Reason.REVOKED_BY_APP: SessionState.REFRESH,
    Reason.TOKEN_MISSING: SessionState.REFRESH,
    Reason.ANONYMOUS: SessionState.ANONYMOUS,
    Reason.KEYS_UNAVAILABLE: SessionState.UNAVAILABLE,
    Reason.CLOCK: SessionState.UNAVAILABLE,
    Reason.CORE_UNAVAILABLE: SessionState.UNAVAILABLE,
    Reason.REVOCATION_UNKNOWN: SessionState.UNAVAILABLE,
    Reason.INTERNAL: SessionState.UNAVAILABLE,
    Reason.CROSS_SITE: SessionState.REFUSED,
}


class RequestKind(_Slug):
    """What will read the response."""

    DOCUMENT = "document"
    PREFETCH = "prefetch"
    SCRIPT = "script"


class ResponseKind(_Slug):
    """The response to a request. Signals carry the value of a kind that asks for a refresh.

    Names that end in ``_PAGE`` are pages of this package. ``_ERROR`` is an HTTP 403 that the app's
    own error handler turns into a page.
    """

    ALLOW = "pass"
    REFRESH_PAGE = "refresh_page"
    REFRESH_REDIRECT = "refresh_redirect"
    SIGN_IN_PAGE = "sign_in_page"
    SIGN_IN_REDIRECT = "sign_in_redirect"
    OUTAGE_PAGE = "outage_page"
    PREFETCH_DECLINED = "not_now"
    TRY_REFRESH = "try_refresh"
    UNAUTHORISED = "unauthorised"
    REVOKED_JSON = "revoked"
    UNAVAILABLE_JSON = "outage"
    CROSS_SITE_PAGE = "refused_page"
    CROSS_SITE_JSON = "refused"
    REPAIR_PAGE = "repair_page"
    SIGN_IN_AGAIN_PAGE = "sign_in_again_page"
    CLAIMS_PAGE = "claims_page"
    CLAIMS_JSON = "claims_missing"
    CLAIMS_ERROR = "claims_error"
