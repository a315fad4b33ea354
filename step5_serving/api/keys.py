"""API keys: random, shown once, stored as hashes in a small JSON file.

    $ python -m step5_serving keys add alice --scope ask
    s5_1f0c9a3e_kq0Vt...   (shown this once: only its hash is kept)

A key is 256 random bits, so plain SHA-256 is right for it: slow, salted hashes (bcrypt, Argon2) protect what
people make up and others can guess, and nobody guesses 2**256; a slow one would only cost every request its
milliseconds. For the same reason a look-up by the hash gives nothing away through its timing: whoever could
choose what it is compared with would have to know keys that hash to it.

Scopes: `ask` for questions, `operate` for documents and telemetry; a key has one or both. A
running server sees within a second that the file has changed.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ValidationError

from shared.errors import UserError, reason
from step5_serving.config import KEYS

SCOPES = ("ask", "operate")
PREFIX = "s5_"
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
        self._content = _content(path)
        self._by_hash = _by_hash(path, self._content)
        self._looked = clock()
        self.trouble: str | None = None  # why the file can't be used; until it can, no key opens anything

    def __len__(self) -> int:
        self.refresh()
        return len(self._by_hash)

    def __iter__(self) -> Iterator[Key]:
        self.refresh()
        return iter(sorted(self._by_hash.values(), key=lambda key: key.created_at))

    def find(self, text: str) -> Key | None:
        """Whose key this is; None for nobody's."""
        self.refresh()
        return self._by_hash.get(_hash(text))

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
                keys = list(_by_hash(self.path, _content(self.path)).values())
                yield keys
                self._content = _write(self.path, keys)
        except (OSError, TimeoutError) as error:
            raise UserError(f"cannot write {self.path}: {reason(error)}") from None
        self._by_hash = {key.sha256: key for key in keys}

    def refresh(self) -> None:
        """Read the file again, once a second. It is small, and on a bind mount its times may not be true."""
        if self._clock() - self._looked < 1.0:
            return
        self._looked = self._clock()
        try:
            content = _content(self.path)
            if content is None and self._content is not None:
                raise UserError(f"{self.path} is gone, and no key opens anything: put it back")
            if content != self._content or self.trouble:
                self._by_hash, self._content = _by_hash(self.path, content), content
            self.trouble = None
        except UserError as error:  # who broke the file may have meant to take a key back: nobody gets in
            self._by_hash, self.trouble = {}, str(error)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def _content(path: Path) -> str | None:
    """The file's text; None where there is no file."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the keys in {path}: {reason(error)}") from None


def _by_hash(path: Path, content: str | None) -> dict[str, Key]:
    """The keys of a file's text, by their hashes."""
    if content is None:
        return {}
    try:
        return {key.sha256: key for key in KeyFile.model_validate_json(content).keys}
    except ValidationError:
        raise UserError(
            f"{path} holds no keys: it should be a file that `python -m step5_serving keys add` has written"
        ) from None


def _write(path: Path, keys: list[Key]) -> str:
    """Write into the file itself: a container that has mounted it would keep the old file, and its keys.

    One write, padded with spaces to the old length, so that a reader never sees half of it. Readable by the
    owner only. Returns the text.
    """
    text = KeyFile(keys=keys).model_dump_json(indent=1) + "\n"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        raw = text.encode()
        file.write(raw.ljust(os.fstat(descriptor).st_size))
        file.truncate(len(raw))
        os.fsync(descriptor)
    return text
