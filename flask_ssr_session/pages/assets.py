"""The two static files of the refresh page, named by their content so that caches keep them."""

from __future__ import annotations

from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from ..errors import ConfigError
from ..sansio.frozen import Frozen

_ONE_YEAR_SECONDS = 365 * 24 * 3600
_STATIC = Path(__file__).parents[1] / "static"


class Asset(Frozen):
    """One file, plain and compressed.

    :ivar digest: a short hash of the content, part of its URL.
    :ivar suffix: ``js`` or ``css``.
    """

    digest: str
    suffix: str
    content_type: str
    content: bytes
    gzipped: bytes

    def cache_control(self, requested_digest: str) -> str:
        """Return the header ``Cache-Control`` of a response with this file.

        During a rolling deployment, a page may request the other version's file. It gets this one,
        which does the same work, but no cache may store it under that name.
        """
        is_current = requested_digest == self.digest
        return f"public, max-age={_ONE_YEAR_SECONDS}, immutable" if is_current else "no-store"


@lru_cache
def script() -> Asset:
    """Return the browser script: the SuperTokens SDK, and the script of the refresh page."""
    return _load("js", "text/javascript; charset=utf-8")


@lru_cache
def style() -> Asset:
    """Return the style sheet of the refresh page."""
    return _load("css", "text/css; charset=utf-8")


def _load(suffix: str, content_type: str) -> Asset:
    path = _STATIC / f"ssr-session.{suffix}"
    try:
        content = path.read_bytes()
        gzipped = path.with_name(path.name + ".gz").read_bytes()
    except OSError:
        raise ConfigError(
            f"flask_ssr_session was not built: {path.name} is missing. Install it with pip "
            '("pip install -e ." in a checkout), which builds the browser script.'
        ) from None
    return Asset(
        digest=sha256(content).hexdigest()[:16],
        suffix=suffix,
        content_type=content_type,
        content=content,
        gzipped=gzipped,
    )
