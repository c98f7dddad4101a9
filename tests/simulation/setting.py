"""What a story's platform is told to do: jobs of all kinds, a throttle, and workflows."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

PROJECT = "proj-1"
KINDS = ("plain", "reports", "waits", "spawns", "says", "durable")
THROTTLE = {"limit": 3, "period_secs": 60}
DEBOUNCE_SECS = 30
BATCH = {"batch_window_secs": 60, "batch_max_size": 3}
CRON = "*/10 * * * *"
WORKER_QUEUES = {"w-1": ("work",), "w-2": ("default", "work")}
"""The workers, and the queues that each of them serves."""
SET_BACK_SECS = 7200.0
"""How far the clock is set back at the most."""
HANG_SECS = 400.0
"""How long a handler hangs: longer than any attempt may take."""
CHAINED_ENDS = ("completed", "failed", "timed_out", "crashed", "system_failed", "dead_letter")
"""The ends of a run that start the job which follows it."""
SHARED_KEY = "shared"
"""An event key that several steps wait for; only one at a time can."""

Step = dict[str, Any]


def jobs(chance: Random) -> dict[str, dict[str, Any]]:
    """Return the bodies of all jobs; each is called under the kind of handler that it has."""
    made = {kind: job(chance, kind, kind) for kind in KINDS}
    made["plain"] |= {"on_complete_trigger_job": "chained", "on_failure_trigger_job": "chained"}
    made["chained"] = job(chance, "chained", "says")
    made["throttled"] = job(chance, "throttled", "plain") | {
        "throttles": [{"name": "slow", "key": "{{who}}"}]
    }
    made["debounced"] = job(chance, "debounced", "plain") | {"debounce_window_secs": DEBOUNCE_SECS}
    made["batched"] = job(chance, "batched", "plain") | BATCH
    made["worked"] = job(chance, "worked", "none") | {
        "execution_mode": "worker",
        "queue_name": "work",
    }
    made["scheduled"] = job(chance, "scheduled", "plain") | {
        "cron": CRON,
        "cron_catchup": chance.choice(("skip", "last", "all")),
    }
    return made


def job(chance: Random, slug: str, handler: str) -> dict[str, Any]:
    return {
        "project_id": PROJECT,
        "name": slug,
        "slug": slug,
        "endpoint_url": f"http://127.0.0.1:9/{handler}",
        "max_attempts": chance.randint(1, 4),
        "timeout_secs": chance.choice((30, 300)),
        "max_concurrency": chance.choice((0, 1, 3)),
        "max_concurrency_per_key": chance.choice((0, 0, 1)),
    }


def workflow(chance: Random, number: int, jobs: dict[str, str], below: list[str]) -> dict[str, Any]:
    """Return the body of a workflow.

    Args:
        chance: decides.
        number: which of the workflows it is.
        jobs: ids of the jobs by kind.
        below: ids of the workflows that it may run as steps.
    """
    steps: list[Step] = []
    for index in range(chance.randint(2, 6)):
        steps.append(_step(chance, f"s{index}", [step["step_ref"] for step in steps], jobs, below))
    body: dict[str, Any] = {
        "project_id": PROJECT,
        "name": f"W{number}",
        "slug": f"w{number}",
        "max_parallel_steps": chance.choice((0, 0, 1, 2)),
        "timeout_secs": chance.choice((0, 0, 0, 7200)),
        "steps": steps,
    }
    if chance.random() < 0.3:
        body |= {"cron": CRON, "cron_catchup": chance.choice(("skip", "last", "all"))}
    return body


def _step(
    chance: Random, ref: str, before: list[str], jobs: dict[str, str], below: list[str]
) -> Step:
    step: Step = {
        "step_ref": ref,
        "depends_on": chance.sample(before, min(len(before), chance.randint(0, 2))),
        "on_failure": chance.choice(("fail_workflow", "skip_dependents", "continue")),
    }
    if before and chance.random() < 0.1:
        other = chance.choice(before)
        step["condition"] = {"type": "step_status", "step_ref": other, "status": "completed"}
    kinds = ["job", "job", "job", "approval", "sleep", "wait_for_event"]
    kind = chance.choice(kinds + ["sub_workflow"] * bool(below))
    return {**step, "step_type": kind, **_FIELDS[kind](chance, ref, jobs, below)}


def _job_step(chance: Random, ref: str, jobs: dict[str, str], below: list[str]) -> Step:
    step: Step = {"job_id": jobs[chance.choice((*KINDS, "throttled", "worked"))]}
    if chance.random() < 0.7:
        step["compensation_job_id"] = jobs[chance.choice(("plain", "says"))]
    if chance.random() < 0.2:
        step |= {"retry_max_attempts": 3, "retry_initial_delay_secs": 5}
    if chance.random() < 0.2:
        step["concurrency_key"] = "one"
    return step


def _approval(chance: Random, ref: str, jobs: dict[str, str], below: list[str]) -> Step:
    return {"approval_approvers": [], "approval_timeout_secs": 7200}


def _sleep(chance: Random, ref: str, jobs: dict[str, str], below: list[str]) -> Step:
    return {"sleep_duration_secs": chance.choice((1, 600))}


def _event(chance: Random, ref: str, jobs: dict[str, str], below: list[str]) -> Step:
    key = SHARED_KEY if chance.random() < 0.2 else f"flow:{{{{n}}}}:{ref}"
    return {"event_key": key, "event_timeout_secs": chance.choice((60, 3600))}


def _sub_workflow(chance: Random, ref: str, jobs: dict[str, str], below: list[str]) -> Step:
    return {"sub_workflow_id": chance.choice(below)}


_FIELDS: dict[str, Callable[[Random, str, dict[str, str], list[str]], Step]] = {
    "job": _job_step,
    "approval": _approval,
    "sleep": _sleep,
    "wait_for_event": _event,
    "sub_workflow": _sub_workflow,
}
