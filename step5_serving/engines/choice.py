"""What answers behind the service: the values of `--engine`, and the clients that talk to each.

    torch              the model in this process or one of its own (apart/), requests in one batch (batch/)
    llamacpp           its GGUF, in the same way, by llama.cpp
    vllm, ollama       a server on this machine, at its usual port
    http(s)://...      any server that speaks the Anthropic Messages API
    claude-...         Anthropic

    >>> engine = resolve("torch", model="tiny")
    >>> engine.name, engine.model
    ('torch', 'tiny')
    >>> engine.client().messages.create(model="tiny", max_tokens=9, messages=[...])

Whatever it is, it is asked through the `anthropic` SDK: the rest of the service needs no other code for it.
Nothing is loaded and nobody is asked before it must be, with one exception: a server whose model nobody
named is asked which one it has.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from shared.catalog import lookup
from shared.chat import client as chat
from shared.config import Settings, load_settings
from shared.errors import UserError, reason
from shared.models import weights

if TYPE_CHECKING:
    import anthropic

    from shared.embedded.backend import Backend
    from shared.embedded.engine import Engine
    from shared.embedded.transport import EmbeddedTransport
    from step5_serving.engines.process.backend import Apart

SERVERS = {"vllm": "http://127.0.0.1:8000", "ollama": "http://127.0.0.1:11434"}
START = {"vllm": "vllm serve MODEL", "ollama": "ollama serve"}
EMBEDDED = ("torch", "llamacpp")
ALLOWED = "torch, llamacpp, vllm, ollama, an http(s):// address, or a Claude model (claude-...)"
PATIENCE = 5.0  # seconds for a server to say which models it has
ROWS = 16  # requests that are decoded together


@dataclass(frozen=True)
class Embedded:
    """How an engine of our own works: requests at once, eight-bit weights or not (torch only), and whether in
    this process or in one of its own."""

    rows: int = ROWS
    quantize: str | None = None
    apart: bool = False


class Serving:
    """One chosen engine: its settings, its clients, and what has to be closed at the end."""

    def __init__(self, name: str, settings: Settings, how: Embedded | None = None) -> None:
        self.name, self.settings, self._how = name, settings, how or Embedded()
        self.backend: Backend | Apart | None = None
        if name in EMBEDDED:
            self.backend = _apart(name, settings, self._how) if self._how.apart else self.again()

    @property
    def model(self) -> str:
        """As requests must name it."""
        return self.settings.model

    def again(self) -> Backend:
        """Another backend in this process, with a model of its own. Loads nothing yet."""
        return backend_of(self.name, self.settings, self._how)

    def client(self) -> anthropic.Anthropic:
        """A client of the SDK. All clients of one engine in this process share its model."""
        if self.backend is None:
            return chat.chat_client(settings=self.settings)
        import anthropic
        import httpx2

        http = httpx2.Client(transport=self._transport(self.backend), trust_env=False)
        return anthropic.Anthropic(http_client=http, **chat.EMBEDDED)

    def async_client(self) -> anthropic.AsyncAnthropic:
        """The same, for `await`."""
        if self.backend is None:
            return chat.async_chat_client(settings=self.settings)
        import anthropic
        import httpx2

        http = httpx2.AsyncClient(transport=self._transport(self.backend), trust_env=False)
        return anthropic.AsyncAnthropic(http_client=http, **chat.EMBEDDED)

    def warm_up(self) -> None:
        """Load what would be loaded with the first question. May take seconds.

        Raises:
            UserError: the model can't be had, or the server doesn't answer.
        """
        if self.backend:
            self.backend.warm_up()
        elif self.settings.base_url:
            served(self.settings)

    def trouble(self) -> str | None:
        """Why it would not answer at this moment, for a model that was there already.

        Raises:
            UserError: a server doesn't answer.
        """
        if self.backend:
            return self.backend.trouble
        self.warm_up()
        return None

    def close(self) -> None:
        """End the engine's threads. Texts that are being written end with an error."""
        if self.backend:
            self.backend.close()

    def _transport(self, backend: Backend | Apart) -> EmbeddedTransport:
        from shared.embedded.transport import EmbeddedTransport

        return EmbeddedTransport(self.settings, answering=backend)


def resolve(
    engine: str | None = None,
    model: str | None = None,
    how: Embedded | None = None,
    settings: Settings | None = None,
    **flags: Any,
) -> Serving:
    """The engine of a flag; without one, what the settings say: their server, Claude, or torch.

    `model` and `flags` (`device`, `dtype`, `threads`, `seed`) are flags as they were given; `settings` are
    there already, in place of them.

    Raises:
        UserError: there is no such engine, it can't run this model, or a server has to be asked for its
            model and doesn't answer.
    """
    flags = {name: value for name, value in flags.items() if value is not None}
    if engine in (None, "auto"):
        settings = settings or load_settings(model=model, **flags)
        is_claude = not settings.base_url and lookup(settings.model).is_claude
        engine = settings.base_url or (settings.model if is_claude else "torch")
    if engine in EMBEDDED:
        return _embedded(engine, settings or load_settings(model=model, **flags), how or Embedded())
    if engine == "claude" or engine.startswith("claude-"):
        return _claude(engine, model, flags)
    if engine in SERVERS or engine.startswith(("http://", "https://")):
        return _server(engine, model, flags)
    raise UserError(f"--engine {engine} is not known: use {ALLOWED}")


# --- ours --------------------------------------------------------------------------------------------


def _embedded(engine: str, settings: Settings, how: Embedded) -> Serving:
    spec = lookup(settings.model)
    if spec.is_claude or "chat" not in spec.roles:
        raise UserError(f"--engine {engine} can't run {settings.model}: choose a chat model with weights")
    if how.rows < 1:
        raise UserError(f"--rows {how.rows} is not allowed: use a number from 1")
    if how.quantize not in (None, "int8"):
        raise UserError(f"--quantize {how.quantize} is not known: use int8")
    if how.quantize and engine != "torch":
        raise UserError(f"--quantize is for engine torch: {engine} runs the bits that its file has")
    if engine == "llamacpp" and find_spec("xllamacpp") is None:
        raise UserError("engine llamacpp is not installed: pip install .[llamacpp]")
    kind = "llamacpp" if engine == "llamacpp" else "transformers"
    return Serving(engine, settings.model_copy(update={"engine": kind, "base_url": None}), how)


def backend_of(name: str, settings: Settings, how: Embedded) -> Backend:
    """The embedded backend on an engine that takes several requests at once; nothing is loaded yet."""
    from shared.embedded.backend import Backend

    return Backend(settings, load=lambda: _load(name, settings, how))


def _apart(name: str, settings: Settings, how: Embedded) -> Apart:
    """The same in a process of its own, which begins to load."""
    from step5_serving.engines.process.backend import Apart

    secrets = {"anthropic_api_key", "base_url_key"}  # that process asks nobody
    given = settings.model_dump(mode="json", exclude=secrets)
    return Apart({"name": name, "settings": given, "rows": how.rows, "quantize": how.quantize})


def _load(name: str, settings: Settings, how: Embedded) -> Engine:
    if name == "llamacpp":
        from shared.embedded.on_llamacpp import LlamaCppEngine

        folder = weights.ensure(settings.model, settings)
        return LlamaCppEngine.load(folder, settings, parallel=how.rows)
    from step5_serving.engines.batching.engine import BatchEngine, Options

    return BatchEngine.load(settings, Options(how.rows, how.quantize))


# --- elsewhere ----------------------------------------------------------------------------------------


def _claude(engine: str, model: str | None, flags: dict[str, Any]) -> Serving:
    settings = load_settings(**flags)
    chosen = settings.claude_model if engine == "claude" else engine
    if model not in (None, chosen):
        raise UserError(f"--engine {engine} names the model itself: leave out --model {model}")
    if settings.anthropic_api_key is None:
        raise UserError(f"{chosen} needs a key: set ANTHROPIC_API_KEY, or choose another --engine")
    return Serving("claude", settings.model_copy(update={"model": chosen, "base_url": None}))


def _server(engine: str, model: str | None, flags: dict[str, Any]) -> Serving:
    settings = load_settings(model=model, base_url=SERVERS.get(engine, engine).rstrip("/"), **flags)
    if model is None:  # the settings' model if it has that, else whatever it has
        names = served(settings, engine)
        settings = settings.model_copy(
            update={"model": settings.model if settings.model in names else names[0]}
        )
    return Serving(engine if engine in SERVERS else "server", settings)


def served(settings: Settings, engine: str | None = None) -> list[str]:
    """The models of a server, by its /v1/chat.

    Raises:
        UserError: it doesn't answer, or not with a list of chat.
    """
    import httpx2

    address, key = settings.base_url, settings.base_url_key
    headers = {"x-api-key": key.get_secret_value()} if key else {}
    headers |= {"authorization": f"Bearer {key.get_secret_value()}"} if key else {}
    try:
        reply = httpx2.get(f"{address}/v1/models", headers=headers, timeout=PATIENCE)
        reply.raise_for_status()
        names = [str(each["id"]) for each in reply.json()["data"]]
    except httpx2.TransportError as error:
        start = f" (start it: {START[engine]})" if engine in START else ""
        raise UserError(f"nobody answers at {address}{start}: {reason(error)}") from None
    except httpx2.HTTPStatusError as error:
        status = error.response.status_code
        raise UserError(f"{address}/v1/models says {status}: name the model (--model)") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{address}/v1/models lists no models: name one (--model)") from None
    if not names:
        raise UserError(f"{address} has no model: give it one, then try again")
    return names
