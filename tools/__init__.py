"""Tools that developers run; nothing in the package or its tests needs them."""
