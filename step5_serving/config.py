"""The configuration of a server: the flags of `serve`, with their defaults.

>>> Config(engine="llamacpp", running=8).timeout_s
120.0
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.errors import UserError
from step5_serving.addresses import is_loopback

HOST, PORT = "127.0.0.1", 8000
KEYS = Path("serving-keys.json")
TELEMETRY = "sqlite:///telemetry.db"
SCRIPTED = "scripted"  # an engine without a model: fixed answers, to measure the API itself


@dataclass(frozen=True)
class Options:
    """Settings of our engines; all but `rows` only for torch, the batcher."""

    rows: int = 16  # sequences that are decoded together
    quantize: str | None = None  # or int8
    prefix_cache: bool = True  # reuse the KV cache of common prompt prefixes
    lookup: int = 8  # most tokens that prompt lookup proposes per sequence and step; 0: off
    chunk: int = 256  # prompt tokens per step
    waiting: int = 256  # sequences in the queue
    places: int = 2048  # of the KV cache per row: 47 MB for SmolLM2-135M in bfloat16, once used


@dataclass(frozen=True)
class Config:
    """How to serve."""

    host: str = HOST
    port: int = PORT
    names: tuple[str, ...] = ()  # host names of a proxy in front

    engine: str = "auto"  # engines/choice.py; or SCRIPTED
    model: str | None = None
    flags: Mapping[str, Any] = field(default_factory=dict)  # settings: device, dtype, threads, seed
    options: Options = Options()  # of our engines

    index: Path | None = None  # None: ./rag-index, or the sample's
    store: str = "chroma"
    store_address: str | None = None
    reader: str = "chat"
    strategies: tuple[str, ...] | None = None  # to rewrite queries; None: step 3's default
    threshold: float | None = None  # confidence below which it abstains; None: step 3's
    context_tokens: int = 1024  # of passages in a prompt
    prompts: str | None = None  # traffic split, "1:90,2:10"; None: the latest version

    telemetry: str = TELEMETRY
    redact: bool = False
    otlp: str | None = None
    otlp_content: bool = False  # send questions and answers, too
    budget_usd_per_day: float | None = None

    keys: Path = KEYS
    rate: float | None = None  # requests per second and key; None: no limit
    burst: float | None = None
    running: int = 16
    waiting: int = 64
    timeout_s: float = 120.0
    drain_s: float = 30.0

    def __post_init__(self) -> None:
        if self.burst is not None and self.rate is None:
            raise UserError("--burst needs --rate: a burst is what may exceed it for a moment")

    @property
    def is_reachable(self) -> bool:
        """Whether other machines can reach the server, directly or through a proxy."""
        return not is_loopback(self.host) or bool(self.names)
