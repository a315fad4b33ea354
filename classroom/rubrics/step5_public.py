"""Step 5, what learners see: each test draws its inputs, so that a class can have its own."""

import hashlib

import pytest

from classroom.rubrics.step5_batcher import Batcher
from classroom.rubrics.step5_scenes import Books, Clock, Doors, ranked, takes

# --- 5.1 ------------------------------------------------------------------------------------------------


@pytest.mark.rubric(
    "5.1",
    points=2,
    visibility="public",
    title="The price of a call",
    hint=(
        "There are three cases: nothing was read or written; something is unknown; all is known.",
        "Ask `price_of` only where there is a model. `not input_tokens` "
        "is true for 0 and for None, and these differ.",
        "`if price is None or input_tokens is None or ...: return None`, then `price.cost(...)`",
    ),
)
def test_a_call_with_a_price_and_one_without(submission, draw):
    """A call of a model with a price costs it; that of another is unknown, not free."""
    from shared.catalog import catalog, default

    priced = [name for name, spec in catalog().items() if spec.price]
    for name in draw.sample(priced, 3):
        tokens = draw.randint(100, 90_000), draw.randint(1, 2_000)
        submission.check("step5_serving.telemetry.prices:cost_of", name, *tokens)
    for name in (default("chat").id, f"org/{draw.words(1)[0]}", None):
        submission.check("step5_serving.telemetry.prices:cost_of", name, draw.randint(1, 900), 5)


# --- 5.2 ------------------------------------------------------------------------------------------------


@pytest.mark.rubric(
    "5.2",
    points=3,
    visibility="public",
    title="A token bucket",
    hint=(
        "How full a bucket is follows from when it was looked at last; it holds no more than `burst`.",
        "Work out the tokens of now first, of a new caller, too. Then take one if there is one, and store "
        "both tokens and time in any case: what was filled in must not be filled in again.",
        "`min(self.burst, tokens + ... * self.per_second)`, where the dots are the seconds since; what is "
        "missing to 1.0 comes at `per_second`",
    ),
)
def test_a_burst_then_a_wait(submission, draw):
    """A burst goes through at once, and then it is said how long to wait for the next token."""
    for _ in range(3):
        per_second, burst = draw.choice([0.5, 1.0, 2.0, 4.0]), float(draw.randint(1, 5))
        now = draw.uniform(1, 1000)
        limit = submission.make("step5_serving.api.rates:Rates", per_second, burst, clock=Clock(now).read)
        for _ in range(int(burst) + 2):
            limit.check("take", "ada")


# --- 5.3 ------------------------------------------------------------------------------------------------


@pytest.mark.rubric(
    "5.3",
    points=3,
    visibility="public",
    title="Percentiles in SQL",
    hint=(
        "Number the rows of a group in order and count them; the rank is ⌈p·n/100⌉, which whole numbers can "
        "do. NULL is not a value.",
        "An inner SELECT gives each value its `row_number()` and its group's `count()`, both `.over(...)` "
        "the group; an outer one picks, in each group, the value whose number is the rank.",
        "`sa.func.max(sa.case((inner.c.rank == (p * inner.c.n + 99) // 100, inner.c.value)))` picks it: all "
        "others are NULL there",
    ),
)
def test_percentiles_of_all_rows(submission, draw):
    """p50 and p95 of all values, for any number of them."""
    for n in (draw.randint(2, 9), draw.randint(10, 30), draw.randint(31, 60)):
        rows = [[1, draw.uniform(1, 900)] for _ in range(n)]
        ranked(submission, rows, 0)


# --- 5.4 ------------------------------------------------------------------------------------------------


def sha_of(text):
    return hashlib.sha256(text.encode()).hexdigest()


def row_of(draw, n):
    """A call from n passages that can be made again, as telemetry shows it."""
    sources = []
    for number in range(1, n + 1):
        text, document = draw.text(12), f"{draw.words(1)[0]}.md"
        source = {"number": number, "document": document, "place": document, "text": text}
        sources.append({**source, "chunk": draw.randint(1, 99), "sha256": sha_of(text)})
    template = draw.text(9)
    prompt = {"id": "answer", "version": draw.randint(1, 5), "sha256": sha_of(template), "text": template}
    row = {"trace_id": f"{draw.getrandbits(128):032x}", "route": "query", "status": 200, "error_type": None}
    row |= {"question": draw.text(6), "answer": draw.text(8), "parameters": {"k": 5}}
    return {**row, "sources": sources, "prompt": prompt}


@pytest.mark.rubric(
    "5.4",
    points=3,
    visibility="public",
    title="Make a call again",
    hint=(
        "A replay with other passages or another prompt would blame the model for what the documents did.",
        "`check`: refuse what can't be made again, one reason after the other; a passage is the same if the "
        "hash of its text still is the one beside it. `state_of`: join run after run of neighbours until one "
        "has that hash.",
        "`Source(**{field: each[field] for field in Source.__slots__})`; "
        "two loops, `first` over the document and `last` behind it, and in them `join(document[first:last])`",
    ),
)
def test_a_call_with_all_it_takes(submission, draw):
    """What a call was answered from comes back; a passage that was changed since is refused."""
    for _ in range(3):
        row = row_of(draw, draw.randint(1, 3))
        submission.check("step5_serving.evaluation.replay:check", row)
        changed = draw.choice(row["sources"])
        changed["text"] += "."
        submission.check("step5_serving.evaluation.replay:check", row)


# --- 5.5 ------------------------------------------------------------------------------------------------


@pytest.mark.rubric(
    "5.5",
    points=3,
    visibility="public",
    title="A regression",
    hint=(
        "Draw both sides anew, take the interval of the difference, and ask on which side of zero all of it "
        "is.",
        "Turn the sign where down is bad; then worse is always above zero, and both ends of the interval "
        "have to be there. How large the difference is, is another question than how sure.",
        "`_interval(draws - other)` has a low and a high end; `min(sign * low, sign * high) > 0`, and "
        "`sign * difference > ...`",
    ),
)
def test_a_figure_and_one_that_is_slower(submission, draw):
    """A figure with its interval; then beside a baseline that was twice as fast, or just as fast."""
    from step5_serving.telemetry.report import MEASURES

    for measure in MEASURES[:2]:
        before = {"total_ms": [draw.lognormvariate(4, 0.3) for _ in range(80)]}
        submission.check("step5_serving.telemetry.report:_row", measure, before, None, 0.1)
        for factor in (2.0, 1.0):
            now = {"total_ms": [factor * draw.lognormvariate(4, 0.3) for _ in range(60)]}
            submission.check("step5_serving.telemetry.report:_row", measure, now, before, 0.1)


# --- 5.6 ------------------------------------------------------------------------------------------------


@pytest.mark.rubric(
    "5.6",
    points=4,
    visibility="public",
    title="The doors",
    hint=(
        "What if a caller is cancelled in the very moment in which his turn has come?",
        "Who leaves counts the next one in, and then tells him: so the place is never free in between. Who "
        "is cancelled asks his future: was it set (then the place is his, and he passes it on), or not (then "
        "he leaves the queue, where he may not stand any more)?",
        "Who waits does so in a `try` with `await turn`; in its `except asyncio.CancelledError`, a `turn` "
        "that is `done()` but not `cancelled()` was set. `_leave`: `while` there is somebody and room, "
        "`popleft()`, and go on where that one is `done()`.",
    ),
)
def test_first_come_first_served(submission, draw):
    """N run, the others wait, and come in in the order in which they came."""
    for running in (1, 2, 3):
        names = draw.names(draw.randint(5, 9))
        doors, first = Doors(submission, running, 9), draw.randint(1, 4)
        for name in names[:first]:
            doors.moment(("come", name))
        doors.moment(*(("come", name) for name in names[first:]))
        for leaving in (draw.sample(names, len(names)), names):
            doors.leave(leaving, [draw.uniform(0.1, 9) for _ in names])


# --- 5.7 ------------------------------------------------------------------------------------------------


@pytest.mark.rubric(
    "5.7",
    points=3,
    visibility="public",
    title="A row before the reply",
    hint=(
        "Take one item and wait for it, then all that is there without waiting. A failed commit is "
        "everybody's in it, and nobody's after it.",
        "`write_rows`: one `with store.writing()` has all that is written, in a `try`. `_wake`: "
        "collect the futures by their loop first.",
        "`connection.exec_driver_sql(store.put_call, [call_row(call) for call in batch])`, and the bodies; "
        "`self._queue.get()` once, then `get_nowait()` until `Empty`",
    ),
)
def test_a_batch_in_one_commit(submission, draw):
    """Rows and bodies of a batch are there after one commit; a stream's row is replaced."""
    books = Books(submission)
    for _ in range(3):
        texts, prompts = draw.words(3), draw.names(2)
        given = [
            {"question": draw.text(5), "prompt": draw.choice(prompts), "passages": draw.sample(texts, 2)}
            for _ in range(draw.randint(1, 4))
        ]
        books.write([{**draw.choice(given), "running": True}])
        books.write(given)


@pytest.mark.rubric("5.7", points=3, visibility="public")
def test_what_waits_is_taken_together(submission, draw):
    """All that waits is one batch, and nothing else is waited for."""
    for n in (1, draw.randint(2, 5), draw.randint(6, 9)):
        takes(submission, draw.words(n))


# --- 5.8 ------------------------------------------------------------------------------------------------


def prompt_of(draw, n):
    """So many ids."""
    return [draw.randrange(64) for _ in range(n)]


@pytest.mark.rubric(
    "5.8",
    points=2,
    visibility="public",
    title="The batcher's loop",
    hint=(
        "All but the last token of a prompt are computed as a prompt; the last one goes through the forward "
        "pass that everybody goes through.",
        "`schedule`: count down what is left of `chunk`, and call `reuse` before a prompt is read on. "
        "`step`: four calls, in the order of the docstring of the module. `collect`: note `num_computed`, "
        "then `keep` a prompt's blocks or append the new tokens.",
        "The ids of a prompt that come next begin at `num_computed`, and end at `num_prefill`, or `left` "
        "tokens later; after a decode `num_computed` is `span.end`, but never more than all ids but the last",
    ),
)
def test_a_prompt_is_read_in_chunks(submission, draw):
    """A long prompt is read in chunks, all but its last token."""
    for _ in range(3):
        batcher = Batcher(submission, draw, 8, draw.randint(3, 9))
        batcher.sit(prompt_of(draw, draw.randint(10, 30)), 0)
        for _ in range(4):
            batcher.read()


@pytest.mark.rubric("5.8", points=4, visibility="public")
def test_some_texts(submission, draw):
    """Three texts at a time in four slots, the same as if each were alone, in as many forwards."""
    for _ in range(3):
        asked = [[prompt_of(draw, draw.randint(2, 20)), draw.randint(1, 9)] for _ in range(3)]
        Batcher(submission, draw, 4, 8).play([asked])
