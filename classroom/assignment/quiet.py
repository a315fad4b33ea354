"""pytest as a library: nothing printed, no cache, no settings, conftest files or plugins of the project's."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Sequence

import pytest

PLAIN = ["-q", "-s", "-c", os.devnull, "--rootdir", os.sep, "--noconftest", "--disable-plugin-autoload"]
PLAIN += [
    f"-pno:{name}" for name in ("cacheprovider", "faulthandler", "threadexception", "unraisableexception")
]
PLAIN += ["--import-mode=importlib", "--assert=plain", "--disable-warnings", "-o", "python_functions=test_*"]
PLAIN += ["--tb=native"]  # nobody reads pytest's own, which takes 50 ms a test that fails


def quietly(args: Sequence[str], plugins: Sequence[object]) -> int:
    """Run pytest with these plugins only; its exit code."""
    settings = {
        name: os.environ.pop(name) for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS") if name in os.environ
    }
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            return int(pytest.main([*PLAIN, *args], plugins=list(plugins)))
    finally:
        os.environ.update(settings)
