"""A prompt as a DSPy program, and DSPy's search for better examples (few-shot demonstrations).

BootstrapFewShotWithRandomSearch tries sets of examples: labelled ones, and correct answers of the model
itself. It keeps the set with which the model answers most of the other questions correctly (Khattab et al.
2023, arXiv:2310.03714).

DSPy's own adapter would add field markers to every prompt, so the saved prompt would not be the measured one.
`PlainAdapter` sends exactly the prompt file's text.
"""

import logging
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

import dspy
from dspy import lm15

Complete = Callable[[str, list[dict[str, str]]], str]  # system, messages -> text
Examples = Sequence[tuple[str, str]]  # question, calls
SHOTS = 4  # most examples in a set
SETS = 10  # random sets, besides DSPy's fixed ones: no examples, labelled ones, bootstrapped ones in order
NAME = f"BootstrapFewShotWithRandomSearch of DSPy {dspy.__version__}"


class Engine:
    """An engine for `dspy.LM(engine=...)` that answers DSPy's requests with our function."""

    def __init__(self, complete: Complete) -> None:
        self._complete = complete

    def complete(self, request: lm15.Request) -> lm15.Response:
        messages = [{"role": message.role, "content": message.text or ""} for message in request.messages]
        reply = lm15.Message.assistant(self._complete(str(request.system or ""), messages))
        return lm15.Response(
            id=None, model=request.model, message=reply, finish_reason="stop", usage=lm15.Usage()
        )

    def close(self) -> None:
        """Nothing to close: the caller owns the client."""


class PlainAdapter(dspy.Adapter):
    """Formats instruction, examples and question like `prompts.render`, without any additions."""

    def format(
        self, signature: Any, demos: list[dict[str, Any]], inputs: dict[str, Any]
    ) -> list[dict[str, Any]]:
        turns = [("system", signature.instructions)]
        for demo in demos:
            turns.append(("user", demo["question"]))
            turns.append(("assistant", demo["calls"]))
        turns.append(("user", inputs["question"]))
        return [{"role": role, "content": text} for role, text in turns]

    def parse(self, signature: Any, completion: str) -> dict[str, Any]:
        return dict.fromkeys(signature.output_fields, completion)


class Program(dspy.Module):
    """From a question to the text of its calls."""

    def __init__(self, instruction: str, examples: Examples = ()) -> None:
        super().__init__()
        self.write = dspy.Predict(dspy.make_signature("question -> calls", instruction))
        self.write.demos = [dspy.Example(question=question, calls=calls) for question, calls in examples]

    def forward(self, question: str) -> dspy.Prediction:
        with dspy.context(adapter=PlainAdapter()):
            return self.write(question=question)


@dataclass(frozen=True)
class SearchResult:
    """The best set of examples."""

    before: float  # the share of `val` answered correctly with the program's own examples, 0 to 1
    after: float  # with the best set
    examples: Examples


def search(
    program: Program,
    train: Examples,
    val: Examples,
    complete: Complete,
    is_right: Callable[[str, str], bool],
    threads: int = 1,
) -> SearchResult:
    """Find the set of examples with which the program answers most of `val` correctly.

    Args:
        train: where the examples come from.
        complete: calls the model.
        is_right: whether the reply to a question is right.
    """

    def metric(example: Any, prediction: Any, *_: Any) -> bool:
        return is_right(example.question, prediction.calls)

    trainset = _as_dspy(train)
    valset = _as_dspy(val)
    logging.getLogger("dspy").setLevel(logging.ERROR)
    lm = dspy.LM("house", engine=Engine(complete), num_retries=0)
    with (  # DSPy prints and warns while it runs; stdout is for the results
        dspy.context(lm=lm, num_threads=threads, max_errors=1),
        warnings.catch_warnings(action="ignore"),
        redirect_stdout(StringIO()),
    ):
        tuner = dspy.BootstrapFewShotWithRandomSearch(
            metric=metric,
            num_candidate_programs=SETS,
            max_bootstrapped_demos=SHOTS,
            max_labeled_demos=SHOTS,
            num_threads=threads,
        )
        before = dspy.Evaluate(devset=valset, metric=metric, num_threads=threads)(program).score
        optimized: Any = tuner.compile(program, trainset=trainset, valset=valset)
    best = optimized.candidate_programs[0]
    examples = tuple((demo["question"], demo["calls"]) for demo in best["program"].write.demos)
    return SearchResult(before / 100, best["score"] / 100, examples)  # DSPy's are percent


def _as_dspy(examples: Examples) -> list[dspy.Example]:
    """The examples as DSPy has them; `calls` is what a program should answer."""
    rows = [dspy.Example(question=question, calls=calls) for question, calls in examples]
    return [row.with_inputs("question") for row in rows]
