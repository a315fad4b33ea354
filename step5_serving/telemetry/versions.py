"""Which prompt a call gets: the versions of a folder, pinned by content, two at once by a traffic split.

    >>> versions = Versions.of(PROMPTS, "answer", "smollm2", "1:90,2:10")
    >>> versions.pick(trace_id="4bf92f3577b34da6a3ce929d0e0e4736")
    1

The files are read once, at the start: an edit in place changes nothing of a running server, and afterwards
the hash tells it. The trace id decides which version a call gets, so that a retry gets the same one and
anybody can compute it again.
"""

from __future__ import annotations

import random
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from shared import prompts
from shared.errors import UserError
from step5_serving.seam import PromptRef

SPLIT = re.compile(r"\d{1,6}|\d{1,6}:\d{1,6}(,\d{1,6}:\d{1,6})*")


def ref_of(prompt: prompts.Prompt) -> PromptRef:
    """A prompt as a call remembers it; its text is the file."""
    return PromptRef(prompt.id, prompt.version, prompt.sha256, str(prompt))


def prompt_of(ref: PromptRef) -> prompts.Prompt:
    """The prompt that a call remembers, whatever the folder holds today.

    Raises:
        UserError: its text is not a prompt, or does not have the hash.
    """
    prompt = prompts.parse(ref.text, Path(ref.label))
    if prompt.sha256 != ref.sha256:
        raise UserError(
            f"the stored text of {ref.label} has another hash, {prompt.sha256[:8]}: it was changed"
        )
    return prompt


@dataclass(frozen=True)
class Versions:
    """The versions of one prompt, and the share of each in the traffic (they add up to anything)."""

    known: Mapping[int, prompts.Prompt]
    shares: Mapping[int, int]

    @classmethod
    def of(cls, folder: Path, id: str, family: str | None = None, split: str | None = None) -> Versions:
        """The prompt's versions; without a split, the latest for that family of models gets all.

        Raises:
            UserError: no such prompt, or a split that names none of its versions.
        """
        latest = prompts.load(folder, id, family=family)
        # By its number any version can be had, as by `prompts.load`: one in trial is nobody's default.
        known = {each.version: each for each in prompts.read_all(folder) if each.id == id}
        return cls(known, {latest.version: 1} if split is None else parse_split(split, known))

    def pick(self, trace_id: str) -> int:
        """The version that the trace id draws."""
        versions = sorted(self.shares)
        [version] = random.Random(trace_id).choices(versions, [self.shares[each] for each in versions])
        return version


def parse_split(text: str, known: Collection[int]) -> dict[int, int]:
    """`1:90,2:10` as shares by version; a version alone has all.

    Raises:
        UserError: no split, or of versions that are not known.
    """
    parts = [part.partition(":") for part in text.split(",")] if SPLIT.fullmatch(text) else []
    shares = {int(version): int(share or 1) for version, _, share in parts}
    if len(shares) < len(parts) or not any(shares.values()):
        raise UserError(f'--prompts {text!r} is not a split: use a version, "2", or shares, "1:90,2:10"')
    for version in shares:
        if version not in known:
            there = ", ".join(map(str, sorted(known)))
            raise UserError(f"--prompts names version {version}, which does not exist: there are {there}")
    return shares
