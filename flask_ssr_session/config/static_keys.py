"""Read the key set that an app configures itself, so that no keys are fetched."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from ..errors import ConfigError, FetchError
from ..sansio.jwks import parse_key_set
from .settings import Settings


def read_static_keys(settings: Settings) -> dict[str, RSAPublicKey] | None:
    """Return the keys of ``SSR_SESSION_JWKS`` by key id, or None if it is not set.

    :raises ConfigError: the file cannot be read, or holds no usable key.
    """
    document = settings.jwks
    if document is None:
        return None
    try:
        return parse_key_set(Path(document).read_bytes() if isinstance(document, str) else document)
    except OSError as error:
        raise ConfigError(f"SSR_SESSION_JWKS: the file cannot be read ({error.strerror})") from None
    except FetchError as error:
        raise ConfigError(f"SSR_SESSION_JWKS: {error}") from None
