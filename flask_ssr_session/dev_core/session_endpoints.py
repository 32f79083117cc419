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
            "/recipe/session/data": {
                "GET": self._session_data,
                "PUT": self._replace_session_data,
            },
            "/recipe/jwt/data": {"PUT": self._replace_session_payload},
        }

    def _create_session(self, fields: Fields) -> JSON:
        return _session_outcome(
            self._sessions.create(
                fields.text("userId"),
                payload=_required_claims(fields),
                data=fields.object("userDataInDatabase"),
                use_dynamic_key=fields.flag("useDynamicSigningKey", default=True),
                enable_anti_csrf=fields.flag("enableAntiCsrf"),
            )
        )

    def _refresh_session(self, fields: Fields) -> JSON:
        return _session_outcome(
            self._sessions.refresh(
                fields.any_text("refreshToken"),
                use_dynamic_key=fields.flag("useDynamicSigningKey"),
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
            known = [_known_handle(handle) for handle in handles]
            return ok(sessionHandlesRevoked=self._sessions.remove(known))
        if user_id is not None and handles is None:
            return ok(sessionHandlesRevoked=self._sessions.remove_all(user_id))
        raise BadRequestError("exactly one of sessionHandles and userId is required")

    def _session(self, fields: Fields) -> JSON:
        record = self._sessions.find(_handle(fields))
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

    def _session_data(self, fields: Fields) -> JSON:
        record = self._sessions.find(_handle(fields))
        return _NO_SESSION if record is None else ok(userDataInDatabase=record.data)

    def _replace_session_data(self, fields: Fields) -> JSON:
        found = self._sessions.replace_data(_handle(fields), fields.object("userDataInDatabase"))
        return ok() if found else _NO_SESSION

    def _replace_session_payload(self, fields: Fields) -> JSON:
        found = self._sessions.replace_payload(_handle(fields), _required_claims(fields))
        return ok() if found else _NO_SESSION


def _handle(fields: Fields) -> str:
    return _known_handle(fields.any_text("sessionHandle"))


def _known_handle(handle: str) -> str:
    """Return *handle*; another tenant's would end in its id.

    :raises BadRequestError: it does.
    """
    _, mark, tenant_id = handle.partition("_")
    if mark:
        raise BadRequestError(f"AppId or tenantId not found => {tenant_id}")
    return handle


def _required_claims(fields: Fields) -> JSON:
    fields.object("userDataInJWT")
    return _own_claims(fields) or {}


def _own_claims(fields: Fields) -> JSON | None:
    payload = fields.optional_object("userDataInJWT")
    protected = sorted(PROTECTED_CLAIMS & (payload or {}).keys())
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
        theft: JSON = {"status": "TOKEN_THEFT_DETECTED", "session": session}
        if outcome.subtype is not None:
            theft["recentTokenReuseSubtype"] = outcome.subtype
        return theft
    content = ok(session={**session, "userDataInJWT": outcome.payload, "tenantId": TENANT_ID})
    # The SDK tests for the presence of these keys, so they must be absent, not null.
    if outcome.access_token is not None:
        content["accessToken"] = _token_json(outcome.access_token)
    if outcome.refresh_token is not None:
        content["refreshToken"] = _token_json(outcome.refresh_token)
    if outcome.anti_csrf_token is not None:
        content["antiCsrfToken"] = outcome.anti_csrf_token
    if outcome.payload_update_available is not None:
        content["payloadUpdateAvailable"] = outcome.payload_update_available
    return content


def _token_json(issued: IssuedToken) -> JSON:
    return {
        "token": issued.token,
        "expiry": issued.expires_ms,
        "createdTime": issued.created_ms,
    }
