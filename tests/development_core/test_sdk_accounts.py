"""Accounts, e-mail verification, roles and tenants through the real supertokens-python."""

from __future__ import annotations

import pytest
from supertokens_python.recipe import emailpassword, emailverification, session, userroles
from supertokens_python.recipe.emailpassword import syncio as accounts
from supertokens_python.recipe.emailpassword.interfaces import (
    EmailAlreadyExistsError,
    PasswordResetTokenInvalidError,
    SignInOkResult,
    SignUpOkResult,
    UnknownUserIdError,
    UpdateEmailOrPasswordOkResult,
    WrongCredentialsError,
)
from supertokens_python.recipe.emailverification import syncio as verification
from supertokens_python.recipe.emailverification.interfaces import (
    CreateEmailVerificationTokenEmailAlreadyVerifiedError,
    CreateEmailVerificationTokenOkResult,
    VerifyEmailUsingTokenInvalidTokenError,
    VerifyEmailUsingTokenOkResult,
)
from supertokens_python.recipe.multitenancy import syncio as tenants
from supertokens_python.recipe.session.syncio import create_new_session_without_request_response
from supertokens_python.recipe.userroles import syncio as roles
from supertokens_python.recipe.userroles.interfaces import (
    GetPermissionsForRoleOkResult,
    GetUsersThatHaveRoleOkResult,
    RemovePermissionsFromRoleOkResult,
    UnknownRoleError,
)
from supertokens_python.syncio import (
    delete_user,
    get_user,
    get_user_count,
    get_users_newest_first,
    get_users_oldest_first,
)
from supertokens_python.syncio import list_users_by_account_info as list_users
from supertokens_python.types.base import AccountInfoInput

from flask_ssr_session.dev_core import DevelopmentCore

from .sdk import init_sdk

PASSWORD = "correct horse 1"


@pytest.fixture
def core(live_core: DevelopmentCore, sdk_environment: None) -> DevelopmentCore:  # noqa: ARG001
    """A core with an initialised SDK."""
    recipes = [
        emailpassword.init(),
        emailverification.init(mode="OPTIONAL"),
        session.init(),
        userroles.init(),
    ]
    init_sdk(live_core.uri, recipes)
    return live_core


def sign_up(email: str = "Ada@Example.com") -> SignUpOkResult:
    result = accounts.sign_up("public", email, PASSWORD)
    assert isinstance(result, SignUpOkResult)
    return result


def test_account_is_created_found_and_removed_with_its_sessions(core: DevelopmentCore) -> None:
    user = sign_up().user
    assert user.emails == ["ada@example.com"]
    assert user.tenant_ids == ["public"]
    assert not user.is_primary_user
    assert isinstance(accounts.sign_up("public", "ada@example.com", "x"), EmailAlreadyExistsError)
    assert isinstance(accounts.sign_in("public", "ADA@example.com", PASSWORD), SignInOkResult)
    assert isinstance(accounts.sign_in("public", "ada@example.com", "x"), WrongCredentialsError)
    assert get_user(user.id) == user
    assert list_users("public", AccountInfoInput(email=" ADA@example.com")) == [user]
    assert list_users("public", AccountInfoInput(email="bob@example.com")) == []
    create_new_session_without_request_response("public", user.login_methods[0].recipe_user_id)
    assert [record.user_id for record in core.list_sessions()] == [user.id]
    delete_user(user.id)
    assert get_user(user.id) is None
    assert core.list_sessions() == []
    assert get_user_count() == 0


@pytest.mark.usefixtures("core")
def test_accounts_are_counted_and_listed_in_pages() -> None:
    for name in ("a", "b", "c"):
        sign_up(f"{name}@example.com")
    assert get_user_count() == get_user_count(tenant_id="public") == 3
    first_page = get_users_oldest_first("public", limit=2)
    assert len(first_page.users) == 2
    second_page = get_users_oldest_first(
        "public", limit=2, pagination_token=first_page.next_pagination_token
    )
    assert second_page.next_pagination_token is None
    oldest_first = first_page.users + second_page.users
    assert get_users_newest_first("public").users == oldest_first[::-1]


@pytest.mark.usefixtures("core")
def test_password_is_reset_with_a_token_that_works_once() -> None:
    user = sign_up().user
    token = accounts.create_reset_password_token("public", user.id, "ada@example.com")
    assert not isinstance(token, UnknownUserIdError)
    changed = accounts.reset_password_using_token("public", token.token, "another 1")
    assert isinstance(changed, UpdateEmailOrPasswordOkResult)
    again = accounts.reset_password_using_token("public", token.token, "a third 1")
    assert isinstance(again, PasswordResetTokenInvalidError)
    signed_in = accounts.sign_in("public", "ada@example.com", "another 1")
    assert isinstance(signed_in, SignInOkResult)
    unknown = accounts.create_reset_password_token("public", "unknown", "ada@example.com")
    assert isinstance(unknown, UnknownUserIdError)


@pytest.mark.usefixtures("core")
def test_address_is_changed_unless_it_is_taken() -> None:
    ada = sign_up().recipe_user_id
    sign_up("bob@example.com")
    taken = accounts.update_email_or_password(ada, email="Bob@example.com")
    assert isinstance(taken, EmailAlreadyExistsError)
    changed = accounts.update_email_or_password(ada, email="new@example.com")
    assert isinstance(changed, UpdateEmailOrPasswordOkResult)


@pytest.mark.usefixtures("core")
def test_address_is_verified_with_a_token_and_unverified() -> None:
    ada = sign_up().recipe_user_id
    created = verification.create_email_verification_token("public", ada)
    assert isinstance(created, CreateEmailVerificationTokenOkResult)
    assert not verification.is_email_verified(ada)
    verified = verification.verify_email_using_token("public", created.token)
    assert isinstance(verified, VerifyEmailUsingTokenOkResult)
    assert verified.user.email == "ada@example.com"
    assert verification.is_email_verified(ada)
    user = get_user(ada.get_as_string())
    assert user is not None
    assert user.login_methods[0].verified
    again = verification.verify_email_using_token("public", created.token)
    assert isinstance(again, VerifyEmailUsingTokenInvalidTokenError)
    no_need = verification.create_email_verification_token("public", ada)
    assert isinstance(no_need, CreateEmailVerificationTokenEmailAlreadyVerifiedError)
    verification.unverify_email(ada)
    assert not verification.is_email_verified(ada)
    created = verification.create_email_verification_token("public", ada)
    assert isinstance(created, CreateEmailVerificationTokenOkResult)
    verification.revoke_email_verification_tokens("public", ada)
    revoked = verification.verify_email_using_token("public", created.token)
    assert isinstance(revoked, VerifyEmailUsingTokenInvalidTokenError)


@pytest.mark.usefixtures("core")
def test_roles_are_made_given_taken_and_removed() -> None:
    assert roles.create_new_role_or_add_permissions("admin", ["read", "write"]).created_new_role
    assert not roles.create_new_role_or_add_permissions("admin", []).created_new_role
    assert isinstance(roles.add_role_to_user("public", "user-1", "ghost"), UnknownRoleError)
    given = roles.add_role_to_user("public", "user-1", "admin")
    assert not isinstance(given, UnknownRoleError)
    assert not given.did_user_already_have_role
    assert roles.get_roles_for_user("public", "user-1").roles == ["admin"]
    holders = roles.get_users_that_have_role("public", "admin")
    assert isinstance(holders, GetUsersThatHaveRoleOkResult)
    assert holders.users == ["user-1"]
    assert roles.get_roles_that_have_permission("write").roles == ["admin"]
    removed = roles.remove_permissions_from_role("admin", ["write"])
    assert isinstance(removed, RemovePermissionsFromRoleOkResult)
    permissions = roles.get_permissions_for_role("admin")
    assert isinstance(permissions, GetPermissionsForRoleOkResult)
    assert permissions.permissions == ["read"]
    assert isinstance(roles.get_permissions_for_role("ghost"), UnknownRoleError)
    taken = roles.remove_user_role("public", "user-1", "admin")
    assert not isinstance(taken, UnknownRoleError)
    assert taken.did_user_have_role
    assert roles.get_all_roles().roles == ["admin"]
    assert roles.delete_role("admin").did_role_exist
    assert not roles.delete_role("admin").did_role_exist


@pytest.mark.usefixtures("core")
def test_only_the_public_tenant_exists() -> None:
    tenant = tenants.get_tenant("public")
    assert tenant is not None
    assert tenant.tenant_id == "public"
    assert tenant.first_factors is None
    assert tenants.get_tenant("other") is None
