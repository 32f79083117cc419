"""What the core's contract does not show: what is stored, and when one-time tokens end."""

from __future__ import annotations

from typing import Any

import pytest

from flask_ssr_session.dev_core.one_time_tokens import Purpose, Verification
from flask_ssr_session.dev_core.roles import Roles
from flask_ssr_session.dev_core.store import Store
from flask_ssr_session.dev_core.users import Users

from ..clocks import SteppedClock
from ..tables import rows

PASSWORD = "correct horse 1"
EMAIL, RESET = Purpose.EMAIL_VERIFICATION, Purpose.PASSWORD_RESET


@pytest.fixture
def store() -> Store:
    return Store(None)


@pytest.fixture
def users(store: Store, clock: SteppedClock) -> Users:
    return Users(store, clock=clock.wall)


@pytest.fixture
def verification(store: Store, clock: SteppedClock) -> Verification:
    return Verification(store, clock=clock.wall)


def sign_up(users: Users, email: str = "ada@example.com") -> str:
    user: Any = users.sign_up(email, PASSWORD)
    return str(user.id)


def test_passwords_and_tokens_are_not_stored(
    users: Users, verification: Verification, store: Store
) -> None:
    sign_up(users)
    sign_up(users, "bob@example.com")
    token = verification.create_token(RESET, "user-1", "a@example.com")
    with store.transaction() as db:
        hashes = [row["password_hash"] for row in db.execute("SELECT password_hash FROM users")]
        (row,) = db.execute("SELECT * FROM one_time_tokens").fetchall()

    assert PASSWORD not in "".join(hashes)
    assert len(set(hashes)) == 2, "one password, two salts"
    assert token not in tuple(row)


@rows(
    "order, expected", {"ASC": ("ASC", [["0", "1"], ["2"]]), "DESC": ("DESC", [["2", "1"], ["0"]])}
)
def test_pages_follow_the_time_of_joining(
    users: Users, clock: SteppedClock, order: str, expected: list[list[str]]
) -> None:
    for number in range(3):
        users.sign_up(f"{number}@example.com", PASSWORD)
        clock.advance(1)
    pages: list[list[str]] = []
    token = None
    while token is not None or not pages:
        page, token = users.list_page(order=order, limit=2, raw_page_token=token)  # type: ignore[arg-type]
        pages.append([user.email[0] for user in page])

    assert pages == expected


@pytest.mark.parametrize("token", ["%%%", "AAAA", "é", "eA=="])
def test_page_token_of_another_core_is_refused(users: Users, token: str) -> None:
    with pytest.raises(ValueError, match="pagination token"):
        users.list_page(order="ASC", limit=1, raw_page_token=token)


def test_removed_account_is_gone(users: Users, store: Store, verification: Verification) -> None:
    roles = Roles(store)
    ada = sign_up(users)
    roles.create("admin", [])
    roles.give(ada, "admin")
    verification.verify_email(verification.create_token(EMAIL, ada, "ada@example.com"))
    reset = verification.create_token(RESET, ada, "ada@example.com")
    users.remove(ada)

    assert users.find(ada) is None
    assert roles.roles_of(ada) == []
    assert not verification.is_email_verified(ada, "ada@example.com")
    assert verification.consume_token(RESET, reset) is None


def test_removed_role_is_taken_from_everyone(store: Store) -> None:
    roles = Roles(store)
    for role in ("editor", "admin"):
        roles.create(role, ["read"])
        roles.give("user-1", role)
    assert roles.remove("editor")
    assert (roles.roles_of("user-1"), roles.list_all()) == (["admin"], ["admin"])
    roles.create("editor", [])
    assert roles.permissions_of("editor") == []


@pytest.mark.parametrize("is_late", [False, True])
@rows("purpose, seconds", {"e-mail": (EMAIL, 24 * 3600), "password": (RESET, 3600)})
def test_token_works_until_its_lifetime_ends(
    verification: Verification, clock: SteppedClock, purpose: Purpose, seconds: int, is_late: bool
) -> None:
    token = verification.create_token(purpose, "user-1", "Ada@example.com")
    clock.advance(seconds + (0.001 if is_late else 0))
    proven = verification.consume_token(purpose, token)

    assert proven == (None if is_late else ("user-1", "ada@example.com"))


def test_token_works_once_for_its_purpose_and_ends_its_siblings(verification: Verification) -> None:
    def create(user_id: str, purpose: Purpose = EMAIL) -> str:
        return verification.create_token(purpose, user_id, "a@example.com")

    first, sibling, other, reset = create("1"), create("1"), create("2"), create("1", RESET)
    results = [verification.verify_email(token) for token in (reset, first, first, sibling, other)]

    assert [result is not None for result in results] == [False, True, False, False, True]
    assert verification.consume_token(RESET, reset) is not None


def test_forgotten_token_is_no_good(verification: Verification) -> None:
    token = verification.create_token(EMAIL, "user-1", "a@example.com")
    spared = verification.create_token(EMAIL, "user-2", "a@example.com")
    verification.forget_tokens(EMAIL, "user-1", "other@example.com")
    verification.forget_tokens(RESET, "user-1", "a@example.com")
    kept = verification.create_token(EMAIL, "user-1", "other@example.com")
    verification.forget_tokens(EMAIL, "user-1", "A@example.com")

    assert verification.verify_email(token) is None
    assert verification.verify_email(kept) is not None
    assert verification.verify_email(spared) is not None


def test_only_the_proven_address_is_verified(users: Users, verification: Verification) -> None:
    ada = sign_up(users)
    verification.verify_email(verification.create_token(EMAIL, ada, "ada@example.com"))
    assert getattr(users.find(ada), "is_email_verified", None) is True
    users.change(ada, raw_email="new@example.com", password=None)
    assert getattr(users.find(ada), "is_email_verified", None) is False
    assert verification.is_email_verified(ada, "ADA@example.com")
