"""Prompts as data: one Markdown file per version, with front matter, rendered by one function.

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

    >>> prompt = load(Path("prompts"), "translate")
    >>> render(prompt, language="French")
    {'system': 'You translate English into French.', 'messages': [{'role': 'user', 'content': 'Good ...

A prompt is a program's source in all but name: it gets versions, a diff, a measured score, and no edits in
place (`save_new_version` never overwrites). The body is the system message, then examples as pairs of turns.
`{{name}}` is replaced by a value, once and no more: a prompt has no logic, and a value that holds braces
stays what it is. Text of a section is stripped of the blank lines around it.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from shared.errors import UserError, reason

FRONT_MATTER = re.compile(r"---\n(.*?)^---[ \t]*\n(.*)", re.DOTALL | re.MULTILINE)
SECTION = re.compile(r"^# (system|user|assistant)[ \t]*$", re.MULTILINE)
VARIABLE = re.compile(r"\{\{\s*(\w+)\s*\}\}")
ANY = "any"  # the family of prompts for every model


@dataclass(frozen=True)
class Prompt:
    """One version of a prompt; `meta` is the rest of the front matter (score, note, ...)."""

    id: str
    version: int
    family: str
    system: str
    examples: tuple[tuple[str, str], ...] = ()  # (user, assistant)
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """Of what a model reads: a score or a note that is added later does not change it."""
        return hashlib.sha256(json.dumps([self.system, self.examples]).encode()).hexdigest()

    @property
    def variables(self) -> set[str]:
        """The names that `render` must be given."""
        return {name for text in _texts(self) for name in VARIABLE.findall(text)}

    def __str__(self) -> str:
        """The file that holds this prompt."""
        head = {"id": self.id, "version": self.version, "family": self.family, **self.meta}
        front = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=100)
        turns = [("system", self.system)]
        for user, assistant in self.examples:
            turns += [("user", user), ("assistant", assistant)]
        return f"---\n{front}---\n" + "\n".join(f"# {role}\n\n{text}\n" for role, text in turns)


def load(folder: Path, id: str, version: int | None = None, family: str | None = None) -> Prompt:
    """One prompt of a folder: that version, or the latest for `family`, or the latest for any model.

    Raises:
        UserError: there is none such (the line says what there is), or a file is wrong.
    """
    prompts = read_all(folder)
    same_id = [prompt for prompt in prompts if prompt.id == id]
    if not same_id:
        known = sorted({prompt.id for prompt in prompts})
        raise UserError(f"no prompt {id!r} in {folder}: use {' or '.join(known)}")
    if version is not None:
        found = [prompt for prompt in same_id if prompt.version == version]
    else:
        found = [prompt for prompt in same_id if prompt.family == family] or [
            prompt for prompt in same_id if prompt.family == ANY
        ]
    if not found:
        there = ", ".join(f"{prompt.version} ({prompt.family})" for prompt in same_id)
        wanted = f"version {version}" if version is not None else f"version for {family or 'any'} model"
        raise UserError(f"prompt {id} has no {wanted}: there are {there}")
    return found[-1]


def family_of(model: str) -> str:
    """The family that a model's name begins with: claude, smollm2, qwen3, ...

    >>> family_of("HuggingFaceTB/SmolLM2-135M-Instruct")
    'smollm2'
    >>> family_of("qwen3:4b")
    'qwen3'
    """
    return re.split("[-:]", model.rsplit("/", 1)[-1])[0].lower()


def read_all(folder: Path) -> list[Prompt]:
    """Every prompt of a folder (`*.md`), by id and version.

    Raises:
        UserError: no folder, no prompts in it, a file that is wrong, or two with the same id and version.
    """
    places: dict[tuple[str, int], tuple[Path, Prompt]] = {}
    for path in sorted(folder.glob("*.md")):
        prompt = read(path)
        key = (prompt.id, prompt.version)
        if key in places:
            raise UserError(
                f"{path} and {places[key][0].name} are both version {prompt.version} of prompt {prompt.id}: "
                "give one of them another version"
            )
        places[key] = path, prompt
    if not places:
        raise UserError(f"no prompts in {folder}: it should be a folder with Markdown files (*.md)")
    return [places[key][1] for key in sorted(places)]


def read(path: Path) -> Prompt:
    """One prompt file.

    Raises:
        UserError: it can't be read, or says something else than a prompt; the line names the file.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {reason(error)}") from None
    return parse(text, path)


def parse(text: str, path: Path = Path("the prompt")) -> Prompt:
    """A prompt from its file's text, as `str(prompt)` gives it; `path` is for the error.

    Raises:
        UserError: it says something else than a prompt.
    """
    parts = FRONT_MATTER.fullmatch(text)
    if not parts:
        raise UserError(f"{path} has no front matter: begin with a line ---, then id, version, family, ---")
    try:
        head = yaml.safe_load(parts[1])
    except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that is none, for one
        raise UserError(f"{path}: the front matter is no YAML: {reason(error)}") from None
    prompt_id, version, family = _checked(head, path)
    system, examples = _sections(parts[2], path)
    return Prompt(prompt_id, version, family, system, examples, head)


def render(prompt: Prompt, /, **variables: object) -> dict[str, Any]:
    """What `messages.create` takes: {"system": ..., "messages": [examples as turns]}; add your own turn.

    Raises:
        UserError: a variable that is missing, or one that the prompt doesn't know.
    """
    for wrong, what in (
        (prompt.variables - variables.keys(), "needs the variable"),
        (variables.keys() - prompt.variables, "has no variable"),
    ):
        if wrong:
            raise UserError(f"prompt {prompt.id} version {prompt.version} {what} {', '.join(sorted(wrong))}")

    def fill(text: str) -> str:
        return VARIABLE.sub(lambda found: str(variables[found[1]]), text)

    messages = []
    for user, assistant in prompt.examples:
        messages.append({"role": "user", "content": fill(user)})
        messages.append({"role": "assistant", "content": fill(assistant)})
    return {"system": fill(prompt.system), "messages": messages}


def diff(a: Prompt, b: Prompt) -> str:
    """What changed from `a` to `b`, as a unified diff of their files; empty when nothing did."""
    lines = difflib.unified_diff(
        str(a).splitlines(),
        str(b).splitlines(),
        f"{a.id} version {a.version}",
        f"{b.id} version {b.version}",
        lineterm="",
    )
    return "\n".join(lines)


def save_new_version(
    folder: Path,
    old: Prompt,
    *,
    system: str | None = None,
    examples: Sequence[tuple[str, str]] | None = None,
    **meta: Any,
) -> Path:
    """Write the next version of `old`, with what is given changed, to a new file; `meta` takes score, note.

    Raises:
        UserError: nothing can be written there, or a text holds a line that would begin a section.
    """
    version = 1 + max(prompt.version for prompt in [old, *read_all(folder)] if prompt.id == old.id)
    new = Prompt(
        old.id,
        version,
        old.family,
        (old.system if system is None else system).strip(),
        tuple((u.strip(), a.strip()) for u, a in (old.examples if examples is None else examples)),
        {"based_on": old.version, **meta},
    )
    if any(not text or SECTION.search(text) for text in _texts(new)):
        raise UserError(f"prompt {old.id}: no text may be empty or hold a line that is just a section's name")
    path = folder / f"{old.id}.{version}.md"
    try:
        with path.open("x", encoding="utf-8") as file:  # x: fails where a file is, instead of replacing it
            file.write(str(new))
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    return path


def _texts(prompt: Prompt) -> list[str]:
    return [prompt.system, *(text for example in prompt.examples for text in example)]


def _checked(head: Any, path: Path) -> tuple[str, int, str]:
    """Take the three fields that every prompt has out of the front matter."""
    if not isinstance(head, dict):
        raise UserError(f"{path}: the front matter must be lines of name: value")
    for name, kind, what in (
        ("id", str, "a name"),
        ("version", int, "a whole number from 1"),
        ("family", str, f"a model family, or {ANY}"),
    ):
        if name not in head:
            raise UserError(f"{path}: the front matter lacks {name}, {what}")
        if type(head[name]) is not kind or (kind is int and head[name] < 1) or head[name] == "":
            raise UserError(f"{path}: {name} = {head[name]!r} is not allowed: use {what}")
    return head.pop("id"), head.pop("version"), head.pop("family")


def _sections(body: str, path: Path) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The system message and the examples."""
    before, *rest = SECTION.split(body)  # before, role, text, role, text, ...
    roles, texts = rest[::2], [text.strip() for text in rest[1::2]]
    if before.strip() or roles[:1] != ["system"]:
        raise UserError(f"{path}: the first section must be # system")
    if roles[1:] != ["user", "assistant"] * (len(roles) // 2):
        raise UserError(f"{path}: after # system come pairs of # user and # assistant, here {roles[1:]}")
    if "" in texts:
        raise UserError(f"{path}: the section # {roles[texts.index('')]} is empty")
    return texts[0], tuple(zip(texts[1::2], texts[2::2], strict=True))
