"""Which engine generates the answers: the values of `--engine`, all servers that speak the Messages API.

    torch              our batcher, in a process that is started here (server.py)
    llamacpp           the model's GGUF on llama.cpp, also started here
    vllm, ollama       a server on this machine, at its usual port
    http(s)://...      any server that speaks the Messages API
    claude-...         Anthropic

The rest of the service asks each of them through the `anthropic` SDK with a base URL.
"""

from importlib.util import find_spec

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
    embedder: str | None = None,
) -> Engine:
    """The engine of a flag; without one, what the settings say: their server, Claude, or torch.

    One of ours begins to load in a process of its own. `settings`, if given, replace `model` and `embedder`.

    Raises:
        UserError: there is no such engine, it can't run this model, or a server was not told which model to
            use and doesn't list its models.
    """
    if engine in (None, "auto"):
        settings = settings or load_settings(model=model, embedder=embedder)
        is_claude = not settings.base_url and lookup(settings.model).is_claude
        engine = settings.base_url or (settings.model if is_claude else "torch")
    if engine != "torch" and options != (Options(options.rows) if engine == "llamacpp" else DEFAULTS):
        ours = "--rows (also of llamacpp), --quantize, --lookup and --no-prefix-cache"
        raise UserError(f"{ours} are flags of engine torch: leave them out with {engine}")
    if engine in OURS:
        return _ours(engine, settings or load_settings(model=model, embedder=embedder), options)
    if engine == "claude" or engine.startswith("claude-"):
        return _claude(engine, model, embedder)
    if engine in SERVERS or engine.startswith(("http://", "https://")):
        return _server(engine, model, embedder)
    raise UserError(f"--engine {engine} is not known: use {ALLOWED}")


def _ours(engine: str, settings: Settings, options: Options) -> Engine:
    spec = lookup(settings.model)
    if spec.is_claude or not spec.can_chat:
        raise UserError(f"--engine {engine} can't run {settings.model}: choose a chat model with weights")
    if engine == "llamacpp" and find_spec("xllamacpp") is None:
        raise UserError("engine llamacpp is not installed: pip install .[llamacpp]")
    return EngineProcess(engine, settings, options)


def _claude(engine: str, model: str | None, embedder: str | None) -> Engine:
    settings = load_settings(embedder=embedder)
    chosen = settings.claude_model if engine == "claude" else engine
    if model not in (None, chosen):
        raise UserError(f"--engine {engine} names the model itself: leave out --model {model}")
    if settings.anthropic_api_key is None:
        raise UserError(f"{chosen} needs a key: set ANTHROPIC_API_KEY, or choose another --engine")
    return Engine("claude", settings.model_copy(update={"model": chosen, "base_url": None}))


def _server(engine: str, model: str | None, embedder: str | None) -> Engine:
    address = SERVERS.get(engine, engine).rstrip("/")
    settings = load_settings(model=model, base_url=address, embedder=embedder)
    if model is None:  # the settings' model if the server has it, else its first one
        names = list_models(settings, engine)
        chosen = settings.model if settings.model in names else names[0]
        settings = settings.model_copy(update={"model": chosen})
    return Engine(engine if engine in SERVERS else "server", settings)
