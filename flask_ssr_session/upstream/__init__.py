"""What is fetched from the core and the API: the only place that opens a connection or a thread."""
