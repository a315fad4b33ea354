"""Step 5, the hidden tests: prices, rates, percentiles, replays and regressions."""

import pytest

from classroom.protocol.wire import Record
from classroom.rubrics.step5_public import CHECK, COST_OF, RATES, ROW, STATE_OF, row_of, sha_of
from classroom.rubrics.step5_scenes import Clock, check_percentiles


@pytest.mark.rubric("5.1", points=3)
def test_nothing_is_free_and_unknown_is_unknown(submission, draw):
    """No tokens cost 0.0; an unknown price or count makes the cost unknown; long prompts cost more."""
    from shared.catalog import catalog, default

    unpriced = [default("chat").id, default("smoke").id, f"org/{draw.words(1)[0]}", None]
    for model in [default("claude").id, *unpriced]:
        n = draw.randint(1, 5_000)
        for tokens in ((0, 0), (0, n), (n, 0), (None, n), (n, None), (0, None), (None, 0), (None, None)):
            submission.check(COST_OF, model, *tokens)
    for name, spec in catalog().items():
        if spec.price and spec.price.long_prompt:
            above = spec.price.long_prompt.above
            for n in (above, above + 1, above + draw.randint(2, 50_000), draw.randint(1, above)):
                submission.check(COST_OF, name, n, draw.randint(1, 900))


@pytest.mark.rubric("5.2", points=3, times=3)
def test_it_fills_up_steadily(submission, draw):
    """Buckets fill up continuously, also while calls are refused, and never beyond their size."""
    clock = Clock(draw.randint(1, 1000) / 8)
    per_second, burst = draw.choice([0.25, 0.5, 1.0, 2.0]), draw.choice([1.0, 2.0, 2.5, 4.0])
    limit = submission.make(RATES, per_second, burst, clock=clock.read)
    for _ in range(25):
        clock.now += draw.choice([0.0, 0.125, 0.125, 0.5, 1.0, 9.0])  # exact in binary
        limit.check("take", "ada")


@pytest.mark.rubric("5.2", points=2, times=3)
def test_everybody_has_a_bucket(submission, draw):
    """Each caller has a bucket of their own, which is full at first."""
    clock, names = Clock(0.0), draw.names(3)
    limit = submission.make(RATES, 0.5, float(draw.randint(1, 3)), clock=clock.read)
    for i in range(24):
        clock.now += draw.choice([0.0, 0.25])
        limit.check("take", draw.choice(names[: 1 + i // 8]))


@pytest.mark.rubric("5.2", points=2, times=2)
def test_who_has_not_asked_for_longest_is_forgotten(submission, draw):
    """When there are too many buckets, the one that was used least recently goes; a refused call is a use."""
    from step5_serving.api.rates import MOST

    clock, names = Clock(0.0), draw.names(8)
    limit = submission.make(RATES, 0.125, 2.0, clock=clock.read)
    for who in (*names[:5], *draw.choices(names[:5], k=15)):
        clock.now += 0.125
        limit.check("take", who)
    others = {f"caller {i}": (1.0, clock.now) for i in range(MOST - 5)}
    limit.part("_buckets").call("update", others)  # now there are as many as may be
    known, new = draw.sample(names[:5], 2), names[5 : 5 + draw.randint(1, 3)]
    for who in (*known, *new, *draw.sample(names[:5], 5)):
        limit.check("take", who)


@pytest.mark.rubric("5.3", points=3)
def test_percentiles_of_groups(submission, draw):
    """Each group has its own ranks: by one key, and by two."""
    for groups in (1, 1, 2):
        names, places, n = draw.names(4), draw.words(2), draw.randint(20, 70)
        rows = [[draw.choice(names), draw.choice(places), 1, draw.uniform(1, 900)] for _ in range(n)]
        check_percentiles(submission, rows, groups)


@pytest.mark.rubric("5.3", points=2)
def test_unknown_values_and_other_rows(submission, draw):
    """NULLs and rows outside `where` are neither ranked nor counted."""
    for groups in (0, 1, 1):
        names = draw.names(3)
        rows = [
            [draw.choice(names), draw.randint(1, 9), draw.choice([None, draw.uniform(1, 900)])]
            for _ in range(draw.randint(30, 60))
        ]
        rows += [["nobody", 9, None], ["before", 1, 5.0]]
        check_percentiles(submission, rows, groups, draw.randint(3, 6))


@pytest.mark.rubric("5.3", points=2)
def test_few_values_equal_values_and_none(submission, draw):
    """One value, 19 to 21, many equal ones; without any value there is a row of NULLs, or no group."""
    for n in (1, 2, 3, 19, 20, 21, 40, 100):
        rows = [["a", 1, float(draw.randint(1, 12))] for _ in range(n)]
        check_percentiles(submission, rows, draw.randint(0, 1))
    for groups in (0, 1):
        check_percentiles(submission, [], groups)
        check_percentiles(submission, [["a", 1, None], ["b", 1, None]], groups)


@pytest.mark.rubric("5.4", points=4, times=3)
def test_what_can_not_be_made_again(submission, draw):
    """Another route, a failed call, a missing or changed text; an empty answer can be replayed."""
    row = row_of(draw, 3)
    place = draw.randrange(3)
    gone, other = ([dict(each) for each in row["sources"]] for _ in range(2))
    gone[place]["text"] = None
    other[place]["text"] = row["sources"][(place + 1) % 3]["text"]
    fine = [{}, {"prompt": None}, {"answer": ""}, {"sources": []}]
    wrong = [
        {"route": draw.choice(["messages", "chat.completions"])},
        {"status": draw.choice([400, 429, 503]), "error_type": "x"},
        {"status": 503, "answer": None},
        {"answer": None},
        {"sources": gone},
        {"sources": other},
        {"prompt": {**row["prompt"], "text": None}},
    ]
    for change in fine + wrong:
        submission.check(CHECK, {**row, **change})


def join(run):
    """Neighbouring chunks, joined by newlines."""
    return "\n".join(each.text for each in run)


@pytest.mark.rubric("5.4", points=3)
def test_what_became_of_a_passage(submission, draw):
    """A passage is unchanged if some run of neighbouring chunks gives exactly its text."""

    def state(passage, chunks):
        fields = [{"text": text, "number": number} for number, text in enumerate(chunks)]
        document = [Record("classroom.drivers.step5:Chunk", each) for each in fields]
        source = {"number": 1, "document": "a.md", "place": "a.md", "text": passage}
        submission.check(STATE_OF, {**source, "sha256": sha_of(passage)}, document, join)

    for _ in range(3):
        chunks = [draw.text(draw.randint(1, 6)) for _ in range(8)]
        first, last = sorted(draw.sample(range(9), 2))
        run = "\n".join(chunks[first:last])
        for passage in (run, chunks[last - 1], "\n".join(chunks), run + " ", run[:-1], run[1:]):
            state(passage, chunks)
        state("\n".join([chunks[0], chunks[2]]), chunks)
        state(run, draw.sample(chunks, 8))
        state(run, [])
    many = [draw.text(2) for _ in range(60)]
    for n in (39, 40, 41):
        first = draw.randint(0, 60 - n)
        state("\n".join(many[first : first + n]), many)
    word = draw.words(1)[0]
    state(f"{word}\n{word}\nthe end", [word, word, word, "the end"])


def values(draw, mean, spread, n):
    return [max(0.0, draw.gauss(mean, spread * mean)) for _ in range(n)]


@pytest.mark.rubric("5.5", points=2)
def test_whichever_way_is_bad(submission, draw):
    """Times and costs are worse when higher, confidence when lower; an improvement is no regression."""
    from step5_serving.telemetry.report import MEASURES

    for measure in MEASURES:
        mean = draw.uniform(0.3, 0.6)
        before = {measure.of: values(draw, mean, 0.1, 60)}
        for factor in (0.6, 1.5):
            now = {measure.of: values(draw, factor * mean, 0.1, 50)}
            submission.check(ROW, measure, now, before, 0.1)


@pytest.mark.rubric("5.5", points=3)
def test_neither_noise_nor_trifles(submission, draw):
    """A large difference that may be chance is no regression, nor is a certain one within the tolerance."""
    from step5_serving.telemetry.report import MEASURES

    for measure in draw.sample(MEASURES, 3):
        sign = 1 if measure.up_is_bad else -1
        mean = draw.uniform(0.4, 0.6)
        before = {measure.of: values(draw, mean, 0.02, 100)}
        for by in (0.05, 0.3):  # sure, but small; and not
            now = {measure.of: values(draw, mean * (1 + sign * by), 0.02, 100)}
            submission.check(ROW, measure, now, before, 0.15)
        noisy = {measure.of: values(draw, mean, 0.9, 20)}
        for _ in range(3):  # large, and as good as never sure
            now = {measure.of: values(draw, mean * (1 + sign * 0.3), 0.9, 20)}
            submission.check(ROW, measure, now, noisy, 0.01)


@pytest.mark.rubric("5.5", points=2)
def test_of_too_little_nothing_is_claimed(submission, draw):
    """Fewer than twenty values on either side, none, no baseline, or one that doesn't know the measure."""
    from step5_serving.telemetry.report import MEASURES

    for measure in draw.sample(MEASURES, 2):
        sides = [{measure.of: values(draw, 0.5, 0.1, n)} for n in (40, draw.randint(1, 19), 0)]
        for now in sides:
            for before in (*sides, {"other": sides[0][measure.of]}, None):
                submission.check(ROW, measure, now, before, 0.1)
        flat = {measure.of: [0.0] * 30}  # the baseline's size is 0, and the difference none
        submission.check(ROW, measure, flat, flat, 0.1)
