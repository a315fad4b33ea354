"""The model card: what it was measured to do, how it was trained; and the upload, when asked.

    $ python -m step4_finetune card runs/tone --evaluation report/evaluate.json
    $ python -m step4_finetune push runs/tone --repo you/tone

Nothing is written that was not measured: a card without an evaluation says so.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from shared.catalog import lookup
from shared.config import Settings
from shared.errors import UserError, reason
from step4_finetune.evaluate import report
from step4_finetune.models import merge
from step4_finetune.train.folder import read_run

# What goes to the hub. Never checkpoints, optimizer states or pickles, which run code where they are loaded.
UPLOADED = [
    *("README.md", "Modelfile", "recipe.yaml", "chat_template.jinja", "*.safetensors", "*.gguf", "adapter/*"),
    *(
        "config.json",
        "adapter_config.json",
        "generation_config.json",
        "tokenizer*",
        "special_tokens_map.json",
    ),
]
KEPT = ["checkpoint-*", "*.bin", "*.pt", "*.pth"]
UNFILLED = "[More Information Needed]"  # of the form that PEFT saves beside an adapter
OF_A_RUN = (  # what run.json knows, and a card tells
    *("rows", "pairs", "replay", "data", "seconds_in_all", "peak_memory_mb", "machine", "versions", "recipe"),
)
LIMITS = """A small model: it may answer another question than the one that was asked, and it knows no member,
no order and no price. Let a person or a check (`python -m step4_finetune guard`) look at what it writes."""


def text(settings: Settings, adapter: Path, evaluation: Path | None = None) -> str:
    """The card of a run's folder in the hub's format, with the figures of an evaluate.json.

    Raises:
        UserError: run.json can't be read, or the evaluation is none or doesn't know the model.
    """
    from huggingface_hub import ModelCardData

    name, run = adapter.resolve().name, read_run(adapter)
    measured = read_evaluation(evaluation, adapter.resolve()) if evaluation else None
    spec, base, whole = lookup(settings.model), merge.base_name(settings), merge.is_whole(adapter)
    front = ModelCardData(
        base_model=base,
        library_name="transformers" if whole else "peft",
        pipeline_tag="text-generation",
        language="en",
        license=spec.license.lower() if spec.license else None,
        tags=[*([] if whole else ["lora"]), "trl", "tone"],
        model_name=name,
    )
    parts = [f"---\n{front.to_yaml()}\n---", f"# {name}"]
    parts += [f"[{base}](https://huggingface.co/{base}), fine-tuned on messages and replies.", "## Measured"]
    if measured:
        parts += [
            f"{measured['company']}, {measured['split']}: {measured['n']} messages, with 95 % intervals.",
            as_markdown(report.systems_table(measured)),
            "What should not have changed, on general questions and text:",
            as_markdown(report.models_table(measured)),
        ]
    else:
        parts.append("Not measured: run `python -m step4_finetune evaluate` first.")
    if system := str(run.get("system") or "").strip():
        quoted = "\n".join(f"> {line}".rstrip() for line in system.splitlines())
        parts += ["## Use", "The tone is tied to this system message:", quoted]
    known = {name: run[name] for name in OF_A_RUN if run.get(name) is not None}
    told = yaml.safe_dump(known, sort_keys=False, allow_unicode=True) if known else "unknown\n"
    return "\n\n".join([*parts, "## Training", f"```yaml\n{told}```", "## Limits", LIMITS]) + "\n"


def as_markdown(table: report.Table) -> str:
    """One table of the report."""
    head, rows = table
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def read_evaluation(evaluation: Path, adapter: Path) -> dict[str, Any]:
    """What `evaluate` wrote, of the base and this model only.

    Raises:
        UserError: the file is no evaluation, or doesn't know the model.
    """
    try:
        facts = json.loads(evaluation.read_text(encoding="utf-8"))
        names = {each["name"] for each in facts["systems"]}
        name = f"{adapter.parent.name}/{adapter.name}"  # where two runs have the same folder name
        name = name if name in names else adapter.name
        if name not in names:
            raise KeyError(name)
        systems = [each for each in facts["systems"] if each["name"] in ("base", name)]
        wanted = ("base", name, f"{name}, merged")
        models = {each: facts["models"][each] for each in wanted if each in facts["models"]}
        return {**facts, "systems": systems, "models": models}
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(
            f"{evaluation} holds no evaluation of {adapter.name}: `evaluate --adapter ... --out` writes one"
        ) from None


def write(folder: Path, card: str) -> Path:
    """Save the card as the folder's README.md.

    Raises:
        UserError: the folder can't be written.
    """
    try:
        (folder / "README.md").write_text(card, encoding="utf-8")
    except OSError as error:
        raise UserError(f"no card can be written to {folder}: {reason(error)}") from None
    return folder / "README.md"


def push(settings: Settings, folder: Path, repo: str, private: bool = True) -> str:
    """Upload a run's or an export's folder to the hub, to a new or an old repository. Returns its address.

    Raises:
        UserError: no token, no card, a name that can't be, the hub is off, or it refuses.
    """
    import huggingface_hub
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    if not settings.hub:
        raise UserError("the hub is switched off (ROADMAP_HUB=false): nothing was uploaded")
    if repo.count("/") != 1:
        raise UserError(f"--repo {repo} is not a name on the hub: write it as owner/name")
    path = folder / "README.md"
    if not path.is_file() or UNFILLED in path.read_text(encoding="utf-8"):
        raise UserError(f"{folder} has no model card: `python -m step4_finetune card {folder}` writes one")
    token = huggingface_hub.get_token()
    if token is None:
        raise UserError("the hub wants a token: set HF_TOKEN, or run `hf auth login`; nothing was uploaded")
    api = huggingface_hub.HfApi(token=token)
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        api.upload_folder(repo_id=repo, folder_path=folder, allow_patterns=UPLOADED, ignore_patterns=KEPT)
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise UserError(f"the hub did not take {folder} as {repo}: {reason(error)}") from None
    return f"https://huggingface.co/{repo}"
