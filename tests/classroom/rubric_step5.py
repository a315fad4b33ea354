"""Changes of step 5's solutions, and the points that each costs: 0 for another right way."""

PART = 'if source["text"] in text or sha256_of(text) =='
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
    "the first that is not below": (0, ("percentiles", EXACT, AT_LEAST)),
    "a common table expression": (0, ("percentiles", ".subquery()", ".cte()")),
    "in the order of arrival": (0, ("schedule", "in self.running:\n    ", "in list(self.running):\n    ")),
    "failures by name": (0, ("write_rows", "except Exception", "except (sa.exc.SQLAlchemyError, OSError)")),
    "row by row": (0, ("write_rows", *ROW_BY_ROW)),
    "as many as there are": (0, ("_take", *AS_MANY)),
    "a function of its own": (0, ("_wake", TOLD, OF_ITS_OWN)),
    "closed loops are left out": (0, ("_wake", "in loops.items():", OPEN_ONES)),
    "no prefix is looked at twice": (0, ("state_of", 'not source["text"].startswith(chunk.text)', "False")),
    "an unknown price is 0": (5, ("cost_of", "        return None\n", "        return 0.0\n")),
    "0 tokens are unknown": (3, ("cost_of", "if input_tokens == 0 and output_tokens == 0:", "if False:")),
    "long prompts cost as short ones": (3, ("cost_of", COST, AS_SHORT)),
    "it is never full": (3, ("take", "min(self.burst, tokens", "min(1e9, tokens")),
    "whole tokens only": (7, ("take", "* self.per_second)", "* self.per_second // 1)")),
    "one bucket for all": (4, ("take", "now = self._clock()", "now, who = self._clock(), 'all'")),
    "who came first is forgotten": (2, ("take", "self._buckets.move_to_end(who)", "pass")),
    "the rank is rounded down": (10, ("percentiles", "(p * inner.c.n + 99) // 100", "p * inner.c.n // 100")),
    "NULLs are counted": (4, ("percentiles", "where(where, column.is_not(None))", "where(where)")),
    "one order for all groups": (5, ("percentiles", "if group else {}", "if not group else {}")),
    "hashes are not looked at": (7, ("check", 'sha256_of(each["text"]) != each["sha256"]', "False")),
    "an empty answer is none": (4, ("check", 'row["answer"] is None', 'not row["answer"]')),
    "a part of a text will do": (3, ("state_of", "if sha256_of(text) ==", PART)),
    "a passage is one chunk": (3, ("state_of", "first + LONGEST_RUN", "first + 1")),
    "noise is a regression": (3, ("_row", "surely and sign", "sign")),
    "a trifle is a regression": (3, ("_row", "> tolerance *", "> 0 *")),
    "up is always bad": (2, ("_row", "1 if measure.up_is_bad else -1", "1")),
    "who is cancelled keeps his place": (5, ("_enter", "self._leave(None)", "pass")),
    "who gives up stays in the queue": (5, ("_enter", "self._queue.remove(turn)", "pass")),
    "who waits counts himself in": (12, ("_enter", TURN, AND_BEGIN), ("_leave", "self._begin()", "pass")),
    "the last come is the first served": (12, ("_leave", "popleft()", "pop()")),
    "nobody is passed over": (3, ("_leave", "while self._queue and", "if self._queue and")),
    "the mean is the last call": (3, ("_leave", "FORGET * (seconds - self._mean)", "seconds - self._mean")),
    "a commit a table": (8, ("write_rows", *COMMITS)),
    "a failure is not told": (8, ("write_rows", "raise CannotWrite(why(error)) from None", "pass")),
    "only failures of SQLAlchemy's are told": (5, ("write_rows", *SQL_ONLY)),
    "one at a time": (7, ("_take", "== LARGEST", "== 1")),
    "never ends": (4, ("_take", "batch, False", "batch, True")),
    "futures are set from the thread": (5, ("_wake", TOLD, "_finish(futures, problem)")),
    "failures are not told": (5, ("_wake", "_finish, futures, problem)", "_finish, futures, None)")),
    "a chunk a sequence": (15, ("schedule", "left -= len(ids)", "pass")),
    "nothing is remembered": (9, ("collect", KEEP, "pass")),
    "blocks are kept before they are computed": (9, ("step", RUN, KEPT_FIRST), ("collect", KEEP, "pass")),
    "a guide's tokens one by one": (9, ("schedule", "start + WIDTH]", "start + 1]")),
    "who was aborted goes on": (6, ("schedule", "if sequence.aborted]", "if False]")),
    "newcomers wait for an empty house": (9, ("schedule", "self.admit()", "self.running or self.admit()")),
    "a step without its tokens": (16, ("step", SAMPLED, "[[0] for _ in batch.decode]")),
}
