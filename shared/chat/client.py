"""An Anthropic SDK client for whichever model the settings name: Claude, a server of your own, or the
embedded one.

    >>> chat_client("tiny").messages.create(model="tiny", max_tokens=5, messages=[...]).usage.output_tokens
    5
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared.catalog import lookup
from shared.config import Settings, load_settings
from shared.errors import UserError

if TYPE_CHECKING:
    import anthropic


def chat_client(model: str | None = None, settings: Settings | None = None) -> anthropic.Anthropic:
    """An Anthropic SDK client for the model: Claude itself, any server that speaks its Messages API, or the
    model embedded in this process (no server, no key; it is loaded when the first question comes).

    Your Anthropic key goes to Anthropic only; a server of your own gets `base_url_key`.

    Raises:
        UserError: Claude without a key, or a model that can't chat.
    """
    settings = _for_chat(model, settings)
    import anthropic
    import httpx2

    if not _is_embedded(settings):
        return anthropic.Anthropic(base_url=settings.base_url, api_key=_key(settings))
    from shared.embedded.transport import EmbeddedTransport

    http = httpx2.Client(transport=EmbeddedTransport(settings), trust_env=False)
    return anthropic.Anthropic(http_client=http, **EMBEDDED)


def async_chat_client(model: str | None = None, settings: Settings | None = None) -> anthropic.AsyncAnthropic:
    """The same as `chat_client`, for `await`.

    Raises:
        UserError: as there.
    """
    settings = _for_chat(model, settings)
    import anthropic
    import httpx2

    if not _is_embedded(settings):
        return anthropic.AsyncAnthropic(base_url=settings.base_url, api_key=_key(settings))
    from shared.embedded.transport import EmbeddedTransport

    http = httpx2.AsyncClient(transport=EmbeddedTransport(settings), trust_env=False)
    return anthropic.AsyncAnthropic(http_client=http, **EMBEDDED)


# No key, and an address that leads nowhere (RFC 6761): even without its transport nothing could be sent.
EMBEDDED: Any = {"api_key": "not-needed", "base_url": "http://embedded.invalid", "max_retries": 0}


def _for_chat(model: str | None, settings: Settings | None) -> Settings:
    """The settings with the model that was asked for."""
    settings = settings or load_settings(model=model)
    return settings.model_copy(update={"model": model}) if model else settings


def _is_embedded(settings: Settings) -> bool:
    return not settings.base_url and not lookup(settings.model).is_claude


def _key(settings: Settings) -> str:
    """For the server that is asked.

    Raises:
        UserError: there is none, and Claude needs one.
    """
    key = settings.base_url_key if settings.base_url else settings.anthropic_api_key
    if key is None and not settings.base_url:
        raise UserError(
            f"{settings.model} needs a key: set ANTHROPIC_API_KEY, or choose a local model (--model)"
        )
    return key.get_secret_value() if key else "not-needed"
