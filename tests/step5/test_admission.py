"""The bounded queue: N calls run, M wait in order, the rest is refused; no place is ever lost."""

import asyncio
import random

from step5_serving.api.admission import Admission
from step5_serving.errors import ApiError
from tests.step5.service_parts import eventually, in_loop


async def hold(admission, until, order=None, name=None):
    async with admission.turn() as queued:
        if order is not None:
            order.append(name)
        await until.wait()
    return queued


@in_loop
async def test_first_come_first_served():
    admission, gates, order = Admission(1, 5), [asyncio.Event() for _ in range(4)], []
    tasks = []
    for i, gate in enumerate(gates):
        tasks.append(asyncio.ensure_future(hold(admission, gate, order, i)))
        await asyncio.sleep(0)
    assert (admission.running, admission.waiting, order) == (1, 3, [0])
    for gate in gates:
        gate.set()
    queued = await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3]
    assert queued[0] < 0.01
    assert (admission.running, admission.waiting) == (0, 0)


def test_nobody_is_told_to_come_again_in_more_than_a_minute():
    admission = Admission(2, 1)
    admission._mean = 1000.0  # calls have been slow
    assert admission.retry_after() == 60


@in_loop
async def test_no_place_is_lost_under_random_cancellations():
    admission, rng, most = Admission(3, 10), random.Random(0), 0

    async def one():
        nonlocal most
        try:
            async with admission.turn():
                most = max(most, admission.running)
                await asyncio.sleep(rng.random() / 500)
                if rng.random() < 0.2:
                    raise ValueError
        except (ApiError, ValueError):
            pass

    tasks = []
    for _ in range(400):
        tasks.append(asyncio.ensure_future(one()))
        if rng.random() < 0.3:
            rng.choice(tasks).cancel()
        if rng.random() < 0.3:
            await asyncio.sleep(0.001)
    await asyncio.gather(*tasks, return_exceptions=True)
    await eventually(lambda: admission.running == 0)
    assert (admission.waiting, most) == (0, 3)
