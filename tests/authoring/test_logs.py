"""`ctx.logger`: all levels, from any thread, in order, without leaks."""

from __future__ import annotations

import asyncio
import logging
import threading

from strait.authoring import create_run_context

from .fakes import AsyncRuns, SyncRuns


def lines(runs):
    return [(body["level"], body["message"]) for body in runs.bodies("log_run")]


async def test_every_level_is_forwarded_in_order():
    runs = AsyncRuns()
    context = create_run_context(runs, "run_1")
    for level in ("debug", "info", "warning", "error", "critical"):
        getattr(context.logger, level)("a %s line", level)
    await context.flush()
    assert lines(runs) == [
        ("debug", "a debug line"),
        ("info", "a info line"),
        ("warn", "a warning line"),
        ("error", "a error line"),
        ("critical", "a critical line"),
    ]


async def test_a_synchronous_client_gets_them_too():
    runs = SyncRuns()
    context = create_run_context(runs, "run_1")
    context.logger.info("x")
    await context.flush()
    assert lines(runs) == [("info", "x")]


async def test_lines_are_sent_without_being_asked_for():
    sent = asyncio.Event()

    class Runs(AsyncRuns):
        async def log_run(self, run_id, body):
            sent.set()

    create_run_context(Runs(), "run_1").logger.info("x")
    await asyncio.wait_for(sent.wait(), 10)
    assert sent.is_set()


async def test_threads_can_log():
    runs = AsyncRuns()
    context = create_run_context(runs, "run_1")
    context.logger.info("from the loop")
    threads = [
        threading.Thread(target=context.logger.info, args=("from thread %d", i)) for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    await context.flush()
    assert sorted(message for _, message in lines(runs)) == sorted(
        ["from the loop", *(f"from thread {i}" for i in range(8))]
    )


def test_what_is_logged_without_a_loop_is_sent_once_there_is_one():
    runs = AsyncRuns()
    context = create_run_context(runs, "run_1")
    context.logger.info("before")
    asyncio.run(context.flush())
    context.logger.info("between")
    asyncio.run(context.flush())
    assert lines(runs) == [("info", "before"), ("info", "between")]


async def test_lines_come_before_the_end_of_the_run():
    runs = AsyncRuns()
    context = create_run_context(runs, "run_1")
    context.logger.info("last words")
    await context.complete({"ok": True})
    assert [call[0] for call in runs.calls] == ["log_run", "complete_run"]


async def test_an_exception_brings_its_traceback():
    runs = AsyncRuns()
    context = create_run_context(runs, "run_1")
    try:
        raise ValueError("broken")
    except ValueError:
        context.logger.exception("it failed")
    await context.flush()
    (body,) = runs.bodies("log_run")
    assert body["data"]["type"] == "ValueError"
    assert "ValueError: broken" in body["data"]["traceback"]


async def test_an_empty_message_is_made_one_that_the_platform_takes():
    runs = AsyncRuns()
    context = create_run_context(runs, "run_1")
    context.logger.info("")
    await context.flush()
    assert lines(runs) == [("info", "(empty)")]


async def test_two_contexts_of_one_run_do_not_see_each_others_lines():
    first, second = AsyncRuns(), AsyncRuns()
    contexts = [create_run_context(runs, "run_1") for runs in (first, second)]
    contexts[0].logger.info("one")
    contexts[1].logger.info("two")
    for context in contexts:
        await context.flush()
    assert lines(first) == [("info", "one")]
    assert lines(second) == [("info", "two")]


async def test_contexts_leave_no_loggers_behind():
    before = set(logging.Logger.manager.loggerDict)
    for i in range(100):
        context = create_run_context(AsyncRuns(), f"run_{i}")
        context.logger.info("x")
        await context.flush()
    assert set(logging.Logger.manager.loggerDict) == before


async def test_the_process_sees_the_lines_like_any_others(caplog):
    context = create_run_context(AsyncRuns(), "run_1")
    with caplog.at_level(logging.INFO, "strait.run"):
        context.logger.info("hello")
    await context.flush()
    assert [(r.name, r.message) for r in caplog.records] == [("strait.run.run_1", "hello")]


async def test_lines_that_cannot_be_sent_never_fail_the_run(caplog):
    runs = AsyncRuns(log_run=ConnectionError("down"))
    context = create_run_context(runs, "run_1")
    with caplog.at_level(logging.WARNING, "strait.authoring"):
        context.logger.info("one")
        context.logger.info("two")
        await context.flush()
    assert len(runs.calls) == 2
    assert [r.message for r in caplog.records if r.name == "strait.authoring"] == [
        "a log line could not be sent to the platform: down"
    ]
