"""The apps that gunicorn serves for ``benchmarks.throughput``."""

from __future__ import annotations

import os

from .sites import bare as make_bare
from .sites import ours as make_ours

bare = make_bare()
ours = make_ours(api_domain="http://localhost", jwks_uri=os.environ["JWKS_URI"])
