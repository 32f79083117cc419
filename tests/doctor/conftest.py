from __future__ import annotations

from functools import cache

import pytest

from flask_ssr_session.doctor import environment
from flask_ssr_session.doctor.hosts import public_suffix_test

# To read the list of public suffixes takes longer than a test.
read_once = cache(public_suffix_test)


@pytest.fixture(autouse=True)
def one_list_of_public_suffixes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "public_suffix_test", read_once)
