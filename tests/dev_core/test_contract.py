"""What any core answers over HTTP: the development core, or a real one with ``--core URI``.

The rows were tried on real cores 11.4.7 and 12.0.7. Texts of errors differ; statuses and fields do
not.
"""

from __future__ import annotations

import uuid
from typing import Any, NamedTuple

import jwt
import pytest

from ..tables import rows
from .support import CDI, send

OK = {"status": "OK"}
NEW_SESSION: dict[str, Any] = {"userDataInJWT": {"plan": "free"}, "userDataInDatabase": {"note": 1}}
NEW_SESSION |= {"userId": "user-1", "useDynamicSigningKey": True, "enableAntiCsrf": False}
VERIFY = {"doAntiCsrfCheck": False, "enableAntiCsrf": False, "checkDatabase": True}
SPEND = {"enableAntiCsrf": False, "useDynamicSigningKey": True}
JWT = {"payload": {"a": 1}, "algorithm": "RS256", "jwksDomain": "http://api", "validity": 60}
PROTECTED = (
    *("sub", "rsub", "iat", "exp", "tId", "sessionHandle", "antiCsrfToken"),
    *("refreshTokenHash1", "parentRefreshTokenHash1"),
)


@pytest.fixture(scope="module")
def made(core_uri: str) -> Any:
    """A session, with its tokens, as the core returned it."""
    return send(core_uri, "POST", "/public/recipe/session", body=NEW_SESSION).json


@pytest.fixture
def name() -> str:
    """A name that no earlier run has used."""
    return f"name-{uuid.uuid4()}"


class Row(NamedTuple):
    """A request, and what every core answers.

    :ivar fields: the status in the JSON and further fields; None for an error in plain text.
    """

    method: str
    path: str
    body: Any
    status: int
    fields: dict[str, Any] | None


def answers(method: str, path: str, body: Any = None, status: str = "OK", **fields: Any) -> Row:
    return Row(method, path, body, 200, {"status": status, **fields})


def refuses(code: int, method: str, path: str, body: Any = None) -> Row:
    return Row(method, path, body, code, None)


GET, PUT, POST = "GET", "PUT", "POST"
ROLES, ROLE, USER, SESSION = "/recipe/roles", "/recipe/role", "/recipe/user", "/recipe/session"
REFRESH, REMOVE, KEYED = f"{SESSION}/refresh", f"{SESSION}/remove", f"{SESSION}?sessionHandle="
TENANT = "/recipe/multitenancy/tenant/v2"
BY_EMAIL = "/public/users/by-accountinfo?email=x%40y.z"
NO_SESSION, UNKNOWN_USER = "UNAUTHORISED", "UNKNOWN_USER_ID_ERROR"
NO_VALIDITY = {key: value for key, value in JWT.items() if key != "validity"}
CHANGE, HANDLES = {"recipeUserId": "x"}, {"sessionHandles": ["x"]}
NO_ANTI_CSRF = {"enableAntiCsrf": False}
BY_HMAC, UNKNOWN_ROLE = JWT | {"algorithm": "HS256"}, "UNKNOWN_ROLE_ERROR"

REQUESTS: dict[str, Any] = {
    "no app and no tenant": answers(GET, ROLES),
    "the default tenant": answers(GET, f"/public{ROLES}"),
    "the default app": answers(GET, f"/appid-public{ROLES}"),
    "the default app and tenant": answers(GET, f"/appid-public/public{ROLES}"),
    "an unknown app": refuses(400, GET, f"/appid-x{ROLES}"),
    "an unknown app with a tenant": refuses(400, GET, "/appid-x/public/users/count"),
    "an unknown tenant": refuses(400, GET, "/other/users/count"),
    "an unknown tenant, for the app": refuses(403, GET, f"/other{ROLES}"),
    "the default tenant's settings": answers(GET, f"/public{TENANT}", tenantId="public"),
    "no tenant's settings": answers(GET, f"/other{TENANT}", status="TENANT_NOT_FOUND_ERROR"),
    "two tenants": refuses(404, GET, f"/public/public{ROLES}"),
    "an unknown path": refuses(404, GET, "/recipe/rolesx"),
    "another method": refuses(405, "DELETE", ROLES),
    "users by e-mail": answers(GET, f"{BY_EMAIL}&doUnionOfAccountInfo=true", users=[]),
    "users by e-mail, union or not": refuses(400, GET, BY_EMAIL),
    "users newest first": answers(GET, "/public/users?timeJoinedOrder=DESC"),
    "users sideways": refuses(400, GET, "/public/users?timeJoinedOrder=sideways"),
    "users from no page": refuses(400, GET, "/public/users?paginationToken=%25%25"),
    "change of an e-mail": answers(PUT, USER, CHANGE | {"email": "a@b.co"}, UNKNOWN_USER),
    "change of nothing": refuses(400, PUT, USER, CHANGE),
    "an unknown handle": answers(GET, f"{KEYED}x", status=NO_SESSION),
    "no handle": refuses(400, GET, SESSION),
    "a handle of an unknown tenant": refuses(400, GET, f"{KEYED}x_other"),
    "data of no session": answers(GET, f"{SESSION}/data?sessionHandle=x", status=NO_SESSION),
    "refresh": answers(POST, REFRESH, SPEND | {"refreshToken": "x"}, NO_SESSION),
    "refresh without a token": answers(POST, REFRESH, SPEND | {"refreshToken": ""}, NO_SESSION),
    "refresh by any key": refuses(400, POST, REFRESH, {"refreshToken": "x", **NO_ANTI_CSRF}),
    "removal by handles": answers(POST, REMOVE, HANDLES, sessionHandlesRevoked=[]),
    "removal by user": answers(POST, REMOVE, {"userId": "no-one"}, sessionHandlesRevoked=[]),
    "removal by both": refuses(400, POST, REMOVE, {"userId": "x", "sessionHandles": []}),
    "removal by neither": refuses(400, POST, REMOVE, {}),
    "a JWT": answers(POST, "/recipe/jwt", JWT),
    "a JWT for ever": refuses(400, POST, "/recipe/jwt", NO_VALIDITY),
    "a JWT by HMAC": answers(POST, "/recipe/jwt", BY_HMAC, "UNSUPPORTED_ALGORITHM_ERROR"),
    "a blank role": refuses(400, PUT, ROLE, {"role": " ", "permissions": []}),
    "a number for a role": refuses(400, PUT, ROLE, {"role": 1}),
    "no role": refuses(400, PUT, ROLE, {"permissions": []}),
    "a text for permissions": refuses(400, PUT, ROLE, {"role": "x", "permissions": "read"}),
    "a number for a permission": refuses(400, PUT, ROLE, {"role": "x", "permissions": [1]}),
    "permissions of no role": answers(GET, f"{ROLE}/permissions?role=x", status=UNKNOWN_ROLE),
}


@rows("row", REQUESTS)
def test_core_answers(core_uri: str, row: Row) -> None:
    answer = send(core_uri, row.method, row.path, body=row.body)

    assert answer.status == row.status, answer.text
    if row.fields is not None:
        assert answer.json.items() >= row.fields.items()


@rows("method, path", {"hello": (GET, "/hello"), "post": (POST, "/hello"), "root": (GET, "/")})
def test_core_greets_in_plain_text(core_uri: str, method: str, path: str) -> None:
    answer = send(core_uri, method, path, headers={})

    assert (answer.status, answer.text.strip()) == (200, "Hello")
    assert answer.headers["Content-Type"].replace(" ", "").lower() == "text/html;charset=utf-8"


VERSIONS: dict[str, Any] = {
    "the version that the SDK speaks": (ROLES, CDI, 200),
    "the name of the header in other case": (ROLES, {"CDI-Version": "5.4"}, 200),
    "an older version": (ROLES, {"cdi-version": "5.1"}, 200),
    "no version": (ROLES, {}, 200),
    "an unknown version": (ROLES, {"cdi-version": "99.9"}, 400),
    "an unknown version for the key set": ("/recipe/jwt/jwks", {"cdi-version": "99.9"}, 200),
    "versions": ("/apiversion", {}, 200),
}


@rows("path, headers, status", VERSIONS)
def test_version_may_be_old(core_uri: str, path: str, headers: dict[str, str], status: int) -> None:
    assert send(core_uri, "GET", path, headers=headers).status == status


def test_versions_include_the_one_that_the_sdk_speaks(core_uri: str) -> None:
    assert "5.4" in send(core_uri, GET, "/apiversion", headers={}).json["versions"]


NO_OBJECTS: dict[str, Any] = {
    "no body": b"",
    "cut off": b'{"role":"admin"',
    "an array": b'["admin"]',
    "not UTF-8": b'{"role":"\xff","permissions":"x"}',
}


@rows("raw_body", NO_OBJECTS)
def test_body_is_one_json_object(core_uri: str, raw_body: bytes) -> None:
    assert send(core_uri, "PUT", "/recipe/role", body=raw_body).status == 400


def test_key_set_names_its_lifetime_and_the_older_address_does_not(core_uri: str) -> None:
    new = send(core_uri, "GET", "/.well-known/jwks.json", headers={})
    old = send(core_uri, "GET", "/recipe/jwt/jwks", headers={})
    assert set(new.json) == {"keys"}
    assert {"alg": "RS256", "kty": "RSA", "use": "sig"}.items() <= new.json["keys"][0].items()
    assert [key["kid"][:2] for key in new.json["keys"]][-1] == "s-"
    assert old.json == new.json | OK
    assert new.headers["Cache-Control"].startswith("max-age=")
    assert "Cache-Control" not in old.headers


def test_jwt_has_the_times_and_the_issuer_of_its_payload_if_it_names_them(core_uri: str) -> None:
    def claims(payload: dict[str, Any]) -> dict[str, Any]:
        token = send(core_uri, "POST", "/recipe/jwt", body=JWT | {"payload": payload}).json["jwt"]
        assert "version" not in jwt.get_unverified_header(token)
        return jwt.decode(token, options={"verify_signature": False})

    usual = claims({})
    assert (usual["iss"], usual["exp"] - usual["iat"]) == ("http://api", 60)
    named = {"iss": "http://api/auth", "iat": 5, "exp": 7}
    assert claims(named).items() >= named.items()


# Sessions


@pytest.mark.parametrize("claim", PROTECTED)
def test_payload_may_not_name_a_claim_of_the_core(core_uri: str, made: Any, claim: str) -> None:
    payload = {"userDataInJWT": {claim: "mine"}}
    handle, token = made["session"]["handle"], made["accessToken"]["token"]
    for method, path, body in (
        ("POST", "/recipe/session", NEW_SESSION | payload),
        ("PUT", "/recipe/jwt/data", {"sessionHandle": handle, **payload}),
        ("POST", "/recipe/session/regenerate", {"accessToken": token, **payload}),
    ):
        assert send(core_uri, method, path, body=body).status == 400, path


def test_unchanged_session_is_verified_without_new_tokens(core_uri: str, made: Any) -> None:
    body = VERIFY | {"accessToken": made["accessToken"]["token"]}
    verified = send(core_uri, "POST", "/recipe/session/verify", body=body).json
    assert (verified["status"], verified["session"]) == ("OK", made["session"])
    assert not {"accessToken", "refreshToken", "antiCsrfToken"} & verified.keys()
    assert "antiCsrfToken" not in made


def test_regenerating_without_a_payload_keeps_it(core_uri: str, made: Any) -> None:
    body = {"accessToken": made["accessToken"]["token"]}
    again = send(core_uri, "POST", "/recipe/session/regenerate", body=body).json
    assert again["session"]["userDataInJWT"] == {"plan": "free"}
    claims = jwt.decode(again["accessToken"]["token"], options={"verify_signature": False})
    assert claims["exp"] * 1000 == made["accessToken"]["expiry"]


def test_removing_permissions_without_names_removes_all(core_uri: str, name: str) -> None:
    send(core_uri, "PUT", "/recipe/role", body={"role": name, "permissions": ["read", "write"]})
    removed = send(core_uri, "POST", "/recipe/role/permissions/remove", body={"role": name})
    left = send(core_uri, "GET", f"/recipe/role/permissions?role={name}").json
    assert (removed.json, left) == (OK, OK | {"permissions": []})
