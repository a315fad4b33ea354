"""Is everything here that the steps need? One table, and exit code 1 only when an installed step can't run.

$ python -m shared doctor
[ok]       Python     3.11.7
[ok]       step1      torch 2.13.0, transformers 5.24.0, ...
[optional] weights    all-minilm-l6-v2: not here yet, fetched at first use
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import psutil
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from shared import hardware
from shared.catalog import catalog
from shared.config import Settings
from shared.models import weights
from shared.steps import requirements, steps

if TYPE_CHECKING:
    from rich.console import Console

KEYS = ("ANTHROPIC_API_KEY", "HF_TOKEN", "WANDB_API_KEY")
State = Literal["ok", "missing", "optional"]


@dataclass(frozen=True)
class Finding:
    """One line of the table."""

    state: State
    what: str
    detail: str


def examine(settings: Settings) -> list[Finding]:
    """Look at everything; a finding is `missing` only when something that is installed can't run."""
    return [
        _python(),
        *_packages(),
        *_weights(settings),
        *_keys(settings),
        _accelerator(),
        _memory(),
        _disk(settings),
    ]


def facts(findings: list[Finding]) -> dict[str, Any]:
    """The findings for programs, with a headline."""
    broken = [finding.what for finding in findings if finding.state == "missing"]
    headline = f"missing: {', '.join(broken)}" if broken else "everything that is installed can run"
    return {
        "command": "shared doctor",
        "headline": headline,
        "findings": [asdict(finding) for finding in findings],
    }


def show(findings: list[Finding], console: Console) -> None:
    """The findings for people, coloured by state."""
    from rich.table import Table
    from rich.text import Text

    colour = {"ok": "green", "missing": "bold red", "optional": "yellow"}
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        table.add_row(Text(f"[{finding.state}]", colour[finding.state]), finding.what, Text(finding.detail))
    console.print(table)


def _python() -> Finding:
    good = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Finding(
        "ok" if good else "missing",
        "Python",
        platform.python_version() + ("" if good else "; 3.11 to 3.13 needed"),
    )


def _packages() -> list[Finding]:
    """One line a step. pip doesn't record which extras were asked for, so a step counts as installed when
    most of its packages are here, and some that no complete step, nor what its packages need, explains."""
    checks = {step.extra: _check(requirements(step.extra)) for step in steps()}
    explained = {name for have, lack in checks.values() if not lack for name in have}
    explained |= {needed for name in explained for needed in _needed_by(name)}
    found = []
    for extra, (have, lack) in checks.items():
        remedy = f'{", ".join(lack)}: pip install -c constraints.txt ".[{extra}]"'
        if not lack:
            found.append(
                Finding("ok", extra, ", ".join(f"{name} {version}" for name, version in have.items()))
            )
        elif len(have) <= len(requirements(extra)) / 2 or have.keys() <= explained:
            found.append(Finding("optional", extra, f"not installed, needs {remedy}"))
        else:
            found.append(Finding("missing", extra, remedy))
    return found


def _needed_by(package: str) -> set[str]:
    return {canonicalize_name(Requirement(each).name) for each in importlib.metadata.requires(package) or []}


def _check(wanted: list[Requirement]) -> tuple[dict[str, str], list[str]]:
    """The packages that are here with their versions, and what is missing or too old."""
    have, lack = {}, []
    for requirement in wanted:
        try:
            version = have[requirement.name] = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            lack.append(f"{requirement.name}{requirement.specifier}")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            lack.append(f"{requirement.name}{requirement.specifier} (is {version})")
    return have, lack


def _weights(settings: Settings) -> list[Finding]:
    found = []
    for spec in catalog().values():
        if spec.is_claude or spec.random:
            continue
        own = settings.models_dir / spec.id if settings.models_dir else None
        folder = own if own and own.is_dir() else weights.cached(spec, settings)
        if folder:
            found.append(Finding("ok", "weights", f"{spec.id}: {weights.source_of(folder)}, in {folder}"))
        else:
            bring = "fetched at first use" if spec.wheel else "fetched from the hub at first use"
            found.append(Finding("optional", "weights", f"{spec.id}: not here yet, {bring}"))
    return found


def _keys(settings: Settings) -> list[Finding]:
    have = {name: bool(os.environ.get(name)) for name in KEYS}
    have["ANTHROPIC_API_KEY"] = settings.anthropic_api_key is not None
    return [
        Finding("ok" if is_set else "optional", "key", f"{name} {'set' if is_set else 'not set'}")
        for name, is_set in have.items()
    ]


def _accelerator() -> Finding:
    try:
        import torch
    except ImportError:
        return Finding("optional", "accelerator", "unknown: torch is not installed")
    if torch.cuda.is_available():
        return Finding("ok", "accelerator", torch.cuda.get_device_name())
    if torch.backends.mps.is_available():
        return Finding("ok", "accelerator", "Apple GPU (mps)")
    fast = "bf16 in hardware" if hardware.bf16_feature() else "no bf16 in hardware"
    return Finding(
        "optional", "accelerator", f"none, runs on {hardware.cpu_name()}, {hardware.cores()} cores, {fast}"
    )


def _memory() -> Finding:
    memory = psutil.virtual_memory()
    text = f"{memory.available / 2**30:.1f} of {memory.total / 2**30:.1f} GiB free"
    return Finding("ok" if memory.available > 2 * 2**30 else "optional", "memory", text)


def _disk(settings: Settings) -> Finding:
    folder = settings.cache_dir
    there = next(path for path in (folder, *folder.parents) if path.exists() or path == Path(path.anchor))
    free = shutil.disk_usage(there).free / 2**30
    return Finding("ok" if free > 1 else "optional", "disk", f"{free:.1f} GiB free for {folder}")
