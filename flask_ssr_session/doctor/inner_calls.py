"""Find views and hooks whose own code calls ``require_session()``.

What such a call requires shows only when it runs, so no check knows it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

from flask import Flask

from .code_reader import read_code


def inner_calls(app: Flask) -> Iterator[str]:
    """Yield the endpoint of each such view, and the name of each such hook."""
    for endpoint, view in app.view_functions.items():
        if read_code(app, view).calls:
            yield endpoint
    for hook in chain.from_iterable(app.before_request_funcs.values()):
        if read_code(app, hook).calls:
            yield getattr(hook, "__name__", type(hook).__name__)
