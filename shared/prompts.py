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

import difflib
import hashlib
import json
import re
from dataclasses import dataclass, field, replace
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import frontmatter
import yaml

from shared.errors import UserError, reason

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
        examples = (zip(("user", "assistant"), pair, strict=True) for pair in self.examples)
        return [("system", self.system), *chain.from_iterable(examples)]

    def __str__(self) -> str:
        """The text of the prompt's file."""
        post = frontmatter.Post("\n".join(f"# {role}\n\n{text}\n" for role, text in self.turns))
        post.metadata = {"id": self.id, "version": self.version, "family": self.family, **self.meta}
        return frontmatter.dumps(post, sort_keys=False, width=100) + "\n"


def load(folder: Path, id: str, version: int | None = None, family: str | None = None) -> Prompt:
    """That version of a prompt; without a version, the latest for `family`, or else the latest for any model.

    Raises:
        UserError: there is no such prompt (the message lists all), or a file is not valid.
    """
    prompts = read_all(folder)
    if version is not None:
        matching = [p for p in prompts if (p.id, p.version) == (id, version)]
    else:
        matching = [p for p in prompts if p.id == id and p.family in (family, ANY)]
    if not matching:
        wanted = f"version {version}" if version is not None else f"version for {family or ANY}"
        existing = ", ".join(f"{p.id} {p.version} ({p.family})" for p in prompts)
        raise UserError(f"prompt {id!r} has no {wanted} in {folder}: there are {existing}")
    return max(matching, key=lambda p: (p.family != ANY, p.version))


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
    for a, b in pairwise(prompts):
        if (a.id, a.version) == (b.id, b.version):
            raise UserError(f"two files in {folder} are version {a.version} of prompt {a.id}; change one")
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
    fields: list[Any] = [meta.pop(name, None) for name in ("id", "version", "family")]
    id, version, family = fields
    if [type(each) for each in fields] != [str, int, str]:
        raise UserError(
            f"{path}: the front matter needs id (a name), version (a whole number) and family "
            f"(of models, or {ANY}); found {fields}"
        )
    preamble, *sections = SECTION.split(body)  # preamble, role, text, role, text, ...
    roles, texts = sections[::2], [section.strip() for section in sections[1::2]]
    if preamble.strip() or roles != ["system", *["user", "assistant"] * (len(roles) // 2)] or "" in texts:
        raise UserError(
            f"{path}: after the front matter come # system, then pairs of # user and # assistant, none empty"
        )
    examples = tuple(zip(texts[1::2], texts[2::2], strict=True))
    return Prompt(id, version, family, texts[0], examples, meta)


def render(prompt: Prompt, /, **variables: object) -> dict[str, Any]:
    """The arguments `system` and `messages` for `messages.create`; the examples are the first messages.

    Variables are replaced once: a value's own braces stay as they are.

    Raises:
        UserError: a variable is missing, or the prompt doesn't have it.
    """
    expected = {name for _, text in prompt.turns for name in VARIABLE.findall(text)}
    if variables.keys() != expected:
        needs, given = (", ".join(sorted(names)) or "none" for names in (expected, variables))
        raise UserError(f"prompt {prompt.id}.{prompt.version} needs the variables {needs}; given: {given}")

    def fill(text: str) -> str:
        return VARIABLE.sub(lambda match: str(variables[match[1]]), text)

    _, *examples = prompt.turns
    messages = [{"role": role, "content": fill(text)} for role, text in examples]
    return {"system": fill(prompt.system), "messages": messages}


def diff(old: Prompt, new: Prompt) -> str:
    """A unified diff of two prompts' files; empty if they are equal."""
    a, b = (f"{prompt.id} version {prompt.version}" for prompt in (old, new))
    return "\n".join(difflib.unified_diff(str(old).splitlines(), str(new).splitlines(), a, b, lineterm=""))


def save_new_version(folder: Path, prompt: Prompt) -> Path:
    """Write `prompt` to a new file, with the next version number for its id in the folder.

    Raises:
        UserError: the file exists or cannot be written, or a text is empty or contains a section heading.
    """
    latest = max(each.version for each in [prompt, *read_all(folder)] if each.id == prompt.id)
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
