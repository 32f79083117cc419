"""Fetch from the core and the API: the only place that opens a connection or starts a thread."""
