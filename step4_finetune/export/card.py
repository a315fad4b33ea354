"""The model card: what a model is, what it was measured to do, where it fails; and the upload, when asked.

    ---
    base_model: HuggingFaceTB/SmolLM2-135M-Instruct
    library_name: peft
    model-index: ...                    the measured results, as the hub reads them
    ---
    # tone
    ## Measured                         and what should not have changed: leak, general answers, perplexity
    ## Training                         recipe, rows, seconds, machine, versions, from the run's own files
    ...

    $ python -m step4_finetune card runs/tone --evaluation report/evaluate.json
    $ python -m step4_finetune push runs/tone --repo you/tone

Nothing is written that was not measured: a card without results says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.catalog import lookup
from shared.config import Settings
from shared.errors import UserError, reason
from step4_finetune.models import merge

# What goes to the hub. Never checkpoints, optimizer states or pickles, which run code where they are loaded.
UPLOADED = [
    "README.md",
    "*.safetensors",
    "*.gguf",
    "Modelfile",
    "adapter/*",
    "adapter_config.json",
    "config.json",
    "generation_config.json",
    "tokenizer*",
    "special_tokens_map.json",
    "chat_template.jinja",
    "recipe.yaml",
]
UNFILLED = "[More Information Needed]"  # of the form that PEFT saves beside an adapter
KEPT = ["checkpoint-*", "*.bin", "*.pt", "*.pth"]


def text(
    settings: Settings,
    name: str,
    results: Sequence[Mapping[str, Any]],
    facts: Mapping[str, Any] | None = None,
    library: str = "peft",
) -> str:
    """The card in the hub's format.

    `results` are rows such as {"name": "all rules kept", "value": .97, "low": .93, "high": .99, "n": 90,
    "base": .02}; low, high, n and base may be missing. `facts` are further lines: {"recipe": "default", ...}.
    A key `system` among them is the message that the tone is tied to, `data` names what was trained on.
    `library` is peft for an adapter, transformers for a whole model.
    """
    from huggingface_hub import EvalResult, ModelCardData

    facts = dict(facts or {})
    spec, base = lookup(settings.model), merge.base_name(settings)
    data = str(facts.pop("data", "messages and replies"))
    system = str(facts.pop("system", "")).strip()
    measured = [
        EvalResult(
            task_type="text-generation",
            dataset_type="tone",
            dataset_name=data,
            metric_type=str(row["name"]).replace(" ", "_"),
            metric_name=str(row["name"]),
            metric_value=row["value"],
        )
        for row in results
    ]
    front = ModelCardData(
        base_model=base,
        library_name=library,
        pipeline_tag="text-generation",
        language="en",
        license=spec.license.lower() if spec.license else None,
        tags=[*(["lora"] if library == "peft" else []), "trl", "tone"],
        model_name=name,
        eval_results=measured or None,
    )
    lines = [f"# {name}", "", f"[{base}](https://huggingface.co/{base}), fine-tuned on {data}."]
    lines += ["", "## Measured", "", *_table(results)]
    if system:
        lines += ["", "## Use", "", "The tone is tied to this system message:", "", *_quoted(system)]
    known = [f"- {key}: {value}" for key, value in facts.items()]
    lines += ["", "## Training", "", *(known or ["Not recorded."])]
    lines += [
        "",
        "## Limits",
        "",
        "A small model: it may answer another question than the one that was asked, and it knows no member, "
        "no order and no price. Let a person or a check (`python -m step4_finetune guard`) look at what it "
        "writes.",
    ]
    return f"---\n{front.to_yaml()}\n---\n\n" + "\n".join(lines) + "\n"


def _table(results: Sequence[Mapping[str, Any]]) -> list[str]:
    if not results:
        return ["Not measured: run `python -m step4_finetune evaluate` first."]
    rows = ["| | base | this model | 95 % interval | n |", "|---|---|---|---|---|"]
    for row in results:
        between = f"{row['low']:.3f} to {row['high']:.3f}" if row.get("low") is not None else ""
        base = "" if row.get("base") is None else f"{row['base']:.3f}"
        rows.append(f"| {row['name']} | {base} | {row['value']:.3f} | {between} | {row.get('n') or ''} |")
    return rows


def _quoted(message: str) -> list[str]:
    return [f"> {line}".rstrip() for line in message.splitlines()]


def write(folder: Path, card: str) -> Path:
    """Save the card as the folder's README.md, after huggingface_hub has read it back.

    Raises:
        UserError: the folder can't be written, or the card is none.
    """
    from huggingface_hub import ModelCard

    try:
        ModelCard(card).save(folder / "README.md")
    except (OSError, ValueError) as error:
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
        raise UserError(f"--repo {repo} is no name on the hub: write it as owner/name")
    path = folder / "README.md"
    if not path.is_file() or UNFILLED in path.read_text(encoding="utf-8"):
        raise UserError(f"{folder} has no model card: `python -m step4_finetune card {folder}` writes one")
    token = huggingface_hub.get_token()
    if token is None:
        raise UserError("the hub wants a token: set HF_TOKEN, or run `hf auth login`; nothing was uploaded")
    api = huggingface_hub.HfApi(token=token)
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo, folder_path=folder, allow_patterns=UPLOADED, ignore_patterns=KEPT
        )
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise UserError(f"the hub did not take {folder} as {repo}: {reason(error)}") from None
    return str(getattr(done, "repo_url", None) or f"https://huggingface.co/{repo}")
