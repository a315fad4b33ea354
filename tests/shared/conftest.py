"""Leaves out the tests of what the extra `chat` brings where a step is installed without it."""

import importlib.util

CHAT = importlib.util.find_spec("anthropic") is not None
if not CHAT:
    collect_ignore_glob = ["test_embedded_*.py", "test_prompts.py", "test_wire.py"]


def pytest_report_header():
    """Say which tests are left out."""
    return None if CHAT else "without the extra `chat`: no test_embedded_*, test_prompts, test_wire"
