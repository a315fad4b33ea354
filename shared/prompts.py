"""Prompts as files: Markdown with front matter, one file per version.

    ---
    id: translate
    version: 2
    family: any
    note: one example added
    ---
    # system

    You translate English into {{language}}.

    # user

    Good morning!

    # assistant

    Bonjour !

The examples follow the system message, each a user turn and an assistant turn. `{{name}}` is a variable; a
prompt has no other logic. Versions are never edited: `save_new_version` writes a new file.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import frontmatter
import yaml

from shared.errors import UserError, reason

if TYPE_CHECKING:
    from anthropic.types import MessageParam

SECTION = re.compile(r"^# (system|user|assistant)[ \t]*$", re.MULTILINE)
VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
ANY = "any"  # the family of prompts for all models


@dataclass(frozen=True)
class Prompt:
    """One version of a prompt."""

    id: str
    version: int
    family: str  # of the models it is for, as `family_of` names it, or "any"
    system: str
    examples: tuple[tuple[str, str], ...] = ()  # (user, assistant)
    meta: dict[str, Any] = field(default_factory=dict)  # the rest of the front matter: note, score, ...

    @property
    def sha256(self) -> str:
        """Hash of the system message and the examples; a new note or score doesn't change it."""
        return hashlib.sha256(json.dumps([self.system, self.examples]).encode()).hexdigest()

    @property
    def turns(self) -> list[tuple[str, str]]:
        """(role, text) of every section in the file, the system message first."""
        turns = [("system", self.system)]
        for user, assistant in self.examples:
            turns += [("user", user), ("assistant", assistant)]
        return turns

    def __str__(self) -> str:
        """The text of the prompt's file."""
        post = frontmatter.Post("\n".join(f"# {role}\n\n{text}\n" for role, text in self.turns))
        post.metadata = {"id": self.id, "version": self.version, "family": self.family, **self.meta}
        return frontmatter.dumps(post, sort_keys=False, width=100) + "\n"


class RenderedPrompt(TypedDict):
    """The arguments of `messages.create` that come from a prompt."""

    system: str
    messages: list[MessageParam]


def load(folder: Path, id: str, version: int | None = None, family: str | None = None) -> Prompt:
    """That version of a prompt; without a version, the latest for `family`, or else the latest for any model.

    Raises:
        UserError: there is no such prompt (the message lists all), or a file is not valid.
    """
    prompts = read_all(folder)
    if version is not None:
        matching = [prompt for prompt in prompts if (prompt.id, prompt.version) == (id, version)]
    else:
        matching = [prompt for prompt in prompts if prompt.id == id and prompt.family in (family, ANY)]
    if not matching:
        missing = f"version {version}" if version is not None else f"version for {family or ANY}"
        existing = ", ".join(f"{prompt.id} {prompt.version} ({prompt.family})" for prompt in prompts)
        raise UserError(f"prompt {id!r} has no {missing} in {folder}: there are {existing}")
    for_family = [prompt for prompt in matching if prompt.family != ANY]
    return max(for_family or matching, key=lambda prompt: prompt.version)


def family_of(model: str) -> str:
    """The first part of a model's name in lower case: claude, smollm2, qwen3, ...

    >>> family_of("HuggingFaceTB/SmolLM2-135M-Instruct")
    'smollm2'
    """
    return re.split("[-:]", model.rsplit("/", 1)[-1])[0].lower()


def read_all(folder: Path) -> list[Prompt]:
    """Every prompt in a folder (`*.md`), sorted by id and version.

    Raises:
        UserError: there are no files, one is not a valid prompt, or two have the same id and version.
    """
    prompts = []
    for path in folder.glob("*.md"):
        try:
            prompts.append(parse(path.read_text(encoding="utf-8-sig"), path))
        except (OSError, UnicodeDecodeError) as error:
            raise UserError(f"cannot read {path}: {reason(error)}") from None
    if not prompts:
        raise UserError(f"no prompts in {folder}: it should be a folder with Markdown files (*.md)")
    prompts.sort(key=lambda prompt: (prompt.id, prompt.version))
    for prompt, following in pairwise(prompts):
        if (prompt.id, prompt.version) == (following.id, following.version):
            raise UserError(
                f"two files in {folder} are version {prompt.version} of prompt {prompt.id}; change one"
            )
    return prompts


def parse(text: str, path: Path = Path("the prompt")) -> Prompt:
    """Parse the text of a prompt file; `path` is for error messages.

    Raises:
        UserError: the text is not a valid prompt.
    """
    try:
        meta, body = frontmatter.parse(text)
    except (yaml.YAMLError, ValueError) as error:  # ValueError: 2026-13-45, for example
        raise UserError(f"{path}: the front matter cannot be read: {reason(error)}") from None
    id: Any = meta.pop("id", None)
    version: Any = meta.pop("version", None)
    family: Any = meta.pop("family", None)
    if type(id) is not str or type(version) is not int or type(family) is not str:  # a bool is no version
        raise UserError(
            f"{path}: the front matter needs id (a name), version (a whole number) and family "
            f"(of models, or {ANY}); found {[id, version, family]}"
        )
    preamble, *sections = SECTION.split(body)  # preamble, role, text, role, text, ...
    roles = sections[::2]
    texts = [section.strip() for section in sections[1::2]]
    complete = ["system"] + ["user", "assistant"] * (len(roles) // 2)
    if preamble.strip() or roles != complete or "" in texts:
        raise UserError(
            f"{path}: after the front matter come # system, then pairs of # user and # assistant, none empty"
        )
    examples = tuple(zip(texts[1::2], texts[2::2], strict=True))
    return Prompt(id, version, family, texts[0], examples, meta)


def render(prompt: Prompt, /, **variables: object) -> RenderedPrompt:
    """The prompt with its variables filled in; the examples are the first messages.

    Variables are replaced once: a value's own braces stay as they are.

    Raises:
        UserError: a variable is missing, or the prompt doesn't have it.
    """
    expected: set[str] = set()
    for _, text in prompt.turns:
        expected.update(VARIABLE.findall(text))
    if variables.keys() != expected:
        needs = ", ".join(sorted(expected)) or "none"
        given = ", ".join(sorted(variables)) or "none"
        raise UserError(f"prompt {prompt.id}.{prompt.version} needs the variables {needs}; given: {given}")

    def fill(text: str) -> str:
        return VARIABLE.sub(lambda match: str(variables[match[1]]), text)

    messages: list[MessageParam] = []
    for user, assistant in prompt.examples:
        messages.append({"role": "user", "content": fill(user)})
        messages.append({"role": "assistant", "content": fill(assistant)})
    return {"system": fill(prompt.system), "messages": messages}


def diff(old: Prompt, new: Prompt) -> str:
    """A unified diff of two prompts' files; empty if they are equal."""
    lines = difflib.unified_diff(
        str(old).splitlines(),
        str(new).splitlines(),
        f"{old.id} version {old.version}",
        f"{new.id} version {new.version}",
        lineterm="",
    )
    return "\n".join(lines)


def save_new_version(folder: Path, prompt: Prompt) -> Path:
    """Write `prompt` to a new file, with the next version number for its id in the folder.

    Raises:
        UserError: the file exists or cannot be written, or a text is empty or contains a section heading.
    """
    versions = [other.version for other in read_all(folder) if other.id == prompt.id]
    latest = max([prompt.version, *versions])
    new = replace(prompt, version=latest + 1, meta={**prompt.meta, "based_on": prompt.version})
    path = folder / f"{new.id}.{new.version}.md"
    if len(parse(str(new), path).examples) != len(new.examples):
        raise UserError(f"cannot write {path}: one of its texts contains a section heading, such as # user")
    try:
        with path.open("x", encoding="utf-8") as file:  # x: never overwrite a file
            file.write(str(new))
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    return path
