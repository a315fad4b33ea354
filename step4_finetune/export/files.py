"""Export a tuned model: merged for transformers, as GGUF for llama.cpp and Ollama, as an adapter for vLLM.

A server with many tones needs one base and an adapter of 12 MB for each, a laptop one plain file: 271 MB in
f16, 145 in q8_0. Nothing is uploaded; `hf upload` does that.
"""

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from shared.config import Settings
from shared.errors import UserError, reason
from step4_finetune.export import gguf
from step4_finetune.models import merge

# SmolLM2's chat template (ChatML) in Ollama's language, Go's text/template.
OLLAMA_TEMPLATE = """\
{{- range .Messages }}<|im_start|>{{ .Role }}
{{ .Content }}<|im_end|>
{{ end }}<|im_start|>assistant
"""
STOPS = ("<|im_end|>", "<|im_start|>")
VLLM_RANKS = (1, 8, 16, 32, 64, 128, 256, 320, 512)  # values of vLLM's --max-lora-rank; a recipe has no more


def run(
    settings: Settings,
    adapter: Path,
    out: Path,
    system: str = "",
    formats: Sequence[str] = ("f16", "q8_0"),
) -> dict[str, Any]:
    """Write everything into a new folder, which an error removes again; `system` is the guide's system
    message, for the Modelfile.

    Raises:
        UserError: as in `merge.save`, `gguf.write`, `modelfile`; an unknown format; `out` is in use or can't
            be written.
    """
    if unknown := [each for each in formats if each not in gguf.FORMATS]:
        raise UserError(f"--gguf {', '.join(unknown)} is not known: use {', '.join(gguf.FORMATS)}")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists already: name a new folder with --out, or remove it first")
    ollama = modelfile(f"model-{formats[0]}.gguf", system) if formats else ""  # refuses before work is done
    quoted = shlex.quote(str(out))
    chat = f"python -m step4_finetune chat 'Where is my parcel?' --model {quoted}"
    try:
        merge.save(settings, adapter, out)
        parts = [_part("merged model", out, chat)]
        for each in dict.fromkeys(formats):
            path = gguf.write(out, out / f"model-{each}.gguf", each)
            parts.append(_part(f"GGUF, {each}", path, f"llama-server -m {shlex.quote(str(path))}"))
        if ollama:
            (out / "Modelfile").write_text(ollama, encoding="utf-8")
            parts[1]["run"] = f"ollama create {shlex.quote(out.resolve().name)} -f {quoted}/Modelfile"
        if not merge.is_full_model(adapter):
            folder = copy_adapter(settings, adapter, out / "adapter")
            packed = merge.trained_in_4bit(adapter)
            parts.append(_part("adapter", folder, vllm_command(folder, in_4bit=packed)))
    except BaseException as error:  # also Ctrl-C
        shutil.rmtree(out, ignore_errors=True)
        if isinstance(error, OSError | SafetensorError):
            raise UserError(f"{out} cannot be written: {reason(error)}") from None
        raise
    return {
        "command": "step4_finetune export",
        "headline": f"{out}: " + ", ".join(f"{part['what']} {part['bytes'] / 1e6:.1f} MB" for part in parts),
        "model": settings.model,
        "adapter": str(adapter),
        "parts": parts,
        "activated": bool(merge.invocation_of(adapter)),
    }


def _part(what: str, where: Path, command: str) -> dict[str, Any]:
    """A written file or folder, the bytes of its files, and the command that runs it."""
    size = sum(each.stat().st_size for each in ([where] if where.is_file() else where.iterdir()))
    return {"what": what, "where": str(where), "bytes": size, "run": command}


def modelfile(gguf: str, system: str = "") -> str:
    """Ollama's Modelfile: the weights, the chat template, the system message, and the stop tokens.

    Raises:
        UserError: a Modelfile can't hold the system message.
    """
    if '"""' in system:
        raise UserError(
            'the system message holds """, which ends a text in a Modelfile: take it out of the guide'
        )
    return "\n".join(
        [
            f"FROM ./{gguf}",
            f'TEMPLATE """{OLLAMA_TEMPLATE}"""',
            *([f'SYSTEM """{system.strip()}"""'] if system else []),
            *(f'PARAMETER stop "{stop}"' for stop in STOPS),
            "PARAMETER temperature 0",
            "PARAMETER num_ctx 4096\n",
        ]
    )


def copy_adapter(settings: Settings, adapter: Path, out: Path) -> Path:
    """Copy the adapter without training's other files, and record its base by name."""
    out.mkdir()
    for name in (merge.CONFIG, merge.WEIGHTS):
        shutil.copyfile(adapter / name, out / name)
    merge.stamp(settings, out)
    return out


def vllm_command(adapter: Path, *, in_4bit: bool = False) -> str:
    """The command that serves this adapter with vLLM, its base in four bits if asked."""
    config = merge.read_config(adapter)
    rank = next((each for each in VLLM_RANKS if each >= config["r"]), config["r"])
    base = f"{config['base_model_name_or_path']}{' --quantization bitsandbytes' if in_4bit else ''}"
    return (
        f"vllm serve {base} --enable-lora --max-lora-rank {rank} "
        f"--lora-modules tone={shlex.quote(str(adapter))}"
    )
