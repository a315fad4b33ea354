"""A prompt as a DSPy program, and the search for a better one by DSPy's optimisers.

    program = Program(instructions, demos)         dspy.Predict("question -> calls") with the house's format
    lm = dspy.LM("house", engine=Engine(complete, meter))
    search("gepa", ...)                            -> every candidate that was scored on all questions

    gepa    rewrites the instruction after reading what went wrong (Agrawal et al. 2025, arXiv:2507.19457)
    mipro   proposes instructions and demonstrations, then picks a pair (Opsahl-Ong et al. 2024, 2406.11695)
    shots   random sets of demonstrations that the model itself got right (Khattab et al. 2023, 2310.03714)

DSPy's own adapter would frame every prompt in its field markers, and then the prompt that is saved would not
be the one that was measured; `Plain` sends what a prompt file says. What is asked, how it is judged and
what is made of a candidate, is the target's business (tune_json.py, tune_chooser.py).
"""

from __future__ import annotations

import logging
import threading
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from typing import Any

import dspy
from dspy import lm15
from dspy.utils.callback import BaseCallback

from shared.errors import UserError, reason
from step2_tools.tune_plan import Plan

Complete = Callable[[str, list[dict[str, str]], int], str]  # system, messages, max_tokens -> text
Judge = Callable[[dict[str, Any], str], tuple[bool, str]]  # question's row, reply -> right?, what was wrong
TASK_TOKENS, PROMPT_TOKENS = 200, 4000
GIVE_UP = 10  # requests in a row that fail


class Stop(BaseException):
    """Ends a search, for the reason it holds. No `Exception`: DSPy counts those as wrong answers."""


@dataclass
class Meter:
    """Counts calls of the model; stops at `limit`, when it is closed, and when call after call fails."""

    limit: int
    say: Callable[[str], None] | None = None
    made: int = 0
    best: float = 0.0
    closed: bool = False
    errors: Counter[str] = field(default_factory=Counter)
    _in_a_row: int = 0
    _lock: Any = field(default_factory=threading.Lock)

    def spend(self) -> None:
        """Before each call."""
        with self._lock:
            if self.closed or self.made >= self.limit:
                raise Stop("the budget was spent")
            self.made += 1
            if self.say:
                self.say(f"search: call {self.made} of at most {self.limit}, best {self.best:.0%}")

    def note(self, error: Exception | None) -> None:
        """After each call. DSPy passes over errors in silence; the facts must not."""
        with self._lock:
            self._in_a_row = self._in_a_row + 1 if error else 0
            if error:
                why = getattr(error, "api_message", None) or reason(error)
                self.errors[why] += 1
                if self._in_a_row >= GIVE_UP:
                    raise Stop(f"{GIVE_UP} requests in a row failed: {why}")


class Engine:
    """What `dspy.LM(engine=...)` takes: one request of DSPy's, answered by a function of ours.

    Temperatures and the like are left out: today's Claude models refuse them.
    """

    def __init__(self, complete: Complete, meter: Meter) -> None:
        self._complete, self._meter = complete, meter

    def complete(self, request: lm15.Request) -> lm15.Response:
        self._meter.spend()
        system = request.system or ""
        if not isinstance(system, str):
            system = "".join(getattr(part, "text", "") for part in system)
        messages = [{"role": message.role, "content": message.text or ""} for message in request.messages]
        try:
            text = self._complete(system, messages, request.config.max_tokens or TASK_TOKENS)
        except Exception as error:
            self._meter.note(error)
            raise
        self._meter.note(None)
        message = lm15.Message.assistant(text)
        return lm15.Response(
            id=None, model=request.model, message=message, finish_reason="stop", usage=lm15.Usage()
        )

    def close(self) -> None:
        """The client is not ours."""


class Plain(dspy.Adapter):
    """Instruction, demonstrations and question as `prompts.render` has them: nothing around them."""

    def format(
        self, signature: Any, demos: list[dict[str, Any]], inputs: dict[str, Any]
    ) -> list[dict[str, Any]]:
        messages = [{"role": "system", "content": signature.instructions}]
        for demo in demos:
            messages.append({"role": "user", "content": demo["question"]})
            messages.append({"role": "assistant", "content": demo["calls"]})
        return [*messages, {"role": "user", "content": inputs["question"]}]

    def parse(self, signature: Any, completion: str) -> dict[str, Any]:
        return dict.fromkeys(signature.output_fields, completion)


class Calls(dspy.Signature):
    """Each program has its own instruction in place of this."""

    question: str = dspy.InputField()
    calls: str = dspy.OutputField()


class Program(dspy.Module):
    """A question goes in, the text of its calls comes out."""

    def __init__(self, instructions: str, demos: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__()
        self.write = dspy.Predict(Calls.with_instructions(instructions))
        self.write.demos = [dspy.Example(question=question, calls=calls) for question, calls in demos]

    def forward(self, question: str) -> dspy.Prediction:
        with dspy.context(adapter=Plain()):
            return self.write(question=question)


@dataclass(frozen=True)
class Candidate:
    """An instruction and demonstrations, and how many of all questions they got right."""

    instructions: str
    demos: tuple[tuple[str, str], ...]
    hits: int
    n: int


class Watch(BaseCallback):
    """Notes every candidate that DSPy scores on all questions: what is left when a search is stopped."""

    def __init__(self, n: int, meter: Meter) -> None:
        self.n, self.meter = n, meter
        self.seen: list[Candidate] = []
        self._open: dict[str, tuple[Any, int]] = {}

    def on_evaluate_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        self._open[call_id] = inputs["program"], len(inputs.get("devset") or instance.devset)

    def on_evaluate_end(self, call_id: str, outputs: Any | None, exception: Any = None) -> None:
        program, n = self._open.pop(call_id)
        if outputs is None or exception is not None or n != self.n:
            return
        write = program.write
        demos = tuple((demo["question"], demo["calls"]) for demo in write.demos)
        candidate = Candidate(write.signature.instructions, demos, round(outputs.score * n / 100), n)
        self.seen.append(candidate)
        self.meter.best = max(self.meter.best, candidate.hits / n)


def search(
    plan: Plan,
    start: tuple[str, Sequence[tuple[str, str]]],
    complete: Complete,
    propose: Complete,
    judge: Judge,
    written: Callable[[dict[str, Any]], str],
    meter: Meter,
    *,
    seed: int = 0,
    threads: int = 1,
    proposer: Any = None,
) -> tuple[list[Candidate], str | None]:
    """Every candidate scored on all of `plan.val`, the start first, and why the search ended early, if so.

    Args:
        start: instruction and demonstrations to begin with.
        complete: the model under this program; `propose`: the same model for DSPy's own questions.
        written: a labelled question's calls as a model should write them, for demonstrations.
        proposer: GEPA's proposer of instructions, where no model can write them.

    Raises:
        UserError: not even the start could be scored.
    """

    def metric(example: Any, prediction: Any, *_: Any) -> Any:
        right, feedback = judge(example.row, prediction.calls)
        return dspy.Prediction(score=float(right), feedback=feedback) if plan.optimizer == "gepa" else right

    def example(row: dict[str, Any]) -> Any:
        calls = {"calls": written(row)}
        return dspy.Example(question=row["question"], row=row, **calls).with_inputs("question")

    train, val = [example(row) for row in plan.train], [example(row) for row in plan.val]
    watch = Watch(len(val), meter)
    task = dspy.LM("house", engine=Engine(complete, meter), max_tokens=TASK_TOKENS, num_retries=0)
    writer = dspy.LM("house", engine=Engine(propose, meter), max_tokens=PROMPT_TOKENS, num_retries=0)
    program, ended = Program(*start), None
    context = dspy.context(lm=task, callbacks=[watch], num_threads=threads)
    try:
        with context, _quiet():
            dspy.Evaluate(devset=val, metric=metric, num_threads=threads)(program)
            if plan.optimizer == "gepa":
                tuner = gepa(plan, metric, writer, proposer, seed, threads)
                tuner.compile(program, trainset=train, valset=val)
            elif plan.optimizer == "mipro":
                tuner = dspy.MIPROv2(
                    metric=metric,
                    prompt_model=writer,
                    auto=None,
                    num_candidates=plan.candidates,
                    max_bootstrapped_demos=plan.shots,
                    max_labeled_demos=plan.shots,
                    num_threads=threads,
                    seed=seed,
                )
                tuner.compile(program, trainset=train, valset=val, num_trials=plan.trials, minibatch=False)
            else:
                tuner = dspy.BootstrapFewShotWithRandomSearch(
                    metric=metric,
                    num_candidate_programs=plan.candidates,
                    max_bootstrapped_demos=plan.shots,
                    max_labeled_demos=plan.shots,
                    num_threads=threads,
                )
                tuner.compile(program, trainset=train, valset=val)
    except Stop as stop:
        ended = str(stop)
    except KeyboardInterrupt:
        ended = "Ctrl-C"
    except Exception as error:  # whatever DSPy makes of a server that fails too often
        ended = reason(error)
    finally:
        meter.closed = True  # for threads that are still at it
    if not watch.seen:
        if ended == "Ctrl-C":
            raise KeyboardInterrupt
        raise UserError(f"the search ended before anything was measured: {ended}")
    return watch.seen, ended


def gepa(plan: Plan, metric: Any, writer: Any, proposer: Any, seed: int, threads: int) -> Any:
    """GEPA; where a model writes the instructions, it is told what they must hold."""
    from dspy.teleprompt.gepa import InstructionProposer

    keep = "Keep {{tools}} in the instruction, on a line of its own: the list of tools is put there."
    return dspy.GEPA(
        metric=metric,
        max_metric_calls=plan.metric_calls,
        reflection_minibatch_size=plan.minibatch,
        reflection_lm=writer,
        instruction_proposer=proposer or InstructionProposer(additional_instructions=keep),
        use_merge=False,
        num_threads=threads,
        seed=seed,
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """DSPy prints, logs and warns as it goes; stdout belongs to the facts.

    Its loggers stay silent: threads may still be at it when a search was stopped.
    """
    for name in ("dspy", "optuna"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with warnings.catch_warnings(), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        yield
