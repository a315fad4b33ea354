"""Settings of all five steps, from the environment, a .env file and flags, in rising order of precedence.

    ROADMAP_MODEL=tiny python -m shared config

    setting   value   from
    model     tiny    environment ROADMAP_MODEL
    ...

The file wins over the environment because it lies nearer to the project than the shell does; a flag
wins over both. A variable that starts with ROADMAP_ and names no setting is an error, not a silent no.
"""

from __future__ import annotations

import difflib
import os
import re
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import platformdirs
from dotenv.parser import parse_stream
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from shared import catalog
from shared.errors import UserError

PREFIX = "ROADMAP_"
ENV_FILE = ".env"


def _setting(allowed: str, description: str, **kwargs: Any) -> Any:
    """A field that knows, in words, which values it takes: error messages and `config` print them."""
    return Field(description=description, json_schema_extra={"allowed": allowed}, **kwargs)


def _default_model(role: str) -> Any:
    return partial(lambda role: catalog.default(role).id, role)


class Settings(BaseSettings):
    """Everything that can be set. Each field's environment variable is ROADMAP_ and its name."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=ENV_FILE, env_ignore_empty=True, extra="ignore", protected_namespaces=()
    )

    model: str = _setting(
        "an id, folder or org/name",
        "the language model",
        default_factory=_default_model("chat"),
    )
    embedder: str = _setting(
        "an id, folder or org/name",
        "the sentence-embedding model",
        default_factory=_default_model("embedder"),
    )
    claude_model: str = _setting(
        "a Claude model id", "the Claude model", default_factory=_default_model("claude")
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
    chooser: Path | None = _setting(
        "a prompt file",
        "how tools are put to the embedded chat model; see step2_tools optimize",
        default=None,
    )
    threads: Literal["auto"] | Annotated[int, Field(ge=1, le=1024)] = _setting(
        "auto or a whole number from 1", "processor threads of torch", default="auto"
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = _setting(
        "a whole number from 0 to 2**63 - 1", "of everything random", default=0
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
        "an http:// or https:// address",
        "a server that speaks the Anthropic Messages API",
        default=None,
    )
    anthropic_api_key: SecretStr | None = _setting(
        "a key",
        "for Claude; ANTHROPIC_API_KEY works too",
        default=None,
        validation_alias=AliasChoices("ROADMAP_ANTHROPIC_API_KEY", "ANTHROPIC_API_KEY"),
    )
    base_url_key: SecretStr | None = _setting("a key", "for that server, if it wants one", default=None)
    reports_dir: Path | None = _setting(
        "a folder", "when set, every command leaves its figures here for the report page", default=None
    )

    @field_validator("embedder", "claude_model")
    @classmethod
    def _known_model(cls, name: str) -> str:
        catalog.lookup(name)
        return name

    @field_validator("cache_dir", "models_dir", "reports_dir", "chooser")
    @classmethod
    def _usable_path(cls, path: Path | None) -> Path | None:
        if path is None:
            return None
        try:
            path = path.expanduser()
            path.exists()  # too long a name, for one, shows here
        except (OSError, RuntimeError) as error:
            raise ValueError(str(error)) from None
        return path

    @field_validator("base_url")
    @classmethod
    def _is_address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        parts = urlsplit(url)
        _ = parts.port  # a ValueError where it is no number
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("not an address")
        if parts.path.rstrip("/").endswith("/v1"):
            raise UserError("base_url is given without the /v1 at its end, which the client adds itself")
        return url

    @model_validator(mode="after")
    def _known_chat_model(self) -> Settings:
        """A server of one's own knows its models, by names such as qwen3:4b."""
        if not self.base_url:
            catalog.lookup(self.model)
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  (the base class names these two)
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """First wins: flags, then .env, then the environment."""
        return init_settings, dotenv_settings, env_settings


def load_settings(**flags: Any) -> Settings:
    """Read the settings; a flag that is None was not given.

    Raises:
        UserError: a value that is not allowed (names setting, value and what is), or an unknown variable.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    _refuse_unknown_names()
    try:
        return Settings(**given)
    except ValidationError as error:
        raise UserError(_explain(error, given)) from None


def origins(flags: dict[str, Any]) -> dict[str, str]:
    """Where each setting's value came from, in words, by field name."""
    in_file, in_environment = _file_names(), {name.upper() for name, value in os.environ.items() if value}
    found = {}
    for name, field in Settings.model_fields.items():
        alias = field.validation_alias
        variables = (
            [str(each) for each in alias.choices] if isinstance(alias, AliasChoices) else [_variable(name)]
        )
        if flags.get(name) is not None:
            found[name] = f"flag --{name.replace('_', '-')}"
        elif variable := next((each for each in variables if each in in_file), None):
            found[name] = f"file {ENV_FILE}, {variable}"
        elif variable := next((each for each in variables if each in in_environment), None):
            found[name] = f"environment {variable}"
        else:
            found[name] = "default"
    return found


def describe(flags: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a setting, for people and programs: name, value (secrets masked), origin, what it takes."""
    settings, origin = load_settings(**flags), origins(flags)
    rows = []
    for name, field in Settings.model_fields.items():
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = str(value)  # asterisks
        elif name == "base_url" and value:
            value = _masked(value)
        elif isinstance(value, Path):
            value = str(value)
        takes = _allowed(name)
        rows.append(
            {"setting": name, "value": value, "from": origin[name], "is": field.description, "takes": takes}
        )
    return rows


def _allowed(name: str) -> str:
    extra = Settings.model_fields[name].json_schema_extra
    return str(extra["allowed"]) if isinstance(extra, dict) else ""


def _masked(address: str) -> str:
    return re.sub(r"//[^/@]*@", "//**********@", address)


def _variable(field: str) -> str:
    return PREFIX + field.upper()


def _file_names() -> set[str]:
    """The names that the .env file sets to something, in capitals.

    Raises:
        UserError: it can't be read, or a line of it is no NAME=value (which pydantic would pass over).
    """
    file = Path(ENV_FILE)
    if not file.exists():
        return set()
    try:
        bindings = list(parse_stream(StringIO(file.read_text(encoding="utf-8"))))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {ENV_FILE}: {error}; it must be UTF-8 lines of NAME=value") from None
    wrong = next((binding.original for binding in bindings if binding.error), None)
    if wrong:
        raise UserError(f"{ENV_FILE} line {wrong.line} is no NAME=value: {wrong.string.strip()!r}")
    return {binding.key.upper() for binding in bindings if binding.key and binding.value}


def _refuse_unknown_names() -> None:
    known = {_variable(name) for name in Settings.model_fields}
    places = {name.upper(): "the environment" for name in os.environ} | dict.fromkeys(_file_names(), ENV_FILE)
    for name, place in places.items():
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
            raise UserError(f"{name} in {place} is not a setting: {hint}")


def _explain(error: ValidationError, flags: dict[str, Any]) -> str:
    first = error.errors()[0]
    name = str(first["loc"][0])
    value = first["input"] if name != "base_url" else _masked(str(first["input"]))
    return f"{name} = {value!r} ({origins(flags)[name]}) is not allowed: use {_allowed(name)}"
