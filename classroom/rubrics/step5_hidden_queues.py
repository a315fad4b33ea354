"""Step 5, the hidden tests: admission, the writer, the batcher."""

import pytest

from classroom.drivers.step5 import VOCABULARY
from classroom.rubrics.step5_public import calls_of
from classroom.rubrics.step5_scenes import Batcher, Callers, WrittenBatches, check_takes


@pytest.mark.rubric("5.6", points=3)
def test_a_full_house(submission, draw):
    """Callers beyond N and M are refused with the recent length of calls; later there is room again."""
    for running, waiting in ((1, 0), (2, 1), (draw.randint(1, 3), draw.randint(1, 3))):
        names, came = draw.names(30), []
        callers = Callers(submission, running, waiting, seconds=True)
        for _ in range(3):
            new = [names.pop() for _ in range(running + waiting + 1)]
            callers.come(*new)
            came += new[:-1]
            callers.leave(came, [draw.randint(1, 900) / 8 for _ in came])
        callers.come(*(names.pop() for _ in range(running + waiting + 1)))


@pytest.mark.rubric("5.6", points=3, times=3)
def test_who_gives_up_waiting(submission, draw):
    """A caller who is cancelled while waiting leaves the queue, even if a place gets free at that moment."""
    inside, *queue = draw.names(6)
    callers = Callers(submission, 1, 6)
    callers.come(inside)
    callers.come(*queue)
    first, second = draw.sample(queue[1:4], 2)
    callers.moment(("cancel", first))
    callers.come("late")
    callers.moment(("cancel", queue[0]), ("go", inside, draw.random()))  # passed over by who leaves
    callers.moment(("cancel", second))
    callers.leave([*queue, "late"], [draw.random() for _ in range(6)])


@pytest.mark.rubric("5.6", points=3)
def test_in_the_moment_of_his_turn(submission, draw):
    """A caller cancelled when their turn has come passes it on; a newcomer does not jump the queue."""
    for running in (1, 1, 2):
        names = draw.names(running + draw.randint(4, 8) + 2)
        inside, queue, (early, late) = names[:running], names[running:-2], names[-2:]
        callers = Callers(submission, running, 12)
        callers.come(*inside)
        callers.come(*queue)
        # queue[0] is told, and has not run yet
        callers.moment(("go", inside[0], draw.random()), ("cancel", queue[0]))
        # queue[2] is told; somebody else arrives first
        callers.moment(("come", early), ("go", queue[1], draw.random()))
        callers.moment(("go", queue[2], draw.random()), ("cancel", queue[3]), ("come", late))
        for leaving in (draw.sample(names, len(names)), names):
            callers.leave(leaving, [draw.random() for _ in names])
        callers.moment(("end", "the end"))
        callers.leave(names, [draw.random() for _ in names])


@pytest.mark.rubric("5.6", points=2, times=3)
def test_whatever_happens(submission, draw):
    """Callers come, leave and give up at random; no place is ever lost."""
    names, came = draw.names(24), []
    callers = Callers(submission, draw.randint(1, 3), draw.randint(2, 5))
    for name in names[:20]:
        came.append(name)
        now = [("come", name)]
        for _ in range(draw.randint(0, 2)):
            who = draw.choice(came)
            now.append(draw.choice([("go", who, draw.uniform(0, 2)), ("cancel", who)]))
        callers.moment(*draw.sample(now, len(now)))
    callers.moment(("end", "the end"), ("come", names[20]))
    for _ in range(2):
        callers.leave(came, [draw.uniform(0, 2) for _ in came])
    callers.moment(("end", "again"))


@pytest.mark.rubric("5.7", points=5, times=3, timeout=30)
def test_all_or_none(submission, draw):
    """A batch fails as a whole if a call can't be written or the database is gone; the next batch works."""
    given = [calls_of(draw, draw.randint(1, 4)) for _ in range(4)]
    batches = WrittenBatches(submission)
    batches.write(given[0])
    for field, batch in zip(("model", "answer"), given[1:3], strict=True):
        failing = batch + calls_of(draw, 1, broken=field) + calls_of(draw, 1)
        batches.write(failing)
        batches.write([{**each, "broken": None} for each in failing])
    batches.write(given[3])
    batches.database.call("vanish")
    batches.write(given[0])


@pytest.mark.rubric("5.7", points=4)
def test_batches_have_a_size_and_an_end(submission, draw):
    """No batch is larger than LARGEST; None ends the queue, also with an empty last batch."""
    from step5_serving.telemetry.writer import LARGEST

    many = [f"{draw.getrandbits(60):x}" for _ in range(LARGEST + draw.randint(2, 9))]
    check_takes(submission, many)
    check_takes(submission, [*many[:LARGEST], None])
    for _ in range(3):
        words = draw.words(9)
        for n in (0, draw.randint(1, 5)):
            check_takes(submission, [*words[:n], None])
            check_takes(submission, [*words[:n], None, *words[n:]])


@pytest.mark.rubric("5.7", points=5)
def test_everybody_is_told_in_his_loop(submission, draw):
    """One call into each event loop tells its waiters; closed loops and cancelled waiters do no harm."""
    for problem in (None, draw.text(3), None):
        places = [*range(3), *(draw.randrange(3) for _ in range(6))]
        draw.shuffle(places)
        for closed, cancelled in (([], []), ([draw.randrange(3)], []), ([], draw.sample(range(9), 3))):
            submission.check("classroom.drivers.step5_rows:woken", places, problem, closed, cancelled)


@pytest.mark.rubric("5.8", points=2, times=3)
def test_prompts_are_read_in_turn(submission, draw):
    """The first prompt is read first; the next one gets what is left of the chunk."""
    batcher = Batcher(submission, draw, 8, draw.randint(4, 12))
    for _ in range(4):
        prompt = draw.ids(draw.randint(1, 25), VOCABULARY)
        batcher.sit(prompt, draw.choice([0, 0, draw.randrange(len(prompt))]))
    for _ in range(6):
        batcher.read()


@pytest.mark.rubric("5.8", points=3)
def test_what_prompts_begin_with_alike_is_computed_once(submission, draw):
    """Blocks in the prefix cache are copied, computed ones are stored there, and it holds only a few."""
    for chunk in (8, 40, 200):
        known = draw.ids(70, VOCABULARY)
        prompts = [
            known[: draw.randint(17, 70)] + draw.ids(draw.randint(1, 20), VOCABULARY) for _ in range(5)
        ]
        prompts.append(draw.ids(draw.randint(1, 40), VOCABULARY))
        batcher = Batcher(submission, draw, 3, chunk)
        batcher.play([[[prompt, 3] for prompt in draw.sample(prompts, 6)]])
        batcher.check("num_cached")


@pytest.mark.rubric("5.8", points=3, times=3)
def test_one_forward_for_everybody(submission, draw):
    """Each forward has the next tokens of every sequence whose prompt was read, also those of its guide."""
    batcher = Batcher(submission, draw, 8, 8)
    for _ in range(3):
        prompt = draw.ids(draw.randint(2, 12), VOCABULARY)
        computed = len(prompt) - draw.choice([1, 1, 1, 2])
        ends, guided = draw.sample(range(64), 4), draw.random() < 0.4
        batcher.sit(prompt, computed, draw.randint(1, 7), ends=ends, guided=guided)
    for _ in range(6):
        batcher.step()
        batcher.check("num_computed")


def arrivals_of(draw, steps):
    """Some requests before each step, some with a common beginning."""
    common, arrivals = draw.ids(40, VOCABULARY), []
    for _ in range(steps):
        arrivals.append([])
        for _ in range(draw.choice([0, 0, 1, 1, 3])):
            prompt = common[: draw.choice([0, 0, 20, 35])] + draw.ids(draw.randint(1, 30), VOCABULARY)
            ends = draw.sample(range(64), 3)
            arrivals[-1].append([prompt, draw.randint(1, 15), ends, draw.random() < 0.25])
    return arrivals


@pytest.mark.rubric("5.8", points=6)
def test_step_by_step(submission, draw):
    """Aborted requests leave before others join, new ones join at once, and long prompts block nobody."""
    for rows, chunk in ((1, 16), (2, 8), (3, draw.choice([1, 5, 8])), (5, 8)):
        arrivals = arrivals_of(draw, 12)
        came = {step: sum(map(len, arrivals[: step + 1])) for step in range(12)}
        steps = [step for step in range(3, 12) if came[step]]
        aborts = {step: [draw.randint(1, came[step])] for step in draw.sample(steps, min(3, len(steps)))}
        Batcher(submission, draw, rows, chunk).play(arrivals, aborts)
