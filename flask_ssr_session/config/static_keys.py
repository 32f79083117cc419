"""Read the key set that an app configures itself, so that no keys are fetched."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from ..errors import ConfigError, FetchError
from ..sansio.jwks import parse_key_set


def read_static_keys(document: Mapping[str, Any] | str) -> dict[str, RSAPublicKey]:
    """Return the keys of ``SSR_SESSION_JWKS`` by key id.

    :param document: the key set, or the path of its file.
    :raises ConfigError: the file cannot be read, or holds no usable key.
    """
    try:
        return parse_key_set(Path(document).read_bytes() if isinstance(document, str) else document)
    except OSError as error:
        raise ConfigError(f"SSR_SESSION_JWKS: the file cannot be read ({error.strerror})") from None
    except FetchError as error:
        raise ConfigError(f"SSR_SESSION_JWKS: {error}") from None
