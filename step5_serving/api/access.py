"""Who may do what, and how often: a request's key, its scopes, its rate."""

from __future__ import annotations

from collections.abc import Mapping

from fastapi.security.utils import get_authorization_scheme_param

from step5_serving.api.keys import Keys
from step5_serving.api.rates import Rates
from step5_serving.api.state_log import StateLog
from step5_serving.config import Config
from step5_serving.errors import ApiError, unavailable

UNKNOWN_KEY = "the key is not known here: send one as `Authorization: Bearer KEY` or `x-api-key: KEY`"


class Access:
    """The door of one server."""

    def __init__(self, config: Config, keys: Keys, states: StateLog) -> None:
        self.keys, self.states = keys, states
        self.rates = Rates(config.rate, config.burst) if config.rate else None
        # Once keys are wanted, they stay wanted: a file of keys that is gone opens nothing.
        self._wants_keys = config.is_reachable or len(keys) > 0

    @property
    def wants_keys(self) -> bool:
        """Whether requests need a key: always, except on loopback without a proxy while there is none."""
        self._wants_keys = self._wants_keys or len(self.keys) > 0
        return self._wants_keys

    def caller(self, headers: Mapping[str, str], host: str | None, scope: str) -> str | None:
        """The id of the caller's key, if he may ask and not too often; None without a key.

        Raises:
            ApiError: no key (401), one without that scope (403), too many requests (429), or a key file that
                can't be read (503).
        """
        key_id = None
        if self.wants_keys:
            scheme, bearer = get_authorization_scheme_param(headers.get("authorization"))
            given = headers.get("x-api-key") or (bearer if scheme.lower() == "bearer" else "")
            key = self.keys.find(given.strip()) if given else None
            self.states.tell("keys", self.keys.trouble)
            if self.keys.trouble:
                raise unavailable("the server can't read its keys: try again later", 5)
            if key is None:
                raise ApiError(401, "authentication_error", UNKNOWN_KEY)
            if scope not in key.scopes:
                raise ApiError(
                    403, "permission_error", f"this key may {' and '.join(key.scopes)}, this wants {scope}"
                )
            key_id = key.id
        if self.rates and (wait := self.rates.take(key_id or host or "")):
            allowed = f"{self.rates.per_second:g} requests a second are allowed, {self.rates.burst:g} at once"
            why = f"{allowed}: try again in {wait:.1f} s"
            refusal = ApiError(429, "rate_limit_error", why, retry_after=int(wait) + 1)
            refusal.key_id = key_id
            raise refusal
        return key_id
