"""The schedules of a project: the `cron` of jobs and workflows, and its next times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from strait.cli import lookup
from strait.cli.failures import CommandError, ExitCode
from strait.cli.session import pages
from strait.cron import CronError, next_fire

if TYPE_CHECKING:
    from strait.client import Client
    from strait.errors import Json

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def found(client: Client) -> list[dict[str, Json]]:
    """Return the schedules of a project."""
    jobs = pages(client.jobs.list, lookup.MANY)
    flows = pages(client.workflows.list, lookup.MANY)
    return [
        *(_schedule("job", one) for one in jobs if one.get("cron")),
        *(_schedule("workflow", one) for one in flows if one.get("cron")),
    ]


def one(client: Client, name: str) -> dict[str, Json]:
    """Return the schedule of a job or a workflow.

    Raises:
        CommandError: there is no such job or workflow, or it has none.
    """
    kind, owner = lookup.target(client, name)
    if not owner.get("cron"):
        raise CommandError(
            f"{kind} `{owner['slug']}` has no schedule",
            "`strait schedules list` shows those that have one",
            ExitCode.NOT_FOUND,
        )
    return _schedule(kind, owner)


def _schedule(kind: str, owner: Json) -> dict[str, Json]:
    state = "enabled" if owner["enabled"] else "disabled"
    schedule = {
        "kind": kind,
        "slug": owner["slug"],
        "id": owner["id"],
        "cron": owner["cron"],
        "timezone": owner.get("timezone" if kind == "job" else "cron_timezone") or "UTC",
        "state": "paused" if owner.get("paused") else state,
    }
    upcoming = times(schedule, 1) if schedule["state"] == "enabled" else []
    return {**schedule, "next": upcoming[0] if upcoming else None}


def times(schedule: Json, count: int) -> list[str]:
    """Return the next instants of a schedule, in its own time zone.

    Raises:
        CommandError: this release cannot read its `cron`.
    """
    zone = ZoneInfo(schedule["timezone"])
    at_us = (datetime.now(UTC) - _EPOCH) // timedelta(microseconds=1)
    instants: list[str] = []
    try:
        for _ in range(count):
            fires_us = next_fire(schedule["cron"], schedule["timezone"], at_us)
            if fires_us is None:
                break
            at_us = fires_us
            moment = _EPOCH + timedelta(microseconds=fires_us)
            instants.append(moment.astimezone(zone).isoformat())
    except CronError as error:
        raise CommandError(f"`{schedule['slug']}`: {error}", "correct its `cron`") from error
    return instants
