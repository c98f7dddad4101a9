"""What `strait runs list`, `show`, `watch` and `logs` do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from strait.cli import inputs, lookup, output, watching
from strait.cli.failures import CommandError, ExitCode
from strait.cli.session import pages
from strait.cli.trigger import check_end, show_until_end

if TYPE_CHECKING:
    from strait.cli.session import Session
    from strait.errors import Json

# How far runs of one job are looked for: the API lists the runs of all jobs.
_LOOKED_AT = 20_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which runs are to be listed."""

    job: str | None = None
    statuses: tuple[str, ...] = ()
    tag: str | None = None
    since: str | None = None
    limit: int = 20


def show_list(session: Session, wanted: Wanted) -> None:
    """Print runs, the newest first."""
    found = list(matching(session, wanted))
    if session.as_json:
        output.print_json(found)
        return
    slugs = lookup.job_slugs(session.client) if found else {}
    rows = [
        (
            one["id"],
            slugs.get(one["job_id"], one["job_id"]),
            one["status"],
            one["attempt"],
            output.when(one["created_at"]),
            output.took(one),
            output.clean(one.get("error") or "")[:60],
        )
        for one in found
    ]
    headings = ("run", "job", "status", "attempt", "created", "took", "error")
    output.table(headings, rows, empty="no runs; `strait trigger SLUG` starts one")


def matching(session: Session, wanted: Wanted) -> Iterator[Json]:
    """Return the runs that are wanted.

    Raises:
        CommandError: there is no such job, or an option is wrong.
    """
    filters: dict[str, object] = {}
    if wanted.statuses:
        filters["statuses"] = [_status(one) for one in wanted.statuses]
    if wanted.tag:
        name, equals, value = wanted.tag.partition("=")
        if not (name and equals):
            raise CommandError(
                f"`--tag {wanted.tag}` is no tag", "write it like team=web", ExitCode.USAGE
            )
        filters |= {"tag_key": name, "tag_value": value}
    oldest = inputs.ago(wanted.since, "--since") if wanted.since else None
    job_id = lookup.job(session.client, wanted.job)["id"] if wanted.job else None
    left = wanted.limit
    reach = _LOOKED_AT if job_id else wanted.limit
    for run in pages(session.client.runs.list, reach, **filters):
        if left == 0 or (oldest and output.parsed(run["created_at"]) < oldest):
            return
        if job_id in (None, run["job_id"]):
            left -= 1
            yield run


def _status(text: str) -> str:
    from strait.fsm import RunStatus

    known = [status.value for status in RunStatus]
    if text not in known:
        raise CommandError(
            f"there is no status {text!r}", f"it is one of {', '.join(known)}", ExitCode.USAGE
        )
    return text


def show_one(session: Session, run_id: str) -> None:
    """Print a run, or a workflow run with its steps."""
    kind, run = lookup.run(session.client, run_id)
    steps: list[Json] = []
    if kind == "workflow run":
        call = session.client.workflow_runs.list_steps
        steps = list(pages(call, lookup.MANY, workflow_run_id=run_id))
    if session.as_json:
        output.print_json({**run, "steps": steps} if kind == "workflow run" else run)
        return
    hidden = {"payload", "result", "heartbeat_at", "project_id"}
    output.fields((name, value) for name, value in run.items() if name not in hidden)
    if took := output.took(run):
        output.fields([("took", took)])
    if steps:
        output.say()
        output.table(("step", "status", "attempt", "took", "run", "error"), map(_step, steps))
    for name in ("payload", "result"):
        if run.get(name) is not None:
            output.say(f"\n{name}\n{output.shown_json(run[name])}")


def _step(step: Json) -> tuple[object, ...]:
    error = output.clean(step.get("error") or "")[:60]
    return (
        step["step_ref"],
        step["status"],
        step["attempt"],
        output.took(step),
        step.get("job_run_id"),
        error,
    )


def watch_one(session: Session, run_id: str, timeout: float | None) -> None:
    """Follow a run, and fail unless it ends well.

    Raises:
        CommandError: there is no such run, or it did not end well.
        StraitTimeoutError: it has not ended in time.
    """
    kind, _ = lookup.run(session.client, run_id)
    if session.as_json:
        ended = watching.follow(session.client, kind, run_id, output.print_json, timeout)
        output.print_json(ended)
    else:
        ended = show_until_end(session, kind, run_id, timeout)
        took = f" in {output.took(ended)}" if output.took(ended) else ""
        output.say(f"{kind} {run_id}: {ended['status']}{took}")
    check_end(kind, ended)


def show_logs(session: Session, run_id: str, *, follow: bool, level: str) -> None:
    """Print what a run has logged, and with `follow` what it logs until it ends."""
    kind, _ = lookup.run(session.client, run_id)
    if kind == "workflow run":
        raise CommandError(
            f"{run_id} is a workflow run, which has no log of its own",
            f"`strait runs show {run_id}` has the runs of its steps",
            ExitCode.USAGE,
        )

    def tell(event: Json) -> None:
        if not watching.is_log(event, level):
            return
        if session.as_json:
            output.print_json(event)
        else:
            output.say(watching.log_line(event))

    if follow:
        watching.follow(session.client, kind, run_id, tell, None)
        return
    for event in watching.history(session.client, run_id, type="log"):
        tell(event)
