"""The command ``flask ssr-session doctor``. Only ``cli`` imports it, when the command runs."""
