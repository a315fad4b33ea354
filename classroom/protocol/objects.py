"""What both sides do with a name, and with the attributes of an object."""

from __future__ import annotations

import importlib
from operator import attrgetter
from typing import Any


def find(target: str) -> Any:
    """The object that `module:name.name` names. Never call it with a name that a submission gave."""
    module, _, path = target.partition(":")
    return reach(importlib.import_module(module), path)


def reach(value: Any, path: str) -> Any:
    """The value at a path of attributes, such as `c.ms`."""
    return attrgetter(path)(value)
