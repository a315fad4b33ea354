"""What the stores that are reached over the network have in common: addresses, time-outs, one line of error.

>>> Address.read("localhost", 8000).url
'http://localhost:8000'
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from shared.errors import UserError, reason
from step3_rag.ingest.index import Index

CONNECT = 5.0  # seconds until a server must have answered at all
READ = 60.0  # seconds until it must have done what it was asked


class DamagedStore(UserError):
    """A store on disk that can't be read. It is a copy: whoever holds the index's lock may make it anew."""


@dataclass(frozen=True)
class Address:
    """Where a server is."""

    host: str
    port: int
    secure: bool
    options: dict[str, str] = field(default_factory=dict)  # what stands behind a ?

    @property
    def url(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.secure else 'http'}://{host}:{self.port}"

    @classmethod
    def read(cls, text: str, port: int) -> Address:
        """From `host`, `host:port` or a URL; `port` is the one where none is named (443 for https).

        Raises:
            UserError: it is none.
        """
        parts = urlsplit(text if "://" in text else f"http://{text}")
        try:
            named = parts.port
        except ValueError:
            named = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or named == -1:
            raise UserError(f"--address {text} is not an address: write it like http://localhost:{port}")
        secure = parts.scheme == "https"
        return cls(parts.hostname, named or (443 if secure else port), secure, dict(parse_qsl(parts.query)))


def collection_of(folder: Path) -> str:
    """What an index's chunks are kept under on a server, which may hold those of others too.

    Letters, digits and one underscore: every store allows other characters.

    Raises:
        UserError: the index has no id.
    """
    known = Index.facts_of(folder).get("id")
    if not known:
        raise UserError(f"the index in {folder} has no id: make it anew with `ingest --rebuild`")
    return f"Chunks_{known}"


def unreachable(what: str, url: str, error: BaseException, advice: str) -> UserError:
    """The one line for a server that doesn't answer."""
    return UserError(f"no {what} answers at {url} ({reason(error)}): {advice}")
