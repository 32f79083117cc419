"""What a run of the doctor knows about the app and its surroundings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..config.sdk import SDKCookieSettings
from ..config.settings import ResolvedSettings, SDKSettings, Settings
from .hosts import browser_origin, is_top_level


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
    has_sdk_middleware: bool = False
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
