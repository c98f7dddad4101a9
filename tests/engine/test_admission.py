"""How a run looks once it is let in (`contract/runs.md` §3.3)."""

from __future__ import annotations

from strait.clock import SECOND, to_timestamp
from strait.engine.admission import Request, admit

from .runs_support import T0, job, queued


def stamp(secs: int) -> str:
    return to_timestamp(T0 + secs * SECOND)


def test_a_new_run_is_the_first_attempt_of_the_present_version() -> None:
    run = queued(job(version=4, version_id="ver_4")).run
    assert (run.attempt, run.job_version, run.job_version_id) == (1, 4, "ver_4")
    assert (run.status, run.created_at, run.created_by) == ("queued", stamp(0), "apikey:1")


def test_tags_of_the_request_cover_those_of_the_job() -> None:
    run = queued(job(tags={"a": "job", "b": "job"}), tags={"b": "mine"}).run
    assert run.tags == {"a": "job", "b": "mine"}


def test_metadata_starts_with_the_defaults_of_the_job() -> None:
    run = queued(job(default_run_metadata={"team": "x"}), metadata={"k": "v"}).run
    assert run.metadata == {"team": "x", "k": "v"}


def test_a_run_in_the_future_is_delayed_and_expires_after_its_time() -> None:
    run = queued(scheduled_at=T0 + 100 * SECOND).run
    assert (run.status, run.scheduled_at, run.expires_at) == ("delayed", stamp(100), stamp(190))


def test_the_time_to_live_is_the_requests_the_jobs_or_the_timeouts() -> None:
    assert queued(ttl_secs=5).run.expires_at == stamp(5)
    assert queued(job(run_ttl_secs=7)).run.expires_at == stamp(7)
    assert queued(job(timeout_secs=30)).run.expires_at == stamp(90)


def test_only_an_explicit_time_to_live_is_not_renewed() -> None:
    assert queued(ttl_secs=5).ttl_secs == 0
    assert queued(job(run_ttl_secs=7)).ttl_secs == 7


def test_only_runs_for_workers_name_a_queue() -> None:
    assert queued(job(queue="default")).run.queue_name == ""
    assert queued(job(queue="gpu", execution_mode="worker")).run.queue_name == "gpu"


def test_the_ledger_begins_with_the_making_of_the_run() -> None:
    _, (entry,) = admit(job(), Request(triggered_by="cron", created_by="x"), "r", T0)
    assert (entry.type, entry.data) == ("state_change", {"to": "queued"})
