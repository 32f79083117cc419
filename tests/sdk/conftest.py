"""The fixtures of the development core's own tests: a running core and a fresh SDK."""

from tests.dev_core.conftest import *  # noqa: F403 - fixtures, for pytest to find
