"""What `strait trigger` does: find what is meant, start it, and follow it to its end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from strait.cli import inputs, lookup, output
from strait.cli.failures import CommandError, ExitCode
from strait.cli.watching import Teller, follow

if TYPE_CHECKING:
    from strait.cli.session import Session
    from strait.errors import Json


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for on the command line."""

    slug: str
    pairs: tuple[str, ...] = ()
    text: str | None = None
    wait: bool = False
    timeout: float | None = None
    key: str | None = None
    tags: tuple[str, ...] = ()
    delay: str | None = None
    priority: int | None = None
    concurrency_key: str | None = None

    def body(self, kind: str) -> dict[str, Json]:
        """Return the body of the request for a job or a workflow.

        Raises:
            CommandError: an option is wrong, or a workflow does not have it.
        """
        body: dict[str, Json] = {}
        payload = inputs.payload(self.text, self.pairs)
        if payload is not None:
            body["payload"] = payload
        if self.tags:
            body["tags"] = dict(_tag(tag) for tag in self.tags)
        only_of_jobs = {
            "scheduled_at": self.delay and _from_now(inputs.seconds(self.delay, "--delay")),
            "priority": self.priority,
            "concurrency_key": self.concurrency_key,
        }
        given = {name: value for name, value in only_of_jobs.items() if value is not None}
        if given and kind == "workflow":
            flag = {"scheduled_at": "--delay"}.get(next(iter(given)), "--" + next(iter(given)))
            raise CommandError(
                f"`{self.slug}` is a workflow, which has no `{flag.replace('_', '-')}`",
                "leave it out",
                ExitCode.USAGE,
            )
        return body | given


def _tag(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise CommandError(f"`--tag {text}` is no tag", "write it like team=web", ExitCode.USAGE)
    return name, value


def _from_now(secs: int) -> str:
    return (datetime.now(UTC) + timedelta(seconds=secs)).isoformat()


def run(session: Session, request: Request, known: tuple[str, Json] | None = None) -> None:
    """Start a run; with `wait`, exit by how it ends.

    Args:
        session: the platform.
        request: what was asked for.
        known: the job or workflow, if it is known already.

    Raises:
        CommandError: there is no such job or workflow, or the run did not end well.
    """
    kind, found = known or lookup.target(session.client, request.slug)
    body = request.body(kind)
    options: dict[str, Any] = {"idempotency_key": request.key} if request.key else {}
    started: Json
    if kind == "workflow":
        body.setdefault("project_id", found["project_id"])
        started = session.client.workflows.trigger(found["id"], body, **options)
    else:
        started = session.client.jobs.trigger(found["id"], body, **options)
    run_id = started.get("id")
    if not (request.wait and run_id):
        _tell(session, started, kind, request.slug)
        return
    name = "workflow run" if kind == "workflow" else "run"
    ended = show_until_end(session, name, run_id, request.timeout)
    if session.as_json:
        output.print_json(ended)
    elif ended.get("result") is not None:
        output.say(output.shown_json(ended["result"]))
    check_end(name, ended)


def show_until_end(session: Session, name: str, run_id: str, timeout: float | None) -> Json:
    """Tell what happens to a run, for a person only, and return it as it ended.

    Raises:
        StraitTimeoutError: it has not ended in time.
    """
    if session.as_json:
        return follow(session.client, name, run_id, lambda _: None, timeout)
    output.note(f"{name} {run_id}")
    teller = Teller()
    try:
        return follow(session.client, name, run_id, teller, timeout)
    finally:
        teller.end()


def check_end(name: str, ended: Json) -> None:
    """Fail unless a run ended well.

    Raises:
        CommandError: it did not.
    """
    if ended["status"] != "completed":
        reason = f": {output.clean(ended['error'])}" if ended.get("error") else ""
        raise CommandError(
            f"{name} {ended['id']} ended as {ended['status']}{reason}",
            f"`strait runs show {ended['id']}` has more",
        )


def _tell(session: Session, started: Json, kind: str, slug: str) -> None:
    if session.as_json:
        output.print_json(started)
    elif "id" not in started:
        why = "debounced" if started.get("debounced") else "kept for a batch"
        output.say(f"{kind} `{slug}`: {why}, no run was started")
    else:
        again = " (started before, with the same key)" if started.get("idempotency_hit") else ""
        output.say(f"{started['id']}  {started['status']}{again}")
