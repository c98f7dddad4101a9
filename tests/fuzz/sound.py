"""Bodies that mean something, for the operations that everything else needs something of."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from fuzz.known import Known
from fuzz.values import Place

Make = Callable[[random.Random, Known, Place], dict[str, Any]]


def body(operation: str, rng: random.Random, known: Known, place: Place) -> dict[str, Any] | None:
    """Return a sound body for an operation, or None where there is no recipe."""
    make = _RECIPES.get(operation)
    return make(rng, known, place) if make is not None else None


def _named(rng: random.Random, place: Place) -> dict[str, Any]:
    number = rng.randrange(1_000_000)
    return {"project_id": place.project_id, "name": f"n{number}", "slug": f"s{number}"}


def _job(rng: random.Random, known: Known, place: Place) -> dict[str, Any]:
    more: dict[str, Any] = rng.choice(
        (
            {},
            {"max_attempts": 3, "retry_strategy": "fixed", "retry_delays_secs": [0, 1]},
            {"timeout_secs": 1},
            {"endpoint_signing_secret": place.hush(rng)},
            {"cron": "* * * * *", "cron_timezone": "UTC"},
            {"max_concurrency": 1},
            {"tags": {"team": "a"}, "default_run_metadata": {"a": "b"}},
        )
    )
    return {**_named(rng, place), "endpoint_url": place.handlers, **more}


def _workflow(rng: random.Random, known: Known, place: Place) -> dict[str, Any]:
    job = known.pick("job", rng)
    kinds: list[dict[str, Any]] = [
        {"step_type": "sleep", "sleep_duration_secs": 1},
        {
            "step_type": "approval",
            "approval_timeout_secs": 60,
            "approval_approvers": rng.choice(([], ["user_1"])),
        },
        {"step_type": "wait_for_event", "event_key": "order:{{id}}", "event_timeout_secs": 5},
    ]
    if job is not None:
        kinds += [{"job_id": job, "payload": {"n": "{{a.b}}"}, "output_transform": "a.b"}] * 4
    steps: list[dict[str, Any]] = []
    for ref in ("a", "b", "c", "d")[: rng.randint(1, 4)]:
        earlier = [step["step_ref"] for step in steps]
        step = {"step_ref": ref, **rng.choice(kinds)}
        if job is not None and rng.random() < 0.3:
            step["compensation_job_id"] = job
        if earlier:
            step["depends_on"] = rng.sample(earlier, rng.randint(0, min(2, len(earlier))))
        if step.get("depends_on") and rng.random() < 0.3:
            first = step["depends_on"][0]
            step["condition"] = {"type": "step_status", "step_ref": first, "status": "completed"}
        steps.append(step)
    return {**_named(rng, place), "steps": steps}


def _start(rng: random.Random, known: Known, place: Place) -> dict[str, Any]:
    return {"payload": {"a": {"b": rng.randrange(9)}, "id": rng.randrange(5)}}


def _tag_policy(rng: random.Random, known: Known, place: Place) -> dict[str, Any]:
    return {
        "user_id": "user_1", "resource_type": rng.choice(("job", "workflow")), "tag_key": "team",
        "project_id": place.project_id, "tag_value": "a", "actions": ["jobs:read"],
    }  # fmt: skip


def _resource_policy(rng: random.Random, known: Known, place: Place) -> dict[str, Any]:
    return {
        "user_id": "user_1", "resource_type": "job", "resource_id": known.pick("job", rng) or "x",
        "project_id": place.project_id, "actions": ["jobs:read"],
    }  # fmt: skip


def _canary(rng: random.Random, known: Known, place: Place) -> dict[str, Any]:
    workflow = known.pick("workflow", rng, ("changed",)) or "x"
    share = rng.choice((1, 50, 99))
    return {
        "workflow_id": workflow, "source_version": 1, "target_version": 2, "traffic_pct": share
    }  # fmt: skip


def _deployment(rng: random.Random, known: Known, place: Place) -> dict[str, Any]:
    return {"project_id": place.project_id, "environment": "live"}


def _kept(rng: random.Random, known: Known, place: Place) -> dict[str, Any]:
    return {"key": rng.choice(("one", "two")), "value": rng.randrange(9)}


_RECIPES: dict[str, Make] = {
    "approve-device-code": lambda rng, known, place: {
        "user_code": known.pick("user_code", rng) or "x",
        "project_id": place.project_id,
    },
    "batch-create-jobs": lambda rng, known, place: {
        "jobs": [_job(rng, known, place) for _ in range(rng.randint(1, 3))]
    },
    "bulk-replay-dead-letter-runs": lambda rng, known, place: {
        "run_ids": [known.pick("run", rng, ("dead_letter",)) or "x"]
    },
    "create-canary-deployment": _canary,
    "create-deployment": lambda rng, known, place: {
        **_deployment(rng, known, place),
        "runtime": "python3.12",
        "artifact_uri": "https://artifacts.example/1.tar.gz",
    },
    "create-event-source": lambda rng, known, place: {
        "project_id": place.project_id,
        "name": f"n{rng.randrange(1_000_000)}",
    },
    "create-secret": lambda rng, known, place: {
        "project_id": place.project_id,
        "environment": known.pick("environment", rng) or "production",
        "secret_key": f"K{rng.randrange(1_000_000)}",
        "value": place.hush(rng),
    },
    "create-webhook-subscription": lambda rng, known, place: {
        "project_id": place.project_id,
        "webhook_url": place.handlers,
        "event_types": ["run.completed", "run.failed"],
    },
    "dispatch-event": lambda rng, known, place: {
        "project_id": place.project_id,
        "source": known.pick("source_name", rng) or "x",
        "payload": {"a": rng.randrange(9)},
    },
    "dry-run-workflow": _workflow,
    "poll-device-token": lambda rng, known, place: {
        "device_code": known.pick("device_code", rng) or "x",
        "grant_type": "device_code",
    },
    "promote-deployment": _deployment,
    "rollback-deployment": _deployment,
    "finalize-deployment": _deployment,
    "sdk-set-state": _kept,
    "sdk-spawn": lambda rng, known, place: {
        "job_slug": known.pick("job_slug", rng) or "x",
        "project_id": place.project_id,
    },
    "update-canary-deployment": lambda rng, known, place: {"traffic_pct": rng.randint(1, 100)},
    "subscribe-to-event-source": lambda rng, known, place: {
        "target_type": "job",
        "target_id": known.pick("job", rng) or "x",
    },
    "create-job": _job,
    "create-workflow": _workflow,
    "update-workflow": lambda rng, known, place: {"steps": _workflow(rng, known, place)["steps"]},
    "trigger-job": _start,
    "trigger-workflow": _start,
    "create-tag-policy": _tag_policy,
    "create-resource-policy": _resource_policy,
}
