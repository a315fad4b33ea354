"""The Anthropic SDK's own client for whichever model the settings name.

    >>> client = chat_client("tiny")
    >>> client.messages.create(model="tiny", max_tokens=5, messages=[{"role": "user", "content": "Hi"}])

Three things can answer: Claude, a server of yours that speaks the Messages API (`ROADMAP_BASE_URL`), or the
model embedded in this process (no server, no key; it is loaded with the first question).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.catalog import lookup
from shared.config import Settings, load_settings
from shared.errors import UserError

if TYPE_CHECKING:
    import anthropic

# Named, because the SDK would otherwise send the key to wherever ANTHROPIC_BASE_URL points.
CLAUDE_URL = "https://api.anthropic.com"
# An address that cannot exist (RFC 6761): without the transport, nothing could be sent.
NOWHERE = "http://embedded.invalid"


def chat_client(model: str | None = None, settings: Settings | None = None) -> anthropic.Anthropic:
    """A client for the model. Your Anthropic key goes to Anthropic only; your server gets `base_url_key`.

    Raises:
        UserError: Claude without a key, or a model that can't chat.
    """
    import anthropic
    import httpx2

    settings = settings or load_settings(model=model)
    settings = settings.model_copy(update={"model": model}) if model else settings
    if settings.base_url:
        key = settings.base_url_key
        own = key.get_secret_value() if key else "not-needed"
        return anthropic.Anthropic(base_url=settings.base_url, api_key=own)
    if lookup(settings.model).is_claude:
        if not settings.anthropic_api_key:
            raise UserError(
                f"{settings.model} needs a key: set ANTHROPIC_API_KEY, or choose a local model (--model)"
            )
        return anthropic.Anthropic(base_url=CLAUDE_URL, api_key=settings.anthropic_api_key.get_secret_value())
    from shared.embedded.transport import EmbeddedTransport

    http = httpx2.Client(transport=EmbeddedTransport(settings), trust_env=False)
    return anthropic.Anthropic(http_client=http, base_url=NOWHERE, api_key="not-needed", max_retries=0)
