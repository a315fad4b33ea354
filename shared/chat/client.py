"""The Anthropic SDK's client, for the model that the settings name.

    >>> client = chat_client("tiny")
    >>> client.messages.create(model="tiny", max_tokens=5, messages=[{"role": "user", "content": "Hi"}])

It connects to Claude, to your own server that speaks the Messages API (`ROADMAP_BASE_URL`), or to the model
embedded in this process, which needs no server and no key and is loaded with the first request.
"""

import anthropic
import httpx2

from shared.catalog import lookup
from shared.config import Settings, load_settings
from shared.embedded.transport import EmbeddedTransport
from shared.errors import UserError

# Set explicitly: otherwise the SDK would send the key to the URL in ANTHROPIC_BASE_URL.
CLAUDE_URL = "https://api.anthropic.com"
# A host that cannot exist (RFC 6761): without the embedded transport, a request would fail.
EMBEDDED_URL = "http://embedded.invalid"


def chat_client(model: str | None = None, settings: Settings | None = None) -> anthropic.Anthropic:
    """A client for the model. Your Anthropic key is sent only to Anthropic; your server gets `base_url_key`.

    Raises:
        UserError: Claude without a key, or a model that can't chat.
    """
    settings = settings or load_settings(model=model)
    if model:
        settings = settings.model_copy(update={"model": model})
    return connect(settings)


def connect(settings: Settings) -> anthropic.Anthropic:
    """The client for the settings' model; see `chat_client`."""
    if settings.base_url:
        key = settings.base_url_key.get_secret_value() if settings.base_url_key else "not-needed"
        return anthropic.Anthropic(base_url=settings.base_url, api_key=key)
    if lookup(settings.model).is_claude:
        if not settings.anthropic_api_key:
            raise UserError(
                f"{settings.model} needs a key: set ANTHROPIC_API_KEY, or choose a local model (--model)"
            )
        return anthropic.Anthropic(base_url=CLAUDE_URL, api_key=settings.anthropic_api_key.get_secret_value())
    http = httpx2.Client(transport=EmbeddedTransport(settings), trust_env=False)
    return anthropic.Anthropic(http_client=http, base_url=EMBEDDED_URL, api_key="not-needed", max_retries=0)
