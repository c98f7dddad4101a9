"""Whatever a definition says: what is registered is what was said, and a second time is nothing."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from strait.authoring import (
    JobOptions,
    WorkflowOptions,
    ai_step,
    approval_step,
    define_job,
    define_workflow,
    job_step,
    sleep_step,
    sub_workflow_step,
    wait_for_event_step,
)
from strait.testing import TestPlatform, platform

_numbers = itertools.count(1)
TEXTS = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=12)
TAGS = st.dictionaries(st.sampled_from(["a", "b", "c"]), TEXTS, max_size=3)
SMALL = st.integers(0, 1000)
PAYLOADS = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
MAPPINGS = st.dictionaries(TEXTS, st.sampled_from(["a", "a.b"]), max_size=2)
JOBS = st.fixed_dictionaries(
    {},
    optional={
        "description": TEXTS,
        "tags": TAGS,
        "cron": st.sampled_from(["", "*/5 * * * *", "0 9 * * 1-5"]),
        "timezone": st.sampled_from(["", "UTC", "Europe/Berlin"]),
        "execution_window_cron": st.sampled_from(["", "* 9-17 * * *"]),
        "max_concurrency": SMALL,
        "rate_limit_max": SMALL,
        "rate_limit_window_secs": SMALL,
        "max_attempts": st.integers(1, 100),
        "retry_strategy": st.sampled_from(["", "exponential", "linear", "fixed", "custom"]),
        "retry_delays_secs": st.lists(st.integers(1, 99), max_size=3),
        "timeout_secs": st.integers(1, 86_400),
        "run_ttl_secs": SMALL,
        "dedup_window_secs": SMALL,
        "fallback_endpoint_url": st.sampled_from(["", "https://fallback.test/run"]),
        "payload_schema": st.sampled_from([None, {}, {"type": "object"}]),
        "result_schema": st.sampled_from([None, {"type": "object", "required": ["a"]}]),
        "enabled": st.booleans(),
        "max_concurrency_per_key": SMALL,
        "retry_priority_boost": st.integers(0, 10),
        "poison_pill_threshold": st.integers(1, 20),
        "version_policy": st.sampled_from(["", "pin", "latest", "minor"]),
        "default_run_metadata": TAGS,
        "cron_overlap_policy": st.sampled_from(["", "allow", "skip", "cancel_running"]),
        "debounce_window_secs": SMALL,
        "on_complete_trigger_job": st.sampled_from(["", "next"]),
        "on_complete_payload_mapping": MAPPINGS,
        "on_failure_payload_mapping": MAPPINGS,
    },
).filter(lambda job: "rate_limit_max" not in job or job.get("rate_limit_window_secs", 0) > 0)
CONDITION = {"type": "step_status", "step_ref": "first", "status": "completed"}
EVERY_STEP = st.fixed_dictionaries(
    {},
    optional={
        "on_failure": st.sampled_from(["fail_workflow", "skip_dependents", "continue"]),
        "condition": st.sampled_from([None, CONDITION]),
    },
)
OF_JOBS = st.fixed_dictionaries(
    {},
    optional={
        "payload": PAYLOADS.filter(lambda value: value is not None),
        "retry_max_attempts": st.integers(0, 10),
        "retry_backoff": st.sampled_from(["exponential", "fixed"]),
        "retry_initial_delay_secs": st.integers(0, 60),
        "retry_max_delay_secs": st.integers(0, 60),
        "timeout_secs_override": st.integers(0, 600),
        "output_transform": st.sampled_from(["a", "a.b"]),
        "concurrency_key": TEXTS,
        "resource_class": st.sampled_from(["small", "medium", "large"]),
    },
)


@pytest.fixture(scope="module")
def p() -> Iterator[TestPlatform]:
    with platform() as made:
        made.client.jobs.create(
            name="Next", slug="next", project_id=made.project_id, endpoint_url="https://w.test"
        )
        made.client.workflows.create(
            name="Sub",
            slug="sub",
            project_id=made.project_id,
            steps=[{"step_ref": "s", "step_type": "sleep", "sleep_duration_secs": 1}],
        )
        yield made


SHARED = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])


@SHARED
@given(st.lists(JOBS, min_size=1, max_size=3))
def test_a_job_is_what_it_was_registered_as_last(
    p: TestPlatform, versions: list[dict[str, Any]]
) -> None:
    slug = f"job-{next(_numbers)}"
    for options in versions:
        job = define_job(
            JobOptions(name="J", slug=slug, endpoint_url="https://worker.test/run", **options)
        )
        job.register(p.client)
        assert not job.plan(p.client), str(job.plan(p.client))


KINDS = st.lists(st.sampled_from(["job", "ai", "approval", "sub", "event", "sleep"]), max_size=4)


def drawn(data: st.DataObject, kinds: list[str]) -> list[Any]:
    """Return steps of these kinds; a platform takes none away, so their names stay."""
    draw = data.draw
    made: list[Any] = [job_step("first", "next", **draw(OF_JOBS))]
    for number, kind in enumerate(kinds):
        ref = f"s{number}"
        shared = {"depends_on": draw(st.sampled_from([["first"], [made[-1].step_ref()]]))}
        shared |= draw(EVERY_STEP)
        if shared.get("condition"):
            shared["depends_on"] = ["first"]
        seconds = draw(st.none() | st.integers(1, 999))
        match kind:
            case "job":
                made.append(job_step(ref, "next", **shared, **draw(OF_JOBS)))
            case "ai":
                made.append(ai_step(ref, "next", **shared, **draw(OF_JOBS)))
            case "approval":
                made.append(approval_step(ref, approval_timeout_secs=seconds, **shared))
            case "sub":
                made.append(sub_workflow_step(ref, "sub", **shared))
            case "event":
                made.append(wait_for_event_step(ref, "paid", event_timeout_secs=seconds, **shared))
            case _:
                made.append(sleep_step(ref, seconds or 1, **shared))
    return made


@SHARED
@given(KINDS, st.integers(1, 2), st.booleans(), TAGS, st.data())
def test_a_workflow_is_what_it_was_registered_as_last(
    p: TestPlatform,
    kinds: list[str],
    versions: int,
    enabled: bool,
    tags: dict[str, str],
    data: st.DataObject,
) -> None:
    slug = f"wf-{next(_numbers)}"
    for _ in range(versions):
        made = drawn(data, kinds)
        workflow = define_workflow(
            WorkflowOptions(name="W", slug=slug, steps=made, enabled=enabled, tags=tags)
        )
        workflow.register(p.client)
        assert not workflow.plan(p.client), str(workflow.plan(p.client))


def test_what_creating_cannot_say_is_said_at_once(p: TestPlatform) -> None:
    """A platform makes a boost of 0 into 1 when it creates a job, and takes it in a change."""
    job = define_job(
        JobOptions(
            name="J", slug="no-boost", endpoint_url="https://worker.test/", retry_priority_boost=0
        )
    )
    found = job.register(p.client)
    assert not found.retry_priority_boost
    assert not job.plan(p.client)
