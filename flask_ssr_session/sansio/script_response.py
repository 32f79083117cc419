"""What a script gets in place of content: a status, and a body that the browser SDK understands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .frozen import Frozen
from .policy_values import Plan
from .states import ResponseKind

# A page and a script are told the same.
RETRY_AFTER_SECONDS = 10


class ScriptResponse(Frozen):
    """The response to a script or to a prefetch.

    :ivar body: to be sent as JSON; None for an empty body.
    :ivar retry_after: seconds, for the header ``Retry-After``; None for no such header.
    """

    status: int
    body: Mapping[str, Any] | None
    retry_after: int | None = None


# The messages of an expired and a missing session are those that SuperTokens' own SDK sends; its
# browser SDK refreshes on the status alone.
_MESSAGES = {
    ResponseKind.TRY_REFRESH: "try refresh token",
    ResponseKind.UNAUTHORISED: "unauthorised",
    ResponseKind.REVOKED_JSON: "session is revoked",
    ResponseKind.UNAVAILABLE_JSON: "session cannot be checked right now",
    ResponseKind.CROSS_SITE_JSON: "refused: another site sent this request",
    ResponseKind.CLAIMS_JSON: "invalid claim",
}


def script_response(
    plan: Plan, *, session_expired_status: int = 401, invalid_claim_status: int = 403
) -> ScriptResponse:
    """Return the response to a request that is not for a document.

    :param plan: its kind is not a page, a redirect, ``ALLOW`` or ``CLAIMS_ERROR``.
    :param session_expired_status: the status that makes the browser SDK refresh.
    :param invalid_claim_status: the status that tells the browser SDK of a failed claim.
    """
    kind = plan.kind
    if kind is ResponseKind.PREFETCH_DECLINED:
        return ScriptResponse(status=503, body=None)
    body: dict[str, Any] = {"message": _MESSAGES[kind]}
    if kind is ResponseKind.UNAVAILABLE_JSON:
        return ScriptResponse(status=503, body=body, retry_after=RETRY_AFTER_SECONDS)
    if kind is ResponseKind.CLAIMS_JSON:
        # The browser SDK tells the page which claims failed.
        errors = [{"id": each.id, "reason": each.reason} for each in plan.failures]
        body["claimValidationErrors"] = errors
        return ScriptResponse(status=invalid_claim_status, body=body)
    if kind in (ResponseKind.REVOKED_JSON, ResponseKind.CROSS_SITE_JSON):
        return ScriptResponse(status=403, body=body)
    return ScriptResponse(status=session_expired_status, body=body)
