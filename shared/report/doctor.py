"""Checks this machine: is everything here that the steps need?

$ python -m shared doctor
state       what     found
[ok]        Python   3.11.7
[ok]        step1    11 packages
[optional]  step2    not installed: anthropic>=2.10, ... (pip install -c constraints.txt ".[step2]")
[optional]  key      HF_TOKEN: not set (for gated models of the Hugging Face hub)
...

`wrong` marks what is installed and cannot run; the exit code is then 1.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import psutil
from packaging.requirements import Requirement

from shared import hardware
from shared.catalog import catalog
from shared.config import Settings
from shared.errors import UserError
from shared.models import weights
from shared.models.device import choose_device
from shared.steps import steps

DISTRIBUTION = "llm-roadmap"
GIB = 2**30


@dataclass(frozen=True)
class Finding:
    """One line of the table."""

    state: Literal["ok", "wrong", "optional"]
    what: str
    detail: str


def examine(settings: Settings) -> list[Finding]:
    """Everything that the steps need, and whether it is here."""
    memory = psutil.virtual_memory()
    cache = settings.cache_dir.absolute()
    disk = shutil.disk_usage(next(folder for folder in (cache, *cache.parents) if folder.exists()))
    return [
        Finding("ok", "Python", platform.python_version()),  # pip refuses others
        *(_packages(step.extra) for step in steps()),
        *_weights(settings),
        *_keys(settings),
        _accelerator(),
        _enough("memory", memory.available, 2, f"of {memory.total / GIB:.1f} GiB free"),
        _enough("disk", disk.free, 1, f"GiB free for {cache}"),
    ]


def requirements(extra: str) -> dict[str, Requirement]:
    """What an extra of this project needs, by package; it may include other extras.

    Raises:
        UserError: this project is not installed.
    """
    try:
        listed = importlib.metadata.requires(DISTRIBUTION) or []
    except importlib.metadata.PackageNotFoundError:
        raise UserError(f"{DISTRIBUTION} is not installed: run pip install -e . in its folder") from None
    found: dict[str, Requirement] = {}
    for requirement in map(Requirement, listed):
        if requirement.marker and requirement.marker.evaluate({"extra": extra}):
            if requirement.name == DISTRIBUTION:
                for included in requirement.extras:
                    found |= requirements(included)
            else:
                found[requirement.name] = requirement
    return found


def _packages(extra: str) -> Finding:
    """Not every package is here: the step is not installed. A version is wrong: it cannot run."""
    absent, wrong, needed = [], [], requirements(extra)
    for name, requirement in sorted(needed.items()):
        try:
            version = importlib.metadata.version(name)
            if not requirement.specifier.contains(version, prereleases=True):
                wrong.append(f"{name}{requirement.specifier} (is {version})")
        except importlib.metadata.PackageNotFoundError:
            absent.append(f"{name}{requirement.specifier}")
    if not (absent or wrong):
        return Finding("ok", extra, f"{len(needed)} packages")
    what = f"not installed: {', '.join(absent)}" if absent else f"needs {', '.join(wrong)}"
    command = f'(pip install -c constraints.txt ".[{extra}]")'
    return Finding("optional" if absent else "wrong", extra, f"{what} {command}")


def _weights(settings: Settings) -> Iterator[Finding]:
    for spec in catalog().values():
        if spec.is_claude or spec.random:
            continue
        own = settings.models_dir / spec.id if settings.models_dir else None
        folder = own if own and own.is_dir() else weights.cached(spec, settings)
        where = weights.source_of(folder) if folder else "not here; fetched at first use"
        yield Finding("ok" if folder else "optional", "weights", f"{spec.id}: {where}")


def _keys(settings: Settings) -> Iterator[Finding]:
    for name, key, use in (
        ("ANTHROPIC_API_KEY", settings.anthropic_api_key, "for Claude"),
        ("HF_TOKEN", os.environ.get("HF_TOKEN"), "for gated models of the Hugging Face hub"),
        ("WANDB_API_KEY", os.environ.get("WANDB_API_KEY"), "for Weights & Biases"),
    ):
        yield Finding("ok" if key else "optional", "key", f"{name}: {'set' if key else f'not set ({use})'}")


def _accelerator() -> Finding:
    try:
        import torch
    except ImportError:
        return Finding("optional", "accelerator", "unknown: torch is not installed")
    device = choose_device()
    if device == "cpu":
        bf16 = "bf16 in hardware" if hardware.bf16_feature() else "no bf16 in hardware"
        return Finding("optional", "accelerator", f"none: {hardware.describe()}, {bf16}")
    name = torch.cuda.get_device_name() if device == "cuda" else "Apple GPU"
    return Finding("ok", "accelerator", f"{device}: {name}")


def _enough(what: str, free: int, needed: int, text: str) -> Finding:
    """`free` in bytes, `needed` in GiB."""
    enough = free >= needed * GIB
    advice = "" if enough else f"; about {needed} GiB are needed"
    return Finding("ok" if enough else "optional", what, f"{free / GIB:.1f} {text}{advice}")
