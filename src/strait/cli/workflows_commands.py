"""`strait workflows`: the workflows of a project, their runs, and what waits for approval."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from strait.cli.completing import slugs
from strait.cli.session import Session, limit_option, on_platform, timeout_option

if TYPE_CHECKING:
    from strait.client import Client
    from strait.errors import Json

_NAME = click.argument("name", metavar="WORKFLOW", shell_complete=slugs("workflow"))
_RUN = click.argument("run_id", metavar="RUN")
_STEP = click.argument("step", metavar="[STEP]", required=False, default="")


@click.group()
def workflows() -> None:
    """List, show, trigger and approve workflows.

    WORKFLOW is a slug or an id, RUN the id of a workflow run.
    """


@workflows.command("list")
@limit_option(100)
@on_platform
def list_(session: Session, *, limit: int) -> None:
    """List the workflows of the project."""
    from strait.cli import output
    from strait.cli.session import pages

    found = list(pages(session.client.workflows.list, limit))
    if session.as_json:
        output.print_json(found)
        return
    rows = [
        (
            one["slug"],
            "enabled" if one["enabled"] else "disabled",
            one.get("cron"),
            f"v{one['version']}",
            one["id"],
        )
        for one in found
    ]
    output.table(("workflow", "state", "cron", "version", "id"), rows, empty="no workflows")


@workflows.command()
@_NAME
@on_platform
def show(session: Session, *, name: str) -> None:
    """Show a workflow and its steps."""
    from strait.cli import lookup, output

    found = lookup.workflow(session.client, name)
    if session.as_json:
        output.print_json(found)
        return
    output.fields((key, value) for key, value in found.items() if key != "steps")
    slugs = lookup.job_slugs(session.client)
    rows = [
        (
            step["step_ref"],
            step.get("step_type") or "job",
            slugs.get(step.get("job_id") or "", ""),
            ", ".join(step.get("depends_on") or ()),
        )
        for step in found.get("steps") or ()
    ]
    output.say()
    output.table(("step", "type", "job", "after"), rows, empty="no steps")


@workflows.command()
@_NAME
@click.argument("pairs", nargs=-1, metavar="[KEY=TEXT | KEY:=JSON]...")
@click.option("--payload", "text", default=None, help="JSON, @FILE, or - for the standard input.")
@click.option("--wait", is_flag=True, help="Follow the run, and exit by how it ends.")
@timeout_option("Seconds to wait at most; 124 then.")
@click.option("--key", default=None, help="Idempotency key: with the same, nothing runs twice.")
@on_platform
def trigger(session: Session, *, name: str, **arguments: object) -> None:
    """Start a run of a workflow; `strait trigger` does the same, and knows jobs too."""
    from strait.cli import lookup
    from strait.cli.trigger import Request, run

    found = lookup.workflow(session.client, name)
    request = Request(found["slug"], **arguments)  # type: ignore[arg-type]  # click has checked
    run(session, request, ("workflow", found))


@workflows.command()
@click.argument(
    "name",
    metavar="[WORKFLOW]",
    required=False,
    default="",
    shell_complete=slugs("workflow"),
)
@click.option("--status", default=None, help="Such as running or failed.")
@limit_option(20)
@on_platform
def runs(session: Session, *, name: str, status: str | None, limit: int) -> None:
    """List workflow runs, the newest first."""
    from strait.cli import lookup, output
    from strait.cli.session import pages

    if name:
        found = lookup.workflow(session.client, name)
        listed = pages(session.client.workflows.list_runs, lookup.MANY, workflow_id=found["id"])
        rows = [one for one in listed if status in (None, one["status"])][:limit]
    else:
        filters = {"status": status} if status else {}
        rows = list(pages(session.client.workflow_runs.list, limit, **filters))
    if session.as_json:
        output.print_json(rows)
        return
    slugs = lookup.workflow_slugs(session.client) if rows else {}
    output.table(
        ("run", "workflow", "status", "created", "took"),
        (
            (
                one["id"],
                slugs.get(one["workflow_id"], one["workflow_id"]),
                one["status"],
                output.when(one["created_at"]),
                output.took(one),
            )
            for one in rows
        ),
        empty="no workflow runs",
    )


@workflows.command()
@_RUN
@_STEP
@click.option("--as", "approver", default="", help="Who approves; must be one of the approvers.")
@on_platform
def approve(session: Session, *, run_id: str, step: str, approver: str) -> None:
    """Approve STEP of a workflow run; without STEP the one that waits for it."""
    from strait.cli import output

    step = step or _waiting(session, run_id)
    body = {"approver": approver} if approver else {}
    told = session.client.workflow_runs.approve_step(run_id, step, body)
    if session.as_json:
        output.print_json(told)
    else:
        output.say(f"step {step} of {run_id} is approved")


@workflows.command()
@_RUN
@_STEP
@click.option("--reason", default="rejected", show_default=True, help="Why.")
@on_platform
def reject(session: Session, *, run_id: str, step: str, reason: str) -> None:
    """Reject what waits for an approval, with a reason; the step fails.

    The hosted platform has no such request. There the run is paused, the step is skipped, which
    marks its approval as rejected with the reason, and the run is canceled.
    """
    from strait.cli import output

    step = step or _waiting(session, run_id)
    _reject(session.client, run_id, step, reason)
    run: Json = session.client.workflow_runs.get(run_id)
    if session.as_json:
        output.print_json({**run, "rejected_step": step, "reason": reason})
    else:
        output.say(f"step {step} of {run_id} is rejected ({reason}); the run is {run['status']}")


def _reject(client: Client, run_id: str, step: str, reason: str) -> None:
    from strait.errors import HttpError

    client.workflow_runs.get(run_id)
    try:
        client.workflow_runs.reject_step(run_id, step, {"reason": reason})
    except HttpError as error:
        # There is such a run, so it is the request that is unknown.
        if error.status not in {404, 405}:
            raise
        # While it is paused, none of the steps after this one begins.
        client.workflow_runs.pause(run_id)
        client.workflow_runs.skip_step(run_id, step, {"reason": reason})
        client.workflow_runs.cancel(run_id)


def _waiting(session: Session, run_id: str) -> str:
    """Return the step of a run that waits for an approval."""
    from strait.cli.failures import CommandError, ExitCode
    from strait.cli.session import pages

    client = session.client
    run = client.workflow_runs.get(run_id)
    steps = client.workflows.get(run["workflow_id"]).get("steps") or ()
    approvals = {one["step_ref"] for one in steps if one.get("step_type") == "approval"}
    call = client.workflow_runs.list_steps
    waiting: list[Json] = [
        one["step_ref"]
        for one in pages(call, 10_000, workflow_run_id=run_id)
        if one["status"] == "waiting" and one["step_ref"] in approvals
    ]
    if len(waiting) == 1:
        return str(waiting[0])
    if not waiting:
        raise CommandError(
            f"no step of {run_id} waits for an approval",
            f"`strait runs show {run_id}` has its steps",
            ExitCode.CONFLICT,
        )
    raise CommandError(
        f"{', '.join(waiting)} wait for an approval", "say which STEP", ExitCode.USAGE
    )
