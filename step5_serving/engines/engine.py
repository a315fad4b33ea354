"""An engine: a server that speaks the Messages API, or one of ours as a child process.

    engine = EngineProcess("torch", settings, Options())     # begins to load
    engine.warm_up()
    engine.client().messages.create(model=engine.model, max_tokens=9, messages=[...])
    engine.close()

A child that ends is restarted at the same port. It ends when its standard input is closed, which happens
however this process ends, so none is left behind.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import anthropic
import httpx2

from shared.chat import client as chat
from shared.config import PREFIX, Settings
from shared.errors import UserError, reason
from step5_serving.addresses import address_of, listen
from step5_serving.config import Options

log = logging.getLogger(__name__)

COMMAND = [sys.executable, "-m", "step5_serving.engines"]
SECRETS = {"anthropic_api_key", "base_url", "base_url_key"}  # the child needs none of them
START = {"vllm": "vllm serve MODEL", "ollama": "ollama serve"}
HEALTH_S = 5.0  # time for a server to answer, and for our engine to end
POLL_S = 0.05
QUICK_S = 30.0  # if it ends sooner, the pause before the next start doubles
LONGEST_PAUSE_S = 30.0


@dataclass
class Engine:
    """One engine; its address is in the settings' `base_url`, except for Claude's."""

    name: str
    settings: Settings

    @property
    def model(self) -> str:
        """As requests must name it."""
        return self.settings.model

    def client(self) -> anthropic.Anthropic:
        """A client of the SDK; raises UserError for Claude without a key."""
        return chat.chat_client(settings=self.settings)

    def trouble(self) -> str | None:
        """Why it would not answer now, or None."""
        try:
            if self.settings.base_url:
                list_models(self.settings)
        except UserError as error:
            return str(error)
        return None

    def warm_up(self) -> None:
        """Wait until it can answer; raises UserError if it can't."""
        if trouble := self.trouble():
            raise UserError(trouble)

    def close(self) -> None:
        """Stop it if it was started here; answers that are being generated break off."""


class EngineProcess(Engine):
    """One engine; the child process may change, the address stays."""

    def __init__(self, name: str, settings: Settings, options: Options) -> None:
        self._key = secrets.token_urlsafe()
        with contextlib.closing(listen("127.0.0.1", 0)) as free:
            address = address_of(free)
        port = address.rsplit(":", 1)[1]
        self._command = [*COMMAND, "--child", "--engine", name, "--port", port, *_flags(settings, options)]
        self._environment = _environment(settings) | {f"{PREFIX}BASE_URL_KEY": self._key}
        super().__init__(name, settings.model_copy(update={"base_url": address, "base_url_key": None}))
        self._starting = f"the engine {name} is starting"
        self._ended: str | None = None  # why the last child ended, until the next one is ready
        self._closed = threading.Event()
        self._child = self._start()
        threading.Thread(target=self._watch, name="engine", daemon=True).start()

    def client(self) -> anthropic.Anthropic:
        http = anthropic.DefaultHttpxClient(trust_env=False)  # no proxy between this process and its child
        return anthropic.Anthropic(base_url=self.settings.base_url, api_key=self._key, http_client=http)

    def trouble(self) -> str | None:
        try:
            reply = httpx2.get(f"{self.settings.base_url}/health", timeout=HEALTH_S, trust_env=False)
        except httpx2.TimeoutException:
            return f"the engine {self.name} does not answer: it hangs, or was stopped"
        except httpx2.TransportError:
            return self._ended or self._starting
        if reply.status_code != 200:
            return self._starting
        self._ended = None
        return None

    def warm_up(self) -> None:
        while (trouble := self.trouble()) == self._starting:
            time.sleep(POLL_S)
        if trouble:
            raise UserError(trouble)

    def close(self) -> None:
        self._closed.set()
        child = self._child
        with contextlib.suppress(OSError):
            assert child.stdin is not None
            child.stdin.close()
        try:
            child.wait(HEALTH_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environment,
            start_new_session=True,  # Ctrl-C must not reach it
        )

    def _watch(self) -> None:
        """Restart the child whenever it ends, until `close`."""
        pause = 0.0
        while True:
            began = time.monotonic()
            error = self._forward_stderr()
            code = self._child.wait()
            if self._closed.is_set():
                return
            how = f"ended (signal {-code})" if code < 0 else f"ended (exit code {code})"
            self._ended = error or f"the engine {self.name} {how} and starts again: try again in a moment"
            if not error:
                log.warning("the engine %s %s: it is started again", self.name, how)
            pause = 0.0 if time.monotonic() - began > QUICK_S else min(LONGEST_PAUSE_S, max(0.5, 2 * pause))
            if self._closed.wait(pause):
                return
            self._child = self._start()  # beside `close`, it ends with this process

    def _forward_stderr(self) -> str | None:
        """Pass the child's stderr on to ours; returns the text of its `error: ` line, if any."""
        error = None
        assert self._child.stderr is not None
        for line in self._child.stderr:
            text = line.decode("utf-8", "replace")
            if text.startswith("error: "):
                error = text.removeprefix("error: ").strip()
            else:
                with contextlib.suppress(OSError, ValueError):  # ours may be closed: the engine goes on
                    sys.stderr.write(text)
        return error


def list_models(settings: Settings, engine: str | None = None) -> list[str]:
    """The models of a server, from its /v1/models; raises UserError if it lists none."""
    address = settings.base_url
    key = settings.base_url_key
    secret = key.get_secret_value() if key else ""
    headers = {"x-api-key": secret, "authorization": f"Bearer {secret}"} if key else {}
    try:
        reply = httpx2.get(f"{address}/v1/models", headers=headers, timeout=HEALTH_S).raise_for_status()
        names = [str(model["id"]) for model in reply.json()["data"]]
    except httpx2.TransportError as error:
        hint = f" (start it: {START[engine]})" if engine in START else ""
        raise UserError(f"nobody answers at {address}{hint}: {reason(error)}") from None
    except (httpx2.HTTPStatusError, ValueError, KeyError, TypeError):
        names = []
    if not names:
        raise UserError(f"{address}/v1/models lists no models: name one (--model)")
    return names


def _flags(settings: Settings, options: Options) -> list[str]:
    """The engine's command-line flags (__main__.py)."""
    flags = [f"--model={settings.model}", f"--rows={options.rows}", f"--lookup={options.lookup}"]
    flags += [f"--quantize={options.quantize}"] if options.quantize else []
    return flags if options.prefix_cache else [*flags, "--no-prefix-cache"]


def _environment(settings: Settings) -> dict[str, str]:
    """The settings for the child, without keys; it imports the same code as this process."""
    given = settings.model_dump(mode="json", exclude=SECRETS, exclude_none=True)
    ours = {f"{PREFIX}{name.upper()}": str(value) for name, value in given.items()}
    secret = {f"{PREFIX}{name.upper()}" for name in SECRETS} | {"ANTHROPIC_API_KEY"}
    kept = {name: value for name, value in os.environ.items() if name not in secret}
    path = os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), kept.get("PYTHONPATH"))))
    return {**kept, **ours, "PYTHONPATH": path}
