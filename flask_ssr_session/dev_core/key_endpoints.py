"""The endpoints without a session: greeting, version, key set, custom JWTs, tenant."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .endpoint import JSON, EndpointTable, ok
from .fields import Fields
from .keys import SigningKeys
from .server import Response
from .tokens import ALGORITHM, TENANT_ID, sign_custom_jwt

KEY_SET_PATH = "/.well-known/jwks.json"
DEPRECATED_KEY_SET_PATH = "/recipe/jwt/jwks"
# The only endpoint that answers for an unknown tenant; the others refuse it.
TENANT_PATH = "/recipe/multitenancy/tenant/v2"


_ALL_METHODS = ("GET", "POST", "PUT", "DELETE")


def _greet(_: Fields) -> Response:
    return Response.text(200, "Hello")


class KeyEndpoints:
    """Publish the signing keys and sign with them."""

    def __init__(
        self, keys: SigningKeys, *, versions: Sequence[str], clock: Callable[[], float]
    ) -> None:
        """Publish the keys of one core.

        :param versions: the CDI versions that the core serves.
        :param clock: returns seconds since the epoch.
        """
        self._keys = keys
        self._clock = clock
        self.table: EndpointTable = {
            **dict.fromkeys(("/", "/hello"), dict.fromkeys(_ALL_METHODS, _greet)),
            "/apiversion": {"GET": lambda _: {"versions": list(versions)}},
            KEY_SET_PATH: {"GET": lambda _: self._key_set()},
            DEPRECATED_KEY_SET_PATH: {"GET": lambda _: ok(keys=self._published())},
            "/recipe/jwt": {"POST": self._create_jwt},
            TENANT_PATH: {"GET": self._tenant},
        }

    def _published(self) -> list[dict[str, str]]:
        return [key.as_jwk() for key in self._keys.published()]

    def _key_set(self) -> Response:
        max_age = self._keys.seconds_until_next_key()
        return Response.json(
            {"keys": self._published()}, {"Cache-Control": f"max-age={max_age}, must-revalidate"}
        )

    def _create_jwt(self, fields: Fields) -> JSON:
        if fields.text("algorithm") != ALGORITHM:
            return {"status": "UNSUPPORTED_ALGORITHM_ERROR"}
        validity_seconds = fields.whole_number("validity", at_least=1, at_most=2**40)
        issued_at = int(self._clock())
        claims = {
            "iss": fields.text("jwksDomain"),
            "iat": issued_at,
            "exp": issued_at + validity_seconds,
            # It wins: its issuer is the SDK's OpenID issuer.
            **fields.object("payload"),
        }
        key = self._keys.signing_key(dynamic=not fields.flag("useStaticSigningKey", default=True))
        return ok(jwt=sign_custom_jwt(claims, key))

    def _tenant(self, _: Fields) -> JSON:
        return ok(tenantId=TENANT_ID, thirdParty={"providers": []}, coreConfig={})
