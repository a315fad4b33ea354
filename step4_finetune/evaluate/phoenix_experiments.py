"""Send a report of `evaluate` to Phoenix: the split becomes a dataset, each system an experiment on it.

    phoenix serve                       in an environment of its own: pip install arize-phoenix
    pip install ".[phoenix]"            its light client
    python -m step4_finetune.evaluate.phoenix_experiments report/evaluate.json http://localhost:6006

Phoenix shows the systems' replies side by side, with the verdicts of our evaluator. The same rows sent again
update the same dataset. PHOENIX_API_KEY holds the server's key, if it has one.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.errors import UserError, reason
from shared.launch import run_main
from shared.masking import masked
from step4_finetune.tone.scores import SHARES

if TYPE_CHECKING:
    from phoenix.client import Client


def main(report: Path, url: str) -> None:
    """Send the replies of an evaluate.json and their verdicts to a Phoenix server."""
    try:
        from phoenix.client import Client
    except ImportError:
        raise UserError("this needs Phoenix' client: pip install .[phoenix]") from None
    try:
        facts = json.loads(report.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{report} is no evaluate.json of `evaluate --out`: {reason(error)}") from None
    try:
        client = Client(base_url=url)
        dataset, ids = send_dataset(client, facts)
        for system in facts["systems"]:
            send_experiment(client, dataset, ids, facts, system)
    except Exception as error:  # of the connection, of the client, or because the server is no Phoenix
        raise UserError(
            f"{url} failed ({reason(error)}): is `phoenix serve` running there, and does PHOENIX_API_KEY "
            "hold its key?"
        ) from None
    print(f"{masked(url).rstrip('/')}/datasets/{dataset.id}/experiments")


def send_dataset(client: Client, facts: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """Create or update the dataset; returns it with Phoenix' ids of our messages, in their order."""
    examples = [
        {
            "id": each["id"],
            "input": {"message": each["message"]},
            "output": {"reply": each["chosen"]},
            "metadata": {"notes": each["notes"]},
        }
        for each in facts["messages"]
    ]
    name = f"{facts['company']}, {facts['split']}"
    dataset = client.datasets.create_dataset(
        name=name, examples=examples, dataset_description="Messages and chosen replies of step4_finetune."
    )
    node_ids = {each["id"]: each["node_id"] for each in dataset.examples}
    return dataset, [node_ids[each["id"]] for each in examples]


def send_experiment(
    client: Client, dataset: Any, ids: Sequence[str], facts: Mapping[str, Any], system: Mapping[str, Any]
) -> None:
    """Send one system's replies, and the verdicts that are known."""
    experiment = client.experiments.create(
        dataset_id=dataset.id,
        dataset_version_id=dataset.version_id,
        experiment_name=system["name"],
        experiment_metadata={"model": facts["model"], "machine": facts["machine"], "tuned": system["tuned"]},
    )
    took = timedelta(seconds=system["seconds_a_reply"])  # the system's mean
    for example, reply in zip(ids, system["replies"], strict=True):
        now = datetime.now(UTC)
        run = client.experiments.log_run(
            experiment_id=experiment["id"],
            dataset_example_id=example,
            output=reply["text"],
            start_time=now - took,
            end_time=now,
        )
        for name in SHARES:
            if reply[name] is not None:
                client.experiments.log_evaluation(
                    experiment_run_id=run["id"],
                    name=name,
                    score=float(reply[name]),
                    label="yes" if reply[name] else "no",
                )


if __name__ == "__main__":
    run_main(main, "python -m step4_finetune.evaluate.phoenix_experiments")
