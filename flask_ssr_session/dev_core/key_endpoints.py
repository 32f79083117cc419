"""The endpoints without a recipe: version, key set, custom JWTs, tenant."""

from __future__ import annotations

from collections.abc import Callable

from .endpoint import JSON, EndpointTable, ok
from .fields import Fields
from .keys import SigningKeys
from .server import Response
from .tokens import ALGORITHM, TENANT_ID, sign_custom_jwt

CDI_VERSION = "5.4"

KEY_SET_PATH = "/.well-known/jwks.json"
DEPRECATED_KEY_SET_PATH = "/recipe/jwt/jwks"
# The only endpoint that answers for an unknown tenant; the others refuse it.
TENANT_PATH = "/recipe/multitenancy/tenant/v2"
# These need no cdi-version header: callers use them before they know the version.
UNVERSIONED_PATHS = frozenset({"/apiversion", "/hello", KEY_SET_PATH})

# A core's default for the validity of a custom JWT: 100 years.
_DEFAULT_JWT_VALIDITY_SECONDS = 3_153_600_000


class KeyEndpoints:
    """Publish the signing keys and sign with them."""

    def __init__(self, keys: SigningKeys, *, clock: Callable[[], float]) -> None:
        """:param clock: returns seconds since the epoch."""
        self._keys = keys
        self._clock = clock
        self.table: EndpointTable = {
            "/hello": {"GET": lambda _: Response.text(200, "Hello")},
            "/apiversion": {"GET": lambda _: {"versions": [CDI_VERSION]}},
            KEY_SET_PATH: {"GET": lambda _: self._key_set({})},
            DEPRECATED_KEY_SET_PATH: {"GET": lambda _: self._key_set(ok())},
            "/recipe/jwt": {"POST": self._create_jwt},
            TENANT_PATH: {"GET": self._tenant},
        }

    def _key_set(self, extra: JSON) -> Response:
        max_age = self._keys.seconds_until_next_key()
        return Response.json(
            {"keys": [key.as_jwk() for key in self._keys.published()], **extra},
            {"Cache-Control": f"max-age={max_age}, must-revalidate"},
        )

    def _create_jwt(self, fields: Fields) -> JSON:
        if fields.text("algorithm") != ALGORITHM:
            return {"status": "UNSUPPORTED_ALGORITHM_ERROR"}
        validity_seconds = fields.whole_number(
            "validity", at_least=1, at_most=2**40, default=_DEFAULT_JWT_VALIDITY_SECONDS
        )
        issued_at = int(self._clock())
        claims = {
            # An issuer in the payload is the SDK's OpenID issuer, which wins.
            "iss": fields.text("jwksDomain"),
            **fields.object("payload"),
            "iat": issued_at,
            "exp": issued_at + validity_seconds,
        }
        key = self._keys.signing_key(dynamic=not fields.flag("useStaticSigningKey", default=True))
        return ok(jwt=sign_custom_jwt(claims, key))

    def _tenant(self, _: Fields) -> JSON:
        return ok(tenantId=TENANT_ID, thirdParty={"providers": []}, coreConfig={})
