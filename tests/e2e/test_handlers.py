"""What handlers do, and what becomes of their runs: server, handlers and client in processes."""

from __future__ import annotations

from typing import Any

import pytest

from strait import Client
from strait.fsm import is_terminal_run_status
from strait.models import JobRun
from tests.e2e.platform import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]


def run(client: Client, slug: str, payload: Any = None) -> JobRun:
    """Trigger a job and return its run once it is over."""
    return ended(client, trigger(client, slug, payload))


def trigger(client: Client, slug: str, payload: Any = None) -> str:
    (job,) = client.jobs.list(slug=slug)
    run_id = client.jobs.trigger(job.id, payload={} if payload is None else payload).id
    assert run_id is not None
    return run_id


def ended(client: Client, run_id: str) -> JobRun:
    def over() -> JobRun | None:
        found = client.runs.get(run_id)
        return found if is_terminal_run_status(found.status) else None

    return until(over)


def test_what_a_handler_returns_is_the_result(client: Client) -> None:
    found = run(client, "echo", {"n": 1})
    assert (found.status, found.result) == ("completed", {"payload": {"n": 1}, "attempt": 1})


def test_what_a_handler_raises_is_retried_and_its_type_and_message_are_kept(client: Client) -> None:
    found = run(client, "fails")
    assert (found.status, found.attempt) == ("dead_letter", 2)
    assert found.error == "ValueError: attempt 2 is no good"
    logged = [
        e for e in client.runs.list_events(found.id) if e.level == "error" and e.type == "log"
    ]
    assert logged[0].message == "ValueError: attempt 1 is no good"
    assert "Traceback" in logged[0].data["traceback"]


def test_a_final_error_is_not_retried(client: Client) -> None:
    found = run(client, "final")
    assert (found.status, found.attempt, found.error) == ("failed", 1, "there is no such order")


def test_a_handler_says_when_it_wants_to_be_called_again(client: Client) -> None:
    found = run(client, "later")
    assert (found.status, found.result) == ("completed", 2)
    (retry,) = [e for e in client.runs.list_events(found.id) if "next attempt" in e.message]
    assert "next attempt in 0.2 s" in retry.message, "the job's own backoff begins with a second"


def test_what_a_handler_completed_itself_stands(client: Client) -> None:
    found = run(client, "completes-itself")
    assert (found.status, found.result) == ("completed", {"said": "by the handler"})


def test_a_handler_that_waits_is_called_again_with_what_came(client: Client) -> None:
    run_id = trigger(client, "waits", {"key": "e2e"})
    for number in (1, 2):
        until(lambda: client.runs.get(run_id).status == "waiting")
        client.event_triggers.send("e2e", payload={"n": number})
    found = ended(client, run_id)
    assert (found.status, found.attempt) == ("completed", 1)
    assert found.result == [{"n": 1}, {"n": 2}]


def test_a_handler_that_spawns_many_is_called_again_when_all_are_over(client: Client) -> None:
    found = run(client, "fans-out", {"children": 20})
    assert (found.status, found.result) == ("completed", list(range(20)))
    assert len(list(client.runs.get_children(found.id))) == 20


def test_a_handler_that_kills_its_process_is_itself_retried(client: Client) -> None:
    found = run(client, "dies")
    assert (found.status, found.attempt, found.result) == ("completed", 2, "alive")


def test_a_handler_that_hangs_ends_at_its_timeout(client: Client) -> None:
    found = run(client, "hangs")
    assert (found.status, found.error) == ("timed_out", "execution timed out")


def test_a_handler_that_blocks_leaves_the_platform_answering(client: Client) -> None:
    run_id = trigger(client, "blocks", {"secs": 6})
    until(lambda: client.runs.get(run_id).status == "executing")
    assert run(client, "echo").status == "completed"
    assert client.runs.get(run_id).status == "executing", "the other run did not wait for its end"
    assert ended(client, run_id).status == "timed_out"


def test_an_answer_of_ten_megabytes_is_refused_whole(client: Client) -> None:
    found = run(client, "large")
    assert found.status == "dead_letter"
    assert found.error == "the endpoint answered more than 1048576 bytes"
    assert found.result is None
