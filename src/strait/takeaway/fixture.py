"""A run as a test fixture: what a handler got, and all that was answered to it.

`fixture` makes it of the document of a run; `strait.testing.load_run` replays it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from strait.errors import HttpError, StraitError
from strait.redaction import hidden_places, redacted_document
from strait.reserved import STEP_PREFIX, SUSPENDED_KEY, child_outcome_key
from strait.takeaway.collect import NOT_TOLD, read

if TYPE_CHECKING:
    from strait.client import Client
    from strait.report import Document

FORMAT = "strait.fixture/1"
"""The version of the format; another one is another shape. `docs/how-to/replay.md` describes it."""

_EVENT_PREFIX = "strait.event."
_CHILD_PREFIX = child_outcome_key("")


class NoFixtureError(StraitError):
    """A run cannot be made a fixture; the text says why."""


def collect_fixture(
    client: Client, run_id: str, *, redact: Iterable[str] = (), target: str = ""
) -> dict[str, Any]:
    """Return a run as a fixture.

    Args:
        client: a client of its platform.
        run_id: the run.
        redact: paths whose values are hidden, such as `card.number`.
        target: where its job is found, `shop.orders:fulfil`; by default what `strait dev` says.

    Raises:
        NotFoundError: there is no such run.
        NoFixtureError: it is the run of a workflow.
    """
    document = read(client, run_id, kept=True)
    if document["kind"] != "run":
        runs = [str(step["job_run_id"]) for step in document["steps"] if step.get("job_run_id")]
        raise NoFixtureError(
            f"`{run_id}` is the run of a workflow, which has no handler to replay; "
            f"export the runs of its steps: {', '.join(runs) or 'none was started'}"
        )
    slug = document["job"].get("slug", "")
    return fixture(redacted_document(document, redact), target=target or _target_of(client, slug))


def fixture(document: Document, *, target: str = "") -> dict[str, Any]:
    """Return the fixture of a run from its document, in which what must not leave is hidden.

    What the handler found when it was called for the last time is what was there then: of state
    and checkpoints nothing that this last call has written itself.

    Args:
        document: of a run of a job.
        target: where its job is found, `shop.orders:fulfil`; empty if that is not known.
    """
    run, job = document["run"], document["job"]
    since = _last_dispatch(document["events"])
    found: dict[str, Any] = {
        "format": FORMAT,
        "exported_at": document["exported_at"],
        "job": {name: job[name] for name in ("id", "slug", "version") if name in job},
        "run": {name: run[name] for name in ("id", "project_id", "status") if name in run},
        "payload": run.get("payload"),
        "attempt": {
            "number": run.get("attempt") or 1,
            "last_checkpoint": _last_checkpoint(document["checkpoints"], since),
            "previous_error": _previous_error(document["events"], since),
        },
        "state": {
            row["key"]: row["value"]
            for row in document["state"]
            if not since or str(row.get("updated_at", "")) < since
        },
        "recorded": {
            row["key"]: row["value"] for row in document["kept"] if row["key"] != SUSPENDED_KEY
        },
        "children": {
            child["id"]: {name: child[name] for name in ("job_slug", "job_id") if name in child}
            for child in document["children"]
        },
        "outcome": {name: run[name] for name in ("result", "error") if run.get(name) is not None},
    }
    if target:
        found["job"]["target"] = target
    found["missing"] = list(_missing(found))
    return found


def describe(missing: Mapping[str, Any]) -> str:
    """Return one entry of a fixture's `missing` for a person to read."""
    name = f" `{missing['name']}`" if missing.get("name") else ""
    which = f" (occurrence {missing['occurrence']})" if missing.get("occurrence") else ""
    paths = [path for path in missing["paths"] if path]
    return f"{missing['part']}{name}{which}" + (f": {', '.join(paths)}" if paths else "")


def _missing(found: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what of a fixture is hidden."""
    parts = [
        ("payload", "", found["payload"]),
        ("checkpoint", "", found["attempt"]["last_checkpoint"]),
        ("result", "", found["outcome"].get("result")),
        *(("state", key, value) for key, value in found["state"].items()),
    ]
    for part, name, value in parts:
        if paths := hidden_places(value):
            yield {"part": part, **({"name": name} if name else {}), "paths": paths}
    for key, value in found["recorded"].items():
        if not isinstance(value, Mapping):
            continue
        part, name, answer = _answer(key, value, found["children"])
        if part and (paths := hidden_places(answer)):
            occurrence = value.get("occurrence", 0)
            more = {"occurrence": occurrence} if occurrence else {}
            yield {"part": part, "name": name, **more, "key": key, "paths": paths}


def _answer(
    key: str, value: Mapping[str, Any], children: Mapping[str, Any]
) -> tuple[str, str, Any]:
    """Return what a recorded key answers: its part, the name of it, and the answer itself."""
    if key.startswith(STEP_PREFIX):
        return "step", str(value.get("name", "")), value.get("output")
    if key.startswith(_EVENT_PREFIX):
        return "event", str(value.get("event_key", "")), value.get("payload")
    if key.startswith(_CHILD_PREFIX):
        child = str(value.get("run_id", ""))
        slug = children.get(child, {}).get("job_slug", "")
        return "child", str(slug or child), value.get("result")
    return "", "", None


def _last_dispatch(events: list[dict[str, Any]]) -> str:
    """Return when the handler was called for the last time; empty if that is not known."""
    times = [
        str(event["created_at"])
        for event in events
        if event.get("type") == "state_change" and _data(event).get("to") == "executing"
    ]
    return max(times, default="")


def _last_checkpoint(rows: list[dict[str, Any]], since: str) -> Any:
    states = [
        row["state"]
        for row in rows
        if row.get("source") == "sdk" and (not since or str(row["created_at"]) < since)
    ]
    return states[-1] if states else None


def _previous_error(events: list[dict[str, Any]], since: str) -> str | None:
    errors = [
        str(_data(event)["error"])
        for event in events
        if event.get("type") == "state_change"
        and str(event["created_at"]) < since
        and _data(event).get("error")
    ]
    return errors[-1] if errors else None


def _data(event: Mapping[str, Any]) -> Mapping[str, Any]:
    data = event.get("data")
    return data if isinstance(data, Mapping) else {}


def _target_of(client: Client, slug: str) -> str:
    """Return where the code that `strait dev` serves has a job; empty where none is served."""
    try:
        status = client.get("/v1/dev/status")
    except HttpError as error:
        if error.status not in NOT_TOLD:
            raise
        return ""
    defined = status.get("definitions") or []
    found = [one["target"] for one in defined if one["slug"] == slug and one["kind"] != "workflow"]
    return str(found[0]) if found else ""
