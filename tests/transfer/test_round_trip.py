"""A project goes through a file into another platform, and is the same there."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from strait import Client, transfer

from .project import SECRETS, VALUES, fill


@pytest.fixture(scope="module")
def source() -> Iterator[Client]:
    with Client.local() as client:
        fill(client)
        yield client


@pytest.fixture
def other() -> Iterator[Client]:
    with Client.local() as client:
        yield client


def brought(client: Client, text: str, **options: object) -> transfer.ImportPlan:
    plan = transfer.plan_import(client, transfer.loads(text), **options)  # type: ignore[arg-type]  # passed on
    transfer.apply_import(client, plan)
    return plan


def without(document: dict[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in document.items() if name not in names}


def test_what_was_brought_is_exported_as_it_was(source: Client, other: Client) -> None:
    text = transfer.dumps(transfer.export_project(source))
    plan = brought(other, text, values=VALUES)
    assert not [str(one) for one in plan.changes if one.action == "blocked"]
    again = transfer.export_project(other)
    left = ["project", "to_set"]
    assert without(again, *left) == without(json.loads(text), *left)
    assert plan.to_set == ("secrets.shop.pay.STRIPE",)


def test_a_second_import_does_nothing(source: Client, other: Client) -> None:
    text = transfer.dumps(transfer.export_project(source))
    brought(other, text, values=VALUES)
    before = [job.version for job in other.jobs.list()]
    assert brought(other, text).is_empty
    assert brought(other, text, values=VALUES).is_empty
    assert [job.version for job in other.jobs.list()] == before


def test_a_paused_job_is_paused_there_and_no_import_lets_it_go_on(
    source: Client, other: Client
) -> None:
    document = transfer.export_project(source)
    assert "paused" not in document["jobs"]["pay"]
    document["jobs"]["pay"]["paused"] = True
    brought(other, transfer.dumps(document), values=VALUES)
    assert transfer.export_project(other)["jobs"]["pay"]["paused"] is True
    assert {job.slug for job in other.jobs.list() if job.paused} == {"pay"}
    assert brought(other, transfer.dumps(transfer.export_project(source))).is_empty
    assert {job.slug for job in other.jobs.list() if job.paused} == {"pay"}
    ship = next(job.id for job in other.jobs.list() if job.slug == "ship")
    document["jobs"]["ship"]["paused"] = True
    plan = brought(other, transfer.dumps(document))
    assert [str(one).splitlines()[0] for one in plan.changes if one.action == "change"] == [
        "~ change jobs.ship"
    ]
    assert other.jobs.get(ship).paused


def test_variables_come_along_when_asked(source: Client, other: Client) -> None:
    document = transfer.export_project(source, with_variables=True)
    assert document["environments"]["shop"]["variables"] == {"B": "shop-secret"}
    brought(other, transfer.dumps(document))
    assert (
        transfer.export_project(other, with_variables=True)["environments"]
        == (document["environments"])
    )


def test_no_secret_is_in_the_file(source: Client) -> None:
    document = transfer.export_project(source)
    text = transfer.dumps(document)
    for secret in SECRETS:
        assert secret not in text
    assert set(document["to_set"]) == {*VALUES, "secrets.shop.pay.STRIPE"}


def test_the_same_project_gives_the_same_text(source: Client) -> None:
    one, two = (transfer.dumps(transfer.export_project(source)) for _ in range(2))
    assert one == two


def test_what_cannot_be_made_without_a_secret_is_blocked_and_named(
    source: Client, other: Client
) -> None:
    plan = brought(other, transfer.dumps(transfer.export_project(source)))
    blocked = {f"{one.section}.{one.key}": one.reason for one in plan.changes if one.reason}
    assert blocked == {
        "event_sources.git": (
            "give `event_sources.git.signing.signature_secret` with `--values`, and import again"
        ),
        "notification_channels.ops": (
            "give `notification_channels.ops.config.webhook_url` with `--values`, and import again"
        ),
        "log_drains.logs": (
            "give `log_drains.logs.auth_config.token` with `--values`, and import again"
        ),
    }
    assert set(VALUES) <= set(plan.to_set)
    assert other.environments.list().data[0].slug


def test_a_plan_changes_nothing(source: Client, other: Client) -> None:
    before = transfer.export_project(other)
    document = transfer.loads(transfer.dumps(transfer.export_project(source)))
    plan = transfer.plan_import(other, document, values=VALUES)
    assert "+ create workflows.order" in str(plan)
    assert transfer.export_project(other) == before


def test_differences_are_planned_field_by_field_and_done(source: Client, other: Client) -> None:
    text = transfer.dumps(transfer.export_project(source))
    brought(other, text, values=VALUES)
    document = json.loads(text)
    document["jobs"]["refund"]["timeout_secs"] = 99
    del document["jobs"]["pay"]["tags"]
    del document["jobs"]["pay"]["throttles"]
    document["jobs"]["ship"]["depends_on"] = {"refund": "any"}
    document["workflows"]["order"]["steps"][0]["payload"] = {"amount": 7}
    document["event_sources"]["git"]["subscriptions"] = [{"job": "pay"}]
    document["roles"]["doers"]["permissions"] = ["runs:read"]
    document["throttles"]["mail"]["limit"] = 6
    changed = transfer.dumps(document)
    plan = brought(other, changed)
    assert {f"{one.section}.{one.key}": sorted(one.after) for one in plan.changes if one.after} == {
        "throttles.mail": ["limit"],
        "jobs.pay": ["tags", "throttles"],
        "jobs.refund": ["timeout_secs"],
        "jobs.ship": ["depends_on"],
        "workflows.order": ["steps"],
        "event_sources.git": ["subscriptions"],
        "roles.doers": ["permissions"],
    }
    assert "timeout_secs: 9 -> 99" in str(plan)
    assert brought(other, changed).is_empty
    assert without(transfer.export_project(other), "project", "to_set") == (
        without(document, "project", "to_set")
    )


def test_steps_that_no_platform_removes_are_blocked(source: Client, other: Client) -> None:
    text = transfer.dumps(transfer.export_project(source))
    brought(other, text, values=VALUES)
    document = json.loads(text)
    document["workflows"]["order"]["steps"].pop()
    plan = brought(other, transfer.dumps(document))
    (blocked,) = [one for one in plan.changes if one.action == "blocked"]
    assert blocked.reason == "no platform removes steps (inner); give it another slug"
    assert "! blocked workflows.order" in str(plan)


def test_a_signature_that_no_platform_takes_away_is_blocked(source: Client, other: Client) -> None:
    document = transfer.export_project(source)
    brought(other, transfer.dumps(document), values=VALUES)
    for name in ("signature_algorithm", "signature_header", "signing"):
        del document["event_sources"]["git"][name]
    [blocked] = [
        one for one in brought(other, transfer.dumps(document)).changes if one.action == "blocked"
    ]
    assert (blocked.key, blocked.reason) == (
        "git", "no platform takes a signature away; delete it there, and import again"
    )  # fmt: skip


def test_nothing_is_deleted_unless_asked(source: Client, other: Client) -> None:
    text = transfer.dumps(transfer.export_project(source))
    brought(other, text, values=VALUES)
    document = json.loads(text)
    del document["workflows"]["z-inner"], document["workflows"]["order"]
    del document["event_sources"]["git"], document["throttles"]["mail"]
    document["jobs"]["pay"].pop("throttles")
    less = transfer.dumps(document)
    kept = brought(other, less)
    assert "workflows.order is not in the file and stays" in kept.notes
    assert len(other.workflows.list().data) == 2
    pruned = brought(other, less, prune=True)
    deleted = [f"{one.section}.{one.key}" for one in pruned.changes if one.action == "delete"]
    assert deleted == [
        "event_sources.git",
        "workflows.order",
        "workflows.z-inner",
        "throttles.mail",
    ]
    assert other.workflows.list().data == []
    assert brought(other, less, prune=True).is_empty


def test_a_secret_that_is_new_to_what_is_there_is_asked_for(source: Client, other: Client) -> None:
    text = transfer.dumps(transfer.export_project(source))
    other.event_sources.create({"project_id": other.project_id, "name": "git"})
    [blocked] = [one for one in brought(other, text).changes if one.section == "event_sources"]
    assert blocked.action == "blocked"
    assert "event_sources.git.signing.signature_secret" in blocked.reason
    assert brought(other, text, values=VALUES).to_set == ("secrets.shop.pay.STRIPE",)
    [git] = other.event_sources.list()
    assert git.signature_algorithm == "hmac-sha256"
