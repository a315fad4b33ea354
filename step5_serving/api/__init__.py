"""The HTTP service: routes, keys, limits, errors."""
