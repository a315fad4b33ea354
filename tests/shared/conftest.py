"""A step alone is tested with nothing but its own extra: without `chat` there is no chat to test."""

import importlib.util

CHAT = importlib.util.find_spec("anthropic") is not None
if not CHAT:
    collect_ignore_glob = ["test_embedded_*.py", "test_wire*.py"]


def pytest_report_header():
    """Say so, instead of passing over it in silence."""
    return None if CHAT else "without the extra `chat`: test_embedded_* and test_wire are left out"
