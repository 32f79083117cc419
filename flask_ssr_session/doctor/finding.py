"""What the doctor says and what it knows: the words of its findings, and the setup they are about.

A finding names hosts and settings; it repeats no token, no secret, no path of an address but
the API's and the refresh page's, no user part, and nothing that a server said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from ..config.resolved import ResolvedSettings, SDKSettings
from ..config.sdk import SDKCookieSettings
from ..config.settings import Settings
from ..sansio.origins import parse_origin


class Level(Enum):
    """What a finding means for the visitors."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor's.

    :ivar check: what was looked at, a word for scripts.
    :ivar says: what is so.
    :ivar advice: what to do; empty where there is nothing to do.
    """

    check: str
    level: Level
    says: str
    advice: str = ""


def ok(check: str, says: str) -> Finding:
    """Return a finding that asks for nothing."""
    return Finding(check, Level.OK, says)


def warning(check: str, says: str, advice: str) -> Finding:
    """Return a finding that may be meant so."""
    return Finding(check, Level.WARNING, says, advice)


def problem(check: str, says: str, advice: str) -> Finding:
    """Return a finding that keeps sessions from working, or from being safe."""
    return Finding(check, Level.PROBLEM, says, advice)


def is_top_level(domain: str) -> bool:
    """Tell whether *domain* has one label at most; for where nobody has the list of suffixes."""
    return "." not in domain


@dataclass(frozen=True)
class Environment:
    """What is known without asking anybody.

    :ivar site: origin that browsers see the pages at; None where nobody says.
    :ivar sdk: None where no SDK is initialised in this process; *cookies* likewise.
    :ivar sdk_version: of the SDK that is installed, or None.
    :ivar answers_api: the SDK's middleware is registered with the app.
    :ivar is_public_suffix: whether anybody can have a name below a domain, as below ``co.uk``.
    """

    settings: Settings
    deployment: ResolvedSettings
    sdk: SDKSettings | None = None
    cookies: SDKCookieSettings | None = None
    sdk_version: str | None = None
    answers_api: bool = False
    site: str | None = None
    is_public_suffix: Callable[[str], bool] = is_top_level

    @property
    def api_origin(self) -> str:
        """The origin of the API as a browser writes it."""
        return browser_origin(self.deployment.api_domain)

    @property
    def refresh_api(self) -> str:
        """Where browsers refresh."""
        deployment = self.deployment
        return f"{deployment.api_domain}{deployment.api_base_path}/session/refresh"

    @property
    def is_api_here(self) -> bool:
        """Whether pages and API have one origin, so that browsers ask no leave."""
        return self.site == self.api_origin


def browser_origin(url: str) -> str:
    """Return the origin of *url* as browsers write it, where it has one; the SDK keeps ``:443``."""
    origin = f"{urlsplit(url).scheme}://{host_and_port(url)}"
    try:
        return parse_origin(origin)
    except ValueError:
        return origin


def host_of(url: str) -> str:
    """Return the host name in *url*, alone."""
    return urlsplit(url).hostname or ""


def host_and_port(url: str) -> str:
    """Return host and port in *url*, without what may be secret before or behind them."""
    return urlsplit(url).netloc.rpartition("@")[2]


def bare_domain(domain: str | None) -> str | None:
    """Return a cookie's domain without the dot that browsers drop, too."""
    return None if domain is None else domain.removeprefix(".").lower()


def format_age(seconds: float) -> str:
    """Return a span of time in the largest unit that has two of it."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if abs(seconds) >= 2 * size:
            return f"{abs(seconds) / size:.0f} {unit}"
    return f"{abs(seconds):.0f} s"
