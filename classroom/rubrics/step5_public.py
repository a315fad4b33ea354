"""Step 5, the public tests: each draws its inputs, so that a class can have its own."""

import hashlib

import pytest

from classroom.drivers.step5 import VOCABULARY
from classroom.rubrics import step5_scenes as scenes

COST_OF, RATES = "step5_serving.telemetry.prices:cost_of", "step5_serving.api.rates:Rates"
CHECK, STATE_OF = (f"step5_serving.evaluation.replay:{name}" for name in ("check", "state_of"))
ROW = "step5_serving.telemetry.report:_row"


@pytest.mark.rubric("5.1", points=2, visibility="public")
def test_a_call_with_a_price_and_one_without(submission, draw):
    """A call of a model with a price has a cost; without a price it is unknown, not free."""
    from shared.catalog import catalog, default

    priced = [name for name, spec in catalog().items() if spec.price]
    for name in draw.sample(priced, 3):
        submission.check(COST_OF, name, draw.randint(100, 90_000), draw.randint(1, 2_000))
    for name in (default("chat").id, f"org/{draw.words(1)[0]}", None):
        submission.check(COST_OF, name, draw.randint(1, 900), 5)


@pytest.mark.rubric("5.2", points=3, times=3, visibility="public")
def test_a_burst_then_a_wait(submission, draw):
    """A burst is served at once; then the answer is how long to wait for the next token."""
    per_second, burst = draw.choice([0.5, 1.0, 2.0, 4.0]), float(draw.randint(1, 5))
    limit = submission.make(RATES, per_second, burst, clock=scenes.Clock(draw.uniform(1, 1000)).read)
    for _ in range(int(burst) + 2):
        limit.check("take", "ada")


@pytest.mark.rubric("5.3", points=3, visibility="public")
def test_percentiles_of_all_rows(submission, draw):
    """p50 and p95 of all values, for any number of them."""
    for n in (draw.randint(2, 9), draw.randint(10, 30), draw.randint(31, 60)):
        scenes.check_percentiles(submission, [[1, draw.uniform(1, 900)] for _ in range(n)], 0)


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


@pytest.mark.rubric("5.4", points=3, times=3, visibility="public")
def test_a_call_with_all_it_takes(submission, draw):
    """What the call was answered from is returned; a passage that has changed since is refused."""
    row = row_of(draw, draw.randint(1, 3))
    submission.check(CHECK, row)
    draw.choice(row["sources"])["text"] += "."
    submission.check(CHECK, row)


@pytest.mark.rubric("5.5", points=3, visibility="public")
def test_a_figure_and_one_that_is_slower(submission, draw):
    """A figure with its interval; then compared with a baseline that is twice as fast, or as fast."""
    from step5_serving.telemetry.report import MEASURES

    for measure in MEASURES[:2]:
        before = {"total_ms": [draw.lognormvariate(4, 0.3) for _ in range(80)]}
        submission.check(ROW, measure, before, None, 0.1)
        for factor in (2.0, 1.0):
            now = {"total_ms": [factor * draw.lognormvariate(4, 0.3) for _ in range(60)]}
            submission.check(ROW, measure, now, before, 0.1)


@pytest.mark.rubric("5.6", points=4, visibility="public")
def test_first_come_first_served(submission, draw):
    """N callers run, the others wait and get in first come, first served."""
    for running in (1, 2, 3):
        names = draw.names(draw.randint(5, 9))
        callers, first = scenes.Callers(submission, running, 9), draw.randint(1, 4)
        for name in names[:first]:
            callers.come(name)
        callers.come(*names[first:])
        for leaving in (draw.sample(names, len(names)), names):
            callers.leave(leaving, [draw.uniform(0.1, 9) for _ in names])


def calls_of(draw, n, **more):
    """Calls that share passages and prompts."""
    texts, prompts = draw.words(4), draw.names(2)
    return [
        {
            "question": f"{draw.text(4)} {draw.getrandbits(40)}",
            "prompt": draw.choice([None, *prompts]),
            "passages": draw.sample(texts, draw.randint(0, 3)),
            **more,
        }
        for _ in range(n)
    ]


@pytest.mark.rubric("5.7", points=3, visibility="public")
def test_a_batch_in_one_commit(submission, draw):
    """A batch is written in one commit, or not at all; a running call's row is replaced."""
    batches = scenes.WrittenBatches(submission)
    for _ in range(3):
        given = calls_of(draw, draw.randint(1, 4))
        batches.write([{**draw.choice(given), "running": True}])
        batches.write(given + calls_of(draw, 1, broken="answer"))  # which can't be written: none is
        batches.write(given)


@pytest.mark.rubric("5.7", points=3, visibility="public")
def test_what_waits_is_taken_together(submission, draw):
    """Everything in the queue is one batch; it does not wait for more."""
    for n in (1, draw.randint(2, 5), draw.randint(6, 9)):
        scenes.check_takes(submission, draw.words(n))


@pytest.mark.rubric("5.8", points=2, times=3, visibility="public")
def test_a_prompt_is_read_in_chunks(submission, draw):
    """A long prompt is read in chunks, up to its last token."""
    batcher = scenes.Batcher(submission, draw, 8, draw.randint(3, 9))
    batcher.sit(draw.ids(draw.randint(10, 30), VOCABULARY), 0)
    for _ in range(4):
        batcher.read()


@pytest.mark.rubric("5.8", points=4, times=3, visibility="public")
def test_some_texts(submission, draw):
    """Three texts at the same time in four slots: each is the same as if it were alone."""
    asked = [[draw.ids(draw.randint(2, 20), VOCABULARY), draw.randint(1, 9)] for _ in range(3)]
    scenes.Batcher(submission, draw, 4, 8).play([asked])
