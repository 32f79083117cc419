"""What ``flask ssr-session check`` and ``token`` say. Only the command imports it."""
