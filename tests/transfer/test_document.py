"""What cannot be read or done is told before anything is."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
import respx

from strait import Client, transfer

EMPTY = {"format": transfer.FORMAT, "project": "p"}
URL = "http://platform.test"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "the file is no JSON"),
        ("[" * 100_000, "the file is no JSON"),
        ("[]", "the file has the format None"),
        ('{"format": "strait-project/9"}', "'strait-project/1' can be read"),
        (json.dumps({**EMPTY, "jobs": []}), "`jobs` must be an object of objects"),
        (json.dumps({**EMPTY, "jobs": {"a": {"colour": 1}}}), "`jobs.a` has `colour`"),
        (json.dumps({**EMPTY, "spaceships": {}}), "the file has `spaceships`"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_the_place(text: str, message: str) -> None:
    with pytest.raises(transfer.TransferError) as told:
        transfer.loads(text)
    assert message in str(told.value)


@pytest.mark.parametrize(
    ("sections", "values", "message"),
    [
        ({"jobs": {"a": {"slug": "a", "group": "no"}}}, {}, "`jobs.a` names 'no'"),
        (
            {"workflows": {"w": {"slug": "w", "steps": [{"step_ref": "s", "job": "no"}]}}},
            {},
            "`workflows.w` names 'no', which is neither in `jobs`",
        ),
        (
            {
                "environments": {
                    "a": {"slug": "a", "parent": "b"},
                    "b": {"slug": "b", "parent": "a"},
                }
            },
            {},
            "`environments.a` leads back to itself: a -> b -> a",
        ),
        (
            {
                "workflows": {
                    "w": {"slug": "w", "steps": [{"step_ref": "s", "workflow": "w"}]},
                }
            },
            {},
            "`workflows.w` leads back to itself: w -> w; none can be made before the other, so",
        ),
        ({}, {"environments.a.variables.X": "1"}, "nothing asks for the value"),
    ],
)
def test_what_leads_nowhere_is_refused_before_anything_is_done(
    sections: dict[str, Any], values: dict[str, str], message: str
) -> None:
    document = transfer.loads(json.dumps({**EMPTY, **sections}))
    with Client.local() as client:
        with pytest.raises(transfer.TransferError) as told:
            transfer.plan_import(client, document, values=values)
        assert client.jobs.list().data == []
    assert message in str(told.value)


def test_a_workflow_that_starts_itself_is_brought_to_where_it_is_already() -> None:
    with Client.local() as client:
        project = {"project_id": client.project_id, "name": "W", "slug": "w"}
        nap = {"step_ref": "nap", "step_type": "sleep", "sleep_duration_secs": 1}
        made = client.workflows.create({**project, "steps": [nap]})
        again = {"step_ref": "again", "step_type": "sub_workflow", "sub_workflow_id": made.id}
        client.workflows.update(made.id, {"steps": [nap, {**again, "depends_on": ["nap"]}]})
        document = transfer.export_project(client)
        assert transfer.plan_import(client, document, prune=True).is_empty
        document["workflows"]["w"]["timeout_secs"] = 60
        (change,) = [
            one for one in transfer.plan_import(client, document).changes if one.action != "keep"
        ]
        assert (change.action, change.key) == ("change", "w")


def test_things_of_the_same_name_are_told_apart_by_their_ids() -> None:
    with Client.local() as client:
        body = {
            "project_id": client.project_id,
            "name": "ops",
            "channel_type": "webhook",
            "config": {"url": "http://127.0.0.1:9/"},
        }
        first, second = (client.notification_channels.create(body).id for _ in range(2))
        with pytest.raises(transfer.TransferError) as told:
            transfer.export_project(client)
    text = str(told.value)
    assert "`notification_channels` has several that are called 'ops'" in text
    assert {f"`{first}`" in text, f"`{second}`" in text} == {True}
    assert "give them different names" in text


def test_a_client_without_a_project_is_told() -> None:
    with (
        Client(base_url=URL, api_key="k") as client,
        pytest.raises(transfer.TransferError, match="has no project"),
    ):
        transfer.export_project(client)


@respx.mock
def test_what_only_the_embedded_platform_has_is_told_for_another() -> None:
    error = {"error": {"code": "not_found", "message": "404 page not found"}}
    page = {"data": [], "has_more": False}
    respx.get(url__startswith=f"{URL}/v1/throttles").mock(httpx.Response(404, json=error))
    for path in ("event-sources", "webhooks/subscriptions", "notification-channels", "log-drains"):
        respx.get(url__startswith=f"{URL}/v1/{path}").mock(httpx.Response(200, json=[]))
    respx.get(url__startswith=f"{URL}/v1/").mock(httpx.Response(200, json=page))
    sections = {
        "throttles": {"mail": {"name": "mail", "limit": 5}},
        "jobs": {
            "a": {
                "slug": "a",
                "name": "A",
                "endpoint_url": "https://a.test/a",
                "cron_catchup": "last",
                "throttles": [{"name": "mail"}],
            },
            "b": {
                "slug": "b",
                "name": "B",
                "endpoint_url": "https://a.test/b",
                "cron_catchup": "skip",
            },
        },
    }
    document = transfer.loads(json.dumps({**EMPTY, **sections}))
    with Client(base_url=URL, api_key="k", project_id="p") as client:
        plan = transfer.plan_import(client, document)
    blocked, first, _ = plan.changes
    assert (blocked.section, blocked.action, blocked.reason) == (
        "throttles", "blocked", "the platform has none of these"
    )  # fmt: skip
    assert sorted(first.after) == ["endpoint_url", "name", "slug"]
    assert plan.notes == (
        "jobs.a: only the embedded platform has `cron_catchup`",
        "jobs.a: only the embedded platform has `throttles`",
    )
