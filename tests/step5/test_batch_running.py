"""The batcher's queue: who joins, waits and leaves, and what an error ends."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from shared.embedded.guide import Guide
from step5_serving.engines.batching.kv_cache import KVCache
from step5_serving.engines.batching.sequence import Sequence
from tests.step5.batch_parts import SCHEMA, SENTENCES, together, write
from tests.step5.service_parts import until


def test_closing_or_dropping_a_text_frees_its_slot(make, endless):
    engine = endless(make(1))
    for end in (lambda text: text.close(), lambda text: None):
        text = engine.generate(engine.encode("Once"), 1500)
        next(text)
        assert len(engine.core.scheduler.running) == 1
        end(text)
        del text
        until(lambda: len(engine.core.scheduler.running) == 0)
    assert write(engine, "The sea", 5)[2] == 5


def test_one_that_is_closed_while_it_waits_never_runs(make, endless):
    engine = endless(make(1))
    first = engine.generate(engine.encode("Once"), 2000)
    next(first)
    later = [Sequence([5, 6], 5, frozenset()) for _ in range(3)]
    for each in later:
        engine.core.add(each)
    later[1].aborted = True  # in the middle of the queue
    until(lambda: len(engine.core.scheduler.waiting) == 2)
    first.close()
    until(lambda: len(engine.core.scheduler.running) == len(engine.core.scheduler.waiting) == 0)
    assert [each.out.empty() for each in later] == [False, True, False]
    assert later[1].num_computed == 0


def test_a_request_may_arrive_while_the_queue_is_searched_for_closed_ones(make):
    scheduler, later = make().core.scheduler, Sequence([5, 6], 5, frozenset())

    class Aborted:
        def __bool__(self):
            scheduler.waiting.append(later)  # as another thread may at any moment
            return True

    scheduler.waiting.append(Sequence([5], 1, frozenset(), aborted=Aborted()))
    scheduler.admit()
    assert scheduler.running == [later]


def test_one_with_a_long_prompt_joins_and_does_not_stop_the_others(make, endless):
    engine = endless(make(chunk=8))
    decoding = engine.generate(engine.encode("Once"), 1000)
    next(decoding)
    [sequence] = engine.core.scheduler.running
    before = len(sequence.output)
    list(engine.generate([5] * 400, 1))
    assert sequence in engine.core.scheduler.running
    assert len(sequence.output) - before >= 400 / 8 - 1
    decoding.close()


def test_slots_grow_for_a_long_request_and_become_more_again(make, alone):
    engine = make(4, places=512)  # four slots of 512, or one of 2,048
    kv_cache = engine.core.scheduler.cache
    assert write(engine, SENTENCES[0]) == alone(SENTENCES[0])
    list(engine.generate([7] * 600, 3))
    assert (kv_cache.slots, kv_cache.places) == (2, 1024)
    expected = [alone(each) for each in SENTENCES]
    assert together(engine, [(each, {}) for each in SENTENCES]) == expected
    assert (kv_cache.slots, kv_cache.places) == (4, 512)
    mixed = [*SENTENCES[:3], "long " * 300, *SENTENCES[3:]]
    assert together(engine, [(each, {}) for each in mixed]) == [alone(each) for each in mixed]


def test_sequences_move_together_when_most_slots_are_empty(make, endless):
    engine = endless(make(16, places=512))
    texts = [engine.generate(engine.encode(f"Row {n}"), 200) for n in range(12)]
    with ThreadPoolExecutor(12) as pool:
        begun = list(pool.map(next, texts))
    for text in texts[:11]:
        text.close()
    until(lambda: [each.slot for each in engine.core.scheduler.running] == [0])
    moved = begun[11] + "".join(texts[11])
    assert moved == "".join(engine.generate(engine.encode("Row 11"), 200))


def test_no_memory_for_a_long_one_ends_that_one_and_the_loop_goes_on(make, monkeypatch, alone):
    engine, resize = make(), KVCache.resize
    write(engine, SENTENCES[4])
    assert len(engine.core.scheduler.prefixes) > 0

    def fails(self, slots, places, held):
        if places > 512:
            raise MemoryError("no room")
        resize(self, slots, places, held)

    monkeypatch.setattr(KVCache, "resize", fails)
    with pytest.raises(MemoryError):
        list(engine.generate([7] * 600, 3))
    until(lambda: engine.core._thread is None)
    assert len(engine.core.scheduler.prefixes) == 0  # a failed step may have left it half written
    assert write(engine, SENTENCES[0]) == alone(SENTENCES[0])


def test_a_grammar_that_fails_ends_its_own_text_only(make, monkeypatch, alone):
    engine = make()
    monkeypatch.setattr(Guide, "choose", lambda *args: 1 / 0)

    def guided():
        with pytest.raises(ZeroDivisionError):
            write(engine, "Once", schema=SCHEMA)

    thread = threading.Thread(target=guided)
    thread.start()
    assert write(engine, SENTENCES[0]) == alone(SENTENCES[0])
    thread.join(60)
    assert not thread.is_alive()


def test_its_thread_ends_with_the_work_and_the_next_request_starts_one(make):
    engine = make()
    first = write(engine, "Once upon a time")
    until(lambda: engine.core._thread is None)
    assert "batch" not in {each.name for each in threading.enumerate()}
    assert write(engine, "Once upon a time") == first
    for _ in range(50):  # one that comes just as the thread ends is not forgotten
        write(engine, "Once", 1)
