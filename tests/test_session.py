"""The session of a page: its properties, and that it is read-only."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timezone
from types import MappingProxyType
from typing import Any

import pytest
from supertokens_python.recipe.emailverification import EmailVerificationClaim
from supertokens_python.recipe.session.claims import PrimitiveClaim
from supertokens_python.recipe.session.interfaces import SessionContainer
from supertokens_python.recipe.userroles import PermissionClaim, UserRoleClaim

from flask_ssr_session.errors import ReadOnlySessionError
from flask_ssr_session.session import _SDK_ONLY_METHODS, RecipeUserIdText, SSRSession, deep_freeze

PAYLOAD: dict[str, Any] = {
    "sub": "user-1",
    "rsub": "recipe-1",
    "tId": "tenant-1",
    "sessionHandle": "handle-1",
    "refreshTokenHash1": "hash-1",
    "parentRefreshTokenHash1": None,
    "iat": 1_700_000_000,
    "exp": 1_700_003_600,
    "st-role": {"v": ["admin", "editor"], "t": 1_700_000_000_000},
    "st-perm": {"v": ["read", "write"], "t": 1_700_000_000_000},
    "st-ev": {"v": True, "t": 1_700_000_000_000},
    "colour": {"v": "blue", "t": 1_700_000_000_000},
    "nested": {"list": [{"deep": ["x"]}]},
}


def session_of(**changes: Any) -> SSRSession:
    return SSRSession(deep_freeze(PAYLOAD | changes))


def session_without(*names: str) -> SSRSession:
    return SSRSession(deep_freeze({k: v for k, v in PAYLOAD.items() if k not in names}))


def test_attributes() -> None:
    session = session_of()

    assert session.user_id == "user-1"
    assert session.recipe_user_id == "recipe-1"
    assert session.tenant_id == "tenant-1"
    assert session.session_handle == "handle-1"
    assert session.issued_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=timezone.utc)
    assert session.expires_at == datetime(2023, 11, 14, 23, 13, 20, tzinfo=timezone.utc)
    assert session.issued_at.tzinfo is timezone.utc
    assert session.roles == ("admin", "editor")
    assert session.permissions == ("read", "write")
    assert session.email_verified is True
    assert session.access_token_payload["nested"]["list"][0]["deep"] == ("x",)


def test_readers_have_the_names_of_the_sdk() -> None:
    session = session_of()

    assert session.get_user_id() == "user-1"
    assert session.get_recipe_user_id().get_as_string() == "recipe-1"
    assert session.get_recipe_user_id() == "recipe-1"
    assert type(session.get_recipe_user_id().get_as_string()) is str
    assert session.get_tenant_id() == "tenant-1"
    assert session.get_handle() == "handle-1"
    assert session.get_access_token_payload() == PAYLOAD


def test_older_tokens_say_less() -> None:
    session = session_without("rsub", "tId")

    assert session.recipe_user_id == "user-1"
    assert session.tenant_id == "public"
    assert session.get_recipe_user_id() == RecipeUserIdText("user-1")


def test_times_may_be_broken_seconds_and_the_end_of_the_calendar() -> None:
    session = session_of(iat=0.5, exp=253_402_300_798.9)

    assert session.issued_at.microsecond == 500_000
    assert session.expires_at.year == 9999


# Claims


@pytest.mark.parametrize(
    ("claim", "expected"),
    [
        (UserRoleClaim, ["admin", "editor"]),
        (PermissionClaim, ["read", "write"]),
        (EmailVerificationClaim, True),
        (PrimitiveClaim("colour", lambda *_: None), "blue"),
        (PrimitiveClaim("absent", lambda *_: None), None),
    ],
    ids=["roles", "permissions", "email", "the app's own", "absent"],
)
def test_claims_of_the_sdk_are_read(claim: Any, expected: object) -> None:
    session = session_of()

    assert session.get_claim_value(claim) == expected
    assert session.sync_get_claim_value(claim) == expected


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(None, id="null"),
        pytest.param("admin", id="text"),
        pytest.param(["admin"], id="list without its wrapping"),
        pytest.param({}, id="no value"),
        pytest.param({"v": None}, id="value null"),
        pytest.param({"v": "admin"}, id="value a text"),
        pytest.param({"v": {"admin": True}}, id="value an object"),
        pytest.param({"v": []}, id="none"),
    ],
)
def test_roles_of_another_shape_are_no_roles(value: object) -> None:
    session = session_of(**{"st-role": value, "st-perm": value})

    assert (session.roles, session.permissions) == ((), ())


def test_roles_that_are_no_texts_are_left_out() -> None:
    session = session_of(**{"st-role": {"v": ["admin", 5, None, ["x"], "editor"]}})

    assert session.roles == ("admin", "editor")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"v": True}, True),
        ({"v": False}, False),
        ({"v": None}, None),
        ({"v": 1}, None),
        ({"v": "true"}, None),
        (True, None),
        (None, None),
    ],
)
def test_email_is_verified_only_where_the_token_says_so(
    value: object, expected: bool | None
) -> None:
    assert session_of(**{"st-ev": value}).email_verified is expected


def test_absent_claims_are_empty() -> None:
    session = session_without("st-role", "st-perm", "st-ev")

    assert (session.roles, session.permissions, session.email_verified) == ((), (), None)


# Read-only


def test_payload_is_read_only_at_every_depth() -> None:
    payload: Any = session_of().access_token_payload

    for mapping in (payload, payload["nested"], payload["nested"]["list"][0]):
        with pytest.raises(TypeError):
            mapping["x"] = 1
        assert type(mapping) is MappingProxyType
    for sequence in (payload["nested"]["list"], payload["nested"]["list"][0]["deep"]):
        assert isinstance(sequence, tuple)


def test_what_it_was_made_of_can_change_without_it() -> None:
    source = {**PAYLOAD, "nested": {"list": ["a"]}}
    session = SSRSession(deep_freeze(source))
    source["sub"] = "other"
    source["nested"]["list"].append("b")

    assert session.user_id == "user-1"
    assert session.access_token_payload["nested"]["list"] == ("a",)


def test_copy_of_the_payload_is_free_to_change() -> None:
    session = session_of()
    copy = session.get_access_token_payload()
    copy["nested"]["list"][0]["deep"].append("y")
    copy["sub"] = "other"

    assert session.get_access_token_payload() == PAYLOAD
    assert type(copy["nested"]) is dict
    assert type(copy["nested"]["list"]) is list


def test_claim_object_sees_a_copy() -> None:
    class Meddling:
        def get_value_from_payload(
            self, payload: dict[str, Any], user_context: dict[str, Any] | None = None
        ) -> Any:
            assert user_context is None
            payload["nested"]["list"].clear()
            return payload.pop("sub")

    session = session_of()

    assert session.get_claim_value(Meddling()) == "user-1"
    assert session.get_access_token_payload() == PAYLOAD


@pytest.mark.parametrize("name", ["access_token_payload", "user_id", "roles", "anything"])
def test_attributes_cannot_be_set_or_deleted(name: str) -> None:
    session = session_of()

    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(session, name, "x")
    with pytest.raises(dataclasses.FrozenInstanceError):
        delattr(session, name)


@pytest.mark.parametrize("name", sorted(_SDK_ONLY_METHODS))
def test_what_changes_a_session_explains_where_it_belongs(name: str) -> None:
    member = getattr(session_of(), name)

    with pytest.raises(ReadOnlySessionError, match=rf"^{name}\(\) .* API route"):
        member("claim", value=1)


def test_every_member_of_the_sdks_session_reads_or_explains() -> None:
    members = {name for name in dir(SessionContainer) if not name.startswith("_")}

    assert {name for name in members if not hasattr(session_of(), name)} == set()
    assert members >= _SDK_ONLY_METHODS


@pytest.mark.parametrize("name", ["set_user_id", "token", "__html__", "__deepcopy__", "_app"])
def test_other_names_are_plain_attribute_errors(name: str) -> None:
    with pytest.raises(AttributeError, match=f"'SSRSession' object has no attribute '{name}'"):
        getattr(session_of(), name)


def test_repr_shows_no_claim_value() -> None:
    assert repr(session_of()) == str(session_of()) == "<SSRSession (read-only)>"
    assert f"{session_of()!r:.100}" == "<SSRSession (read-only)>"


def test_sessions_are_compared_by_identity() -> None:
    one, other = session_of(), session_of()

    assert one != other
    assert len({one, other, one}) == 2
