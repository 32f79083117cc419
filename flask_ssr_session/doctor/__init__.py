"""``flask ssr-session doctor`` and ``routes``. Only ``cli`` imports them, when a command runs."""
