"""Everything about a server that can be chosen: the flags of `serve`, with their defaults.

>>> Config(engine="llamacpp", running=8).timeout_s
120.0
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from step5_serving.addresses import is_loopback

HOST, PORT = "127.0.0.1", 8000
KEYS = Path("serving-keys.json")
TELEMETRY = "sqlite:///telemetry.db"
SCRIPTED = "scripted"  # no model: fixed answers, for measuring the API itself
READERS = ("chat", "quote")


@dataclass(frozen=True)
class Options:
    """Settings of an engine of ours; all but `rows` are for the batcher, engine torch."""

    rows: int = 16  # sequences that are decoded together
    quantize: str | None = None  # int8, or not
    prefix_cache: bool = True  # keep the KV cache of prompts' beginnings
    lookup: int = 8  # tokens that prompt lookup proposes for a sequence in a step at most; 0: none
    chunk: int = 256  # prompt tokens between two steps of the others
    waiting: int = 256  # sequences in the queue
    places: int = 2048  # of the KV cache for each row: 47 MB for SmolLM2-135M in bfloat16, once they are used

    @property
    def tokens(self) -> int:
        """Places of the whole KV cache."""
        return self.rows * self.places


@dataclass(frozen=True)
class Config:
    """How to serve."""

    host: str = HOST
    port: int = PORT
    names: tuple[str, ...] = ()  # further hosts that requests may name, behind a proxy

    engine: str = "auto"  # engines/choice.py; or SCRIPTED
    model: str | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)  # further settings: device, dtype, threads, seed
    options: Options = Options()  # of an engine of ours

    index: Path | None = None  # None: rag-index here, or else the sample's
    store: str = "chroma"
    store_address: str | None = None
    reader: str = "chat"
    strategies: tuple[str, ...] | None = None  # None: those that measured best
    threshold: float | None = None  # of confidence, below which it says that it doesn't know
    context_tokens: int = 1024  # of passages in a prompt
    prompts: str | None = None  # traffic split, "1:90,2:10"; None: the latest version

    telemetry: str = TELEMETRY
    redact: bool = False
    otlp: str | None = None
    otlp_content: bool = False  # questions and answers in the spans, too
    budget_usd_per_day: float | None = None

    keys: Path = KEYS
    rate: float | None = None  # requests a second and key; None: as many as come
    burst: float | None = None
    running: int = 16
    waiting: int = 64
    timeout_s: float = 120.0
    drain_s: float = 30.0

    @property
    def is_reachable(self) -> bool:
        """Whether others than this machine can reach the server, directly or through a proxy."""
        return not is_loopback(self.host) or bool(self.names)
