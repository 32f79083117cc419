"""The fixtures of the development core's own tests: a running core and a fresh SDK."""

from tests.dev_core.conftest import (
    key_factory,
    lagging_clock,
    live_core,
    loopback_only,
    rsa_keys,
    sdk_environment,
)

__all__ = [
    "key_factory",
    "lagging_clock",
    "live_core",
    "loopback_only",
    "rsa_keys",
    "sdk_environment",
]
