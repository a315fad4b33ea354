"""The Anthropic SDK's own client for whichever model the settings name.

    >>> client = chat_client("tiny")
    >>> client.messages.create(model="tiny", max_tokens=5, messages=[{"role": "user", "content": "Hi"}])

Three things can answer: Claude, a server of yours that speaks the Messages API (`ROADMAP_BASE_URL`), or the
model embedded in this process (no server, no key; it is loaded with the first question).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.catalog import lookup
from shared.config import Settings, load_settings
from shared.errors import UserError

if TYPE_CHECKING:
    import anthropic

# Named, because the SDK would otherwise send the key to wherever ANTHROPIC_BASE_URL points.
CLAUDE_URL = "https://api.anthropic.com"
# No key, and an address that cannot exist (RFC 6761): without its transport nothing could be sent.
EMBEDDED: Any = {"api_key": "not-needed", "base_url": "http://embedded.invalid", "max_retries": 0}


def chat_client(model: str | None = None, settings: Settings | None = None) -> anthropic.Anthropic:
    """A client for the model. Your Anthropic key goes to Anthropic only; your server gets `base_url_key`.

    Raises:
        UserError: Claude without a key, or a model that can't chat.
    """
    import anthropic
    import httpx2

    settings = _with_model(model, settings)
    if not _is_embedded(settings):
        url, key = _url_and_key(settings)
        return anthropic.Anthropic(base_url=url, api_key=key)
    from shared.embedded.transport import EmbeddedTransport

    http = httpx2.Client(transport=EmbeddedTransport(settings), trust_env=False)
    return anthropic.Anthropic(http_client=http, **EMBEDDED)


def async_chat_client(model: str | None = None, settings: Settings | None = None) -> anthropic.AsyncAnthropic:
    """The same as `chat_client`, for `await`.

    Raises:
        UserError: as there.
    """
    import anthropic
    import httpx2

    settings = _with_model(model, settings)
    if not _is_embedded(settings):
        url, key = _url_and_key(settings)
        return anthropic.AsyncAnthropic(base_url=url, api_key=key)
    from shared.embedded.transport import EmbeddedTransport

    http = httpx2.AsyncClient(transport=EmbeddedTransport(settings), trust_env=False)
    return anthropic.AsyncAnthropic(http_client=http, **EMBEDDED)


def _with_model(model: str | None, settings: Settings | None) -> Settings:
    settings = settings or load_settings(model=model)
    return settings.model_copy(update={"model": model}) if model else settings


def _is_embedded(settings: Settings) -> bool:
    return not settings.base_url and not lookup(settings.model).is_claude


def _url_and_key(settings: Settings) -> tuple[str, str]:
    """What the SDK is told; always both, so that it looks for neither in the environment.

    Raises:
        UserError: Claude is asked and there is no key.
    """
    if settings.base_url:
        key = settings.base_url_key
        return settings.base_url, key.get_secret_value() if key else "not-needed"
    if settings.anthropic_api_key is None:
        raise UserError(
            f"{settings.model} needs a key: set ANTHROPIC_API_KEY, or choose a local model (--model)"
        )
    return CLAUDE_URL, settings.anthropic_api_key.get_secret_value()
