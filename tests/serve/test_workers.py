"""Tasks of clients in a few threads."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from threading import Event
from typing import Any

import pytest

from last.serve.workers import Busy, Workers


def with_workers(run: Callable[[Workers], Awaitable[None]], waiting: int = 100) -> None:
    async def within() -> None:
        workers = Workers(1, waiting)
        try:
            await run(workers)
        finally:
            workers.close()

    asyncio.run(within())


def test_a_client_who_used_little_time_does_not_wait_for_one_who_used_much() -> None:
    async def run(workers: Workers) -> None:
        order: list[str] = []
        held = Event()
        clients = ["greedy"] * 10 + ["good"] * 3
        first = asyncio.create_task(workers.run(held.wait, client="greedy"))
        tasks = [asyncio.create_task(workers.run(order.append, client, client=client)) for client in clients]
        await asyncio.sleep(0.05)
        held.set()
        await asyncio.gather(first, *tasks)
        assert order == ["good"] * 3 + ["greedy"] * 10 and workers.tasks == 0

    with_workers(run)


def test_a_client_who_was_away_gains_nothing_by_that() -> None:
    async def run(workers: Workers) -> None:
        for _ in range(3):
            await workers.run(time.sleep, 0.01, client="steady")
        await workers.run(len, "abc", client="new")
        assert workers._used["new"] >= 0.02

    with_workers(run)


def test_a_task_gives_its_result_or_its_error_to_its_client() -> None:
    async def run(workers: Workers) -> None:
        assert await workers.run(len, "abc") == 3
        with pytest.raises(ZeroDivisionError):
            await workers.run(lambda: 1 // 0)
        assert workers.tasks == 0 and await workers.run(len, "ab") == 2

    with_workers(run)


def test_tasks_beyond_the_queue_are_refused() -> None:
    async def run(workers: Workers) -> None:
        held = Event()
        tasks: list[asyncio.Task[Any]] = [asyncio.create_task(workers.run(held.wait)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Busy):
            await workers.run(held.wait)
        held.set()
        await asyncio.gather(*tasks)

    with_workers(run, waiting=1)


def test_a_task_whose_client_left_does_not_begin_and_one_that_began_keeps_its_thread() -> None:
    async def run(workers: Workers) -> None:
        held, began = Event(), []
        running = asyncio.create_task(workers.run(held.wait))
        waiting = asyncio.create_task(workers.run(began.append, 1))
        last = asyncio.create_task(workers.run(began.append, 2))
        await asyncio.sleep(0)
        running.cancel()
        waiting.cancel()
        await asyncio.sleep(0.02)
        assert workers.tasks == 3 and began == []
        held.set()
        await last
        assert began == [2] and workers.tasks == 0

    with_workers(run)


def test_a_server_that_ends_leaves_no_client_waiting() -> None:
    async def run(workers: Workers) -> None:
        held = Event()
        running = asyncio.create_task(workers.run(held.wait))
        waiting = asyncio.create_task(workers.run(held.wait))
        await asyncio.sleep(0)
        workers.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        held.set()
        await running
        with pytest.raises(Busy):
            await workers.run(len, "abc")

    with_workers(run)
