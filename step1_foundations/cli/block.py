"""`block`: the shapes in a block that is computed by hand, and its differences from the model's own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from shared.cli import Console, plain_table
from step1_foundations.block import TOLERANCE, compare, shapes
from step1_foundations.cli.loading import load_model_and_text

if TYPE_CHECKING:
    from shared.config import Settings


@dataclass(frozen=True)
class BlockReport:
    """The algebra of a block. Differences are shares of a row's largest value."""

    command: str
    headline: str
    model: str
    lines: list[tuple[str, tuple[int, ...]]]  # each line of the algebra, and the shape of its result
    tolerance: float  # the largest difference allowed
    matches: bool
    blocks: list[float]  # the difference after each block alone
    logits: float  # the difference after all of them


def check_block(settings: Settings, text: str) -> BlockReport:
    """Compute the blocks by hand for the text, and compare them with the model's.

    Raises:
        UserError: the model is not available or has other parts, or the text is empty or too long.
    """
    _, model, ids = load_model_and_text(settings, text, attn_implementation="eager")
    comparison = compare(model, ids)
    return BlockReport(
        command="step1_foundations block",
        headline=f"largest difference from the model: {max(comparison.blocks):.1g} in a block, "
        f"{comparison.logits:.1g} in the logits, as a share of the row's largest value",
        model=settings.model,
        lines=shapes(model, ids),
        tolerance=TOLERANCE,
        matches=comparison.matches,
        blocks=comparison.blocks,
        logits=comparison.logits,
    )


def show(report: BlockReport, console: Console) -> None:
    """The shapes, and the differences from the model."""
    rows = [(line, " x ".join(map(str, shape))) for line, shape in report.lines]
    console.print(plain_table("block 0", "shape", rows=rows))
    verdict = "the same" if report.matches else "not the same"
    console.print(
        f"\n{verdict}, as a share of a row's largest value (allowed: {report.tolerance:g}):\neach of the "
        f"{len(report.blocks)} blocks alone differs by at most {max(report.blocks):.1g},\n"
        f"the logits after all of them by {report.logits:.1g}.",
        style="green" if report.matches else "bold red",
        soft_wrap=True,
    )
