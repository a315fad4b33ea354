"""Step 5's rubric: the reference has 100 points, a stub none, mistakes cost some, another right way none."""

import pytest

from tests.classroom.rubric_helpers import (
    altered,
    assert_all_pass,
    lost,
    not_attempted,
    of_wrong,
)

PRICES = "step5_serving.telemetry.prices:cost_of"
TAKE = "step5_serving.api.rates:Rates.take"
PERCENTILES = "step5_serving.telemetry.summary:percentiles"
CHECK, STATE = (f"step5_serving.evaluation.replay:{name}" for name in ("check", "state_of"))
ROW = "step5_serving.telemetry.report:_row"
ENTER, LEAVE = (f"step5_serving.api.admission:Admission.{name}" for name in ("_enter", "_leave"))
WRITE = "step5_serving.telemetry.writer:write_rows"
TAKES, WAKE = (f"step5_serving.telemetry.writer:Recorder.{name}" for name in ("_take", "_wake"))
SCHEDULE = "step5_serving.engines.batching.scheduler:Scheduler.schedule"
STEP, COLLECT = (f"step5_serving.engines.batching.core:EngineCore.{name}" for name in ("step", "collect"))
SOLUTIONS = {
    "5.1": [PRICES],
    "5.2": [TAKE],
    "5.3": [PERCENTILES],
    "5.4": [CHECK, STATE],
    "5.5": [ROW],
    "5.6": [ENTER, LEAVE],
    "5.7": [WRITE, TAKES, WAKE],
    "5.8": [SCHEDULE, STEP, COLLECT],
}


def changed(*edits):
    """The reference, edited: what stands at each target then. An edit is (target, old text, new text)."""
    return {target: function for edit in edits for target, function in altered(*edit).items()}


def id_of(edits):
    return next(id for id, targets in SOLUTIONS.items() if edits[0][0] in targets)


def test_stubs_are_not_attempted():
    stubs = {target: not_attempted(id) for id, targets in SOLUTIONS.items() for target in targets}
    outcomes = of_wrong("step5", stubs)
    assert {each.status for each in outcomes.values()} == {"not attempted"}, {
        name: each.cause for name, each in outcomes.items() if each.status != "not attempted"
    }


# What went wrong: the tests that have to notice, and what was edited.
MISTAKES = {
    # --- 5.1
    "an unknown price is 0": (
        {"test_a_call_with_a_price_and_one_without", "test_nothing_is_free_and_unknown_is_unknown"},
        (PRICES, "        return None\n", "        return 0.0\n"),
    ),
    "0 tokens have an unknown price": (
        {"test_nothing_is_free_and_unknown_is_unknown"},
        (PRICES, "if input_tokens == 0 and output_tokens == 0:", "if False:"),
    ),
    "long prompts cost as short ones": (
        {"test_nothing_is_free_and_unknown_is_unknown"},
        (
            PRICES,
            "price.cost(input_tokens, output_tokens)",
            "(input_tokens * price.input + output_tokens * price.output) / 1e6",
        ),
    ),
    # --- 5.2
    "it is never full": ({"test_it_fills_up_steadily"}, (TAKE, "min(self.burst, tokens", "min(1e9, tokens")),
    "whole tokens only": (
        {"test_it_fills_up_steadily", "test_everybody_has_a_bucket"},
        (TAKE, "* self.per_second)", "* self.per_second // 1)"),
    ),
    "one bucket for all": (
        {"test_everybody_has_a_bucket", "test_who_has_not_asked_for_longest_is_forgotten"},
        (TAKE, "now = self._clock()", "now, who = self._clock(), 'all'"),
    ),
    "who came first is forgotten": (
        {"test_who_has_not_asked_for_longest_is_forgotten"},
        (TAKE, "self._buckets.move_to_end(who)", "pass"),
    ),
    # --- 5.3
    "the rank is rounded down": (
        {
            "test_percentiles_of_all_rows",
            "test_percentiles_of_groups",
            "test_unknown_values_and_other_rows",
            "test_few_values_equal_values_and_none",
        },
        (PERCENTILES, "(p * inner.c.n + 99) // 100", "p * inner.c.n // 100"),
    ),
    "NULLs are counted": (
        {"test_unknown_values_and_other_rows", "test_few_values_equal_values_and_none"},
        (PERCENTILES, "where(where, column.is_not(None))", "where(where)"),
    ),
    "one order for all groups": (
        {"test_percentiles_of_groups", "test_unknown_values_and_other_rows"},
        (PERCENTILES, "if group else {}", "if not group else {}"),
    ),
    # --- 5.4
    "hashes are not looked at": (
        {"test_a_call_with_all_it_takes", "test_what_can_not_be_made_again"},
        (CHECK, '_sha256(each["text"]) != each["sha256"]', "False"),
    ),
    "an empty answer is none": (
        {"test_what_can_not_be_made_again"},
        (CHECK, 'row["answer"] is None', 'not row["answer"]'),
    ),
    "a failed call is made again": (
        {"test_what_can_not_be_made_again"},
        (CHECK, 'row["status"] >= 400 or', ""),
    ),
    "a part of a text will do": (
        {"test_what_became_of_a_passage"},
        (STATE, "if _sha256(text) ==", 'if source["text"] in text or _sha256(text) =='),
    ),
    "a passage is one chunk": (
        {"test_what_became_of_a_passage"},
        (STATE, "first + LONGEST_RUN", "first + 1"),
    ),
    # --- 5.5
    "noise is a regression": ({"test_neither_noise_nor_trifles"}, (ROW, "surely and sign", "sign")),
    "a trifle is a regression": ({"test_neither_noise_nor_trifles"}, (ROW, "> tolerance *", "> 0 *")),
    "up is always bad": (
        {"test_whichever_way_is_bad"},
        (ROW, "1 if measure.up_is_bad else -1", "1"),
    ),
    # --- 5.6
    "who is cancelled keeps his place": (
        {"test_in_the_moment_of_his_turn"},
        (ENTER, "self._leave(None)", "pass"),
    ),
    "who gives up stays in the queue": (
        {"test_who_gives_up_waiting", "test_closed_doors_and_whatever_happens"},
        (ENTER, "self._queue.remove(turn)", "pass"),
    ),
    "who waits counts himself in": (
        {"test_in_the_moment_of_his_turn"},
        (ENTER, "await turn  # whoever leaves counts us in", "await turn; self._begin()"),
        (LEAVE, "self._begin()", "pass"),
    ),
    "the last come is the first served": (
        {"test_first_come_first_served"},
        (LEAVE, "popleft()", "pop()"),
    ),
    "nobody is passed over": (
        {"test_who_gives_up_waiting"},
        (LEAVE, "while self._queue and", "if self._queue and"),
    ),
    "the mean is the last call": (
        {"test_a_full_house"},
        (LEAVE, "FORGET * (seconds - self._mean)", "seconds - self._mean"),
    ),
    # --- 5.7
    "a commit a table": (
        {"test_a_batch_in_one_commit", "test_all_or_none"},
        (
            WRITE,
            "            connection.exec_driver_sql(store.put_body",
            "        with store.writing() as connection:\n"
            "            connection.exec_driver_sql(store.put_body",
        ),
    ),
    "the first body only": (
        {"test_a_batch_in_one_commit", "test_all_or_none"},
        (WRITE, "[body_row(call) for call in batch]", "[body_row(batch[0])]"),
    ),
    "a failure is not told": (
        {"test_all_or_none"},
        (WRITE, "raise CannotWrite(why(error)) from None", "pass"),
    ),
    "one at a time": (
        {"test_what_waits_is_taken_together", "test_batches_have_a_size_and_an_end"},
        (TAKES, "== LARGEST", "== 1"),
    ),
    "waits a while for others": (
        {"test_what_waits_is_taken_together"},
        (TAKES, "self._queue.get_nowait()", "self._queue.get(timeout=0.01)"),
    ),
    "never ends": ({"test_batches_have_a_size_and_an_end"}, (TAKES, "batch, False", "batch, True")),
    "futures are set from the thread": (
        {"test_everybody_is_told_in_his_loop"},
        (WAKE, "loop.call_soon_threadsafe(_finish, futures, problem)", "_finish(futures, problem)"),
    ),
    "a closed loop ends it": (
        {"test_everybody_is_told_in_his_loop"},
        (WAKE, "suppress(RuntimeError)", "suppress(OSError)"),
    ),
    "failures are not told": (
        {"test_everybody_is_told_in_his_loop"},
        (WAKE, "_finish, futures, problem)", "_finish, futures, None)"),
    ),
    # --- 5.8
    "a chunk a sequence": (
        {"test_prompts_are_read_in_turn", "test_step_by_step"},
        (SCHEDULE, "left - len(ids)", "left"),
    ),
    "nothing is remembered": (
        {"test_what_prompts_begin_with_alike_is_computed_once"},
        (COLLECT, "self.scheduler.keep(span.sequence, span.start)", "pass"),
    ),
    "nothing is looked up": (
        {"test_what_prompts_begin_with_alike_is_computed_once"},
        (SCHEDULE, "self.reuse(sequence)", "pass"),
    ),
    "a guide's tokens are computed one by one": (
        {"test_one_forward_for_everybody"},
        (SCHEDULE, "start + WIDTH]", "start + 1]"),
    ),
    "who was aborted goes on": ({"test_step_by_step"}, (SCHEDULE, "if each.aborted]", "if False]")),
    "newcomers wait for an empty house": (
        {"test_step_by_step"},
        (SCHEDULE, "self.admit()", "self.running or self.admit()"),
    ),
    "a step without its tokens": (
        {"test_some_texts"},
        (STEP, "self._sampler.sample(batch.decode, logits)", "[[0] for _ in batch.decode]"),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_costs_points(mistake):
    notice, *edits = MISTAKES[mistake]
    outcomes = of_wrong("step5", changed(*edits), id_of(edits))
    assert notice <= lost(outcomes) < set(outcomes) or notice == set(outcomes)
    assert {each.status for each in outcomes.values()} <= {"passed", "failed"}


OTHER_WAYS = {
    "the first that is not below": (
        (
            PERCENTILES,
            "max(sa.case((inner.c.rank == (p * inner.c.n + 99) // 100,",
            "min(sa.case((100 * inner.c.rank >= p * inner.c.n,",
        ),
    ),
    "in the order of arrival": ((SCHEDULE, "in self.running:\n    ", "in list(self.running):\n    "),),
    "row by row": (
        (
            WRITE,
            "connection.exec_driver_sql(store.put_call, [call_row(call) for call in batch])",
            "[connection.exec_driver_sql(store.put_call, call_row(call)) for call in batch]",
        ),
    ),
    "as many as there are": (
        (TAKES, "if len(batch) == LARGEST:", "if self._queue.empty() or len(batch) == LARGEST:"),
    ),
    "a function of its own": (
        (
            WAKE,
            "loop.call_soon_threadsafe(_finish, futures, problem)",
            "loop.call_soon_threadsafe(lambda futures=futures: _finish(futures, problem))",
        ),
    ),
    "no prefix is looked at twice": ((STATE, 'if not source["text"].startswith(chunk.text):', "if False:"),),
}


@pytest.mark.parametrize("way", OTHER_WAYS)
def test_another_right_way_costs_nothing(way):
    edits = OTHER_WAYS[way]
    assert_all_pass(of_wrong("step5", changed(*edits), id_of(edits)))
