"""Downloads, and lists over an organization (`contract/workflows.md` §4.6 and §5.13)."""

from __future__ import annotations

import csv
import io
import json

from support.workflows import Flows, sleep, told
from support.world import PROJECT, World

SPAN = {"from": "2020-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z"}


async def test_jobs_and_workflows_are_downloaded_as_they_are_listed(
    world: World, flows: Flows
) -> None:
    for _ in range(2):
        await world.job()
        await flows.create(sleep("nap", 1))
    for kind in ("jobs", "workflows"):
        listed = (await world.api.get(f"/v1/{kind}")).json()["data"]
        whole = await world.api.get(f"/v1/export/{kind}")
        assert (len(listed), whole.json()) == (2, listed)
        lines = await world.api.get(f"/v1/export/{kind}", params={"format": "ndjson"})
        assert [json.loads(line) for line in lines.text.splitlines()] == listed
        assert lines.headers["content-disposition"] == f'attachment; filename="{kind}.ndjson"'


async def test_a_download_of_nothing_is_an_empty_one(world: World) -> None:
    assert (await world.api.get("/v1/export/jobs")).json() == []
    lines = await world.api.get("/v1/export/jobs", params={"format": "ndjson"})
    assert lines.content == b""


async def test_a_download_goes_on_over_pages(world: World) -> None:
    job = await world.job()
    body = {"items": [{"payload": {"n": n}} for n in range(401)]}
    for _ in range(3):
        answer = await world.api.post(f"/v1/jobs/{job['id']}/trigger/bulk", json=body)
        assert answer.status_code in {200, 201}, answer.text
    runs = (await world.api.get("/v1/export/runs", params=SPAN)).json()
    assert len({run["id"] for run in runs}) == len(runs) == 1_203


async def test_runs_are_downloaded_as_a_table(world: World) -> None:
    job = await world.job()
    run_id = await world.trigger(job)
    done = await world.until(run_id, "completed")
    table = await world.api.get("/v1/export/runs", params={**SPAN, "format": "csv"})
    assert table.text.splitlines()[0] == (
        "id,job_id,status,attempt,triggered_by,created_at,started_at,finished_at,error"
    )
    (row,) = csv.DictReader(io.StringIO(table.text))
    assert (row["id"], row["status"], row["finished_at"]) == (
        run_id, "completed", done["finished_at"],
    )  # fmt: skip
    past = {"from": "2020-01-01T00:00:00Z", "to": "2020-01-02T00:00:00Z"}
    assert (await world.api.get("/v1/export/runs", params=past)).json() == []
    assert (await world.api.get("/v1/export/runs")).status_code == 400


async def test_a_download_is_of_the_own_project_and_needs_its_scope(world: World) -> None:
    await world.job()
    stranger = world.client(await world.key_for("*", project="proj-2"))
    assert (await stranger.get("/v1/export/jobs")).json() == []
    reader = world.client(await world.key_for("runs:read"))
    assert (await reader.get("/v1/export/jobs")).status_code == 403
    assert (await reader.get("/v1/export/runs", params=SPAN)).status_code == 200


async def test_a_key_of_an_organization_sees_all_of_its_projects(world: World) -> None:
    internal = world.internal()
    body = {"id": "proj-b", "org_id": "org-1", "name": "Second"}
    assert (await internal.post("/v1/projects", json=body)).status_code == 201
    second = world.client(await world.key_for("*", project="proj-b"))
    job = {"project_id": "proj-b", "name": "b", "slug": "b", "endpoint_url": world.handlers.url}
    made = [await world.job(), (await second.post("/v1/jobs", json=job)).json()]
    runs = [await world.trigger(made[0])]
    runs.append((await second.post(f"/v1/jobs/{made[1]['id']}/trigger", json={})).json()["id"])
    key = {"project_id": PROJECT, "name": "org", "scopes": ["*"], "expires_in_days": 1,
           "org_id": "org-1"}  # fmt: skip
    assert (await world.api.post("/v1/api-keys", json=key)).status_code == 403
    of_org = (await world.internal(PROJECT).post("/v1/api-keys", json=key)).json()["key"]
    wide = world.client(of_org)
    path = "/v1/organizations/org-1"
    listed = (await wide.get(f"{path}/jobs")).json()["data"]
    assert {each["id"] for each in listed} == {each["id"] for each in made}
    listed = (await wide.get(f"{path}/runs")).json()["data"]
    assert [each["id"] for each in listed] == runs[::-1]
    assert told(await world.api.get(f"{path}/jobs")) == (
        403, "org-scoped api key required for cross-project queries",
    )  # fmt: skip
    assert told(await wide.get("/v1/organizations/org-2/runs")) == (
        403, "api key does not belong to this organization",
    )  # fmt: skip
