"""Three agents that must lose: they show what a score is worth.

does nothing      says that it doesn't know
looks up once     gives what the documents say to the request as it is
knows the answers gives the task's own values, and reads nothing
"""

from collections.abc import Callable

from shared.office import ASK
from step3_rag.agent.transcript import Call, Transcript, Turn
from step3_rag.agent.verify import Task
from step3_rag.agent.world import World

UNKNOWN = "I could not find that in the documents."
Baseline = Callable[[Task, World], Transcript]


def does_nothing(task: Task, world: World) -> Transcript:
    """Say that it isn't known."""
    return _transcript(task, world, UNKNOWN)


def looks_up_once(task: Task, world: World) -> Transcript:
    """Ask the documents once, in the user's words, and give their answer."""
    call = world.call(_shown(world), {}, lambda _call: False)
    answer = call.result if call.documents else UNKNOWN
    return _transcript(task, world, answer, call)


def knows_the_answers(task: Task, world: World) -> Transcript:
    """Give the task's own values without reading anything: a cheat."""
    answer = UNKNOWN if task.unknown else ", ".join(writings[0] for writings in task.values) or "Done."
    return _transcript(task, world, answer)


BASELINES: dict[str, Baseline] = {
    "does nothing": does_nothing,
    "looks up once": looks_up_once,
    "knows the answers": knows_the_answers,
}


def _shown(world: World) -> str:
    """The name of the documents' tool in this world."""
    wording = world.vocabulary.get(ASK)
    return wording.name if wording else ASK


def _transcript(task: Task, world: World, answer: str, *calls: Call) -> Transcript:
    turn = Turn([], [], calls, 0, 0, "end_turn", 0.0)
    return Transcript(task.request, "baseline", "", world.definitions(), answer, "end_turn", [turn])
