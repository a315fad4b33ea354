"""The configuration of a server: each field is a flag of `serve`, with its default and its help text.

>>> Config(engine="llamacpp", running=8).timeout_s
120.0
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from typer import Option

from shared.cli import Model, Smoke
from shared.errors import UserError
from step5_serving.addresses import is_loopback

SCRIPTED = "scripted"  # an engine without a model: fixed answers, to measure the API itself


@dataclass(frozen=True)
class Options:
    """Settings of our engines; all but `rows` only for torch, the batcher."""

    rows: int = 16  # sequences that are decoded together
    quantize: str | None = None  # or int8
    prefix_cache: bool = True  # reuse the KV cache of common prompt prefixes
    lookup: int = 8  # most tokens that prompt lookup proposes per sequence and step; 0: off
    chunk: int = 256  # prompt tokens per step
    places: int = 2048  # of the KV cache per row: 47 MB for SmolLM2-135M in bfloat16, once used


# Flags that other commands have, too.
Rows = Annotated[int, Option(min=1, help="Largest batch (torch, llamacpp).")]
Quantize = Annotated[Literal["int8"] | None, Option(help="Weights in fewer bits (torch).")]
PrefixCache = Annotated[bool, Option(help="Compute shared prompt prefixes once (torch).")]
Lookup = Annotated[int, Option(min=0, help="Prompt lookup's tokens (torch); 0: off.")]
IndexFolder = Annotated[Path | None, Option(help="Index folder; default: rag-index or sample.")]
Telemetry = Annotated[str, Option("--telemetry", help="Database: FILE, or postgresql+psycopg://HOST/NAME.")]
KeyFile = Annotated[Path, Option("--keys", help="File with the hashes of API keys.")]
TELEMETRY, KEYS = "sqlite:///telemetry.db", Path("serving-keys.json")


@dataclass
class Config:
    """How to serve."""

    host: Annotated[str, Option(help="Address; any but loopback needs API keys.")] = "127.0.0.1"
    port: Annotated[int, Option(min=0, max=65535, help="Port; 0 takes any free port.")] = 8000
    names: Annotated[list[str] | None, Option("--name", help="Host name of a proxy in front.")] = None
    engine: Annotated[
        str, Option(help="torch, llamacpp, vllm, ollama, an http(s):// address, claude-..., or scripted.")
    ] = "auto"
    model: Model = None
    rows: Rows = Options.rows
    quantize: Quantize = None
    prefix_cache: PrefixCache = True
    lookup: Lookup = Options.lookup
    index: IndexFolder = None
    store: Annotated[Literal["chroma", "faiss", "weaviate", "pinecone"], Option(help="Vectors.")] = "chroma"
    store_address: Annotated[str | None, Option("--address", help="Of the vector store's server.")] = None
    reader: Annotated[Literal["chat", "quote"], Option(help="chat (the model writes), or quote.")] = "chat"
    strategies: Annotated[str | None, Option(help="Ways to rewrite doubtful queries; or none.")] = None
    threshold: Annotated[float | None, Option(min=0, max=1, help="Least confidence to answer.")] = None
    prompts: Annotated[str | None, Option(help="Version of the prompt, or a split: 1:90,2:10.")] = None
    telemetry: Telemetry = TELEMETRY
    redact: Annotated[bool, Option("--redact", help="Mask personal data before it is stored.")] = False
    otlp: Annotated[str | None, Option(help="OTLP endpoint (HTTP) for spans.")] = None
    otlp_content: Annotated[bool, Option("--otlp-content", help="Send questions and answers, too.")] = False
    budget_usd_per_day: Annotated[float | None, Option(help="Refuse calls once it is spent.")] = None
    keys: KeyFile = KEYS
    rate: Annotated[float | None, Option(min=0.001, help="Requests per second for each key.")] = None
    burst: Annotated[float | None, Option(min=1, help="Largest burst; default: twice the rate.")] = None
    running: Annotated[int, Option(min=1, help="Most calls that run at the same time.")] = 16
    waiting: Annotated[int, Option(min=0, help="Most calls that wait; more get 503.")] = 64
    timeout_s: Annotated[float, Option("--timeout", min=1, max=86400, help="Seconds for a call.")] = 120.0
    drain_s: Annotated[float, Option("--drain", min=0, max=86400, help="Seconds for the last calls.")] = 30.0
    smoke: Smoke = False

    embedder: str | None = field(default=None, init=False)
    context_tokens: int = field(default=1024, init=False)  # of passages in a prompt

    def __post_init__(self) -> None:
        if self.burst is not None and self.rate is None:
            raise UserError("--burst needs --rate: a burst is what may exceed it for a moment")
        limit = self.budget_usd_per_day
        if limit is not None and not 0 < limit < float("inf"):
            raise UserError(f"--budget-usd-per-day {limit:g} buys nothing: use a number over 0")
        if self.smoke:  # random weights, which know nothing; so no confidence is too low for an answer
            from shared.catalog import default

            self.embedder = default("smoke").id
            self.model = self.model or self.embedder
            self.threshold = self.threshold or 0.0
            self.context_tokens = 256  # the context of the tiny model is short

    @property
    def is_reachable(self) -> bool:
        """Whether other machines can reach the server, directly or through a proxy."""
        return not is_loopback(self.host) or bool(self.names)
