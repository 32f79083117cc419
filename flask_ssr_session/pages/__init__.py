"""What templates see: the only place that knows Jinja."""
