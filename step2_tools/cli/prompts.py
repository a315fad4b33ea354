"""The prompt files of this step, by name."""

from shared import prompts
from shared.errors import UserError
from step2_tools import PROMPTS


def load_prompt(name: str, model: str) -> prompts.Prompt:
    """The prompt with that id, or with that id and version (`assistant@2`).

    Raises:
        UserError: there is no such prompt.
    """
    prompt_id, _, version = name.partition("@")
    if version and not version.isdecimal():
        raise UserError(f"prompt {name!r} is not allowed: use an id, or an id and a version (assistant@1)")
    family = prompts.family_of(model)
    return prompts.load(PROMPTS, prompt_id, int(version) if version else None, family)


def compare_prompts(old: str, new: str, model: str) -> str:
    """What changed from one version to another, as a diff.

    Raises:
        UserError: there is no such prompt.
    """
    diff = prompts.diff(load_prompt(old, model), load_prompt(new, model))
    return diff or "they are the same"
