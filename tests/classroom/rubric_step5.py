"""Changes of step 5's solutions, and the points that each costs: 0 for another right way."""

PRICES, TAKE = "step5_serving.telemetry.prices:cost_of", "step5_serving.api.rates:Rates.take"
PERCENTILES = "step5_serving.telemetry.summary:percentiles"
CHECK, STATE = (f"step5_serving.evaluation.replay:{name}" for name in ("check", "state_of"))
ROW = "step5_serving.telemetry.report:_row"
ENTER, LEAVE = (f"step5_serving.api.admission:Admission.{name}" for name in ("_enter", "_leave"))
WRITE = "step5_serving.telemetry.writer:write_rows"
TAKES, WAKE = (f"step5_serving.telemetry.writer:Recorder.{name}" for name in ("_take", "_wake"))
SCHEDULE = "step5_serving.engines.batching.scheduler:Scheduler.schedule"
STEP, COLLECT = (f"step5_serving.engines.batching.core:EngineCore.{name}" for name in ("step", "collect"))

PART = 'if source["text"] in text or _sha256(text) =='
TOLD = "loop.call_soon_threadsafe(_finish, futures, problem)"
TURN = "await turn  # whoever leaves counts us in"
AND_BEGIN = "await turn; self._begin()"
COST = "price.cost(input_tokens, output_tokens)"
AS_SHORT = "(input_tokens * price.input + output_tokens * price.output) / 1e6"
BODIES = "            connection.exec_driver_sql(store.put_body"
COMMITS = BODIES, "        with store.writing() as connection:\n" + BODIES
SQL_ONLY = "except Exception", "except sa.exc.SQLAlchemyError"
KEEP, RUN = "self.scheduler.keep(span.sequence, span.start)", "logits = self._runner.run(batch)"
KEPT_FIRST = "for each in batch.prefill: each.sequence.num_computed = each.end; "
KEPT_FIRST += f"self.scheduler.keep(each.sequence, each.start)\n    {RUN}"
SAMPLED = "self._sampler.sample(batch.decode, logits)"
EXACT = "max(sa.case((inner.c.rank == (p * inner.c.n + 99) // 100,"
AT_LEAST = "min(sa.case((100 * inner.c.rank >= p * inner.c.n,"
OF_ITS_OWN = "loop.call_soon_threadsafe(lambda futures=futures: _finish(futures, problem))"
ROW_BY_ROW = (
    "connection.exec_driver_sql(store.put_call, [call_row(call) for call in batch])",
    "[connection.exec_driver_sql(store.put_call, call_row(call)) for call in batch]",
)
AS_MANY = "if len(batch) == LARGEST:", "if self._queue.empty() or len(batch) == LARGEST:"
OPEN_ONES = "in ((loop, futures) for loop, futures in loops.items() if not loop.is_closed()):"
CHANGES = {
    "the first that is not below": (0, (PERCENTILES, EXACT, AT_LEAST)),
    "a common table expression": (0, (PERCENTILES, ".subquery()", ".cte()")),
    "in the order of arrival": (0, (SCHEDULE, "in self.running:\n    ", "in list(self.running):\n    ")),
    "failures by name": (0, (WRITE, "except Exception", "except (sa.exc.SQLAlchemyError, OSError)")),
    "row by row": (0, (WRITE, *ROW_BY_ROW)),
    "as many as there are": (0, (TAKES, *AS_MANY)),
    "a function of its own": (0, (WAKE, TOLD, OF_ITS_OWN)),
    "closed loops are left out": (0, (WAKE, "in loops.items():", OPEN_ONES)),
    "no prefix is looked at twice": (
        0,
        (STATE, 'if not source["text"].startswith(chunk.text):', "if False:"),
    ),
    "an unknown price is 0": (5, (PRICES, "        return None\n", "        return 0.0\n")),
    "0 tokens are unknown": (3, (PRICES, "if input_tokens == 0 and output_tokens == 0:", "if False:")),
    "long prompts cost as short ones": (3, (PRICES, COST, AS_SHORT)),
    "it is never full": (3, (TAKE, "min(self.burst, tokens", "min(1e9, tokens")),
    "whole tokens only": (7, (TAKE, "* self.per_second)", "* self.per_second // 1)")),
    "one bucket for all": (4, (TAKE, "now = self._clock()", "now, who = self._clock(), 'all'")),
    "who came first is forgotten": (2, (TAKE, "self._buckets.move_to_end(who)", "pass")),
    "the rank is rounded down": (10, (PERCENTILES, "(p * inner.c.n + 99) // 100", "p * inner.c.n // 100")),
    "NULLs are counted": (4, (PERCENTILES, "where(where, column.is_not(None))", "where(where)")),
    "one order for all groups": (5, (PERCENTILES, "if group else {}", "if not group else {}")),
    "hashes are not looked at": (7, (CHECK, '_sha256(each["text"]) != each["sha256"]', "False")),
    "an empty answer is none": (4, (CHECK, 'row["answer"] is None', 'not row["answer"]')),
    "a part of a text will do": (3, (STATE, "if _sha256(text) ==", PART)),
    "a passage is one chunk": (3, (STATE, "first + LONGEST_RUN", "first + 1")),
    "noise is a regression": (3, (ROW, "surely and sign", "sign")),
    "a trifle is a regression": (3, (ROW, "> tolerance *", "> 0 *")),
    "up is always bad": (2, (ROW, "1 if measure.up_is_bad else -1", "1")),
    "who is cancelled keeps his place": (5, (ENTER, "self._leave(None)", "pass")),
    "who gives up stays in the queue": (5, (ENTER, "self._queue.remove(turn)", "pass")),
    "who waits counts himself in": (12, (ENTER, TURN, AND_BEGIN), (LEAVE, "self._begin()", "pass")),
    "the last come is the first served": (12, (LEAVE, "popleft()", "pop()")),
    "nobody is passed over": (3, (LEAVE, "while self._queue and", "if self._queue and")),
    "the mean is the last call": (3, (LEAVE, "FORGET * (seconds - self._mean)", "seconds - self._mean")),
    "a commit a table": (8, (WRITE, *COMMITS)),
    "a failure is not told": (5, (WRITE, "raise CannotWrite(why(error)) from None", "pass")),
    "only failures of SQLAlchemy's are told": (5, (WRITE, *SQL_ONLY)),
    "one at a time": (7, (TAKES, "== LARGEST", "== 1")),
    "never ends": (4, (TAKES, "batch, False", "batch, True")),
    "futures are set from the thread": (5, (WAKE, TOLD, "_finish(futures, problem)")),
    "failures are not told": (5, (WAKE, "_finish, futures, problem)", "_finish, futures, None)")),
    "a chunk a sequence": (15, (SCHEDULE, "left - len(ids)", "left")),
    "nothing is remembered": (9, (COLLECT, KEEP, "pass")),
    "blocks are kept before they are computed": (9, (STEP, RUN, KEPT_FIRST), (COLLECT, KEEP, "pass")),
    "a guide's tokens one by one": (9, (SCHEDULE, "start + WIDTH]", "start + 1]")),
    "who was aborted goes on": (6, (SCHEDULE, "if each.aborted]", "if False]")),
    "newcomers wait for an empty house": (9, (SCHEDULE, "self.admit()", "self.running or self.admit()")),
    "a step without its tokens": (16, (STEP, SAMPLED, "[[0] for _ in batch.decode]")),
}
