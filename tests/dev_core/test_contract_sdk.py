"""Accounts, sessions, roles and claims through the real supertokens-python.

They run against the development core, or against a real one with ``--core URI``.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from supertokens_python.recipe import emailpassword, emailverification, session, userroles
from supertokens_python.recipe.emailpassword import syncio as accounts
from supertokens_python.recipe.emailverification import syncio as verification
from supertokens_python.recipe.jwt import syncio as custom_jwt
from supertokens_python.recipe.multitenancy import syncio as tenants
from supertokens_python.recipe.session import SessionContainer
from supertokens_python.recipe.session import syncio as sessions
from supertokens_python.recipe.session.exceptions import UnauthorisedError
from supertokens_python.recipe.userroles import syncio as roles
from supertokens_python.syncio import delete_user, get_user, get_user_count, get_users_newest_first
from supertokens_python.syncio import list_users_by_account_info as list_users
from supertokens_python.types import RecipeUserId
from supertokens_python.types.base import AccountInfoInput

from ..tables import rows
from .sdk import init_sdk, reset_sdk

PASSWORD = "correct horse 1"


@pytest.fixture(autouse=True)
def sdk(core_uri: str, sdk_environment: None) -> None:  # noqa: ARG001
    init_sdk(core_uri, [emailpassword.init(), session.init(anti_csrf="NONE"), userroles.init()])


@pytest.fixture
def sdk_with_verification(core_uri: str, sdk: None) -> None:  # noqa: ARG001
    reset_sdk()
    optional = emailverification.init(mode="OPTIONAL")
    init_sdk(core_uri, [emailpassword.init(), optional, session.init()])


@pytest.fixture
def email() -> str:
    return f"{uuid.uuid4()}@example.com"


@pytest.fixture
def role() -> str:
    return f"role-{uuid.uuid4()}"


def sign_up(email: str) -> Any:
    return accounts.sign_up("public", email, PASSWORD)


def named(result: object) -> str:
    return type(result).__name__


# Accounts


def test_account_is_created_found_and_removed_with_its_sessions(email: str) -> None:
    user = sign_up(email.upper()).user
    assert (user.emails, user.tenant_ids, user.is_primary_user) == ([email], ["public"], False)
    again = accounts.sign_up("public", email, "another password 1")
    assert named(again) == "EmailAlreadyExistsError"
    assert get_user(user.id) == user
    assert list_users("public", AccountInfoInput(email=f" {email.upper()}")) == [user]
    assert list_users("public", AccountInfoInput(email=f"x{email}")) == []
    handle = create(user.id).handle
    delete_user(user.id)
    assert get_user(user.id) is None
    assert sessions.get_session_information(handle) is None


CREDENTIALS: dict[str, Any] = {
    "right": (str, PASSWORD, "SignInOkResult"),
    "address in other case": (lambda email: f" {email.upper()} ", PASSWORD, "SignInOkResult"),
    "other password": (str, PASSWORD + " ", "WrongCredentialsError"),
    "other address": (lambda email: f"x{email}", PASSWORD, "WrongCredentialsError"),
}


@rows("change, password, result", CREDENTIALS)
def test_sign_in_needs_address_and_password(
    email: str, change: Callable[[str], str], password: str, result: str
) -> None:
    sign_up(email)
    assert named(accounts.sign_in("public", change(email), password)) == result


def test_accounts_are_counted_and_listed_in_pages() -> None:
    before = get_user_count()
    made = [sign_up(f"{uuid.uuid4()}@example.com").user for _ in range(3)]
    assert get_user_count() == get_user_count(tenant_id="public") == before + 3
    first = get_users_newest_first("public", limit=2)
    rest = get_users_newest_first("public", limit=1, pagination_token=first.next_pagination_token)
    assert {user.id for user in first.users + rest.users} == {user.id for user in made}


def test_password_is_reset_with_a_token_that_works_once(email: str) -> None:
    token: Any = accounts.create_reset_password_token("public", sign_up(email).user.id, email)
    changed = accounts.reset_password_using_token("public", token.token, "another 1")
    assert named(changed) == "UpdateEmailOrPasswordOkResult"
    again = accounts.reset_password_using_token("public", token.token, "a third 1")
    assert named(again) == "PasswordResetTokenInvalidError"
    assert named(accounts.sign_in("public", email, "another 1")) == "SignInOkResult"
    assert named(accounts.sign_in("public", email, PASSWORD)) == "WrongCredentialsError"
    unknown = accounts.create_reset_password_token("public", "unknown", email)
    assert named(unknown) == "UnknownUserIdError"


ADDRESSES: dict[str, Any] = {
    "free": (False, "UpdateEmailOrPasswordOkResult"),
    "taken": (True, "EmailAlreadyExistsError"),
}


@rows("is_taken, result", ADDRESSES)
def test_address_is_changed_unless_it_is_taken(email: str, is_taken: bool, result: str) -> None:
    user = sign_up(email).recipe_user_id
    other = f"{uuid.uuid4()}@example.com"
    if is_taken:
        sign_up(other)
    assert named(accounts.update_email_or_password(user, email=other)) == result
    signed_in = accounts.sign_in("public", email if is_taken else other, PASSWORD)
    assert named(signed_in) == "SignInOkResult"


@pytest.mark.usefixtures("sdk_with_verification")
def test_address_is_verified_with_a_token_and_unverified(email: str) -> None:
    user = sign_up(email).recipe_user_id
    created: Any = verification.create_email_verification_token("public", user)
    result: Any = verification.verify_email_using_token("public", created.token)
    assert (result.user.email, verification.is_email_verified(user)) == (email, True)
    again = verification.verify_email_using_token("public", created.token)
    assert named(again) == "VerifyEmailUsingTokenInvalidTokenError"
    late = verification.create_email_verification_token("public", user)
    assert named(late) == "CreateEmailVerificationTokenEmailAlreadyVerifiedError"
    verification.unverify_email(user)
    assert not verification.is_email_verified(user)
    withdrawn: Any = verification.create_email_verification_token("public", user)
    verification.revoke_email_verification_tokens("public", user)
    late = verification.verify_email_using_token("public", withdrawn.token)
    assert named(late) == "VerifyEmailUsingTokenInvalidTokenError"


# Roles and the tenant


def test_role_is_made_given_and_taken_once(email: str, role: str) -> None:
    user = sign_up(email).user.id
    assert roles.create_new_role_or_add_permissions(role, ["read"]).created_new_role
    assert not roles.create_new_role_or_add_permissions(role, ["write"]).created_new_role
    for had_it in (False, True):
        given: Any = roles.add_role_to_user("public", user, role)
        assert given.did_user_already_have_role is had_it
    assert roles.get_roles_for_user("public", user).roles == [role]
    users: Any = roles.get_users_that_have_role("public", role)
    assert users.users == [user]
    assert role in roles.get_all_roles().roles
    assert role in roles.get_roles_that_have_permission("write").roles
    roles.remove_permissions_from_role(role, ["write"])
    left: Any = roles.get_permissions_for_role(role)
    assert left.permissions == ["read"]
    for had_it in (True, False):
        taken: Any = roles.remove_user_role("public", user, role)
        assert taken.did_user_have_role is had_it
    assert [roles.delete_role(role).did_role_exist for _ in range(2)] == [True, False]


ROLE_CALLS: dict[str, Any] = {
    "give": lambda role: roles.add_role_to_user("public", "user-1", role),
    "take": lambda role: roles.remove_user_role("public", "user-1", role),
    "users": lambda role: roles.get_users_that_have_role("public", role),
    "permissions": roles.get_permissions_for_role,
    "remove permissions": lambda role: roles.remove_permissions_from_role(role, ["read"]),
}


@rows("ask", ROLE_CALLS)
def test_role_that_does_not_exist_is_told(role: str, ask: Callable[[str], object]) -> None:
    assert named(ask(role)) == "UnknownRoleError"


def test_tenant_is_known_and_no_other(role: str) -> None:
    assert tenants.get_tenant("public") is not None
    assert tenants.get_tenant(role) is None


# Sessions; how their tokens are replaced is in test_rotation


class Pair:
    """The two tokens that a browser has after a response."""

    def __init__(self, container: SessionContainer) -> None:
        tokens = container.get_all_session_tokens_dangerously()
        self.handle = container.get_handle()
        self.access: str = tokens["accessToken"]
        self.refresh: str = tokens["refreshToken"] or ""


def create(user_id: str = "user-1", **options: Any) -> Pair:
    make = sessions.create_new_session_without_request_response
    return Pair(make("public", RecipeUserId(user_id), **options))


def refresh(token: str) -> Pair:
    return Pair(sessions.refresh_session_without_request_response(token))


def use(token: str, *, check_database: bool = False) -> Any:
    return sessions.get_session_without_request_response(token, check_database=check_database)


def merge(container: SessionContainer, changes: dict[str, Any]) -> None:
    container.sync_merge_into_access_token_payload(changes)


STEPS: dict[str, Any] = {
    "a child's access token": lambda _, child: use(child.access),
    "check of the database": lambda first, _: use(first.access, check_database=True),
    "refresh": lambda first, _: refresh(first.refresh),
    "change of the payload": lambda first, _: merge(use(first.access), {"a": 1}),
}


@pytest.mark.parametrize("is_removed", [False, True])
@rows("step", STEPS)
def test_removal_is_noticed_wherever_the_core_is_asked(step: Any, is_removed: bool) -> None:
    first = create()
    child = refresh(first.refresh)
    if not is_removed:
        step(first, child)
        return
    assert sessions.revoke_session(first.handle)
    with pytest.raises(UnauthorisedError):
        step(first, child)
    assert use(first.access).get_handle() == first.handle
    assert sessions.get_session_information(first.handle) is None
    assert not sessions.revoke_session(first.handle)


def test_information_says_all_of_a_session() -> None:
    first = create(access_token_payload={"plan": "free"}, session_data_in_database={"note": 1})
    assert sessions.update_session_data_in_database(first.handle, {"b": 2})
    found: Any = sessions.get_session_information(first.handle)
    assert (found.session_handle, found.user_id) == (first.handle, "user-1")
    assert found.tenant_id == "public"
    assert found.custom_claims_in_access_token_payload["plan"] == "free"
    assert found.session_data_in_database == {"b": 2}
    assert found.expiry > found.time_created
    assert not sessions.update_session_data_in_database("unknown", {})


def test_sessions_are_listed_and_removed_by_user() -> None:
    user, other_user = str(uuid.uuid4()), str(uuid.uuid4())
    handles = {create(user).handle, create(user).handle}
    other = create(other_user).handle
    assert set(sessions.get_all_session_handles_for_user(user)) == handles
    assert set(sessions.get_all_session_handles_for_user(user, tenant_id="public")) == handles
    assert set(sessions.revoke_all_sessions_for_user(user)) == handles
    assert sessions.revoke_all_sessions_for_user(user, tenant_id="public") == []
    assert sessions.revoke_multiple_sessions([other, "unknown"]) == [other]


def test_payload_changed_by_handle_arrives_with_the_next_check_of_the_database() -> None:
    first = create(access_token_payload={"old": 1})
    assert sessions.merge_into_access_token_payload(first.handle, {"plan": "paid", "old": None})
    assert "plan" not in use(first.access).get_access_token_payload()
    container = use(first.access, check_database=True)
    assert container.get_access_token_payload()["plan"] == "paid"
    assert "old" not in container.get_access_token_payload()
    assert container.get_all_session_tokens_dangerously()["accessAndFrontTokenUpdated"]
    assert not sessions.merge_into_access_token_payload("unknown", {"plan": "paid"})


def test_payload_changed_on_the_session_arrives_at_once_and_keeps_the_expiry() -> None:
    first = create()
    container = use(first.access)
    merge(container, {"plan": "paid"})
    payload = use(Pair(container).access).get_access_token_payload()
    before = jwt.decode(first.access, options={"verify_signature": False})
    assert payload["plan"] == "paid"
    assert (payload["exp"], payload["iss"]) == (before["exp"], "http://localhost:5000/auth")


@rows("is_static, prefix", {"usual": (None, "s-"), "dynamic key": (False, "d-")})
def test_custom_jwt_is_signed_but_is_no_session(is_static: bool | None, prefix: str) -> None:
    result: Any = custom_jwt.create_jwt({"hello": "world"}, 60, is_static)
    kid = jwt.get_unverified_header(result.jwt)["kid"]
    assert kid.startswith(prefix)
    (key,) = (key for key in sessions.get_jwks().keys if key.kid == kid)
    payload = jwt.decode(result.jwt, jwt.PyJWK(key.__dict__).key, algorithms=["RS256"])
    assert (payload["hello"], payload["exp"] - payload["iat"]) == ("world", 60)
    with pytest.raises(UnauthorisedError):
        use(result.jwt)
