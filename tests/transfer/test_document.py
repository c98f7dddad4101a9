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
            "`environments.a` leads back to itself",
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
