"""The endpoints of the Session recipe."""

from __future__ import annotations

from .endpoint import JSON, EndpointTable, ok
from .fields import BadRequestError, Fields
from .session_records import Granted, IssuedToken, TheftDetected, TryRefresh, Unauthorised
from .sessions import Sessions
from .tokens import PROTECTED_CLAIMS, TENANT_ID, InvalidAccessTokenError

REFRESH_PATH = "/recipe/session/refresh"

_NO_SESSION: JSON = {
    "status": "UNAUTHORISED",
    "message": "the session does not exist or has expired",
}


class SessionEndpoints:
    """Create, refresh, verify, change and remove sessions."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self.table: EndpointTable = {
            "/recipe/session": {"GET": self._session, "POST": self._create_session},
            "/recipe/session/verify": {"POST": self._verify_session},
            REFRESH_PATH: {"POST": self._refresh_session},
            "/recipe/session/regenerate": {"POST": self._regenerate_session},
            "/recipe/session/remove": {"POST": self._remove_sessions},
            "/recipe/session/user": {"GET": self._sessions_of_user},
            "/recipe/session/data": {"PUT": self._replace_session_data},
            "/recipe/jwt/data": {"PUT": self._replace_session_payload},
        }

    def _create_session(self, fields: Fields) -> JSON:
        return _session_outcome(
            self._sessions.create(
                fields.text("userId"),
                payload=_own_claims(fields),
                data=fields.object("userDataInDatabase"),
                use_dynamic_key=fields.flag("useDynamicSigningKey", default=True),
                enable_anti_csrf=fields.flag("enableAntiCsrf"),
            )
        )

    def _refresh_session(self, fields: Fields) -> JSON:
        return _session_outcome(
            self._sessions.refresh(
                fields.text("refreshToken"),
                use_dynamic_key=fields.flag("useDynamicSigningKey", default=True),
                enable_anti_csrf=fields.flag("enableAntiCsrf"),
                anti_csrf_token=fields.optional_text("antiCsrfToken"),
            )
        )

    def _verify_session(self, fields: Fields) -> JSON:
        return _session_outcome(
            self._sessions.verify(
                fields.text("accessToken"),
                check_database=fields.flag("checkDatabase"),
                enable_anti_csrf=fields.flag("enableAntiCsrf"),
                do_anti_csrf_check=fields.flag("doAntiCsrfCheck"),
                anti_csrf_token=fields.optional_text("antiCsrfToken"),
            )
        )

    def _regenerate_session(self, fields: Fields) -> JSON:
        try:
            outcome = self._sessions.regenerate(fields.text("accessToken"), _own_claims(fields))
        except InvalidAccessTokenError as error:
            raise BadRequestError(f"field accessToken: {error}") from error
        return _session_outcome(outcome)

    def _remove_sessions(self, fields: Fields) -> JSON:
        handles = fields.optional_texts("sessionHandles")
        user_id = fields.optional_text("userId")
        if handles is not None and user_id is None:
            return ok(sessionHandlesRevoked=self._sessions.remove(handles))
        if user_id is not None and handles is None:
            return ok(sessionHandlesRevoked=self._sessions.remove_all(user_id))
        raise BadRequestError("exactly one of sessionHandles and userId is required")

    def _session(self, fields: Fields) -> JSON:
        record = self._sessions.find(fields.text("sessionHandle"))
        if record is None:
            return _NO_SESSION
        return ok(
            sessionHandle=record.handle,
            userId=record.user_id,
            recipeUserId=record.user_id,
            userDataInDatabase=record.data,
            userDataInJWT=record.payload,
            expiry=record.expires_ms,
            timeCreated=record.created_ms,
            tenantId=TENANT_ID,
        )

    def _sessions_of_user(self, fields: Fields) -> JSON:
        records = self._sessions.list_live(fields.text("userId"))
        return ok(sessionHandles=[record.handle for record in records])

    def _replace_session_data(self, fields: Fields) -> JSON:
        found = self._sessions.replace_data(
            fields.text("sessionHandle"), fields.object("userDataInDatabase")
        )
        return ok() if found else _NO_SESSION

    def _replace_session_payload(self, fields: Fields) -> JSON:
        found = self._sessions.replace_payload(fields.text("sessionHandle"), _own_claims(fields))
        return ok() if found else _NO_SESSION


def _own_claims(fields: Fields) -> JSON:
    payload = fields.object("userDataInJWT")
    protected = sorted(PROTECTED_CLAIMS & payload.keys())
    if protected:
        raise BadRequestError(f"field userDataInJWT: may not contain {', '.join(protected)}")
    return payload


def _session_outcome(outcome: Granted | Unauthorised | TryRefresh | TheftDetected) -> JSON:
    if isinstance(outcome, Unauthorised):
        return {"status": "UNAUTHORISED", "message": outcome.message}
    if isinstance(outcome, TryRefresh):
        return {"status": "TRY_REFRESH_TOKEN", "message": outcome.message}
    session: JSON = {
        "handle": outcome.handle,
        "userId": outcome.user_id,
        "recipeUserId": outcome.user_id,
    }
    if isinstance(outcome, TheftDetected):
        return {"status": "TOKEN_THEFT_DETECTED", "session": session}
    content = ok(session={**session, "userDataInJWT": outcome.payload, "tenantId": TENANT_ID})
    # The SDK tests for the presence of these keys, so they must be absent, not null.
    if outcome.access_token is not None:
        content["accessToken"] = _token_json(outcome.access_token)
    if outcome.refresh_token is not None:
        content["refreshToken"] = _token_json(outcome.refresh_token)
    if outcome.anti_csrf_token is not None:
        content["antiCsrfToken"] = outcome.anti_csrf_token
    return content


def _token_json(issued: IssuedToken) -> JSON:
    return {
        "token": issued.token,
        "expiry": issued.expires_ms,
        "createdTime": issued.created_ms,
    }
