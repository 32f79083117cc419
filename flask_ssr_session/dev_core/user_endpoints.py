"""The endpoints for accounts: EmailPassword, EmailVerification and user search."""

from __future__ import annotations

from typing import Literal

from .endpoint import JSON, EndpointTable, ok
from .fields import BadRequestError, Fields
from .one_time_tokens import Purpose, Verification
from .tokens import TENANT_ID
from .users import User, Users

_RECIPE_ID = "emailpassword"
# A core's default and maximum number of users per response.
_DEFAULT_PAGE = 100
_MAX_PAGE = 500
_ORDERS: dict[str, Literal["ASC", "DESC"]] = {"ASC": "ASC", "DESC": "DESC"}


class UserEndpoints:
    """Sign up, sign in, and change or verify addresses and passwords."""

    def __init__(self, users: Users, verification: Verification) -> None:
        self._users = users
        self._verification = verification
        self.table: EndpointTable = {
            "/recipe/signup": {"POST": self._sign_up},
            "/recipe/signin": {"POST": self._sign_in},
            "/recipe/user": {"PUT": self._change_user},
            "/recipe/user/password/reset/token": {"POST": self._create_password_reset_token},
            "/recipe/user/password/reset/token/consume": {"POST": self._consume_reset_token},
            "/users": {"GET": self._list_users},
            "/users/count": {"GET": lambda _: ok(count=self._users.count())},
            "/users/by-accountinfo": {"GET": self._users_by_account_info},
            "/user/id": {"GET": self._user},
            "/user/remove": {"POST": self._remove_user},
            "/recipe/user/email/verify": {
                "GET": self._is_email_verified,
                "POST": self._verify_email,
            },
            "/recipe/user/email/verify/token": {"POST": self._create_verification_token},
            "/recipe/user/email/verify/token/remove": {"POST": self._remove_verification_tokens},
            "/recipe/user/email/verify/remove": {"POST": self._unverify_email},
        }

    def _sign_up(self, fields: Fields) -> JSON:
        user = self._users.sign_up(fields.text("email"), fields.text("password"))
        if user is None:
            return {"status": "EMAIL_ALREADY_EXISTS_ERROR"}
        return ok(user=_user_json(user), recipeUserId=user.id)

    def _sign_in(self, fields: Fields) -> JSON:
        user = self._users.sign_in(fields.text("email"), fields.text("password"))
        if user is None:
            return {"status": "WRONG_CREDENTIALS_ERROR"}
        return ok(user=_user_json(user), recipeUserId=user.id)

    def _change_user(self, fields: Fields) -> JSON:
        user_id = fields.text("recipeUserId")
        email, password = fields.optional_text("email"), fields.optional_text("password")
        if email is None and password is None:
            raise BadRequestError("email or password is required")
        return {"status": self._users.change(user_id, raw_email=email, password=password)}

    def _create_password_reset_token(self, fields: Fields) -> JSON:
        user_id = fields.text("userId")
        if self._users.find(user_id) is None:
            return {"status": "UNKNOWN_USER_ID_ERROR"}
        token = self._verification.create_token(
            Purpose.PASSWORD_RESET, user_id, fields.text("email")
        )
        return ok(token=token)

    def _consume_reset_token(self, fields: Fields) -> JSON:
        proven = self._verification.consume_token(Purpose.PASSWORD_RESET, fields.text("token"))
        if proven is None:
            return {"status": "RESET_PASSWORD_INVALID_TOKEN_ERROR"}
        user_id, email = proven
        return ok(userId=user_id, email=email)

    def _user(self, fields: Fields) -> JSON:
        user = self._users.find(fields.text("userId"))
        return {"status": "UNKNOWN_USER_ID_ERROR"} if user is None else ok(user=_user_json(user))

    def _users_by_account_info(self, fields: Fields) -> JSON:
        # Only one kind of account information is known here, so both answers are the same.
        fields.flag("doUnionOfAccountInfo")
        email = fields.optional_text("email")
        user = None if email is None else self._users.find_by_email(email)
        return ok(users=[] if user is None else [_user_json(user)])

    def _list_users(self, fields: Fields) -> JSON:
        order = fields.optional_text("timeJoinedOrder") or "ASC"
        if order not in _ORDERS:
            raise BadRequestError(f"field timeJoinedOrder: {' or '.join(_ORDERS)}")
        limit = fields.whole_number("limit", at_least=1, at_most=_MAX_PAGE, default=_DEFAULT_PAGE)
        try:
            users, next_page_token = self._users.list_page(
                order=_ORDERS[order],
                limit=limit,
                raw_page_token=fields.optional_text("paginationToken"),
            )
        except ValueError as error:
            raise BadRequestError(f"field paginationToken: {error}") from error
        content = ok(users=[_user_json(user) for user in users])
        if next_page_token is not None:
            content["nextPaginationToken"] = next_page_token
        return content

    def _remove_user(self, fields: Fields) -> JSON:
        self._users.remove(fields.text("userId"))
        return ok()

    def _is_email_verified(self, fields: Fields) -> JSON:
        verified = self._verification.is_email_verified(fields.text("userId"), fields.text("email"))
        return ok(isVerified=verified)

    def _create_verification_token(self, fields: Fields) -> JSON:
        user_id, email = fields.text("userId"), fields.text("email")
        if self._verification.is_email_verified(user_id, email):
            return {"status": "EMAIL_ALREADY_VERIFIED_ERROR"}
        token = self._verification.create_token(Purpose.EMAIL_VERIFICATION, user_id, email)
        return ok(token=token)

    def _verify_email(self, fields: Fields) -> JSON:
        if fields.text("method") != "token":
            raise BadRequestError("field method: must be token")
        proven = self._verification.verify_email(fields.text("token"))
        if proven is None:
            return {"status": "EMAIL_VERIFICATION_INVALID_TOKEN_ERROR"}
        user_id, email = proven
        return ok(userId=user_id, email=email)

    def _remove_verification_tokens(self, fields: Fields) -> JSON:
        self._verification.forget_tokens(
            Purpose.EMAIL_VERIFICATION, fields.text("userId"), fields.text("email")
        )
        return ok()

    def _unverify_email(self, fields: Fields) -> JSON:
        self._verification.unverify_email(fields.text("userId"), fields.text("email"))
        return ok()


def _user_json(user: User) -> JSON:
    return {
        "id": user.id,
        "isPrimaryUser": False,
        "tenantIds": [TENANT_ID],
        "timeJoined": user.joined_ms,
        "emails": [user.email],
        "phoneNumbers": [],
        "thirdParty": [],
        "webauthn": {"credentialIds": []},
        "loginMethods": [
            {
                "recipeId": _RECIPE_ID,
                "recipeUserId": user.id,
                "tenantIds": [TENANT_ID],
                "email": user.email,
                "timeJoined": user.joined_ms,
                "verified": user.is_email_verified,
            }
        ],
    }
