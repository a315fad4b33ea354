"""Which engine generates the answers: the values of `--engine`, all servers that speak the Messages API.

    torch              our batcher, in a process that is started here (server.py)
    llamacpp           the model's GGUF on llama.cpp, also started here
    vllm, ollama       a server on this machine, at its usual port
    http(s)://...      any server that speaks the Messages API
    claude-...         Anthropic

The rest of the service asks each of them through the `anthropic` SDK with a base URL.
"""

from importlib.util import find_spec
from typing import Any

from shared.catalog import lookup
from shared.config import Settings, load_settings
from shared.errors import UserError
from step5_serving.config import Options
from step5_serving.engines.engine import Engine, EngineProcess, list_models

OURS = ("torch", "llamacpp")
SERVERS = {"vllm": "http://127.0.0.1:8000", "ollama": "http://127.0.0.1:11434"}
ALLOWED = "torch, llamacpp, vllm, ollama, an http(s):// address, or a Claude model (claude-...)"
DEFAULTS = Options()


def resolve(
    engine: str | None = None,
    model: str | None = None,
    options: Options = DEFAULTS,
    settings: Settings | None = None,
    **flags: Any,
) -> Engine:
    """The engine of a flag; without one, what the settings say: their server, Claude, or torch.

    One of ours begins to load in a process of its own. `model` and `flags` (`device`, `dtype`, `threads`,
    `seed`, `embedder`) are command-line flags; `settings`, if given, replace them.

    Raises:
        UserError: there is no such engine, it can't run this model, or a server was not told which model to
            use and doesn't list its models.
    """
    flags = {name: value for name, value in flags.items() if value is not None}
    if engine in (None, "auto"):
        settings = settings or load_settings(model=model, **flags)
        is_claude = not settings.base_url and lookup(settings.model).is_claude
        engine = settings.base_url or (settings.model if is_claude else "torch")
    if engine != "torch" and options != (Options(options.rows) if engine == "llamacpp" else DEFAULTS):
        ours = "--rows (also of llamacpp), --quantize, --lookup and --no-prefix-cache"
        raise UserError(f"{ours} are flags of engine torch: leave them out with {engine}")
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
    return EngineProcess(engine, settings, options)


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
