"""All decisions: values in, values out. No Flask, Jinja, SDK, socket, thread or clock."""
