"""Defining workflows: what is kept, refused and told (`contract/workflows.md` §1, §4)."""

from __future__ import annotations

from typing import Any

import pytest

from support.workflows import Flows, approval, child, event, sleep, told
from support.world import PROJECT

JOB = {"step_ref": "a", "job_id": "j"}


def job(ref: str = "a", **fields: Any) -> dict[str, Any]:
    """A job step of a job that nobody looks up, because another fault comes first."""
    return {"step_ref": ref, "job_id": "j", **fields}


async def other_project(flows: Flows) -> Flows:
    """The same platform with a key of another project."""
    async with flows.world.internal() as internal:
        body = {"id": "proj-2", "org_id": "org-1", "name": "Other"}
        assert (await internal.post("/v1/projects", json=body)).status_code == 201
    other = Flows(flows.world)
    other.api = flows.world.client(await flows.world.key_for("*", project="proj-2"))
    return other


# ----------------------------------------------------------------------------------------- create


async def test_a_workflow_is_kept_with_its_steps_and_the_defaults_are_shown(flows: Flows) -> None:
    first = await flows.job("first")
    made = await flows.create(first, sleep("nap", 5, "first"), slug="made", tags={"team": "a"})
    assert (made["version"], made["enabled"], made["version_policy"]) == (1, True, "pin")
    assert made["created_by"] == made["updated_by"]
    assert made["created_by"].startswith("apikey:")
    kept = (await flows.api.get(f"/v1/workflows/{made['id']}")).json()
    assert kept == made
    one, two = kept["steps"]
    assert one["workflow_id"] == made["id"]
    defaults = ("step_type", "on_failure", "retry_backoff", "resource_class", "depends_on")
    assert [one[name] for name in defaults] == ["job", "fail_workflow", "exponential", "small", []]
    assert (two["step_type"], two["depends_on"]) == ("sleep", ["first"])


async def test_all_fields_of_a_step_come_back(flows: Flows) -> None:
    undo = await flows.job("undo")
    rich = await flows.job(
        "rich",
        on_failure="continue",
        condition={"type": "all_of", "conditions": []},
        payload={"a": [1, None, "{{x}}"]},
        retry_max_attempts=3,
        retry_backoff="fixed",
        retry_initial_delay_secs=1,
        retry_max_delay_secs=9,
        timeout_secs_override=30,
        output_transform="a.b",
        event_emit_key="done:{{id}}",
        concurrency_key="one",
        resource_class="large",
        expected_duration_secs=12,
        stage_notifications={"on_complete": True},
        compensation_job_id=undo["job_id"],
        compensation_timeout_secs=7,
    )
    wait = event("wait", "k", event_timeout_secs=60, event_notify_url=flows.world.handlers.url)
    yes = approval("yes", approval_timeout_secs=60, approval_approvers=["alice"])
    made = await flows.create(rich, wait, yes)
    for sent, shown in zip((rich, wait, yes), made["steps"], strict=True):
        assert {name: shown[name] for name in sent} == sent


async def test_names_that_published_clients_send_are_understood(flows: Flows) -> None:
    step = {"step_ref": "ok", "type": "approval", "approvers": ["alice"]}
    (shown,) = (await flows.create(step))["steps"]
    assert (shown["step_type"], shown["approval_approvers"]) == ("approval", ["alice"])


async def test_a_workflow_without_steps_can_be_made_and_not_triggered(flows: Flows) -> None:
    made = await flows.create()
    assert made["steps"] == []
    answer = await flows.post(f"/{made['id']}/trigger")
    assert told(answer) == (409, "workflow must have at least one step")


@pytest.mark.parametrize("field", ["project_id", "name", "slug"])
async def test_what_must_be_there_is_named(flows: Flows, field: str) -> None:
    answer = await flows.post("", **{field: ""})
    assert told(answer) == (422, "validation failed")
    assert answer.json()["error"]["details"] == [f"{field}: failed on 'required'"]


async def test_a_workflow_in_another_project_than_the_keys_is_not_found(flows: Flows) -> None:
    assert told(await flows.post("", project_id="proj-2")) == (404, "workflow not found")


async def test_d25_a_slug_is_taken_once_in_a_project(flows: Flows) -> None:
    await flows.create(slug="nightly")
    answer = await flows.post("", slug="nightly")
    assert told(answer) == (409, "a workflow with slug 'nightly' already exists in this project")
    await (await other_project(flows)).create(slug="nightly", project_id="proj-2")


async def test_an_idempotency_key_makes_one_workflow(flows: Flows) -> None:
    headers = {"Idempotency-Key": "once"}
    body = {"project_id": PROJECT, "name": "Once", "slug": "once"}
    first = await flows.api.post("/v1/workflows", json=body, headers=headers)
    second = await flows.api.post("/v1/workflows", json=body, headers=headers)
    assert (second.status_code, second.headers["idempotency-replayed"]) == (201, "true")
    assert second.json() == first.json()
    listed = (await flows.api.get("/v1/workflows")).json()["data"]
    assert [row["slug"] for row in listed] == ["once"]


@pytest.mark.parametrize(
    ("tags", "text"),
    [
        ({str(n): "x" for n in range(21)}, "too many tags (max 20)"),
        ({"": "x"}, "tag keys must be non-empty"),
        ({"k" * 65: "x"}, "tag key too long (max 64 characters)"),
        ({"k": "x" * 257}, "tag value too long (max 256 characters)"),
    ],
)
async def test_tags_have_limits(flows: Flows, tags: dict[str, str], text: str) -> None:
    assert told(await flows.post("", tags=tags)) == (400, text)


# ------------------------------------------------------------------------------------- validation

_WRONG_STEPS: dict[str, list[dict[str, Any]]] = {
    "workflow cannot have more than 1000 steps": [job(str(n)) for n in range(1001)],
    "duplicate step_ref: a": [job(), job()],
    'step a has invalid step_type "nap"': [job(step_type="nap")],
    "on_failure must be one of fail_workflow, skip_dependents, continue": [
        job(on_failure="contine")
    ],
    "retry_backoff must be one of exponential, fixed": [job(retry_backoff="linear")],
    "job steps require job_id": [{"step_ref": "a"}],
    "approval steps require approval_approvers": [{"step_ref": "a", "step_type": "approval"}],
    "approval_timeout_secs must be >= 0": [approval("a", approval_timeout_secs=-1)],
    "sub_workflow steps require sub_workflow_id": [{"step_ref": "a", "step_type": "sub_workflow"}],
    "sub_workflow steps must not have job_id": [child("a", {"id": "w"}, job_id="j")],
    "max_nesting_depth must be >= 0": [child("a", {"id": "w"}, max_nesting_depth=-1)],
    "wait_for_event steps require event_key": [event("a", "")],
    "event_key must be at most 512 characters": [event("a", "k" * 513)],
    "sleep steps require sleep_duration_secs > 0": [sleep("a", 0)],
    "sleep_duration_secs must be <= 2592000": [sleep("a", 2_592_001)],
    "step a has invalid event_notify_url: scheme must be http or https": [
        event("a", "k", event_notify_url="ftp://example.com")
    ],
    "timeout_secs_override must be >= 0": [job(timeout_secs_override=-1)],
    "concurrency_key must be at most 128 characters": [job(concurrency_key="k" * 129)],
    "resource_class must be one of small, medium, large": [job(resource_class="huge")],
    "depends_on cannot contain empty values": [job(depends_on=[""])],
    "step cannot depend on itself": [job(depends_on=["a"])],
    'step "a" depends on unknown step "zz"': [job(depends_on=["zz"])],
    "workflow has circular dependencies": [job(depends_on=["b"]), job("b", depends_on=["a"])],
    "step a references unknown job j": [job()],
    "step a references unknown sub_workflow w": [child("a", {"id": "w"})],
}


@pytest.mark.parametrize("text", _WRONG_STEPS)
async def test_what_is_wrong_with_a_step_is_told_in_the_platforms_words(
    flows: Flows, text: str
) -> None:
    assert told(await flows.post("", steps=_WRONG_STEPS[text])) == (400, text)


async def test_a_step_without_a_ref_is_refused(flows: Flows) -> None:
    answer = await flows.post("", steps=[job("")])
    assert answer.status_code in {400, 422}


async def test_steps_refer_to_jobs_and_workflows_of_their_project_only(flows: Flows) -> None:
    other = await other_project(flows)
    body = {
        "project_id": "proj-2",
        "name": "X",
        "slug": "x",
        "endpoint_url": flows.world.handlers.url,
    }
    foreign_job = (await other.api.post("/v1/jobs", json=body)).json()["id"]
    foreign = await other.create(project_id="proj-2")
    own = (await flows.job("own"))["job_id"]
    for step, kind in (
        (job(job_id=foreign_job), "job"),
        (job(job_id=own, compensation_job_id=foreign_job), "job"),
        (child("a", foreign), "sub_workflow"),
    ):
        answer = await flows.post("", steps=[step])
        assert told(answer) == (400, f"step a references {kind} outside workflow project")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"max_parallel_steps": -1}, "max_parallel_steps must be >= 0"),
        ({"cron": "0 9 * * *", "cron_timezone": "Mars/Base"}, "invalid cron_timezone"),
        ({"cron": "* * *"}, "invalid cron expression"),
        ({"cron": "61 * * * *"}, "invalid cron expression"),
    ],
)
async def test_settings_of_a_workflow_are_checked(
    flows: Flows, fields: dict[str, Any], text: str
) -> None:
    assert told(await flows.post("", **fields)) == (400, text)


async def test_a_version_policy_is_one_of_three(flows: Flows) -> None:
    answer = await flows.post("", version_policy="newest")
    assert answer.json()["error"]["details"] == ["version_policy: failed on 'oneof'"]


# --------------------------------------------------------------------------- list, change, delete


async def test_workflows_are_listed_newest_first_without_steps_page_by_page(flows: Flows) -> None:
    for slug in ("one", "two", "three"):
        await flows.create(sleep("s", 1), slug=slug)
    first = (await flows.api.get("/v1/workflows", params={"limit": 2})).json()
    cursor = first["next_cursor"]
    rest = (await flows.api.get("/v1/workflows", params={"limit": 2, "cursor": cursor})).json()
    assert [row["slug"] for row in first["data"] + rest["data"]] == ["three", "two", "one"]
    assert (first["has_more"], rest["has_more"]) == (True, False)
    assert "steps" not in first["data"][0]


async def test_workflows_are_found_by_tag(flows: Flows) -> None:
    await flows.create(slug="red", tags={"color": "red"})
    await flows.create(slug="blue", tags={"color": "blue"})

    async def found(**params: str) -> list[str]:
        answer = await flows.api.get("/v1/workflows", params=params)
        return [row["slug"] for row in answer.json()["data"]]

    assert await found(tag_key="color") == ["blue", "red"]
    assert await found(tag_key="color", tag_value="red") == ["red"]
    assert await found(tag_key="shape") == []
    answer = await flows.api.get("/v1/workflows", params={"tag_value": "red"})
    assert told(answer) == (400, "tag_key is required when tag_value is provided")


async def test_every_change_is_a_version(flows: Flows) -> None:
    made = await flows.create(sleep("s", 1), name="Before")
    changed = (await flows.api.patch(f"/v1/workflows/{made['id']}", json={"name": "After"})).json()
    assert (changed["name"], changed["version"]) == ("After", 2)
    assert changed["version_id"] != made["version_id"]
    assert changed["steps"] == made["steps"]
    untouched = (await flows.api.patch(f"/v1/workflows/{made['id']}", json={})).json()
    assert untouched["version"] == 3


async def test_steps_are_replaced_whole_and_none_is_removed(flows: Flows) -> None:
    made = await flows.create(sleep("a", 1), sleep("b", 1, "a"))
    path = f"/v1/workflows/{made['id']}"
    steps = [sleep("b", 9), sleep("a", 2), sleep("c", 3, "a")]
    changed = (await flows.api.patch(path, json={"steps": steps})).json()
    shown = {row["step_ref"]: row for row in changed["steps"]}
    assert {ref: row["sleep_duration_secs"] for ref, row in shown.items()} == {
        "b": 9,
        "a": 2,
        "c": 3,
    }
    assert {row["id"] for row in made["steps"]} == {shown["a"]["id"], shown["b"]["id"]}
    answer = await flows.api.patch(path, json={"steps": [sleep("a", 1)]})
    text = 'removing step_ref "b" is not supported; disable it with step overrides instead'
    assert told(answer) == (400, text)


async def test_d14_steps_can_be_changed_after_a_run_which_keeps_its_own(flows: Flows) -> None:
    made = await flows.create(approval("a"))
    run_id = await flows.trigger(made)
    path = f"/v1/workflows/{made['id']}"
    answer = await flows.api.patch(path, json={"steps": [approval("a"), sleep("b", 60, "a")]})
    assert answer.status_code == 200
    changed = answer.json()
    assert changed["active_runs_on_previous_version"] == 1
    assert changed["previous_version_id"] == made["version_id"]
    await flows.did(run_id, "steps/a/approve")
    run = await flows.until(run_id, "completed")
    assert (run["workflow_version"], list(await flows.steps(run_id))) == (1, ["a"])
    later = await flows.trigger(made)
    assert list(await flows.steps(later)) == ["a", "b"]


async def test_a_change_is_checked_like_a_new_workflow(flows: Flows) -> None:
    made = await flows.create(sleep("a", 1))
    path = f"/v1/workflows/{made['id']}"
    for body, text in (
        ({"steps": [sleep("a", 0)]}, "sleep steps require sleep_duration_secs > 0"),
        ({"cron": "nonsense"}, "invalid cron expression"),
        ({"tags": {"": "x"}}, "tag keys must be non-empty"),
    ):
        assert told(await flows.api.patch(path, json=body)) == (400, text)
    assert (await flows.api.get(path)).json() == made


async def test_a_workflow_with_runs_under_way_is_not_deleted(flows: Flows) -> None:
    made = await flows.create(approval("a"))
    path = f"/v1/workflows/{made['id']}"
    run_id = await flows.trigger(made)
    text = "workflow has 1 active run(s) -- cancel them before deleting"
    assert told(await flows.api.delete(path)) == (409, text)
    await flows.did(run_id, "pause")
    text = "workflow has active run(s) -- cancel them before deleting"
    assert told(await flows.api.delete(path)) == (409, text)


async def test_d27_a_deleted_workflow_takes_its_runs_along(flows: Flows) -> None:
    made = await flows.create(approval("a"))
    run_id = await flows.trigger(made)
    await flows.api.delete(f"/v1/workflow-runs/{run_id}")
    answer = await flows.api.delete(f"/v1/workflows/{made['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    gone = await flows.api.get(f"/v1/workflow-runs/{run_id}")
    assert told(gone) == (404, "workflow run not found")
    assert (await flows.api.get("/v1/events")).json()["data"] == []


async def test_a_clone_is_a_workflow_of_its_own(flows: Flows) -> None:
    made = await flows.create(
        sleep("a", 1), slug="base", name="Base", tags={"t": "1"}, cron="0 9 * * *"
    )
    answer = await flows.api.post(f"/v1/workflows/{made['id']}/clone", json={})
    copy = answer.json()
    assert answer.status_code == 201
    assert (copy["name"], copy["slug"], copy["version"]) == ("Base (copy)", "base-copy", 1)
    assert (copy["tags"], copy["cron"]) == ({"t": "1"}, "0 9 * * *")
    assert copy["steps"][0]["id"] != made["steps"][0]["id"]
    assert copy["steps"][0]["workflow_id"] == copy["id"]
    path = f"/v1/workflows/{made['id']}/clone"
    named = await flows.api.post(path, json={"name": "N", "slug": "n"})
    assert (named.json()["name"], named.json()["slug"]) == ("N", "n")
    assert (await flows.api.post(path, json={})).status_code == 409
    assert (await flows.api.post(path, json={"project_id": "proj-2"})).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("PATCH", ""),
        ("DELETE", ""),
        ("POST", "/trigger"),
        ("POST", "/clone"),
        ("POST", "/dry-run"),
        ("POST", "/plan"),
        ("POST", "/simulate"),
        ("GET", "/graph"),
        ("GET", "/runs"),
        ("GET", "/versions"),
        ("GET", "/active-versions"),
    ],
)
async def test_d16_unknown_and_foreign_workflows_are_not_found(
    flows: Flows, method: str, path: str
) -> None:
    made = await flows.create(sleep("a", 1))
    other = await other_project(flows)
    for api, workflow_id in ((flows.api, "nobody"), (other.api, made["id"])):
        body = {"json": {}} if method != "GET" else {}
        answer = await api.request(method, f"/v1/workflows/{workflow_id}{path}", **body)
        assert told(answer) == (404, "workflow not found")


# ------------------------------------------------------------------------------ plans and graphs


async def test_a_dry_run_says_what_is_wrong_and_keeps_nothing(flows: Flows) -> None:
    made = await flows.create(sleep("a", 1))

    async def dry(**body: Any) -> Any:
        return await flows.api.post(f"/v1/workflows/{made['id']}/dry-run", json=body)

    assert (await dry(steps=[])).json() == {"valid": True, "step_count": 1}
    assert (await dry(steps=[job(), job("b")])).json() == {"valid": True, "step_count": 2}
    assert told(await dry(steps=[job(), job()])) == (400, "duplicate step_ref: a")
    assert (await dry()).json()["error"]["details"] == ["steps: failed on 'required'"]
    assert (await flows.api.get(f"/v1/workflows/{made['id']}")).json() == made


async def test_a_plan_tells_roots_and_order(flows: Flows) -> None:
    made = await flows.create(
        sleep("z", 1), sleep("b", 1, "z"), sleep("a", 1, "z"), sleep("end", 1, "a", "b")
    )
    path = f"/v1/workflows/{made['id']}"
    plan = (await flows.api.post(f"{path}/plan", json={})).json()
    assert plan == {
        "workflow_id": made["id"],
        "workflow_version": 1,
        "step_count": 4,
        "roots": ["z"],
        "topological_order": ["z", "a", "b", "end"],
    }
    off = {"step_overrides": [{"step_ref": "z", "enabled": False}]}
    pruned = (await flows.api.post(f"{path}/plan", json=off)).json()
    assert (pruned["roots"], pruned["step_count"]) == (["a", "b"], 3)
    for refs, text in (
        (["zz"], 'step override references unknown step_ref "zz"'),
        (["z", "a", "b", "end"], "all steps disabled by overrides"),
    ):
        body = {"step_overrides": [{"step_ref": ref, "enabled": False} for ref in refs]}
        assert told(await flows.api.post(f"{path}/plan", json=body)) == (400, text)
    simulated = (await flows.api.post(f"{path}/simulate")).json()
    assert simulated["predicted_order"] == ["z", "a", "b", "end"]


async def test_a_definition_is_drawn(flows: Flows) -> None:
    made = await flows.create(sleep("a", 1), sleep("c", 1, "a"), sleep("b", 1, "a"))
    path = f"/v1/workflows/{made['id']}/graph"
    graph = (await flows.api.get(path)).json()
    assert graph["roots"] == ["a"]
    assert graph["adjacency"] == {"a": ["b", "c"], "b": [], "c": []}
    dot = (await flows.api.get(path, params={"format": "dot"})).json()["dot"]
    assert dot.startswith("digraph workflow {\n")
    assert '  "a" -> "b";\n' in dot
