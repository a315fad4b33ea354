"""How often does the model call the right tools? Labelled questions, several styles, 95 % intervals.

    $ python -m step2_tools evaluate
                n    valid calls  right tool  right arguments  needless calls  tokens in  out  seconds
    native     80  100% (95-100)  ...
    zero-shot  80    ...

Every style (styles.py) gets the same questions, and scoring.py scores the calls. The text of answers is not
scored.
"""

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import anthropic

from shared import hardware, prompts
from shared.catalog import lookup
from shared.config import Settings
from shared.errors import UserError
from shared.progress import track
from shared.stats import Share, bootstrap, percent, share, sign_test, subset
from step2_tools.evaluate.ask import ask_in_style
from step2_tools.evaluate.questions import Call, Label, Question, ToolDefinition
from step2_tools.evaluate.reply import Reply
from step2_tools.evaluate.scoring import Score, score
from step2_tools.evaluate.styles import DEFAULT, Style, parse_style

Metric = Literal["valid", "right_tool", "right_arguments", "needless"]  # the fields of a Score


@dataclass(frozen=True)
class Outcome:
    """One question, asked in one style, and its score."""

    question: Question
    reply: Reply
    score: Score
    seconds: float


@dataclass(frozen=True)
class StyleSummary:
    """One style's figures."""

    n: int  # questions
    valid: Share  # all calls name a tool and fit its schema
    right_tool: Share
    right_arguments: Share
    needless: Share  # calls that the label doesn't have
    input_tokens: float  # mean
    output_tokens: float  # mean
    seconds: float  # median
    prompt: str  # id, version and hash


@dataclass(frozen=True)
class KindSummary:
    """One kind of question, in the style `native`."""

    right_tool: Share
    right_arguments: Share


@dataclass(frozen=True)
class WrongCalls:
    """A question whose calls were not right."""

    style: str
    id: str
    question: str
    expected: Sequence[Label]
    calls: list[Call] | None  # None: the text has no list of calls
    text: str  # the first 500 characters of the reply


@dataclass(frozen=True, kw_only=True)
class EvaluateReport:
    """What `evaluate` measured."""

    command: str = "step2_tools evaluate"
    headline: str
    model: str
    seed: int
    styles: dict[str, StyleSummary]  # by the style's name
    by_kind: dict[str, KindSummary]  # empty without the style `native`
    wrong: list[WrongCalls]
    machine: str


@dataclass(frozen=True)
class BeforeAfter:
    """The share of questions with right calls, before and after a change."""

    before: Share
    after: Share


@dataclass(frozen=True)
class PairedDifference(BeforeAfter):
    """The same questions before and after a change, and a paired test of the difference."""

    difference: float  # of the shares
    interval_95: list[float] | None  # of the difference; None for fewer than 2 questions
    gained: int  # questions that are right only after the change
    lost: int  # questions that were right only before it
    p: float  # of McNemar's exact test


def evaluate_styles(
    settings: Settings,
    client: anthropic.Anthropic,
    tools: Sequence[ToolDefinition],
    questions: Sequence[Question],
    names: Sequence[str] | None = None,
    limit: int | None = None,
) -> EvaluateReport:
    """Ask every question in every style, and measure how often the calls are right.

    Args:
        tools: the definitions of the assistant's tools, for questions without `tools` of their own.
        questions: labelled questions from `questions.read` or `bfcl.read`.
        names: the styles (styles.py); the default ones if None.
        limit: use only this many questions, drawn with the settings' seed.

    Raises:
        UserError: a style is unknown or not for this model, or the limit is below 1.
        anthropic.APIError, httpx2.TransportError: a request fails.
    """
    family = prompts.family_of(settings.model)
    styles = [parse_style(name, family) for name in names or DEFAULT]
    is_served = settings.base_url or lookup(settings.model).is_claude
    if is_served and not all(style.grammar for style in styles):
        raise UserError("style 'native -grammar' is for the embedded model: choose another style or model")
    questions = subset(questions, limit, settings.seed)
    summaries: dict[str, StyleSummary] = {}
    kinds: dict[str, KindSummary] = {}
    wrong: list[WrongCalls] = []
    for style in styles:
        outcomes = measure(client, settings.model, tools, style, questions)
        summaries[style.name] = summarize(outcomes, style)
        wrong += wrong_calls(outcomes, style)
        if style.name == "native":
            kinds = summarize_kinds(outcomes)
    best = max(summaries, key=lambda name: summaries[name].right_arguments.hits)
    right = percent(summaries[best].right_arguments)
    return EvaluateReport(
        headline=f"calls right in {right} of {len(questions)} labelled questions ({best}, {settings.model})",
        model=settings.model,
        seed=settings.seed,
        styles=summaries,
        by_kind=kinds,
        wrong=wrong,
        machine=hardware.describe(),
    )


def measure(
    client: anthropic.Anthropic,
    model: str,
    tools: Sequence[ToolDefinition],
    style: Style,
    questions: Sequence[Question],
) -> list[Outcome]:
    """Ask the questions in one style; the SDK's exceptions are not caught."""
    outcomes = []
    for question in track(f"style {style.name}", questions):
        offered = tools if question.tools is None else question.tools
        start = time.perf_counter()
        reply = ask_in_style(client, model, style, question.text, offered)
        seconds = time.perf_counter() - start
        outcomes.append(Outcome(question, reply, score(reply.calls, question.calls, offered), seconds))
    return outcomes


def share_of(outcomes: Sequence[Outcome], metric: Metric) -> Share:
    """The share of outcomes with this score."""
    return share(sum(getattr(outcome.score, metric) for outcome in outcomes), len(outcomes))


def summarize(outcomes: Sequence[Outcome], style: Style) -> StyleSummary:
    """One style's figures."""
    replies = [outcome.reply for outcome in outcomes]
    return StyleSummary(
        n=len(outcomes),
        valid=share_of(outcomes, "valid"),
        right_tool=share_of(outcomes, "right_tool"),
        right_arguments=share_of(outcomes, "right_arguments"),
        needless=share_of(outcomes, "needless"),
        input_tokens=round(statistics.mean(reply.input_tokens for reply in replies), 1),
        output_tokens=round(statistics.mean(reply.output_tokens for reply in replies), 1),
        seconds=round(statistics.median(outcome.seconds for outcome in outcomes), 3),
        prompt=f"{style.prompt.id} v{style.prompt.version}, sha256 {style.prompt.sha256[:12]}",
    )


def summarize_kinds(outcomes: Sequence[Outcome]) -> dict[str, KindSummary]:
    """Right tool and right arguments for each kind of question."""
    groups: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault(outcome.question.kind, []).append(outcome)
    return {
        kind: KindSummary(share_of(group, "right_tool"), share_of(group, "right_arguments"))
        for kind, group in groups.items()
    }


def wrong_calls(outcomes: Sequence[Outcome], style: Style) -> list[WrongCalls]:
    """The questions whose calls were not right in this style."""
    wrong = []
    for outcome in outcomes:
        if not outcome.score.right_arguments:
            question = outcome.question
            reply = outcome.reply
            wrong.append(
                WrongCalls(
                    style=style.name,
                    id=question.id,
                    question=question.text,
                    expected=question.calls,
                    calls=reply.calls,
                    text=reply.text[:500],
                )
            )
    return wrong


def compare(before: Sequence[Outcome], after: Sequence[Outcome], metric: Metric) -> PairedDifference:
    """Shares before and after a change on the same questions, and a paired test of the difference.

    Styles whose intervals overlap may still differ significantly on the same questions. The interval of the
    difference is a bootstrap over questions; p is from McNemar's exact test.
    """
    changes = []  # for each question: 1.0 gained, -1.0 lost, 0.0 the same
    for old, new in zip(before, after, strict=True):
        change = getattr(new.score, metric) - getattr(old.score, metric)
        changes.append(float(change))
    gained = changes.count(1.0)
    lost = changes.count(-1.0)
    interval = bootstrap(changes)
    return PairedDifference(
        before=share_of(before, metric),
        after=share_of(after, metric),
        difference=round(statistics.mean(changes), 4),
        interval_95=[round(bound, 3) for bound in interval] if interval else None,
        gained=gained,
        lost=lost,
        p=float(f"{sign_test(gained, lost):.2g}"),
    )
