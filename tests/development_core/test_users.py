"""Accounts, one-time tokens and roles, called directly."""

from __future__ import annotations

from typing import Literal

import pytest

from flask_ssr_session.dev_core.one_time_tokens import Purpose, Verification
from flask_ssr_session.dev_core.roles import Roles
from flask_ssr_session.dev_core.store import Store
from flask_ssr_session.dev_core.users import Users

from .support import SteppedClock

PASSWORD = "correct horse 1"


@pytest.fixture
def store() -> Store:
    return Store(None)


@pytest.fixture
def users(store: Store, clock: SteppedClock) -> Users:
    return Users(store, clock=clock)


@pytest.fixture
def verification(store: Store, clock: SteppedClock) -> Verification:
    return Verification(store, clock=clock)


@pytest.fixture
def roles(store: Store) -> Roles:
    return Roles(store)


def sign_up(users: Users, email: str = "ada@example.com") -> str:
    user = users.sign_up(email, PASSWORD)
    assert user is not None
    return user.id


@pytest.mark.parametrize(
    ("email", "password", "accepted"),
    [
        pytest.param("ada@example.com", PASSWORD, True, id="right"),
        pytest.param(" Ada@Example.COM ", PASSWORD, True, id="address in other case"),
        pytest.param("ada@example.com", PASSWORD + " ", False, id="other password"),
        pytest.param("bob@example.com", PASSWORD, False, id="other address"),
    ],
)
def test_sign_in_needs_address_and_password(
    users: Users, email: str, password: str, accepted: bool
) -> None:
    user_id = sign_up(users)
    user = users.sign_in(email, password)
    assert (user is not None and user.id == user_id) == accepted


def test_address_has_one_account(users: Users) -> None:
    sign_up(users)
    assert users.sign_up("ADA@example.com", PASSWORD) is None
    assert users.count() == 1


def test_password_is_not_stored(users: Users, store: Store) -> None:
    sign_up(users)
    sign_up(users, "bob@example.com")
    with store.transaction() as db:
        stored = [row["password_hash"] for row in db.execute("SELECT password_hash FROM users")]
    assert PASSWORD not in "".join(stored)
    assert len(set(stored)) == 2, "one password, two salts"


@pytest.mark.parametrize(
    ("user", "email", "outcome"),
    [
        ("ada", "new@example.com", "OK"),
        ("ada", None, "OK"),
        ("ada", "BOB@example.com", "EMAIL_ALREADY_EXISTS_ERROR"),
        ("nobody", "new@example.com", "UNKNOWN_USER_ID_ERROR"),
    ],
)
def test_change_of_address(users: Users, user: str, email: str | None, outcome: str) -> None:
    ada = sign_up(users)
    sign_up(users, "bob@example.com")
    user_id = ada if user == "ada" else "nobody"
    assert users.change(user_id, raw_email=email, password=None) == outcome
    now = email if outcome == "OK" and email is not None else "ada@example.com"
    assert users.sign_in(now, PASSWORD) is not None


def test_change_of_password_replaces_the_old_one(users: Users) -> None:
    ada = sign_up(users)
    assert users.change(ada, raw_email=None, password="another 1") == "OK"
    assert users.sign_in("ada@example.com", PASSWORD) is None
    assert users.sign_in("ada@example.com", "another 1") is not None


@pytest.mark.parametrize(
    ("order", "expected"), [("ASC", [["0", "1"], ["2"]]), ("DESC", [["2", "1"], ["0"]])]
)
def test_pages_follow_the_time_of_joining(
    users: Users, clock: SteppedClock, order: Literal["ASC", "DESC"], expected: list[list[str]]
) -> None:
    for number in range(3):
        users.sign_up(f"{number}@example.com", PASSWORD)
        clock.advance(1)
    pages: list[list[str]] = []
    token = None
    while token is not None or not pages:
        page, token = users.list_page(order=order, limit=2, raw_page_token=token)
        pages.append([user.email[0] for user in page])
    assert pages == expected


@pytest.mark.parametrize("token", ["%%%", "AAAA", "é", "eA=="])
def test_page_token_of_another_core_is_refused(users: Users, token: str) -> None:
    with pytest.raises(ValueError, match="pagination token"):
        users.list_page(order="ASC", limit=1, raw_page_token=token)


def test_removed_account_leaves_nothing(
    users: Users, roles: Roles, verification: Verification
) -> None:
    ada = sign_up(users)
    roles.create("admin", [])
    roles.give(ada, "admin")
    spent = verification.create_token(Purpose.EMAIL_VERIFICATION, ada, "ada@example.com")
    verification.verify_email(spent)
    reset = verification.create_token(Purpose.PASSWORD_RESET, ada, "ada@example.com")
    users.remove(ada)
    assert users.find(ada) is None
    assert roles.roles_of(ada) == []
    assert not verification.is_email_verified(ada, "ada@example.com")
    assert verification.consume_token(Purpose.PASSWORD_RESET, reset) is None


# One-time tokens


@pytest.mark.parametrize(
    ("purpose", "lifetime_seconds"),
    [(Purpose.EMAIL_VERIFICATION, 24 * 3600), (Purpose.PASSWORD_RESET, 3600)],
)
@pytest.mark.parametrize("too_late", [False, True])
def test_token_works_until_its_lifetime_ends(
    verification: Verification,
    clock: SteppedClock,
    purpose: Purpose,
    lifetime_seconds: int,
    too_late: bool,
) -> None:
    token = verification.create_token(purpose, "user-1", "Ada@example.com")
    clock.advance(lifetime_seconds + (0.001 if too_late else 0))
    proven = verification.consume_token(purpose, token)
    assert proven == (None if too_late else ("user-1", "ada@example.com"))


def test_token_works_once_and_takes_its_siblings_with_it(verification: Verification) -> None:
    def create(user_id: str) -> str:
        return verification.create_token(Purpose.EMAIL_VERIFICATION, user_id, "a@example.com")

    first, sibling, other = create("user-1"), create("user-1"), create("user-2")
    assert verification.verify_email(first) is not None
    assert verification.verify_email(first) is None
    assert verification.verify_email(sibling) is None
    assert verification.verify_email(other) is not None


def test_token_works_for_its_purpose_only(verification: Verification) -> None:
    token = verification.create_token(Purpose.PASSWORD_RESET, "user-1", "a@example.com")
    assert verification.verify_email(token) is None
    assert verification.consume_token(Purpose.PASSWORD_RESET, token) is not None


def test_forgotten_token_is_no_good(verification: Verification) -> None:
    token = verification.create_token(Purpose.EMAIL_VERIFICATION, "user-1", "a@example.com")
    verification.forget_tokens(Purpose.EMAIL_VERIFICATION, "user-1", "other@example.com")
    verification.forget_tokens(Purpose.PASSWORD_RESET, "user-1", "a@example.com")
    spared = verification.create_token(Purpose.EMAIL_VERIFICATION, "user-2", "a@example.com")
    verification.forget_tokens(Purpose.EMAIL_VERIFICATION, "user-1", "A@example.com")
    assert verification.verify_email(token) is None
    assert verification.verify_email(spared) is not None


def test_tokens_are_not_stored(store: Store, verification: Verification) -> None:
    token = verification.create_token(Purpose.PASSWORD_RESET, "user-1", "a@example.com")
    with store.transaction() as db:
        (row,) = db.execute("SELECT * FROM one_time_tokens").fetchall()
    assert token not in tuple(row)


def test_only_the_proven_address_of_a_user_is_verified(
    users: Users, verification: Verification
) -> None:
    ada = sign_up(users)
    token = verification.create_token(Purpose.EMAIL_VERIFICATION, ada, "ada@example.com")
    verification.verify_email(token)
    user = users.find(ada)
    assert user is not None
    assert user.is_email_verified
    users.change(ada, raw_email="new@example.com", password=None)
    user = users.find(ada)
    assert user is not None
    assert not user.is_email_verified
    assert verification.is_email_verified(ada, "ADA@example.com")
    verification.unverify_email(ada, "ada@example.com")
    assert not verification.is_email_verified(ada, "ada@example.com")


# Roles


def test_role_collects_permissions(roles: Roles) -> None:
    assert roles.create("editor", ["read"])
    assert not roles.create("editor", ["write", "read"])
    assert roles.permissions_of("editor") == ["read", "write"]
    assert roles.roles_with_permission("write") == ["editor"]
    assert roles.remove_permissions("editor", ["write"])
    assert roles.permissions_of("editor") == ["read"]


def test_role_is_given_once_and_taken_once(roles: Roles) -> None:
    roles.create("editor", [])
    assert [roles.give("user-1", "editor"), roles.give("user-1", "editor")] == [True, False]
    assert roles.users_with("editor") == ["user-1"]
    assert [roles.take("user-1", "editor"), roles.take("user-1", "editor")] == [True, False]
    assert roles.roles_of("user-1") == []


def test_role_that_does_not_exist_is_told_apart_from_an_empty_one(roles: Roles) -> None:
    assert roles.give("user-1", "ghost") is None
    assert roles.take("user-1", "ghost") is None
    assert roles.users_with("ghost") is None
    assert roles.permissions_of("ghost") is None
    assert not roles.remove_permissions("ghost", ["read"])
    assert not roles.remove("ghost")
    roles.create("empty", [])
    assert roles.users_with("empty") == []
    assert roles.permissions_of("empty") == []


def test_removed_role_is_taken_from_everyone(roles: Roles) -> None:
    roles.create("editor", ["read"])
    roles.create("admin", [])
    roles.give("user-1", "editor")
    roles.give("user-1", "admin")
    assert roles.remove("editor")
    assert roles.roles_of("user-1") == ["admin"]
    assert roles.list_all() == ["admin"]
    roles.create("editor", [])
    assert roles.permissions_of("editor") == []
