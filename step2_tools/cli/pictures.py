"""The picture of `evaluate`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from step2_tools.evaluate.results import SHARES

COLOURS = {
    "valid": "tab:gray",
    "right_tool": "tab:orange",
    "right_arguments": "tab:blue",
    "needless": "tab:red",
}


def draw(facts: dict[str, Any], path: Path) -> str:
    """The shares of every style as dots with their intervals; beside them native by kind of question."""
    os.environ["MPLBACKEND"] = "agg"  # whatever the user's is: nothing is shown on a screen
    from matplotlib.figure import Figure

    parts = [(f"{facts['data']}, by style of asking", facts["styles"])]
    if facts.get("by_kind"):
        parts.append(("native, by kind of question", facts["by_kind"]))
    rows = max(len(part) for _, part in parts)
    figure = Figure(figsize=(6.5 * len(parts), 1.6 + 0.45 * rows), layout="constrained")
    for axis, (title, part) in zip(figure.subplots(1, len(parts), squeeze=False)[0], parts, strict=True):
        names = [name for name in COLOURS if name in next(iter(part.values()))]
        for j, name in enumerate(names):
            found = [row[name] for row in part.values()]
            shares = [each["share"] for each in found]
            spread = [
                [max(0.0, each["share"] - each["interval_95"][0]) for each in found],
                [max(0.0, each["interval_95"][1] - each["share"]) for each in found],
            ]
            places = [i + 0.18 * (j - (len(names) - 1) / 2) for i in range(len(found))]
            axis.errorbar(shares, places, xerr=spread, fmt="o", color=COLOURS[name], label=SHARES[name], ms=5)
        axis.set_yticks(
            range(len(part)), [f"{name.replace('_', ' ')} (n={_n(row)})" for name, row in part.items()]
        )
        axis.set_ylim(len(part) - 0.5, -0.5)
        axis.set_xlim(-0.02, 1.02)
        axis.xaxis.set_major_formatter("{x:.0%}")
        axis.grid(axis="x", alpha=0.3)
        axis.set_title(title, parse_math=False)  # a $ in a name is no formula
    figure.axes[0].legend(fontsize=8, loc="best")
    figure.suptitle(f"{facts['model']}: share of questions, 95% intervals", fontsize=10, parse_math=False)
    figure.savefig(path, dpi=120, format="png")
    return str(path)


def _n(row: dict[str, Any]) -> int:
    return row["right_tool"]["n"]
