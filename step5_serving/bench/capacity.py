"""How many machines for how many users, and what they cost: arithmetic on a bench's figures.

    $ python -m step5_serving bench --engine torch --users 1,4,8,16
    $ python -m step5_serving capacity 140 --price-per-hour 0.10

    load         l = users x questions per hour / 3600                  questions/s
    a machine    m = tokens/s at its best load / tokens per answer      questions/s
    machines     N = l / (utilisation x m), rounded up                  busy: l / (N x m)

Not counted: the search (milliseconds beside seconds), and prompts longer than the bench's. Prices are
compared with Claude's, although a small model's answers are not as good. How long people wait at such a load
is measured, not computed: `bench --rate`.
"""

import math

HOURS = 730  # in a month: machines run all the time
BUSY_HOURS = 176  # in a month, when people ask: 22 days of 8 hours


def plan(per_second: float, users: int, per_hour: float, utilisation: float) -> dict[str, float]:
    """Machines for `users` in their busiest hour, each loaded to `utilisation` at most.

    Args:
        per_second: questions that a machine answers in a second.
        per_hour: questions of a user.
    """
    asked = users * per_hour / 3600  # questions/s
    machines = max(1, math.ceil(asked / (utilisation * per_second)))
    return {
        "users": users,
        "asked": asked,
        "machines": machines,
        "busy": asked / (machines * per_second),
        "questions": users * per_hour * BUSY_HOURS,  # in a month
    }
