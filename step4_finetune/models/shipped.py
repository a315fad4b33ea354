"""The adapters that come with this step, so that its commands work before any training.

    $ python -m step4_finetune chat "my kettle leaks. What do I pay?" --note "exc 50 / tech tue am"
    $ python -m step4_finetune export tone --out exported

`tone` stands for the folder `adapters/tone`, unless a folder of that name exists where the command runs.
"""

from collections.abc import Sequence
from pathlib import Path

from shared.catalog import default
from shared.config import Settings

FOLDER = Path(__file__).parents[1] / "adapters"
TONE = "tone"
NONE = "none"


def find(adapter: Path) -> Path:
    """The folder of an adapter; one that is named as a shipped one, and exists nowhere else, is that one."""
    shipped = FOLDER / adapter.name
    is_name = adapter == Path(adapter.name)
    return shipped if is_name and not adapter.exists() and shipped.is_dir() else adapter


def chosen(adapters: Sequence[Path] | None, settings: Settings) -> list[Path]:
    """The adapters of a command: those named (`none`: no one), else the shipped one if it fits the model."""
    if adapters:
        return [find(adapter) for adapter in adapters if adapter != Path(NONE)]
    return [FOLDER / TONE] if settings.model == default("chat").id else []
