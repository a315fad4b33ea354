"""API keys: random, shown once, stored as hashes in a small JSON file.

    $ python -m step5_serving keys add alice --scope ask
    s5_1f0c9a3e_kq0Vt...   (shown this once: only its hash is kept)

A key is 256 random bits, so plain SHA-256 is right for it: slow, salted hashes (bcrypt, Argon2) protect what
people make up and others can guess, and nobody guesses 2**256; a slow one would only cost every request its
milliseconds. For the same reason a look-up by the hash gives nothing away through its timing: whoever could
choose what it is compared with would have to know keys that hash to it.

Scopes: `ask` for questions, `operate` for documents and telemetry; a key has one or both. A
running server sees within a second that the file has changed. `Access` asks each caller for a key.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ValidationError

from shared.errors import UserError, reason
from step5_serving.api.rates import Rates
from step5_serving.config import KEYS, Config
from step5_serving.errors import ApiError, unavailable

SCOPES = ("ask", "operate")
PREFIX = "s5_"
UNKNOWN_KEY = "the key is not known here: send one as `Authorization: Bearer KEY` or `x-api-key: KEY`"
NAME = re.compile(r"[\w.@-][\w .@-]{0,59}")


class Key(BaseModel, frozen=True):
    """What is kept of a key; `id` is public and stands in telemetry."""

    id: str
    name: str
    scopes: tuple[str, ...]
    sha256: str
    created_at: str


class KeyFile(BaseModel):
    """What the file holds."""

    keys: list[Key]


class Keys:
    """The keys of a file; one that is not there has none."""

    def __init__(self, path: Path = KEYS, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the file.

        Raises:
            UserError: it can't be read, or holds something else.
        """
        self.path, self._clock = path, clock
        self._keys = _read(path)  # None: there is no file
        self._looked = clock()
        self.trouble: str | None = None  # why the file can't be used; until it can, no key opens anything

    def __len__(self) -> int:
        self.refresh()
        return len(self._keys or ())

    def __iter__(self) -> Iterator[Key]:
        self.refresh()
        return iter(sorted(self._keys or (), key=lambda key: key.created_at))

    def find(self, text: str) -> Key | None:
        """Whose key this is; None for nobody's."""
        self.refresh()
        sha256 = _hash(text)
        return next((key for key in self._keys or () if key.sha256 == sha256), None)

    def add(self, name: str, scopes: Sequence[str]) -> tuple[Key, str]:
        """Make a key and keep its hash. The text is returned this once.

        Raises:
            UserError: a name or scope that is not allowed, a name that is taken, or no writing there.
        """
        if not NAME.fullmatch(name):
            raise UserError(f"the name {name[:60]!r} is not allowed: use 1 to 60 letters, digits, . _ @ -")
        wrong = [scope for scope in scopes if scope not in SCOPES]
        if wrong or not scopes:
            raise UserError(f"--scope {wrong[0] if wrong else ''} is not known: use {' or '.join(SCOPES)}")
        id = secrets.token_hex(4)
        text = f"{PREFIX}{id}_{secrets.token_urlsafe(32)}"  # 32 bytes: 43 letters
        made = datetime.now(UTC).isoformat(timespec="seconds")
        scopes = tuple(dict.fromkeys(scopes))
        key = Key(id=id, name=name, scopes=scopes, sha256=_hash(text), created_at=made)
        with self._changing() as keys:
            if any(each.name == name for each in keys):
                raise UserError(f"there is a key named {name} already: remove it first, or use another name")
            keys.append(key)
        return key, text

    def remove(self, which: str) -> Key:
        """Take a key out, by its id or its name.

        Raises:
            UserError: there is none such.
        """
        with self._changing() as keys:
            for key in keys:
                if which in (key.id, key.name):
                    keys.remove(key)
                    return key
            known = ", ".join(f"{key.id} ({key.name})" for key in keys) or "none"
            raise UserError(f"no key {which!r} in {self.path}: there are {known}")

    @contextlib.contextmanager
    def _changing(self) -> Iterator[list[Key]]:
        """The keys to be changed in place; two who change them wait for each other."""
        from filelock import FileLock

        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self.path.with_name(f".{self.path.name}.lock"), timeout=10):
                keys = _read(self.path) or []
                yield keys
                _write(self.path, keys)
        except (OSError, TimeoutError) as error:
            raise UserError(f"cannot write {self.path}: {reason(error)}") from None
        self._keys = keys

    def refresh(self) -> None:
        """Read the file again, once a second. It is small, and on a bind mount its times may not be true."""
        if self._clock() - self._looked < 1.0:
            return
        self._looked = self._clock()
        try:
            keys = _read(self.path)
            if keys is None and self._keys is not None:
                raise UserError(f"{self.path} is gone, and no key opens anything: put it back")
            self._keys, self.trouble = keys, None
        except UserError as error:  # who broke the file may have meant to take a key back: nobody gets in
            self._keys, self.trouble = [], str(error)


class Access:
    """Who may do what, and how often: a request's key, its scopes, its rate."""

    def __init__(self, config: Config, keys: Keys) -> None:
        self.keys = keys
        self.rates = Rates(config.rate, config.burst) if config.rate else None
        # Once keys are wanted, they stay wanted: a file of keys that is gone opens nothing.
        self._wants_keys = config.is_reachable or len(keys) > 0

    @property
    def wants_keys(self) -> bool:
        """Whether requests need a key: always, except on loopback without a proxy while there is none."""
        self._wants_keys = self._wants_keys or len(self.keys) > 0
        return self._wants_keys

    def caller(self, headers: Mapping[str, str], host: str | None, scope: str) -> str | None:
        """The id of the caller's key, if the scope and the rate allow the request; None without a key.

        Raises:
            ApiError: no key (401), one without that scope (403), too many requests (429), or a key file that
                can't be read (503).
        """
        key_id = None
        if self.wants_keys:
            scheme, _, bearer = headers.get("authorization", "").partition(" ")
            given = headers.get("x-api-key") or (bearer if scheme.lower() == "bearer" else "")
            key = self.keys.find(given.strip()) if given else None
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


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _read(path: Path) -> list[Key] | None:
    """The keys of the file; None where there is no file.

    Raises:
        UserError: it can't be read, or holds something else.
    """
    try:
        return KeyFile.model_validate_json(path.read_bytes()).keys
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"cannot read the keys in {path}: {reason(error)}") from None
    except ValidationError:
        raise UserError(
            f"{path} holds no keys: it should be a file that `python -m step5_serving keys add` has written"
        ) from None


def _write(path: Path, keys: list[Key]) -> None:
    """Write into the file itself: a container that has mounted it would keep the old file, and its keys.

    One write, padded with spaces to the old length, so that a reader never sees half of it. Readable by the
    owner only.
    """
    raw = f"{KeyFile(keys=keys).model_dump_json(indent=1)}\n".encode()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        file.write(raw.ljust(os.fstat(descriptor).st_size))
        file.truncate(len(raw))
        os.fsync(descriptor)
