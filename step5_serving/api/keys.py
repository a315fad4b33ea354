"""API keys: random, shown once, stored as hashes in a small JSON file.

    $ python -m step5_serving keys add alice --scope ask
    s5_1f0c9a3e_kq0Vt...   (shown this once: only its hash is kept)

A key is 256 random bits, so plain SHA-256 is enough: slow, salted hashes (bcrypt, Argon2) protect passwords
that can be guessed, and would cost each request milliseconds. A lookup by the hash leaks nothing through its
timing either, since nobody can choose a key by its hash.

Scopes: `ask` for questions, `operate` for documents and telemetry. A running server notices within a second
that the file has changed. `Access` checks the key of each request. Without any key, the server answers
questions from this machine, and nobody operates it: through a proxy, strangers can look like this machine.
"""

import contextlib
import hashlib
import io
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ValidationError

from shared.errors import UserError, reason
from step5_serving import KEY_PREFIX
from step5_serving.api.rates import Rates
from step5_serving.config import KEYS, Config
from step5_serving.errors import ApiError, unavailable
from step5_serving.telemetry.call import Caller

SCOPES = ("ask", "operate")
REFRESH_S = 1.0  # how often the file is read
UNKNOWN_KEY = "the key is missing or unknown: send it in `x-api-key`, or after `Bearer` in `Authorization`"
NO_OPERATOR = (
    "this needs an API key with the scope operate, and the server has no key: "
    "make one with `python -m step5_serving keys add NAME --scope operate`"
)
NAME = re.compile(r"[\w.@-][\w .@-]{0,59}")


class Key(BaseModel, frozen=True):
    """What is stored of a key; `id` is public and appears in telemetry."""

    id: str
    name: str
    scopes: tuple[str, ...]
    sha256: str
    created_at: str


class KeyFile(BaseModel):
    """The content of the file."""

    keys: list[Key]


class Keys:
    """The keys of a file; a file that does not exist has none."""

    def __init__(self, path: Path = KEYS, clock: Callable[[], float] = time.monotonic) -> None:
        """Read the file; raises UserError if it can't be read or holds something else."""
        self.path, self._clock = path, clock
        self._keys = _read(path)  # None: there is no file
        self._read_at = clock()
        self.trouble: str | None = None  # why the file can't be used; until it can, all keys are refused

    def __len__(self) -> int:
        return len(self._current())

    def __iter__(self) -> Iterator[Key]:
        return iter(sorted(self._current(), key=lambda key: key.created_at))

    def find(self, text: str) -> Key | None:
        """The key with this text, if there is one."""
        sha256 = _hash(text)
        return next((key for key in self._current() if key.sha256 == sha256), None)

    def add(self, name: str, scopes: Sequence[str]) -> tuple[Key, str]:
        """Make a key and store its hash; its text is returned only here.

        Raises:
            UserError: the name or scope is not allowed, the name is taken, or the file can't be written.
        """
        if not NAME.fullmatch(name):
            raise UserError(f"the name {name[:60]!r} is not allowed: use 1 to 60 letters, digits, . _ @ -")
        wrong = [scope for scope in scopes if scope not in SCOPES]
        if wrong or not scopes:
            raise UserError(f"--scope {wrong[0] if wrong else ''} is not known: use {' or '.join(SCOPES)}")
        id = secrets.token_hex(4)
        text = f"{KEY_PREFIX}{id}_{secrets.token_urlsafe(32)}"  # 32 bytes: 43 characters
        created = datetime.now(UTC).isoformat(timespec="seconds")
        scopes = tuple(dict.fromkeys(scopes))
        key = Key(id=id, name=name, scopes=scopes, sha256=_hash(text), created_at=created)
        with self._editing() as keys:
            if any(each.name == name for each in keys):
                raise UserError(f"there is a key named {name} already: remove it first, or use another name")
            keys.append(key)
        return key, text

    def remove(self, which: str) -> Key:
        """Remove a key by its id, or by its name if no key has this id; raises UserError if there is none."""
        with self._editing() as keys:
            matches = [key for key in keys if key.id == which] or [key for key in keys if key.name == which]
            if matches:
                keys.remove(matches[0])
                return matches[0]
            known = ", ".join(f"{key.id} ({key.name})" for key in keys) or "none"
            raise UserError(f"no key {which!r} in {self.path}: there are {known}")

    @contextlib.contextmanager
    def _editing(self) -> Iterator[list[Key]]:
        """The list of keys, which is written back at the end of the `with`; one process at a time."""
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

    def _current(self) -> list[Key]:
        self.refresh()
        return self._keys or []

    def refresh(self) -> None:
        """Read the file again, once a second. (On a bind mount its time stamps may not tell of a change.)"""
        if self._clock() - self._read_at < REFRESH_S:
            return
        self._read_at = self._clock()
        try:
            keys = _read(self.path)
            if keys is None and self._keys is not None:
                raise UserError(f"{self.path} is gone or empty, and no key opens anything: put it back")
            self._keys, self.trouble = keys, None
        except UserError as error:  # the change may have been meant to revoke a key: refuse all
            self._keys, self.trouble = [], str(error)


class Access:
    """Checks a request's key, its scopes and its rate."""

    def __init__(self, config: Config, keys: Keys) -> None:
        self.keys = keys
        self.rates = Rates(config.rate, config.burst) if config.rate else None
        self._wants_keys = config.is_reachable or len(keys) > 0

    @property
    def wants_keys(self) -> bool:
        """Whether questions need a key: not on loopback without a proxy, until the first key is made.

        A key file that is deleted later does not open the server again.
        """
        self._wants_keys = self._wants_keys or len(self.keys) > 0
        return self._wants_keys

    def key_of(self, headers: Mapping[str, str], scope: str) -> str | None:
        """The id of the request's key; None for a question that needs none. To operate always takes a key.

        Raises:
            ApiError: no valid key (401), a key without that scope (403), or the key file can't be read (503).
        """
        if not self.wants_keys:
            if scope != "ask":
                raise ApiError(401, "authentication_error", NO_OPERATOR)
            return None
        scheme, _, bearer = headers.get("authorization", "").partition(" ")
        text = headers.get("x-api-key") or (bearer if scheme.lower() == "bearer" else "")
        key = self.keys.find(text.strip()) if text else None
        if self.keys.trouble:
            raise unavailable("the server can't read its keys: try again later", 5)
        if key is None:
            raise ApiError(401, "authentication_error", UNKNOWN_KEY)
        if scope not in key.scopes:
            message = f"this key is for {' and '.join(key.scopes)}, and this needs {scope}"
            raise ApiError(403, "permission_error", message)
        return key.id

    def check_rate(self, caller: Caller) -> None:
        """Count a request of this caller; raises ApiError (429) if it is one too many."""
        if self.rates and (wait := self.rates.take(caller.key_id or caller.host)):
            allowed = f"{self.rates.per_second:g} requests a second are allowed, {self.rates.burst:g} at once"
            message = f"{allowed}: try again in {wait:.1f} s"
            raise ApiError(429, "rate_limit_error", message, retry_after=int(wait) + 1)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _read(path: Path) -> list[Key] | None:
    """The keys of the file; None if it does not exist or is empty. UserError if it holds something else."""
    try:
        content = path.read_bytes()
        return KeyFile.model_validate_json(content).keys if content else None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UserError(f"cannot read the keys in {path}: {reason(error)}") from None
    except ValidationError:
        raise UserError(
            f"{path} is not a file of keys: move it away; `python -m step5_serving keys add NAME` makes one"
        ) from None


def _write(path: Path, keys: list[Key]) -> None:
    """Write the file, which only its owner may read; if the disk is full, it is as before, or not there.

    An existing file is written over: a container with a bind mount would go on reading a replaced one. Its
    room is taken first, by spaces at its end, which JSON allows. A server that reads it at this very moment
    refuses all keys until it reads it again, a second later.
    """
    content = f"{KeyFile(keys=keys).model_dump_json(indent=1)}\n".encode()
    if not path.exists():
        _write_new(path, content)
        return
    size = path.stat().st_size
    with path.open("r+b", buffering=0) as file:
        file.seek(size)
        try:
            _write_all(file, b" " * (len(content) - size))
        except OSError:
            file.truncate(size)
            raise
        file.seek(0)
        _write_all(file, content)
        file.truncate()


def _write_new(path: Path, content: bytes) -> None:
    """Make the file as a whole or not at all."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    draft.touch(0o600)
    try:
        with draft.open("r+b", buffering=0) as file:
            _write_all(file, content)
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def _write_all(file: io.FileIO, content: bytes) -> None:
    """Write the content to the disk, or raise OSError. (A full disk may take the first part of it.)"""
    while content:
        content = content[file.write(content) :]
    os.fsync(file.fileno())
