"""The command `levels`: which sandboxes this machine has, best first. Each is tried (see isolation/).

What a level should stop is the table of isolation/stops.py; what went through in the trial is shown, too.
"""

import json
from typing import Any

from shared.cli import Console, Json, plain_console

STYLES = {"safe": "green", "NOT SAFE": "bold red"}


def levels(as_json: Json = False) -> None:
    """Show which isolation works here, best first, and what each level does not stop."""
    from shared.progress import spinner

    with spinner("trying the sandboxes"):
        facts = try_levels()
    if as_json:
        print(json.dumps(facts, ensure_ascii=False, indent=1))
    else:
        show(facts, plain_console())


def try_levels() -> dict[str, Any]:
    """Each level as it is here, and what it is not meant to stop."""
    from classroom.isolation import LEVELS, chosen, tried
    from classroom.isolation.stops import open_at
    from shared.errors import UserError

    here: list[dict[str, Any]] = []
    for level in LEVELS:
        facts = {"level": level, "works": False, "safe": False, "let_through": []}
        try:
            safe = chosen(level)[1]
            facts |= {"works": True, "safe": safe, "let_through": list(tried(level))}
        except UserError as why:
            facts["why"] = str(why)
        here.append(facts | {"does_not_stop": open_at(level)})
    return {"levels": here, "default": next((each["level"] for each in here if each["works"]), None)}


def show(facts: dict[str, Any], console: Console) -> None:
    """A line for each level."""
    for each in facts["levels"]:
        word = "safe" if each["safe"] else "NOT SAFE" if each["works"] else "not here"
        told = each.get("why", "works")
        if each["let_through"]:
            told += f"; went through when it was tried: {', '.join(each['let_through'])}"
        if each["level"] == facts["default"]:
            told += "; taken, unless --isolation names another"
        console.print(f"{each['level']:<11} {word:<9} {told}", style=STYLES.get(word, "dim"), soft_wrap=True)
        if each["works"] and each["does_not_stop"]:
            console.print(f"{'':<21} does not stop: {', '.join(each['does_not_stop'])}", soft_wrap=True)
