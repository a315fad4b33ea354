"""Which version of a prompt a call gets, by a traffic split.

    >>> versions = Versions.of(PROMPTS, "answer", "smollm2", "1:90,2:10")
    >>> versions.pick(trace_id="4bf92f3577b34da6a3ce929d0e0e4736")
    1

Prompts are read once, at the start, so editing a file doesn't change a running server. The trace id decides
the version, so that a retry gets the same one.
"""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from shared import prompts
from shared.errors import UserError
from step5_serving.errors import not_found
from step5_serving.seam import PromptRef

T = TypeVar("T")
SPLIT = re.compile(r"\d{1,6}|\d{1,6}:\d{1,6}(,\d{1,6}:\d{1,6})*")


def from_ref(ref: PromptRef) -> prompts.Prompt:
    """The prompt that a call stored; raises UserError if its text does not have the stored hash."""
    label = f"{ref.id}/{ref.version}@{ref.sha256[:8]}"
    prompt = prompts.parse(ref.text, Path(label))
    if prompt.sha256 != ref.sha256:
        raise UserError(f"the stored text of {label} has another hash, {prompt.sha256[:8]}: it was changed")
    return prompt


def version_of(known: Mapping[int, T], version: int) -> T:
    """The prompt with that version; raises ApiError if there is none."""
    if version not in known:
        existing = ", ".join(map(str, sorted(known)))
        raise not_found(f"prompt_version {version} does not exist: there are {existing}")
    return known[version]


@dataclass(frozen=True)
class Versions:
    """All versions of a prompt, and the share of traffic of those in use (relative numbers)."""

    known: Mapping[int, prompts.Prompt]
    shares: Mapping[int, int]

    @classmethod
    def of(cls, folder: Path, id: str, family: str | None = None, split: str | None = None) -> Versions:
        """Read the versions; without a split, the latest for the model family gets all traffic.

        Raises:
            UserError: no such prompt, or the split is wrong.
        """
        latest = prompts.load(folder, id, family=family)
        known = {each.version: each for each in prompts.read_all(folder) if each.id == id}
        return cls(known, {latest.version: 1} if split is None else parse_split(split, known))

    def pick(self, trace_id: str) -> int:
        """The version for a trace id."""
        versions = sorted(self.shares)
        [version] = random.Random(trace_id).choices(versions, [self.shares[each] for each in versions])
        return version


def parse_split(text: str, known: Collection[int]) -> dict[int, int]:
    """`1:90,2:10` as shares by version, one version gets all; raises UserError if a version is unknown."""
    parts = [part.partition(":") for part in text.split(",")] if SPLIT.fullmatch(text) else []
    shares = {int(version): int(share or 1) for version, _, share in parts}
    if len(shares) < len(parts) or not any(shares.values()):
        raise UserError(f'--prompts {text!r} is not a split: use a version, "2", or shares, "1:90,2:10"')
    if unknown := [version for version in shares if version not in known]:
        existing = ", ".join(map(str, sorted(known)))
        raise UserError(f"--prompts names version {unknown[0]}, which does not exist: there are {existing}")
    return shares
