"""Long runs, each with a promise: status 0 if it held. README.md has the commands."""

import logging

# Lines of the package would appear between the figures.
logging.getLogger("flask_ssr_session").addHandler(logging.NullHandler())
