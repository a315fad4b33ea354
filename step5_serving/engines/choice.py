"""Which engine generates the answers: the values of `--engine`, all servers that speak the Messages API.

    torch              our batcher, in a process that is started here (server.py)
    llamacpp           the model's GGUF on llama.cpp, also started here
    vllm, ollama       a server on this machine, at its usual port
    http(s)://...      any server that speaks the Messages API
    claude-...         Anthropic

    >>> engine = resolve("torch", model="tiny")
    >>> engine.client().messages.create(model=engine.model, max_tokens=9, messages=[...])
    >>> engine.close()

The rest of the service asks each of them through the `anthropic` SDK with a base URL.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from shared.catalog import lookup
from shared.chat import client as chat
from shared.config import Settings, load_settings
from shared.errors import UserError, reason
from step5_serving.config import Options

if TYPE_CHECKING:
    import anthropic

    from step5_serving.engines.process import EngineProcess

OURS = ("torch", "llamacpp")
SERVERS = {"vllm": "http://127.0.0.1:8000", "ollama": "http://127.0.0.1:11434"}
START = {"vllm": "vllm serve MODEL", "ollama": "ollama serve"}
ALLOWED = "torch, llamacpp, vllm, ollama, an http(s):// address, or a Claude model (claude-...)"
LIST_TIMEOUT_S = 5.0
DEFAULTS = Options()
FLAGS = {
    "rows": "--rows",
    "quantize": "--quantize",
    "lookup": "--lookup",
    "prefix_cache": "--no-prefix-cache",
}


@dataclass
class Engine:
    """One engine: its settings, with its address in `base_url`, and its process if we started it."""

    name: str
    settings: Settings
    process: EngineProcess | None = None

    @property
    def model(self) -> str:
        """As requests must name it."""
        return self.settings.model

    def client(self) -> anthropic.Anthropic:
        """A client of the SDK.

        Raises:
            UserError: Claude without a key.
        """
        if self.process is None:
            return chat.chat_client(settings=self.settings)
        import anthropic

        http = anthropic.DefaultHttpxClient(trust_env=False)  # no proxy between this process and its child
        return anthropic.Anthropic(base_url=self.process.address, api_key=self.process.key, http_client=http)

    def warm_up(self) -> None:
        """Wait until our engine has loaded its model, or check that a server answers.

        Raises:
            UserError: the model can't be had, or the server doesn't answer.
        """
        if self.process:
            self.process.wait_until_ready()
        elif self.settings.base_url:
            list_models(self.settings)

    def trouble(self) -> str | None:
        """Why it would not answer now, or None.

        Raises:
            UserError: a server doesn't answer.
        """
        if self.process:
            return self.process.trouble()
        self.warm_up()
        return None

    def close(self) -> None:
        """Stop our engine's process; answers that are being generated break off."""
        if self.process:
            self.process.close()


def resolve(
    engine: str | None = None,
    model: str | None = None,
    options: Options = DEFAULTS,
    settings: Settings | None = None,
    **flags: Any,
) -> Engine:
    """The engine of a flag; without one, what the settings say: their server, Claude, or torch.

    One of ours begins to load in a process of its own. `model` and `flags` (`device`, `dtype`, `threads`,
    `seed`) are command-line flags; `settings`, if given, replace them.

    Raises:
        UserError: there is no such engine, it can't run this model, or a server was not told which model to
            use and doesn't list its models.
    """
    flags = {name: value for name, value in flags.items() if value is not None}
    if engine in (None, "auto"):
        settings = settings or load_settings(model=model, **flags)
        is_claude = not settings.base_url and lookup(settings.model).is_claude
        engine = settings.base_url or (settings.model if is_claude else "torch")
    for name, flag in FLAGS.items():
        ignored = engine != "torch" and (engine, name) != ("llamacpp", "rows")
        if ignored and getattr(options, name) != getattr(DEFAULTS, name):
            raise UserError(f"{flag} is for engine torch: leave it out with {engine}")
    if engine in OURS:
        return _ours(engine, settings or load_settings(model=model, **flags), options)
    if engine == "claude" or engine.startswith("claude-"):
        return _claude(engine, model, flags)
    if engine in SERVERS or engine.startswith(("http://", "https://")):
        return _server(engine, model, flags)
    raise UserError(f"--engine {engine} is not known: use {ALLOWED}")


def _ours(engine: str, settings: Settings, options: Options) -> Engine:
    spec = lookup(settings.model)
    if spec.is_claude or not spec.can_chat:
        raise UserError(f"--engine {engine} can't run {settings.model}: choose a chat model with weights")
    if engine == "llamacpp" and find_spec("xllamacpp") is None:
        raise UserError("engine llamacpp is not installed: pip install .[llamacpp]")
    return start(engine, settings, options)


def start(engine: str, settings: Settings, options: Options) -> Engine:
    """Start one of our engines in a process of its own. Besides OURS there is `lock`, for `bench`."""
    from step5_serving.engines.process import EngineProcess

    process = EngineProcess(engine, settings, options)
    update = {"base_url": process.address, "base_url_key": None}
    return Engine(engine, settings.model_copy(update=update), process)


def _claude(engine: str, model: str | None, flags: dict[str, Any]) -> Engine:
    settings = load_settings(**flags)
    chosen = settings.claude_model if engine == "claude" else engine
    if model not in (None, chosen):
        raise UserError(f"--engine {engine} names the model itself: leave out --model {model}")
    if settings.anthropic_api_key is None:
        raise UserError(f"{chosen} needs a key: set ANTHROPIC_API_KEY, or choose another --engine")
    return Engine("claude", settings.model_copy(update={"model": chosen, "base_url": None}))


def _server(engine: str, model: str | None, flags: dict[str, Any]) -> Engine:
    settings = load_settings(model=model, base_url=SERVERS.get(engine, engine).rstrip("/"), **flags)
    if model is None:  # the settings' model if the server has it, else its first one
        names = list_models(settings, engine)
        chosen = settings.model if settings.model in names else names[0]
        settings = settings.model_copy(update={"model": chosen})
    return Engine(engine if engine in SERVERS else "server", settings)


def list_models(settings: Settings, engine: str | None = None) -> list[str]:
    """The models of a server, from its /v1/models.

    Raises:
        UserError: it doesn't answer, or not with a list of models.
    """
    import httpx2

    address, key = settings.base_url, settings.base_url_key
    secret = key.get_secret_value() if key else ""
    headers = {"x-api-key": secret, "authorization": f"Bearer {secret}"} if key else {}
    try:
        reply = httpx2.get(f"{address}/v1/models", headers=headers, timeout=LIST_TIMEOUT_S).raise_for_status()
        names = [str(each["id"]) for each in reply.json()["data"]]
    except httpx2.TransportError as error:
        hint = f" (start it: {START[engine]})" if engine in START else ""
        raise UserError(f"nobody answers at {address}{hint}: {reason(error)}") from None
    except (httpx2.HTTPStatusError, ValueError, KeyError, TypeError):
        names = []
    if not names:
        raise UserError(f"{address}/v1/models lists no models: name one (--model)")
    return names
