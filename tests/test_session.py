"""The session of a page: its properties, and that it is read-only."""

from __future__ import annotations

import dataclasses
import re
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

from .tables import rows, shown
from .tokens import ABSENT, edited

PAYLOAD: dict[str, Any] = {
    "sub": "user-1",
    "rsub": "recipe-1",
    "tId": "tenant-1",
    "sessionHandle": "handle-1",
    "iat": 1_700_000_000,
    "exp": 1_700_003_600,
    "st-role": {"v": ["admin", "editor"], "t": 1_700_000_000_000},
    "st-perm": {"v": ["read", "write"], "t": 1_700_000_000_000},
    "st-ev": {"v": True, "t": 1_700_000_000_000},
    "colour": {"v": "blue", "t": 1_700_000_000_000},
    "nested": {"list": [{"deep": ["x"]}]},
}


def session_of(**claims: Any) -> SSRSession:
    return SSRSession(deep_freeze(edited(PAYLOAD, claims)))


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=timezone.utc)  # type: ignore[arg-type,misc]


NO_LINKING = {"rsub": ABSENT, "tId": ABSENT}
# Values of a claim that holds no list of texts, and none that says whether an address is verified.
NO_LISTS: tuple[Any, ...] = (
    *(ABSENT, None, "admin", ["admin"], {}, {"v": None}, {"v": "admin"}, {"v": {"admin": True}}),
)
NO_ANSWERS: tuple[Any, ...] = (ABSENT, None, True, "true", {}, {"v": None}, {"v": 1}, {"v": "true"})

PROPERTIES: dict[str, Any] = (
    {
        "the user": ("user_id", {}, "user-1"),
        "the login method": ("recipe_user_id", {}, "recipe-1"),
        "the login method of an older token": ("recipe_user_id", NO_LINKING, "user-1"),
        "the tenant": ("tenant_id", {}, "tenant-1"),
        "the tenant of an older token": ("tenant_id", NO_LINKING, "public"),
        "the handle": ("session_handle", {}, "handle-1"),
        "the issue time": ("issued_at", {}, utc(2023, 11, 14, 22, 13, 20)),
        "a broken second": ("issued_at", {"iat": 0.5}, utc(1970, 1, 1, 0, 0, 0, 500_000)),
        "the expiry": ("expires_at", {}, utc(2023, 11, 14, 23, 13, 20)),
        "the last second": ("expires_at", {"exp": 253_402_300_799}, utc(9999, 12, 31, 23, 59, 59)),
        "roles": ("roles", {}, ("admin", "editor")),
        "permissions": ("permissions", {}, ("read", "write")),
        "roles that are no texts": ("roles", {"st-role": {"v": ["a", 5, None, ["x"]]}}, ("a",)),
        "a verified address": ("email_verified", {}, True),
        "an address that is not": ("email_verified", {"st-ev": {"v": False}}, False),
    }
    | {f"roles {shown(v)}": ("roles", {"st-role": v}, ()) for v in NO_LISTS}
    | {f"permissions {shown(v)}": ("permissions", {"st-perm": v}, ()) for v in NO_LISTS}
    | {f"address {shown(v)}": ("email_verified", {"st-ev": v}, None) for v in NO_ANSWERS}
)


@rows("name, claims, expected", PROPERTIES)
def test_property_is_what_the_token_says(name: str, claims: dict[str, Any], expected: Any) -> None:
    value = getattr(session_of(**claims), name)

    assert value == expected
    assert type(value) is type(expected)
    assert getattr(value, "tzinfo", timezone.utc) is timezone.utc


def test_readers_have_the_names_of_the_sdk() -> None:
    session = session_of()

    assert session.get_user_id() == "user-1"
    assert session.get_recipe_user_id() == RecipeUserIdText("recipe-1") == "recipe-1"
    assert type(session.get_recipe_user_id().get_as_string()) is str
    assert session.get_tenant_id() == "tenant-1"
    assert session.get_handle() == "handle-1"
    assert session.get_access_token_payload() == PAYLOAD
    members = {name for name in dir(SessionContainer) if not name.startswith("_")}
    assert {name for name in members if not hasattr(session, name)} == set()
    assert members >= _SDK_ONLY_METHODS


CLAIMS: dict[str, Any] = {
    "roles": (UserRoleClaim, ["admin", "editor"]),
    "permissions": (PermissionClaim, ["read", "write"]),
    "the address": (EmailVerificationClaim, True),
    "a claim of the app's": (PrimitiveClaim("colour", lambda *_: None), "blue"),
    "an absent claim": (PrimitiveClaim("absent", lambda *_: None), None),
}


@rows("claim, expected", CLAIMS)
def test_claim_objects_of_the_sdk_are_read(claim: Any, expected: object) -> None:
    assert session_of().get_claim_value(claim) == expected
    assert session_of().sync_get_claim_value(claim) == expected


def test_payload_is_read_only_at_every_depth() -> None:
    source = {**PAYLOAD, "nested": {"list": [{"deep": ["x"]}]}}
    payload: Any = deep_freeze(source)
    source["sub"] = "other"
    source["nested"]["list"].append("more")

    nested = payload["nested"]
    assert (payload["sub"], nested["list"][0]["deep"], len(nested["list"])) == ("user-1", ("x",), 1)
    for mapping in (payload, nested, nested["list"][0]):
        assert type(mapping) is MappingProxyType
    assert type(nested["list"]) is tuple


def test_copies_of_the_payload_are_free_to_change() -> None:
    class Meddling:
        def get_value_from_payload(
            self, payload: dict[str, Any], user_context: dict[str, Any] | None = None
        ) -> Any:
            assert user_context is None
            payload["nested"]["list"].clear()
            return payload.pop("sub")

    session = session_of()
    copy = session.get_access_token_payload()
    copy["nested"]["list"][0]["deep"].append("y")
    del copy["sub"]

    assert session.get_claim_value(Meddling()) == "user-1"
    assert session.get_access_token_payload() == PAYLOAD
    assert (type(copy["nested"]), type(copy["nested"]["list"])) == (dict, list)


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


@pytest.mark.parametrize("name", ["set_user_id", "token", "__html__", "__deepcopy__", "_app"])
def test_other_names_are_plain_attribute_errors(name: str) -> None:
    with pytest.raises(AttributeError, match=f"'SSRSession' object has no attribute '{name}'"):
        getattr(session_of(), name)


def test_session_equals_itself_only() -> None:
    one, other = session_of(), session_of()

    assert one != other
    assert len({one, other, one}) == 2


def test_session_shows_no_claim_but_whether_it_is_the_same() -> None:
    """Caches tell arguments apart by their repr, for example Flask-Caching's memoize."""
    one, same, other = session_of(), session_of(), session_of(note="\ud800")

    assert re.fullmatch(r"<SSRSession [0-9a-f]{16} \(read-only\)>", repr(one))
    assert repr(one) == str(one) == repr(same) != repr(other)
