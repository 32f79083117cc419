"""The templates and their globals. Only this folder uses Jinja."""
