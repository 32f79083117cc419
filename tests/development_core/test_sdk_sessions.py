"""The rotation rules through the real supertokens-python, over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
from supertokens_python.recipe import session
from supertokens_python.recipe.jwt import syncio as custom_jwt
from supertokens_python.recipe.jwt.interfaces import CreateJwtOkResult
from supertokens_python.recipe.session import SessionContainer
from supertokens_python.recipe.session import syncio as sessions
from supertokens_python.recipe.session.exceptions import (
    TokenTheftError,
    TryRefreshTokenError,
    UnauthorisedError,
)
from supertokens_python.recipe.session.jwks import reset_jwks_cache
from supertokens_python.types import RecipeUserId

from flask_ssr_session.dev_core import DevelopmentCore

from .conftest import KeyFactory
from .sdk import init_sdk
from .support import LaggingClock

Step = Callable[[], object]


@pytest.fixture
def core(live_core: DevelopmentCore, sdk_environment: None) -> DevelopmentCore:  # noqa: ARG001
    """A core with an initialised SDK."""
    init_sdk(live_core.uri, [session.init(anti_csrf="NONE")])
    return live_core


class Pair:
    """The two tokens that a browser has after a response."""

    def __init__(self, container: SessionContainer) -> None:
        tokens = container.get_all_session_tokens_dangerously()
        self.handle = container.get_handle()
        self.access: str = tokens["accessToken"]
        self.refresh: str = tokens["refreshToken"] or ""

    @property
    def parent(self) -> object:
        return jwt.decode(self.access, options={"verify_signature": False})[
            "parentRefreshTokenHash1"
        ]


def create(user_id: str = "user-1", **options: Any) -> Pair:
    return Pair(
        sessions.create_new_session_without_request_response(
            "public", RecipeUserId(user_id), **options
        )
    )


def refresh(token: str) -> Pair:
    return Pair(sessions.refresh_session_without_request_response(token))


def use(token: str, *, check_database: bool = False) -> SessionContainer:
    container = sessions.get_session_without_request_response(token, check_database=check_database)
    assert container is not None
    return container


def was_renewed(container: SessionContainer) -> bool:
    return bool(container.get_all_session_tokens_dangerously()["accessAndFrontTokenUpdated"])


def calls(core: DevelopmentCore, step: Step) -> list[tuple[str, str]]:
    """Return the requests of a step to the core."""
    core.clear_request_log()
    step()
    return [(entry.method, entry.path) for entry in core.request_log()]


VERIFY = ("POST", "/recipe/session/verify")
JWKS = ("GET", "/.well-known/jwks.json")


# Rotation


def test_refresh_token_may_be_spent_twice_while_no_child_is_used(core: DevelopmentCore) -> None:
    first = create()
    one, other = refresh(first.refresh), refresh(first.refresh)
    assert one.refresh != other.refresh
    assert one.handle == other.handle == first.handle
    assert len(core.list_sessions()) == 1


def test_spending_a_child_makes_it_the_current_token(core: DevelopmentCore) -> None:
    first = create()
    child = refresh(first.refresh)
    (before,) = core.list_sessions()
    refresh(child.refresh)
    (after,) = core.list_sessions()
    assert after.refresh_token_hash_2 != before.refresh_token_hash_2


@pytest.mark.usefixtures("core")
def test_current_token_may_be_spent_again_while_its_own_child_is_unused() -> None:
    child = refresh(create().refresh)
    refresh(child.refresh)
    assert refresh(child.refresh).refresh


@pytest.mark.usefixtures("core")
@pytest.mark.parametrize("reused", ["parent", "sibling"])
def test_token_of_a_generation_that_is_over_is_theft(reused: str) -> None:
    first = create()
    child, sibling = refresh(first.refresh), refresh(first.refresh)
    refresh(child.refresh)
    with pytest.raises(TokenTheftError) as caught:
        refresh(first.refresh if reused == "parent" else sibling.refresh)
    assert caught.value.session_handle == first.handle
    assert caught.value.user_id == "user-1"
    assert caught.value.recipe_user_id.get_as_string() == "user-1"


def test_first_use_of_the_childs_access_token_ends_the_parents_life(core: DevelopmentCore) -> None:
    first = create()
    child = refresh(first.refresh)
    assert child.parent is not None
    assert calls(core, lambda: use(child.access)) == [JWKS, VERIFY]
    with pytest.raises(TokenTheftError):
        refresh(first.refresh)
    assert refresh(child.refresh).refresh


def test_childs_access_token_is_renewed_at_every_use(core: DevelopmentCore) -> None:
    child = refresh(create().refresh)
    for _ in range(3):
        container = use(child.access)
        assert was_renewed(container)
        renewed = Pair(container)
        assert renewed.parent is None
        assert calls(core, lambda token=renewed.access: use(token)) == []  # type: ignore[misc]


def test_access_token_of_an_abandoned_sibling_lives_on_and_asks_the_core_each_time(
    core: DevelopmentCore,
) -> None:
    first = create()
    child, sibling = refresh(first.refresh), refresh(first.refresh)
    use(child.access)
    for _ in range(2):
        assert calls(core, lambda: use(sibling.access)) == [VERIFY]
        assert not was_renewed(use(sibling.access))


def test_access_token_from_before_a_rotation_is_good_without_asking(core: DevelopmentCore) -> None:
    first = create()
    use(first.access)
    refresh(refresh(first.refresh).refresh)
    assert calls(core, lambda: use(first.access)) == []


@pytest.mark.usefixtures("core")
def test_of_two_parallel_refreshes_the_one_whose_access_token_was_not_used_is_theft() -> None:
    first = create()
    used, kept = refresh(first.refresh), refresh(first.refresh)
    use(used.access)
    with pytest.raises(TokenTheftError):
        refresh(kept.refresh)
    assert refresh(used.refresh).refresh


@pytest.mark.usefixtures("core")
def test_expired_access_token_wants_a_refresh_which_works(lagging_clock: LaggingClock) -> None:
    lagging_clock.seconds_behind = 60
    first = create()
    lagging_clock.seconds_behind = 0
    with pytest.raises(TryRefreshTokenError):
        use(first.access)
    assert use(refresh(first.refresh).access).get_user_id() == "user-1"


@pytest.mark.usefixtures("core")
def test_session_unused_for_its_lifetime_cannot_be_refreshed(lagging_clock: LaggingClock) -> None:
    lagging_clock.seconds_behind = 144_000 * 60 + 60
    old = create()
    lagging_clock.seconds_behind = 120
    young = create()
    lagging_clock.seconds_behind = 0
    with pytest.raises(UnauthorisedError):
        refresh(old.refresh)
    assert refresh(young.refresh).refresh


# Removal


def test_removed_session_goes_on_until_its_access_token_expires(core: DevelopmentCore) -> None:
    first = create()
    use(first.access)
    assert sessions.revoke_session(first.handle)
    assert calls(core, lambda: use(first.access)) == []


REMOVAL: list[Any] = [
    pytest.param(lambda _, child: use(child.access), id="fresh access token"),
    pytest.param(lambda first, _: use(first.access, check_database=True), id="check database"),
    pytest.param(lambda first, _: refresh(first.refresh), id="refresh"),
    pytest.param(lambda _, child: refresh(child.refresh), id="refresh with the child"),
    pytest.param(
        lambda first, _: use(first.access).sync_merge_into_access_token_payload({"a": 1}),
        id="change of the payload",
    ),
]


@pytest.mark.usefixtures("core")
@pytest.mark.parametrize("removed", [False, True])
@pytest.mark.parametrize("step", REMOVAL)
def test_removal_is_noticed_wherever_the_core_is_asked(
    step: Callable[[Pair, Pair], object], removed: bool
) -> None:
    first = create()
    child = refresh(first.refresh)
    if not removed:
        step(first, child)
        return
    sessions.revoke_session(first.handle)
    with pytest.raises(UnauthorisedError):
        step(first, child)


@pytest.mark.usefixtures("core")
def test_information_about_a_removed_session_is_none() -> None:
    first = create(access_token_payload={"plan": "free"}, session_data_in_database={"note": 1})
    information = sessions.get_session_information(first.handle)
    assert information is not None
    assert information.session_handle == first.handle
    assert information.user_id == "user-1"
    assert information.recipe_user_id.get_as_string() == "user-1"
    assert information.tenant_id == "public"
    assert information.custom_claims_in_access_token_payload["plan"] == "free"
    assert information.session_data_in_database == {"note": 1}
    assert information.expiry - information.time_created == 144_000 * 60_000
    assert sessions.revoke_session(first.handle)
    assert sessions.get_session_information(first.handle) is None
    assert not sessions.revoke_session(first.handle)


@pytest.mark.usefixtures("core")
def test_sessions_are_listed_and_removed_by_user() -> None:
    handles = {create().handle, create().handle}
    other = create("user-2").handle
    assert set(sessions.get_all_session_handles_for_user("user-1")) == handles
    assert set(sessions.get_all_session_handles_for_user("user-1", tenant_id="public")) == handles
    assert set(sessions.revoke_all_sessions_for_user("user-1")) == handles
    assert sessions.revoke_all_sessions_for_user("user-1", tenant_id="public") == []
    assert sessions.revoke_multiple_sessions([other, "unknown"]) == [other]


# Payload, data and keys


@pytest.mark.usefixtures("core")
def test_payload_changed_by_handle_arrives_with_the_next_database_check() -> None:
    first = create(access_token_payload={"old": 1})
    assert sessions.merge_into_access_token_payload(first.handle, {"plan": "paid", "old": None})
    assert "plan" not in use(first.access).get_access_token_payload()
    container = use(first.access, check_database=True)
    assert container.get_access_token_payload()["plan"] == "paid"
    assert "old" not in container.get_access_token_payload()
    assert was_renewed(container)
    assert not sessions.merge_into_access_token_payload("unknown", {"plan": "paid"})


@pytest.mark.usefixtures("core")
def test_payload_changed_on_the_session_arrives_at_once_and_keeps_the_expiry() -> None:
    first = create()
    container = use(first.access)
    container.sync_merge_into_access_token_payload({"plan": "paid"})
    renewed = Pair(container)
    payload = use(renewed.access).get_access_token_payload()
    before = jwt.decode(first.access, options={"verify_signature": False})
    assert payload["plan"] == "paid"
    assert (payload["exp"], payload["iss"]) == (before["exp"], "http://localhost:5000/auth")


@pytest.mark.usefixtures("core")
def test_session_data_are_replaced() -> None:
    first = create(session_data_in_database={"a": 1})
    assert sessions.update_session_data_in_database(first.handle, {"b": 2})
    information = sessions.get_session_information(first.handle)
    assert information is not None
    assert information.session_data_in_database == {"b": 2}
    assert not sessions.update_session_data_in_database("unknown", {})


def test_static_key_signs_when_the_sdk_asks_for_it(
    live_core: DevelopmentCore,
    sdk_environment: None,  # noqa: ARG001
) -> None:
    init_sdk(live_core.uri, [session.init(use_dynamic_access_token_signing_key=False)])
    first = create()
    child = refresh(first.refresh)
    for token in (first.access, child.access, Pair(use(child.access)).access):
        assert jwt.get_unverified_header(token)["kid"].startswith("s-")


def test_scheduled_rotation_is_not_noticed(
    lagging_clock: LaggingClock,
    key_factory: KeyFactory,
    sdk_environment: None,  # noqa: ARG001
) -> None:
    lagging_clock.seconds_behind = 120
    with DevelopmentCore(clock=lagging_clock, key_factory=key_factory) as core:
        init_sdk(core.uri, [session.init()])
        old = jwt.get_unverified_header(create().access)["kid"]
        new = core.rotate_signing_key(scheduled=True)
        assert [key.kid for key in sessions.get_jwks().keys][:2] == [new, old]
        assert jwt.get_unverified_header(create().access)["kid"] == old
        lagging_clock.seconds_behind = 0
        first = create()
        assert jwt.get_unverified_header(first.access)["kid"] == new
        assert use(first.access).get_user_id() == "user-1"


@pytest.mark.usefixtures("core")
@pytest.mark.parametrize("drop_old", [False, True])
def test_dropped_key_sends_the_browser_to_the_refresh_which_works(
    live_core: DevelopmentCore, drop_old: bool
) -> None:
    first = create()
    live_core.rotate_signing_key(drop_old=drop_old)
    if drop_old:
        with pytest.raises(TryRefreshTokenError):
            use(first.access)
    else:
        use(first.access)
    assert use(refresh(first.refresh).access).get_user_id() == "user-1"


def test_stopped_key_server_is_try_refresh_to_an_sdk_without_keys(core: DevelopmentCore) -> None:
    first = create()
    for refuse in (False, True):
        core.stop_key_server(refuse=refuse)
        with pytest.raises(TryRefreshTokenError):
            use(first.access)
        core.start_key_server()
    use(first.access)
    core.stop_key_server()
    assert use(first.access).get_user_id() == "user-1"
    reset_jwks_cache()  # type: ignore[no-untyped-call]
    with pytest.raises(TryRefreshTokenError):
        use(first.access)


def test_stopped_refresh_endpoint_is_an_error_and_no_refusal(core: DevelopmentCore) -> None:
    first = create()
    core.stop_refresh_endpoint()
    with pytest.raises(Exception, match="status code: 500"):
        refresh(first.refresh)
    core.start_refresh_endpoint()
    assert refresh(first.refresh).refresh


def test_sessions_survive_a_restart_with_the_same_file(
    tmp_path: Path,
    key_factory: KeyFactory,
    sdk_environment: None,  # noqa: ARG001
) -> None:
    database = tmp_path / "core.db"
    with DevelopmentCore(database=database, key_factory=key_factory) as before:
        init_sdk(before.uri, [session.init()])
        first = create()
        port = int(before.uri.rpartition(":")[2])
    with DevelopmentCore(database=database, port=port, key_factory=key_factory):
        reset_jwks_cache()  # type: ignore[no-untyped-call]
        assert use(first.access).get_user_id() == "user-1"
        assert use(refresh(first.refresh).access).get_handle() == first.handle


@pytest.mark.usefixtures("core")
@pytest.mark.parametrize(("static", "prefix"), [(None, "s-"), (False, "d-")])
def test_custom_jwt_is_signed_but_is_no_session(static: bool | None, prefix: str) -> None:
    result = custom_jwt.create_jwt({"hello": "world"}, 60, static)
    assert isinstance(result, CreateJwtOkResult)
    header = jwt.get_unverified_header(result.jwt)
    assert "version" not in header
    assert header["kid"].startswith(prefix)
    (key,) = (key for key in sessions.get_jwks().keys if key.kid == header["kid"])
    payload = jwt.decode(result.jwt, jwt.PyJWK(key.__dict__), algorithms=["RS256"])
    assert payload["hello"] == "world"
    assert payload["exp"] - payload["iat"] == 60
    with pytest.raises(UnauthorisedError):
        use(result.jwt)
