from __future__ import annotations

from tests.app.conftest import no_sdk

__all__ = ["no_sdk"]
