"""The versions of the core driver interface (CDI), which callers name in each request."""

from __future__ import annotations

# What --cdi takes. The first speaks as cores up to 12.0 do, and as supertokens-python asks for.
CDI_VERSIONS = ("5.4", "5.6")

_OLDER_VERSIONS = ("5.0", "5.1", "5.2", "5.3")


def supported_versions(cdi: str) -> tuple[str, ...]:
    """Return the versions that a core of this version serves.

    :raises ValueError: no core here is of this version.
    """
    if cdi not in CDI_VERSIONS:
        raise ValueError(f"the CDI version is {' or '.join(CDI_VERSIONS)}, not {cdi!r}")
    return (*_OLDER_VERSIONS, *CDI_VERSIONS[: CDI_VERSIONS.index(cdi) + 1])
