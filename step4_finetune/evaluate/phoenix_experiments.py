"""The evaluation as Phoenix experiments: the split is a dataset, each system one experiment over it.

    phoenix serve                                  in an environment of its own: pip install arize-phoenix
    pip install ".[phoenix]"                       its light client, beside the rest
    python -m step4_finetune evaluate --adapter runs/tone --phoenix http://localhost:6006

    ...; experiments in Phoenix: http://localhost:6006/datasets/RGF0YXNldDox/experiments

Phoenix sets the systems' replies side by side, message by message, with the verdicts of our own evaluator.
The same rows sent again are the same dataset; other rows make a new version of it, and earlier experiments
keep theirs. A server that wants a key gets that of PHOENIX_API_KEY. Nothing is judged there, no traces are
sent (a run's time is the mean of its system), and no other address is asked.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from shared.errors import UserError, reason
from step4_finetune.tone import fidelity
from step4_finetune.tone.scores import SHARES

if TYPE_CHECKING:
    from phoenix.client import Client


def ready(url: str) -> Callable[[dict[str, Any]], None]:
    """See that a Phoenix answers there; returns what sends the facts of an evaluation, and adds `phoenix`.

    Raises:
        UserError: the client is not installed, nothing answers, something else does, or it refuses us.
    """
    try:
        import httpx
        from phoenix.client import Client
    except ImportError:
        raise UserError("--phoenix needs Phoenix' client: pip install .[phoenix]") from None
    try:
        place = str(httpx.URL(url).copy_with(userinfo=b"")).rstrip("/")  # no password in messages and reports
    except httpx.InvalidURL as error:
        raise UserError(f"--phoenix {url} is not an address: {reason(error)}") from None
    with _one_line(place):
        client = Client(base_url=url)
        try:
            client.datasets.list(limit=1)
        except (json.JSONDecodeError, KeyError, TypeError):
            raise UserError(f"--phoenix {place} is not a Phoenix server: name the address of one") from None

    def add(facts: dict[str, Any]) -> None:
        from shared.progress import count_bar

        systems, done = facts["systems"], {}
        with _one_line(place), count_bar("sending to Phoenix", len(systems)) as progress:
            dataset, ids = _dataset(client, facts)
            for at, system in enumerate(systems):
                progress(at, len(systems))
                done[system["name"]] = _experiment(client, dataset, ids, facts, system)
        url = f"{place}/datasets/{dataset.id}/experiments"
        facts["phoenix"] = {"dataset": dataset.name, "url": url, "experiments": done}

    return add


def _dataset(client: Client, facts: Mapping[str, Any]) -> tuple[Any, list[str]]:
    """The split in Phoenix, and its ids for our messages, in their order."""
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
    theirs = {each["id"]: each["node_id"] for each in dataset.examples}
    return dataset, [theirs[each["id"]] for each in examples]


def _experiment(
    client: Client, dataset: Any, ids: Sequence[str], facts: Mapping[str, Any], system: Mapping[str, Any]
) -> str:
    """One system's replies and what they are worth; returns the experiment's id."""
    described = ("tuned", "prompt_tokens", "reply_tokens", "seconds_a_reply")
    experiment = client.experiments.create(
        dataset_id=dataset.id,
        dataset_version_id=dataset.version_id,
        experiment_name=system["name"],
        experiment_metadata={
            "model": facts["model"],
            "machine": facts["machine"],
            **{name: system[name] for name in described},
        },
    )
    took = timedelta(seconds=system["seconds_a_reply"])
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
            if reply[name] is not None:  # what is unknown stays unknown
                client.experiments.log_evaluation(
                    experiment_run_id=run["id"],
                    name=name,
                    score=float(reply[name]),
                    label="yes" if reply[name] else "no",
                    explanation=_why(name, reply),
                )
    return experiment["id"]


def _why(name: str, reply: Mapping[str, Any]) -> str | None:
    """What a reply breaks or lacks, by the evaluator's names."""
    wrong = {
        "all_rules": [rule for rule, kept in reply["rules"].items() if not kept],
        "faithful": [f"{kind}: {each}" for kind in fidelity.KINDS for each in reply.get(kind, ())],
        "healthy": reply["problems"],
    }
    return ", ".join(wrong.get(name, ())) or None


@contextmanager
def _one_line(place: str) -> Iterator[None]:
    """Turn what the client and its transport raise into a `UserError`."""
    import httpx
    from phoenix.client.exceptions import PhoenixException
    from phoenix.client.resources.datasets import DatasetUploadError

    try:
        yield
    except httpx.HTTPStatusError as error:
        status, said = error.response.status_code, reason(ValueError(error.response.text))
        hint = ": set PHOENIX_API_KEY to a key of that server" if status in (401, 403) else ""
        raise UserError(f"--phoenix {place} answered {status} ({said}){hint}") from None
    except (httpx.TransportError, PhoenixException, DatasetUploadError) as error:
        raise UserError(
            f"--phoenix {place} failed ({reason(error)}): is `phoenix serve` running there?"
        ) from None
