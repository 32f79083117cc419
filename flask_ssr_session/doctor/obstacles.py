"""Name what responds in place of a server, or makes this process distrust it."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import CertificateError, FetchError
from .probes import ProbeResult

# A proxy that reaches no app responds with these. Cloudflare has its own, from 520 to 530.
_PROXY_STATUSES = frozenset({502, 503, 504, *range(520, 531)})

TRUST_ADVICE = (
    "renew it if it has expired or names another host; if your own authority issued it, set "
    "SSL_CERT_FILE to the certificate of that authority in this process, and make browsers trust it"
)
_FORWARD = (
    "start the app, and correct the host and port that the proxy forwards to; the log of the proxy "
    "says what failed"
)


class Obstacle(NamedTuple):
    """Why a request does not reach an app, although something responds.

    :ivar message: a sentence for a finding.
    :ivar advice: what to do.
    """

    message: str
    advice: str


def find_obstacle(probe: ProbeResult, what: str) -> Obstacle | None:
    """Return what keeps *probe* from an app; None if the app responds, or if nothing does.

    :param what: the subject of the message, for example ``the site at www.example.com``.
    """
    answer = probe.answer
    if isinstance(answer, CertificateError):
        return Obstacle(f"{what} is running, but {answer}", TRUST_ADVICE)
    if (
        isinstance(answer, FetchError)
        or answer.status not in _PROXY_STATUSES
        or "SSR-Session" in answer.headers
    ):
        return None
    if answer.status == 503:  # apps send it, too
        message = f"{what} is not available (status 503): a proxy responds, or a hook of the app"
        return Obstacle(message, f"{_FORWARD}; let hooks pass the refresh page and the API")
    return Obstacle(
        f"{what} does not run or cannot be reached: a proxy responds in its place "
        f"(status {answer.status})",
        _FORWARD,
    )
